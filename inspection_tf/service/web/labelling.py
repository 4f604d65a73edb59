"""The route by which a person says what a result should have been."""

import asyncio
import logging
from typing import get_args

from fastapi import APIRouter, Request
from starlette.responses import Response

from inspection_tf import errors
from inspection_tf.datasets.writers import labels_file
from inspection_tf.service import refusals
from inspection_tf.service.station import Station
from inspection_tf.service.web import described, uploads
from inspection_tf.service.web.responses import json_response, parsed_json

_LOG = logging.getLogger("inspection_tf")
_MOST_BYTES = 1 << 15  # of a correction; a character of its note may take 12 as JSON


def routes(station: Station) -> APIRouter:
    """Return the routes of a station."""
    router = APIRouter()

    @router.post("/results/{identity}/label", **described.label())
    async def label(request: Request, identity: str) -> Response:
        """Keep what a person says of one of the last results: OK, NG, or that a region is wrong."""
        labels = station.labels
        if labels is None:
            raise refusals.not_kept(
                "Corrections must have a folder. Got none, so that they are not kept here. Start "
                "the service with --labels DIR.",
                is_unread=True,
            )
        body = await uploads.short_body(request, most_bytes=_MOST_BYTES, within_s=station.upload_s)
        said, note = _correction(body)
        entry = station.results.entry(identity)
        if entry is None:
            raise refusals.unknown(
                "A correction must be of one of the last results. Got another. Inspect the image "
                "again."
            )
        try:
            kept = await asyncio.to_thread(labels.keep, entry, label=said, note=note)
        except errors.StorageError as problem:
            _LOG.error("a correction was not kept: %s", problem)
            raise refusals.not_kept(
                "A correction must be written to the service's disk. Got a disk that takes none, "
                "so that it is not kept. Free some room, and send it again."
            ) from problem
        return json_response(kept)

    return router


def _correction(data: bytes) -> tuple[labels_file.Label, str]:
    """Return label and note of a body.

    Raises:
        Refusal: it is no correction.
    """
    found = parsed_json(data, "A correction")
    if not isinstance(found, dict) or not {"label"} <= found.keys() <= {"label", "note"}:
        raise _malformed("another form")
    label, note = found["label"], found.get("note", "")
    if label not in labels_file.LABELS:
        raise _malformed("another label")
    if not isinstance(note, str) or not _is_text(note):
        raise _malformed("a note that is no text")
    if len(note) > labels_file.LONGEST_NOTE:
        raise _malformed(f"a note of {len(note)} characters")
    return label, note


def _is_text(note: str) -> bool:
    """Return whether a note holds whole characters; half of one cannot be written."""
    try:
        note.encode()
    except UnicodeEncodeError:
        return False
    return True


def _malformed(what: str) -> refusals.Refusal:
    listed = ", ".join(get_args(labels_file.Label))
    return refusals.malformed(
        f"A correction must hold a label, one of {listed}, and may hold a note of at most "
        f"{labels_file.LONGEST_NOTE} characters. Got {what}. Correct it."
    )
