"""Work of a verdict that takes seconds and is asked for several times, done once within a block.

A gate asks two engines for a verdict on the same image, and a recipe asks for it to calibrate, to
evaluate and to compare. What a job hangs on is its key: of a pose the image, the part, the settings
and the poses that the network found.
"""

import collections
import contextlib
import dataclasses
import threading
from collections.abc import Iterable, Iterator, Sequence
from typing import Any, Protocol, TypeVar

_MOST_BYTES = 512 * 2**20
_LATEST = 16
"""Results that are known for a while though there is no room: a gate asks twice in a row."""
_Result = TypeVar("_Result")


class Job(Protocol[_Result]):
    """A piece of work, which another process can do too."""

    @property
    def key(self) -> bytes:
        """Everything that the result hangs on."""

    def done(self) -> _Result:
        """Return the result, which is not None."""

    def size_of(self, result: _Result) -> int:
        """Return the bytes that a result takes."""


@dataclasses.dataclass
class _Block:
    """An open block: its results, by the keys of their jobs.

    Attributes:
        left: bytes that further results may take.
        processes: that do several jobs at a time.
        results: the first ones, as far as there is room.
        latest: the last ones of those for which there is none.
    """

    left: int
    processes: int
    results: dict[bytes, Any] = dataclasses.field(default_factory=dict)
    latest: collections.OrderedDict[bytes, Any] = dataclasses.field(
        default_factory=collections.OrderedDict
    )

    def get(self, key: bytes) -> Any:
        """Return the result of a job; None: it was not done, or there was no room for it."""
        with _LOCK:
            return self.results.get(key, self.latest.get(key))

    def put(self, key: bytes, result: Any, size: int) -> None:
        """Remember a result of so many bytes."""
        with _LOCK:
            if size <= self.left:
                self.results[key] = result
                self.left -= size
                return
            self.left = 0
            self.latest[key] = result
            if len(self.latest) > _LATEST:
                self.latest.popitem(last=False)


_LOCK = threading.Lock()
_open: list[_Block] = []  # the open block, or none


@contextlib.contextmanager
def keeping(most_bytes: int = _MOST_BYTES, *, processes: int = 1) -> Iterator[None]:
    """Do the same work once within a block; one inside another is a part of it.

    Args:
        most_bytes: that its results may take.
        processes: that do several jobs at a time; more than one need joblib.
    """
    with _LOCK:
        opened = [] if _open else [_Block(most_bytes, processes)]
        _open.extend(opened)
    try:
        yield
    finally:
        if opened:
            _open.clear()


def has_room() -> bool:
    """Return whether there is a block with room for further results."""
    return any(block.left > 0 for block in _open[:1])


def results(jobs: Sequence[Job[_Result]]) -> list[_Result]:
    """Return the results of jobs: see `keeping`.

    Raises:
        MemoryError: a process that did some was ended by the system.
    """
    opened = _open[:1]
    if not opened:
        return [job.done() for job in jobs]
    (block,) = opened
    found: dict[bytes, _Result] = {}
    missing: dict[bytes, Job[_Result]] = {}
    for job in jobs:
        known = block.get(job.key)
        if known is None:
            missing[job.key] = job
        else:
            found[job.key] = known
    new = [*missing.values()]
    for job, result in zip(new, _at_once(new, block.processes), strict=True):
        block.put(job.key, result, job.size_of(result))
        found[job.key] = result
    return [found[job.key] for job in jobs]


def _at_once(jobs: Sequence[Job[_Result]], processes: int) -> Iterable[_Result]:
    if processes == 1 or len(jobs) < 2:
        return [job.done() for job in jobs]
    import joblib
    from joblib.externals.loky.process_executor import TerminatedWorkerError

    # Processes: what NumPy does in small pieces holds the interpreter. Nothing goes through files.
    parallel = joblib.Parallel(n_jobs=processes, batch_size=1, max_nbytes=None)
    try:
        found: Iterable[_Result] = parallel(joblib.delayed(job.done)() for job in jobs)
    except TerminatedWorkerError as problem:
        raise MemoryError(f"one of {processes} processes was ended by the system") from problem
    return found
