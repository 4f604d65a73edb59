"""The last verdicts, whose pictures can still be asked for."""

import collections
import threading
import uuid
from collections.abc import Iterator
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

if TYPE_CHECKING:
    from inspection_tf import decision

_SMALLEST = 4096  # bytes of a verdict without pixels


class Results:
    """Verdicts by id, the latest of them that memory allows."""

    def __init__(self, *, budget: int) -> None:
        """Keep none yet.

        Args:
            budget: bytes of images and maps.
        """
        self._budget = budget
        self._kept: collections.OrderedDict[str, tuple[decision.Verdict, int]]
        self._kept = collections.OrderedDict()
        self._bytes = 0
        self._lock = threading.Lock()

    def add(self, verdict: "decision.Verdict") -> str:
        """Keep a verdict, and drop older ones for it; returns its id."""
        identity, size = uuid.uuid4().hex, _bytes_of(verdict)
        if size > self._budget:
            return ""
        with self._lock:
            self._kept[identity] = verdict, size
            self._bytes += size
            while self._bytes > self._budget:
                _, (_, dropped) = self._kept.popitem(last=False)
                self._bytes -= dropped
        return identity

    def pictures(self, identity: str) -> "dict[str, NDArray[np.generic]] | None":
        """Return the pictures of a verdict by name; None where it is not kept any more."""
        with self._lock:
            kept = self._kept.get(identity)
        return None if kept is None else dict(_pictures(kept[0]))


def names_of(verdict: "decision.Verdict") -> tuple[str, ...]:
    """Return the names of the pictures of a verdict."""
    further = verdict.pictures() if verdict.image is not None else {}
    return ("overlay", "mask", *further)


def _pictures(verdict: "decision.Verdict") -> "Iterator[tuple[str, NDArray[np.generic]]]":
    overlay = verdict.overlay()
    if overlay is not None:
        yield "overlay", overlay
    yield "mask", verdict.mask()
    yield from verdict.pictures().items()


def _bytes_of(verdict: "decision.Verdict") -> int:
    """Return about how much memory a verdict holds."""
    arrays = [verdict.image, verdict.probability, verdict.class_probability]
    found = {id(array): array.nbytes for array in arrays if isinstance(array, np.ndarray)}
    height, width = verdict.image_size
    return _SMALLEST + sum(found.values()) + 4 * height * width
