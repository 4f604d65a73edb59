"""The last verdicts, whose pictures can still be asked for."""

import dataclasses
import threading
import uuid
from collections.abc import Iterator
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from inspection_tf import images, tasks
from inspection_tf.service.archive import Archive

if TYPE_CHECKING:
    from inspection_tf import decision
    from inspection_tf.datasets.records import LabelKind
    from inspection_tf.service.models import Served

_SMALLEST = 4096  # bytes of a verdict without pixels
_MOST_LISTED = 500


@dataclasses.dataclass(frozen=True)
class Entry:
    """A verdict that is kept.

    Attributes:
        verdict: of an image.
        beside: what a client was told beside it.
        time: when it was made, UTC.
        size: about how many bytes it holds.
        label_kind: what its task is measured on.
    """

    verdict: "decision.Verdict"
    beside: dict[str, Any]
    time: str
    size: int
    label_kind: "LabelKind"

    def told(self) -> dict[str, Any]:
        """Return what a client was told."""
        return {**self.verdict.to_dict(), **self.beside}

    def brief(self) -> dict[str, Any]:
        """Return what a list says of it: id, time, model, outcome, score, reasons."""
        said = self.verdict.to_dict()
        names = ("outcome", "score", "threshold", "reasons", "metadata")
        told = {"id": self.beside["id"], "time": self.time, "model": self.beside["model"]}
        return {**told, **{name: said[name] for name in names}}


class Results:
    """Verdicts by id, the latest of them that memory allows; NG and REVIEW are kept longest."""

    def __init__(self, *, budget: int, archive: Archive | None = None) -> None:
        """Keep none yet.

        Args:
            budget: bytes of images and maps in memory.
            archive: gets them too; whoever made it closes it.
        """
        self._budget, self._archive = budget, archive
        self._kept: dict[str, Entry] = {}
        self._bytes = 0
        self._lock = threading.Lock()

    def add(self, served: "Served", verdict: "decision.Verdict", queue_ms: float) -> dict[str, Any]:
        """Keep a verdict, and drop others for it; returns what a client is told beside it.

        Args:
            served: the model.
            verdict: of an image.
            queue_ms: that the image waited for the networks.
        """
        identity, size = uuid.uuid4().hex, _bytes_of(verdict)
        is_in_memory = size <= self._budget
        is_kept = is_in_memory or self._archive is not None  # which may still lose it
        links = {name: f"/results/{identity}/{name}.png" for name in _names_of(verdict)}
        beside = {
            "model": served.name,
            "version": served.version,
            "queue_ms": queue_ms,
            "id": identity if is_kept else None,
            "links": links if is_kept else {},
        }
        if is_kept:
            now = datetime.now(UTC).isoformat(timespec="milliseconds")
            kind = tasks.get(served.inspector.manifest.task).label_kind
            entry = Entry(verdict, beside, now, size, kind)
            if self._archive is not None:
                self._archive.put(identity, entry)
        if is_in_memory:
            with self._lock:
                self._kept[identity] = entry
                self._bytes += size
                while self._bytes > self._budget:
                    self._bytes -= self._kept.pop(self._least()).size
        return beside

    def listed(self) -> list[dict[str, Any]]:
        """Return what a list says of what is kept, the latest first."""
        with self._lock:
            kept = list(self._kept.values())
        found = [one.brief() for one in reversed(kept)]
        if self._archive is not None:
            known = {one["id"] for one in found}
            older = (one for one in self._archive.listed(_MOST_LISTED) if one["id"] not in known)
            found = sorted([*found, *older], key=lambda one: str(one["time"]), reverse=True)
        return found[:_MOST_LISTED]

    def entry(self, identity: str) -> Entry | None:
        """Return a verdict and what is known of it; None where it is not in memory any more."""
        with self._lock:
            return self._kept.get(identity)

    def one(self, identity: str) -> dict[str, Any] | None:
        """Return what a client was told; None where it is not kept any more."""
        kept = self.entry(identity)
        if kept is not None:
            return kept.told()
        return None if self._archive is None else self._archive.one(identity)

    def picture(self, identity: str, name: str) -> bytes | None:
        """Return a picture of a verdict as PNG; None where it is not kept any more."""
        kept = self.entry(identity)
        if kept is None:
            return None if self._archive is None else self._archive.picture(identity, name)
        found = next((pixels for one, pixels in pictures_of(kept.verdict) if one == name), None)
        return None if found is None else images.encode_png(found)

    def _least(self) -> str:
        """Return the oldest that is OK, else the oldest, but not the latest."""
        *older, latest = self._kept
        is_ok = (one for one in older if self._kept[one].verdict.outcome == "OK")
        return next(is_ok, older[0] if older else latest)


def _names_of(verdict: "decision.Verdict") -> tuple[str, ...]:
    if verdict.image is None:
        return ("overlay", "mask")
    return ("image", "overlay", "mask", *verdict.picture_names())


def pictures_of(verdict: "decision.Verdict") -> "Iterator[tuple[str, NDArray[np.generic]]]":
    """Yield the pictures of a verdict by name, the image first."""
    for name, picture in (("image", verdict.image_8bit()), ("overlay", verdict.overlay())):
        if picture is not None:
            yield name, picture
    yield "mask", verdict.mask()
    yield from verdict.pictures().items()


def _bytes_of(verdict: "decision.Verdict") -> int:
    """Return about how much memory a verdict holds."""
    arrays = [verdict.image, verdict.probability, verdict.class_probability]
    found = {id(array): array.nbytes for array in arrays if isinstance(array, np.ndarray)}
    height, width = verdict.image_size
    return _SMALLEST + 2 * len(str(verdict.metadata)) + sum(found.values()) + 4 * height * width
