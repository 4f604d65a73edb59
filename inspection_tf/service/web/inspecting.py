"""Routes that inspect: an image, the images of a part, a batch; and pictures of what was found."""

import asyncio
import collections
import json
from collections.abc import AsyncIterator, Awaitable, Callable
from typing import Any

from fastapi import APIRouter, Request
from starlette.responses import Response, StreamingResponse

from inspection_tf import decision
from inspection_tf.service import refusals
from inspection_tf.service.models import Served
from inspection_tf.service.refusals import Refusal
from inspection_tf.service.station import Station, Submission
from inspection_tf.service.web import described, uploads
from inspection_tf.service.web.door import BATCH
from inspection_tf.service.web.responses import json_response

_AHEAD = 2  # images of a batch that are inspected while the next ones arrive
_MOST = 10_000  # images of a batch
Item = tuple[str, Submission | Refusal]
"""An image of several: its name, and what it holds, or why it is not used."""


def routes(station: Station) -> APIRouter:
    """Return the routes of a station."""
    router = APIRouter()

    @router.post("/inspect", **described.inspect())
    async def inspect(request: Request, model: str | None = None) -> Response:
        """Decide about one image."""
        served = station.served(model)
        submission = await _one(request, station)
        inspection = await station.inspect(served, submission, is_gone=is_gone(request))
        return json_response(inspection.to_dict())

    @router.post("/inspect/part", **described.part())
    async def part(request: Request, model: str | None = None) -> Response:
        """Decide about a part by several images, by several models, or both: the gravest counts."""
        known = station.models.all()
        chosen = list(known.values()) if model is None else [station.served(model)]
        items = [item async for item in _several(request, station)]
        return json_response(await _composite(station, chosen, items, request))

    @router.post(BATCH, **described.batch())
    async def batch(request: Request, model: str | None = None) -> Response:
        """Decide about many images: a line of JSON for each, in their order; errors are lines."""
        served = station.served(model)
        lines: list[bytes] = []
        running = collections.deque[asyncio.Task[bytes]]()
        try:
            async for item in _several(request, station):
                if len(lines) + len(running) >= _MOST:
                    raise Refusal(
                        413,
                        "too_large",
                        f"A batch must have at most {_MOST} images. Got more. Send several.",
                        is_unread=True,
                    )
                running.append(asyncio.ensure_future(_line(station, served, item)))
                while len(running) > _AHEAD:
                    lines.append(await running.popleft())
        except BaseException:
            _cancel(running)
            raise

        async def text() -> AsyncIterator[bytes]:
            try:
                for line in lines:
                    yield line
                while running:
                    yield await running.popleft()
            finally:  # also where the client has gone
                _cancel(running)

        return StreamingResponse(text(), media_type=described.NDJSON)

    @router.get("/results/{identity}/{picture}.png", **described.picture())
    async def picture(identity: str, picture: str) -> Response:
        """Return a picture of one of the last results."""
        data = await asyncio.to_thread(station.results.picture, identity, picture)
        if data is None:
            raise refusals.unknown(
                "A picture must be of one of the last results. Got none of that name. Inspect the "
                "image again."
            )
        return Response(data, media_type="image/png")

    return router


def is_gone(request: Request) -> Callable[[], Awaitable[bool]]:
    """Return what waits until the client of a request, whose body is read, has gone."""

    async def wait() -> bool:
        while (await request.receive())["type"] != "http.disconnect":
            pass
        return True

    return wait


def _cancel(running: "collections.deque[asyncio.Task[bytes]]") -> None:
    for task in running:
        task.cancel()


async def _one(request: Request, station: Station) -> Submission:
    """Return the image of a request, with its template and metadata in any order."""
    if not uploads.is_form(request):
        return Submission(await uploads.body(request))
    fields: dict[str, bytes] = {}
    async for part in uploads.parts(request, largest=station.max_bytes):
        if part.refusal is not None:
            raise part.refusal
        if part.field in fields:
            raise refusals.malformed(
                f"A form must hold one {part.field}. Got two. Use /inspect/part or {BATCH}.",
                is_unread=True,
            )
        fields[part.field] = part.data
    if "image" not in fields:
        raise refusals.malformed("A form must hold an image. Got none. Send one.")
    metadata = uploads.metadata_of(fields["metadata"]) if "metadata" in fields else {}
    return Submission(fields["image"], fields.get("template"), metadata)


async def _several(request: Request, station: Station) -> AsyncIterator[Item]:
    """Yield the images of a request with their names, as they arrive.

    A template, and metadata, are of all images that follow it, up to the next one.
    """
    if not uploads.is_form(request):
        yield "1", Submission(await uploads.body(request))
        return
    template, metadata, count = None, dict[str, Any](), 0
    async for part in uploads.parts(request, largest=station.max_bytes):
        if part.field == "image":
            count += 1
            content = part.refusal or Submission(part.data, template, metadata)
            yield part.name or str(count), content
        elif part.refusal is not None:
            raise part.refusal
        elif part.field == "template":
            template = part.data
        else:
            metadata = uploads.metadata_of(part.data)


async def _line(station: Station, served: Served, item: Item) -> bytes:
    """Return the line of an image of a batch, whatever happens."""
    name, content = item
    try:
        if isinstance(content, Refusal):
            raise content
        inspection = await station.inspect(served, content, has_deadline=False)
        line = inspection.to_dict()
    except Refusal as refusal:
        station.count_refusal(refusal)
        line = {"error": refusal.sentence, "status": refusal.status}
    return json.dumps({"name": name, **line}, allow_nan=False).encode() + b"\n"


async def _composite(
    station: Station, chosen: list[Served], items: list[Item], request: Request
) -> dict[str, Any]:
    """Return what a client receives of a part."""
    if not items:
        raise refusals.malformed("A part needs an image. Got none. Send at least one.")
    names = [name for name, _ in items]
    if len(set(names)) < len(names):
        raise refusals.malformed(
            "Each image of a part must have a name of its own. Got one twice. Send other names of "
            "files."
        )
    verdicts: dict[str, decision.Verdict] = {}
    failures: dict[str, str] = {}
    beside: dict[str, Any] = {}
    for image_name, content in items:
        for served in chosen:
            parts = [image_name] if len(items) > 1 or len(chosen) == 1 else []
            name = "/".join([*parts, *([served.name] if len(chosen) > 1 else [])])
            try:
                if isinstance(content, Refusal):
                    raise content
                inspection = await station.inspect(served, content, is_gone=is_gone(request))
            except Refusal as refusal:
                station.count_refusal(refusal)
                failures[name] = refusal.sentence
                continue
            verdicts[name], beside[name] = inspection.verdict, inspection.beside
    composite = decision.CompositeVerdict.of(verdicts, failures).to_dict()
    for name, more in beside.items():
        composite["verdicts"][name] |= more
    if station.sinks is not None:
        station.sinks.put(composite)
    return composite
