"""The pictures of a report, small enough to travel in it."""

import base64
import io
import logging
from collections.abc import Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any

import cv2
import numpy as np
from numpy.typing import NDArray

from inspection_tf import errors, images, plots
from inspection_tf.reporting.material import Material
from inspection_tf.reporting.rows import Row

if TYPE_CHECKING:
    from inspection_tf import decision

_LOG = logging.getLogger("inspection_tf")
_OVERLAY_PX = 420  # longest side
_THUMB_PX = 120
_THUMBS = 48
_CAPTIONS = {"pr": "Precision and recall", "roc": "ROC", "scores": "Scores of the measured images"}
_LARGE = 200_000  # bytes of a PNG that is embedded as JPEG instead


def address(data: bytes) -> str:
    """Return a picture as an address that holds it."""
    kind = "png" if data.startswith(b"\x89PNG") else "jpeg"
    return f"data:image/{kind};base64,{base64.b64encode(data).decode()}"


def shrunk(picture: NDArray[Any], longest: int) -> NDArray[np.uint8]:
    """Return a picture whose longer side has at most so many px; a small one is magnified."""
    pixels = images.to_8bit(np.asarray(picture))
    scale = longest / max(pixels.shape[:2])
    if scale >= 2:  # each pixel stays a square
        times = int(scale)
        return np.asarray(pixels.repeat(times, axis=0).repeat(times, axis=1), np.uint8)
    if scale >= 1:
        return pixels
    size = (max(1, round(pixels.shape[1] * scale)), max(1, round(pixels.shape[0] * scale)))
    return np.asarray(cv2.resize(pixels, size, interpolation=cv2.INTER_AREA), np.uint8)


def overlay(verdict: "decision.Verdict") -> str | None:
    """Return what was found on an image, as an address; None where the verdict has no pixels."""
    picture = verdict.overlay()
    if picture is None:
        return None
    return address(images.encode_jpeg(shrunk(picture, _OVERLAY_PX)))


def examples(material: Material, chosen: Sequence[Row]) -> Iterator[dict[str, Any]]:
    """Yield measured images with what was found on them, as far as they are at hand."""
    for row in chosen:
        try:
            look = material.show(row.id)
        except errors.DataError:
            look = None
        picture = None if look is None else overlay(look.verdict)
        # Of a bundle that was edited since it was measured.
        is_other = look is not None and look.verdict.outcome != row.outcome
        now = look.verdict.outcome if look is not None and is_other else ""
        yield {"row": row, "picture": picture, "now": now}


def figures(found: Mapping[str, bytes]) -> dict[str, str]:
    """Return the pictures of an evaluation by name, as addresses."""
    return {
        _CAPTIONS.get(name, name.replace("_", " ").capitalize()): address(
            data if len(data) < _LARGE else _as_jpeg(data)
        )
        for name, data in found.items()
    }


def _as_jpeg(data: bytes) -> bytes:
    return images.encode_jpeg(images.to_8bit(images.read(data)))


def curves(histories: Mapping[str, list[dict[str, Any]]]) -> dict[str, str]:
    """Return the learning curves of each network, as addresses."""
    drawn = {}
    for name, lines in histories.items():
        try:
            figure = plots.learning_curves(lines)
        except (errors.DataError, ValueError, TypeError) as problem:  # no history of epochs
            _LOG.warning("the learning curves of %s are left out: %s", name or "it", problem)
            continue
        file = io.BytesIO()
        figure.savefig(file, format="png", dpi=70)
        drawn[name] = address(file.getvalue())
    return drawn


def thumbs(material: Material) -> dict[str, str]:
    """Return small pictures of the tune images nearest to the threshold, by their places."""
    scores, point = material.chosen.scores, material.chosen.operating_point
    if scores is None:
        return {}
    turn = material.manifest.context.preprocessing.orientation
    away = [abs(score - point.threshold) if score is not None else 0.0 for score in scores.scores]
    chosen: list[int] = []
    for label in (True, False):
        places = [place for place, bad in enumerate(scores.is_defect) if bad == label]
        chosen += sorted(places, key=away.__getitem__)[: _THUMBS // 2]
    found = {}
    for place in chosen:
        record = material.tune_records.get(scores.ids[place])
        if record is not None:
            try:
                image, _ = record.read_pair(orientation=turn)
            except errors.DataError as problem:
                _LOG.warning("%s is not shown: %s", record.id, problem)
                continue
            found[str(place)] = address(images.encode_jpeg(shrunk(image, _THUMB_PX)))
    return found
