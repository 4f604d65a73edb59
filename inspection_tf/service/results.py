"""The last verdicts, whose pictures can still be asked for."""

import dataclasses
import threading
import uuid
from collections.abc import Iterator
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from inspection_tf import tasks

if TYPE_CHECKING:
    from inspection_tf import decision
    from inspection_tf.datasets.records import LabelKind
    from inspection_tf.service.models import Served

_SMALLEST = 4096  # bytes of a verdict without pixels


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


class Results:
    """Verdicts by id, the latest of them that memory allows; NG and REVIEW are kept longest."""

    def __init__(self, *, budget: int) -> None:
        """Keep none yet.

        Args:
            budget: bytes of images and maps.
        """
        self._budget = budget
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
        is_kept = size <= self._budget
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
            with self._lock:
                self._kept[identity] = Entry(verdict, beside, now, size, kind)
                self._bytes += size
                while self._bytes > self._budget:
                    self._bytes -= self._kept.pop(self._least()).size
        return beside

    def listed(self) -> list[dict[str, Any]]:
        """Return what is kept, the latest first: id, time, model, outcome, score, reasons."""
        with self._lock:
            kept = list(self._kept.items())
        found = []
        for identity, one in reversed(kept):
            said = one.verdict.to_dict()
            names = ("outcome", "score", "threshold", "reasons", "metadata")
            told = {"id": identity, "time": one.time, "model": one.beside["model"]}
            found.append({**told, **{name: said[name] for name in names}})
        return found

    def entry(self, identity: str) -> Entry | None:
        """Return a verdict and what is known of it; None where it is not kept any more."""
        with self._lock:
            return self._kept.get(identity)

    def one(self, identity: str) -> dict[str, Any] | None:
        """Return what a client was told; None where it is not kept any more."""
        kept = self.entry(identity)
        return None if kept is None else {**kept.verdict.to_dict(), **kept.beside}

    def pictures(self, identity: str) -> "dict[str, NDArray[np.generic]] | None":
        """Return the pictures of a verdict by name; None where it is not kept any more."""
        kept = self.entry(identity)
        return None if kept is None else dict(_pictures(kept.verdict))

    def _least(self) -> str:
        """Return the oldest that is OK, else the oldest, but not the latest."""
        *older, latest = self._kept
        is_ok = (one for one in older if self._kept[one].verdict.outcome == "OK")
        return next(is_ok, older[0] if older else latest)


def _names_of(verdict: "decision.Verdict") -> tuple[str, ...]:
    if verdict.image is None:
        return ("overlay", "mask")
    return ("image", "overlay", "mask", *verdict.picture_names())


def _pictures(verdict: "decision.Verdict") -> "Iterator[tuple[str, NDArray[np.generic]]]":
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
