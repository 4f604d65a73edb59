"""The one thread that runs networks: what waits for it, what it gathers, and what is too late."""

import concurrent.futures
import dataclasses
import queue
import threading
import time
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING

from inspection_tf import runtime

if TYPE_CHECKING:
    from inspection_tf import decision

_GATHER_S = 0.002  # that a batch waits to become full
_MEMORY = 0.9  # of the mean seconds of an image: what a new one does not change
_FIRST_S = 0.1  # of an image, before one was inspected


class TooLateError(Exception):
    """A job waited past its deadline, and was not run."""


@dataclasses.dataclass(frozen=True, slots=True)
class QueuedVerdict:
    """A verdict, and how long its image waited for the networks."""

    verdict: "decision.Verdict"
    queue_ms: float


@dataclasses.dataclass(frozen=True, slots=True)
class Job:
    """An image that is ready for the networks.

    Attributes:
        inspector: which decides; the one that served when the request came in.
        loaded: the image.
        metadata: passed through to the verdict.
        deadline: by `time.monotonic`, when it must have begun.
        since: likewise, when it began to wait.
        future: gets the result.
    """

    inspector: runtime.Inspector
    loaded: runtime.Loaded
    metadata: Mapping[str, str]
    deadline: float
    since: float = dataclasses.field(default_factory=time.monotonic)
    future: "concurrent.futures.Future[QueuedVerdict]" = dataclasses.field(
        default_factory=concurrent.futures.Future
    )


@dataclasses.dataclass(frozen=True, slots=True)
class Call:
    """Something else that runs networks, and so waits for its turn.

    Attributes:
        run: what is called.
        future: gets what it returns.
    """

    run: Callable[[], int]
    future: "concurrent.futures.Future[int]" = dataclasses.field(
        default_factory=concurrent.futures.Future
    )

    def done(self) -> None:
        """Call it, unless nobody waits for it any more."""
        if not self.future.set_running_or_notify_cancel():
            return
        try:
            self.future.set_result(self.run())
        except BaseException as problem:  # whatever it is, the next job has its turn
            self.future.set_exception(problem)


class Owner:
    """Runs jobs one after the other, or several of one inspector in a call.

    Who submits bounds how many wait: see `web.door`.
    """

    def __init__(self) -> None:
        """Start the thread."""
        self._jobs: queue.SimpleQueue[Job | Call | None] = queue.SimpleQueue()
        self._service_s = 0.0
        self._thread = threading.Thread(target=self._work, name="engine owner", daemon=True)
        self._thread.start()

    @property
    def service_s(self) -> float:
        """Seconds that one image takes of the networks and the decision, as measured lately."""
        return self._service_s or _FIRST_S

    @property
    def waiting(self) -> int:
        """Number of jobs that wait."""
        return self._jobs.qsize()

    def submit(self, job: Job) -> "concurrent.futures.Future[QueuedVerdict]":
        """Queue a job; cancelling its future before it began drops it."""
        self._jobs.put(job)
        return job.future

    def call(self, run: Callable[[], int]) -> "concurrent.futures.Future[int]":
        """Queue something else that runs networks; its future gets what it returns."""
        call = Call(run)
        self._jobs.put(call)
        return call.future

    def close(self) -> None:
        """End the thread when all jobs that wait are done."""
        self._jobs.put(None)
        self._thread.join()

    def _work(self) -> None:
        left: Job | Call | None = None
        while True:
            job = left if left is not None else self._jobs.get()
            left = None
            if job is None:
                return
            if isinstance(job, Call):
                job.done()
                continue
            gathered, left, is_last = self._gathered(job)
            alive = [one for one in gathered if _may_run(one)]
            if alive:
                self._run(alive)
            if is_last:
                return

    def _gathered(self, first: Job) -> tuple[list[Job], Job | Call | None, bool]:
        """Return jobs for one call, what came that is none of them, and whether the end came."""
        found, until = [first], time.monotonic() + _GATHER_S
        while len(found) < first.inspector.batch:
            try:
                job = self._jobs.get(timeout=max(until - time.monotonic(), 0.0))
            except queue.Empty:
                break
            if job is None:
                return found, None, True
            if isinstance(job, Call) or job.inspector is not first.inspector:
                return found, job, False
            found.append(job)
        return found, None, False

    def _run(self, jobs: list[Job]) -> None:
        began = time.monotonic()
        try:
            verdicts = jobs[0].inspector.inspect_loaded(
                [job.loaded for job in jobs], [job.metadata for job in jobs]
            )
        except Exception as problem:  # whatever it is, the next job has its turn
            if len(jobs) > 1:
                for job in jobs:  # one image must not cost the others theirs
                    self._run([job])
                return
            jobs[0].future.set_exception(problem)
            return
        spent = (time.monotonic() - began) / len(jobs)
        before = self._service_s or spent
        self._service_s = _MEMORY * before + (1 - _MEMORY) * spent
        for job, verdict in zip(jobs, verdicts, strict=True):
            job.future.set_result(QueuedVerdict(verdict, 1e3 * (began - job.since)))


def _may_run(job: Job) -> bool:
    """Return whether a job is still wanted, and in time; what is late is told so."""
    if not job.future.set_running_or_notify_cancel():
        return False
    if time.monotonic() > job.deadline:
        job.future.set_exception(TooLateError())
        return False
    return True
