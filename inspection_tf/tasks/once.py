"""Work of a verdict that hangs on an image and the settings alone, done once within a block.

A gate asks two engines for a verdict on the same image, and a recipe asks several times. What takes
seconds and is the same each time is then kept.
"""

import contextlib
import dataclasses
import threading
from collections.abc import Iterable, Iterator, Sequence
from typing import Any, Protocol, TypeVar

_MOST_BYTES = 512 * 2**20
_Result = TypeVar("_Result")


class Job(Protocol[_Result]):
    """A piece of work, which another process can do too."""

    @property
    def key(self) -> bytes:
        """What the result hangs on."""

    def done(self) -> _Result:
        """Do it."""

    def size_of(self, result: _Result) -> int:
        """Return the bytes that a result takes."""


class Kept:
    """What was done, as long as there is room."""

    def __init__(self, most_bytes: int) -> None:
        """Set how much may be kept."""
        self._left = most_bytes
        self._found: dict[bytes, Any] = {}
        self._lock = threading.Lock()

    def get(self, key: bytes) -> Any:
        """Return what was kept under a key; None: nothing."""
        return self._found.get(key)

    def put(self, key: bytes, result: Any, size: int) -> None:
        """Keep something of so many bytes where there is room for it."""
        with self._lock:
            if key not in self._found and size <= self._left:
                self._found[key] = result
                self._left -= size


@dataclasses.dataclass(frozen=True)
class _Block:
    """What holds while work is done once."""

    kept: Kept
    processes: int


_blocks: list[_Block] = []  # the one that is open; none: nothing is kept


@contextlib.contextmanager
def keeping(most_bytes: int = _MOST_BYTES, *, processes: int = 1) -> Iterator[None]:
    """Do the same work once within a block; one inside another is a part of it.

    Args:
        most_bytes: that may be kept.
        processes: that do several jobs at a time; more than one need joblib.
    """
    if _blocks:
        yield
        return
    _blocks.append(_Block(Kept(most_bytes), processes))
    try:
        yield
    finally:
        _blocks.pop()


def results(jobs: Sequence[Job[_Result]]) -> list[_Result]:
    """Return the results of jobs, which are not None: see `keeping`."""
    if not _blocks:
        return [job.done() for job in jobs]
    block = _blocks[-1]
    found: dict[bytes, _Result] = {}
    missing: dict[bytes, Job[_Result]] = {}
    for job in jobs:
        kept = block.kept.get(job.key)
        if kept is None:
            missing[job.key] = job
        else:
            found[job.key] = kept
    for job, result in zip(
        missing.values(), _at_once([*missing.values()], block.processes), strict=True
    ):
        block.kept.put(job.key, result, job.size_of(result))
        found[job.key] = result
    return [found[job.key] for job in jobs]


def _at_once(jobs: Sequence[Job[_Result]], processes: int) -> Iterable[_Result]:
    if processes == 1 or len(jobs) < 2:
        return [job.done() for job in jobs]
    import joblib

    # Processes: what NumPy does in small pieces holds the interpreter.
    found: Iterable[_Result] = joblib.Parallel(n_jobs=processes, batch_size=1)(
        joblib.delayed(job.done)() for job in jobs
    )
    return found
