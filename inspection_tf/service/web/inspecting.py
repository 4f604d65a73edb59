"""Routes that inspect: an image, the images of a part, a batch; and pictures of what was found."""

import asyncio
import collections
import json
import time
from collections.abc import AsyncIterator
from typing import Any

from fastapi import APIRouter, Request
from starlette.responses import Response, StreamingResponse

from inspection_tf import decision, images
from inspection_tf.service.answers import Refusal, told
from inspection_tf.service.models import Served
from inspection_tf.service.station import Given, Station
from inspection_tf.service.web import described, uploads
from inspection_tf.service.web.door import BATCH, SINCE

_AHEAD = 2  # images of a batch that are inspected while the next ones arrive
NDJSON = "application/x-ndjson"


def routes(station: Station) -> APIRouter:
    """Return the routes of a station."""
    router = APIRouter()

    @router.post("/inspect", **described.inspect())
    async def inspect(request: Request, model: str | None = None) -> Response:
        """Decide about one image."""
        served = station.served(model)
        given = await _one(request, station)
        return told(await _decided(station, served, given, request))

    @router.post("/inspect/part", **described.part())
    async def part(request: Request, model: str | None = None) -> Response:
        """Decide about a part by several images, by several models, or both: the gravest counts."""
        known = station.models.all()
        chosen = list(known.values()) if model is None else [station.served(model)]
        given = [one async for one in _several(request, station)]
        if not given:
            raise Refusal(400, "malformed", "A part needs an image. Got none. Send at least one.")
        return told(await _composite(station, chosen, given))

    @router.post(BATCH, **described.batch())
    async def batch(request: Request, model: str | None = None) -> Response:
        """Decide about many images: a line of JSON for each, in their order; errors are lines."""
        served = station.served(model)
        lines: list[bytes] = []
        running = collections.deque[asyncio.Task[bytes]]()
        try:
            async for name, given in _several(request, station):
                running.append(asyncio.ensure_future(_line(station, served, name, given)))
                while len(running) > _AHEAD:
                    lines.append(await running.popleft())
        except BaseException:
            for task in running:
                task.cancel()
            raise

        async def text() -> AsyncIterator[bytes]:
            for line in lines:
                yield line
            while running:
                yield await running.popleft()

        return StreamingResponse(text(), media_type=NDJSON)

    @router.get("/results/{identity}/{picture}.png", **described.picture())
    async def picture(identity: str, picture: str) -> Response:
        """Return a picture of one of the last results."""
        found = await asyncio.to_thread(station.results.pictures, identity)
        if found is None or picture not in found:
            raise Refusal(
                404,
                "unknown",
                "A picture must be of one of the last results. Got none of that name. Inspect the "
                "image again.",
            )
        data = await asyncio.to_thread(images.encode_png, found[picture])
        return Response(data, media_type="image/png")

    return router


async def _one(request: Request, station: Station) -> Given:
    """Return the image of a request, with its template and metadata in any order."""
    if not uploads.is_form(request):
        return Given(await uploads.body(request))
    fields: dict[str, bytes] = {}
    async for part in uploads.parts(request, largest=station.max_bytes):
        if part.field in fields:
            raise Refusal(
                400,
                "malformed",
                f"A form must hold one {part.field}. Got two. Use /inspect/part or {BATCH}.",
            )
        fields[part.field] = part.data
    if "image" not in fields:
        raise Refusal(400, "malformed", "A form must hold an image. Got none. Send one.")
    metadata = uploads.metadata_of(fields["metadata"]) if "metadata" in fields else {}
    return Given(fields["image"], fields.get("template"), metadata)


async def _several(request: Request, station: Station) -> AsyncIterator[tuple[str, Given]]:
    """Yield the images of a request with their names, as they arrive.

    A template, and metadata, are of all images that follow it, up to the next one.
    """
    if not uploads.is_form(request):
        yield "1", Given(await uploads.body(request))
        return
    template, metadata, count = None, dict[str, Any](), 0
    async for part in uploads.parts(request, largest=station.max_bytes):
        if part.field == "template":
            template = part.data
        elif part.field == "metadata":
            metadata = uploads.metadata_of(part.data)
        else:
            count += 1
            yield part.name or str(count), Given(part.data, template, metadata)


async def _decided(
    station: Station, served: Served, given: Given, request: Request
) -> dict[str, Any]:
    """Return what a client is told of one image."""

    async def is_gone() -> bool:
        while (await request.receive())["type"] != "http.disconnect":
            pass
        return True

    since = request.scope[SINCE]
    found = await station.inspect(served, given, since=since, is_gone=is_gone)
    return {**found.verdict.to_dict(), **station.results.add(served, found.verdict, found.queue_ms)}


async def _line(station: Station, served: Served, name: str, given: Given) -> bytes:
    """Return the line of an image of a batch, whatever happens."""
    try:
        found = await station.inspect(served, given, since=None)
        line = {
            **found.verdict.to_dict(),
            **station.results.add(served, found.verdict, found.queue_ms),
        }
    except Refusal as refusal:
        station.turned_away(refusal)
        line = {"error": refusal.sentence, "status": refusal.status}
    return json.dumps({"name": name, **line}, allow_nan=False).encode() + b"\n"


async def _composite(
    station: Station, chosen: list[Served], given: list[tuple[str, Given]]
) -> dict[str, Any]:
    """Return what a client is told of a part."""
    verdicts: dict[str, decision.Verdict] = {}
    failures: dict[str, str] = {}
    extras: dict[str, Any] = {}
    for image_name, one in given:
        for served in chosen:
            parts = [image_name] if len(given) > 1 or len(chosen) == 1 else []
            name = "/".join([*parts, *([served.name] if len(chosen) > 1 else [])])
            if name in verdicts or name in failures:
                raise Refusal(
                    400,
                    "malformed",
                    f"Each image of a part must have a name of its own. Got {name!r} twice. "
                    "Send other names of files.",
                )
            try:
                found = await station.inspect(served, one, since=time.monotonic())
            except Refusal as refusal:
                station.turned_away(refusal)
                failures[name] = refusal.sentence
                continue
            verdicts[name] = found.verdict
            extras[name] = station.results.add(served, found.verdict, found.queue_ms)
    composite = decision.CompositeVerdict.of(verdicts, failures).to_dict()
    for name, extra in extras.items():
        composite["verdicts"][name] |= extra
    return composite
