"""The application: its routes, what it answers to what is wrong, and the door before it."""

import asyncio
from typing import Any

from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from starlette.exceptions import HTTPException
from starlette.responses import Response
from starlette.types import ASGIApp

import inspection_tf
from inspection_tf.service import telemetry
from inspection_tf.service.refusals import Refusal, malformed, of_problem
from inspection_tf.service.station import Station
from inspection_tf.service.web import described, inspecting, labelling, open_inference, pages
from inspection_tf.service.web.door import Door
from inspection_tf.service.web.responses import error_response

_NOT_FOUND = "There is nothing under this address. See /openapi.json."
_NOT_ALLOWED = "This address takes another method. See /openapi.json."


def build(station: Station, *, token: str = "") -> ASGIApp:
    """Return the application of a station.

    Args:
        station: which answers.
        token: that clients must send; empty: none.
    """
    app = FastAPI(
        title="inspection_tf",
        version=inspection_tf.__version__,
        redirect_slashes=False,
        docs_url=None,  # its page loads from elsewhere
        redoc_url=None,
        swagger_ui_oauth2_redirect_url=None,
    )
    app.include_router(inspecting.routes(station))
    app.include_router(open_inference.routes(station))
    app.include_router(pages.routes(station))
    app.include_router(labelling.routes(station))

    @app.get("/metrics", **described.text(telemetry.CONTENT_TYPE.partition(";")[0], 401))
    async def metrics() -> Response:
        """Tell what was counted and timed, for Prometheus."""
        text = await asyncio.to_thread(station.telemetry.text)
        return Response(text, media_type=telemetry.CONTENT_TYPE)

    async def refuse(request: Request, problem: Exception) -> Response:
        refusal = _of_framework(problem)
        station.count_refusal(refusal)
        return error_response(refusal)

    usual = app.openapi
    names = sorted(station.models.all())
    app.openapi = lambda: described.with_models(usual(), names)  # type: ignore[method-assign]
    for kind in (Refusal, HTTPException, RequestValidationError):
        app.add_exception_handler(kind, refuse)
    # What nobody foresaw: its trace is in the log, and none of it in the response.
    app.add_exception_handler(500, refuse)
    return Door(app, host=station, token=token)


def _of_framework(problem: Exception) -> Refusal:
    if isinstance(problem, HTTPException):
        sentences: dict[int, Any] = {404: _NOT_FOUND, 405: _NOT_ALLOWED}
        sentence = sentences.get(problem.status_code, str(problem.detail))
        return Refusal(problem.status_code, "unknown", sentence, dict(problem.headers or {}))
    if isinstance(problem, RequestValidationError):
        return malformed("The request's parameters must be as /openapi.json says.")
    return of_problem(problem)
