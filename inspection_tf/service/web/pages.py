"""Routes of the page: its files, and what it asks for beside verdicts."""

import asyncio
from importlib import resources
from typing import Any

from fastapi import APIRouter
from starlette.responses import Response

from inspection_tf import bundle, errors, plots
from inspection_tf.service import refusals
from inspection_tf.service.models import Served
from inspection_tf.service.station import Station
from inspection_tf.service.web import described
from inspection_tf.service.web.responses import json_response

_POLICY = (
    "default-src 'self'; img-src 'self' blob: data:; media-src 'self' blob:; frame-ancestors "
    "'none'; base-uri 'none'; form-action 'none'"
)
_HEADERS = {
    "Content-Security-Policy": _POLICY,
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "no-referrer",
    "Cache-Control": "no-cache",
}
_KINDS = {
    **plots.PANEL_FILES,
    "index.html": "text/html; charset=utf-8",
    "inspection.mjs": "text/javascript; charset=utf-8",
    "page.css": "text/css; charset=utf-8",
}


def routes(station: Station) -> APIRouter:
    """Return the routes of a station."""
    router = APIRouter()

    @router.get("/", **described.text("text/html"))
    async def index() -> Response:
        """Show the page."""
        return _file("index.html")

    @router.get("/page/{name}", **described.text("text/plain", 404))
    async def file(name: str) -> Response:
        """Return a file of the page."""
        return _file(name)

    @router.get("/status", **described.json_told(401))
    async def status() -> Response:
        """Tell what is served, how much is going on, and what was counted."""
        return json_response(
            {
                "is_ready": not station.is_draining,
                "requests": station.in_flight,
                "limit": station.limit,
                "waiting": station.waiting,
                "service_s": station.service_s,
                "latency_ms": station.telemetry.latencies_ms(),
                "keeps_labels": station.labels is not None,
                "refused": station.telemetry.refusals(),
                "models": [
                    {**_described(served), "counts": station.telemetry.outcomes(served.name)}
                    for served in station.models.all().values()
                ],
            }
        )

    @router.get("/models/{model}/card", **described.text("text/markdown", 400, 401, 404))
    async def card(model: str) -> Response:
        """Return the card of a model."""
        path = station.served(model).root / bundle.CARD
        if not path.is_file():
            raise refusals.unknown("A model must have a card. Got none in its bundle.")
        return Response(path.read_bytes(), media_type="text/markdown; charset=utf-8")

    @router.get("/models/{model}/tune", **described.json_told(400, 401, 404))
    async def tune(model: str) -> Response:
        """Return the scores that the threshold of a model was chosen on."""
        served = station.served(model)
        chosen = served.chosen
        if chosen is None:
            raise refusals.unknown(
                "A model must carry the scores of its tune images. Got a bundle of an earlier "
                "version. Choose its threshold again by a method, such as inspection threshold "
                "BUNDLE --escape-rate 0.05; one that was cross-validated must be trained again."
            )
        return json_response({**(plots.panel_contents(chosen) or {}), "version": served.version})

    @router.get("/models/{model}/tune/{place}.png", **described.picture())
    async def tune_image(model: str, place: int, version: str | None = None) -> Response:
        """Return one of the images that the threshold of a model was chosen on."""
        data = await station.tune_image(station.served(model), place, version=version)
        return Response(data, media_type="image/png")

    @router.post("/models/{model}/check", **described.json_told(400, 401, 404, 503))
    async def check(model: str) -> Response:
        """Run the golden samples of a model now: do they come out as they were recorded?"""
        try:
            count = await station.check(station.served(model))
        except errors.BundleError as problem:
            return json_response({"passed": False, "said": str(problem)})
        said = f"{count} golden samples come out as they were recorded."
        return json_response({"passed": True, "said": said})

    @router.get("/results", **described.json_told(401))
    async def results() -> Response:
        """List the last results, the latest first."""
        return json_response({"results": await asyncio.to_thread(station.results.listed)})

    @router.get("/results/{identity}", **described.json_told(400, 401, 404))
    async def result(identity: str) -> Response:
        """Return one of the last results again."""
        found = await asyncio.to_thread(station.results.one, identity)
        if found is None:
            raise refusals.unknown("A result must be one of the last ones. Got another.")
        return json_response(found)

    return router


def _file(name: str) -> Response:
    if name not in _KINDS:
        raise refusals.unknown("There is no such file. See /openapi.json.")
    if name in plots.PANEL_FILES:
        data = plots.panel_file(name).encode()
    else:
        data = (resources.files("inspection_tf.service") / "page" / name).read_bytes()
    return Response(data, media_type=_KINDS[name], headers=_HEADERS)


def _described(served: Served) -> dict[str, Any]:
    manifest = served.inspector.manifest
    return {
        "name": served.name,
        "version": served.version,
        "model_id": manifest.model_id,
        "task": manifest.task,
        "engine": served.inspector.engine_name,
        "classes": list(manifest.classes),
        "threshold": manifest.operating_point.threshold,
        "promise": manifest.promise,
        "drift": served.drift.in_words(),
        "metrics": manifest.metrics.get("metrics", {}),
        "parity": manifest.parity,
        "engines": {name: entry.state for name, entry in manifest.engines.items()},
    }
