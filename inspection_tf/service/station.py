"""What answers requests: the models, the one owner of their networks, and what was counted."""

import asyncio
import concurrent.futures
import dataclasses
import functools
import math
import time
from collections.abc import Awaitable, Callable, Mapping
from typing import TYPE_CHECKING, Any, Protocol

from inspection_tf import decision, images, runtime
from inspection_tf.decision import metadata as passed_through
from inspection_tf.service import refusals
from inspection_tf.service.archive import Archive
from inspection_tf.service.labels import Labels
from inspection_tf.service.models import Models, Served
from inspection_tf.service.owner import Job, Owner, QueuedVerdict, TooLateError
from inspection_tf.service.refusals import Refusal
from inspection_tf.service.results import Results, pictures_of
from inspection_tf.service.spec import ServiceSpec
from inspection_tf.service.telemetry import Telemetry

if TYPE_CHECKING:
    from collections.abc import Sequence

_LOADERS = 2  # threads; what decodes leaves the interpreter's lock
_MIB = 1 << 20
_MOST_METADATA = 1 << 16  # characters
_NO_LIMIT = 1 << 62


@dataclasses.dataclass(frozen=True, slots=True)
class Submission:
    """An image that came in.

    Attributes:
        image: the bytes of a file, or its pixels.
        template: likewise; None where none came.
        metadata: passed through.
    """

    image: images.Source
    template: images.Source | None = None
    metadata: Mapping[str, Any] = dataclasses.field(default_factory=dict)


@dataclasses.dataclass(frozen=True, slots=True)
class Inspection:
    """A verdict, and what a client receives beside it: model, version, queue_ms, id, links."""

    verdict: decision.Verdict
    beside: Mapping[str, Any]

    def to_dict(self) -> dict[str, Any]:
        """Return everything, ready for JSON."""
        return {**self.verdict.to_dict(), **self.beside}


class Tells(Protocol):
    """What is told of verdicts, and never lets one wait."""

    def put(self, *contents: Mapping[str, Any]) -> object:
        """Take verdicts, ready for JSON."""
        ...


class Station:
    """Inspects what comes in, one image after the other.

    Attributes:
        spec: how it listens.
        models: which it serves.
        telemetry: what it counted.
        results: the last verdicts.
        labels: keeps what people say of them; None where it is not kept.
        is_draining: whether it takes no more requests.
    """

    def __init__(self, models: Models, spec: ServiceSpec, sinks: Tells | None = None) -> None:
        """Start its threads.

        Args:
            models: which it serves.
            spec: how it listens.
            sinks: which are told of verdicts; whoever made them closes them.

        Raises:
            errors.StorageError: the folder for labels or for the history cannot be made.
        """
        self.sinks = sinks
        self.spec, self.models = spec, models
        self.telemetry = Telemetry()
        self._archive = _archive(spec)
        self.results = Results(budget=int(spec.keep_mib * _MIB), archive=self._archive)
        self.labels = None if spec.labels is None else Labels(spec.labels)
        self.is_draining = False
        self.in_flight = 0
        self._owner = Owner()
        self._loaders = concurrent.futures.ThreadPoolExecutor(_LOADERS, "loader")
        self._tune_images = concurrent.futures.ThreadPoolExecutor(1, "tune images")
        if (archive := self._archive) is not None:
            self.telemetry.follow_history(lambda: archive.lost)
        for served in models.all().values():
            self._tell_version(served)
        self.telemetry.is_ready.set_function(lambda: float(not self.is_draining))
        self.telemetry.requests.set_function(lambda: float(self.in_flight))
        self.telemetry.queue.set_function(lambda: float(self._owner.waiting))

    @property
    def waiting(self) -> int:
        """Images that wait for the networks."""
        return self._owner.waiting

    @property
    def service_s(self) -> float:
        """Seconds that one image takes."""
        return self._owner.service_s

    @property
    def limit(self) -> int:
        """Requests that may be answered at once."""
        return self.spec.queue + 1

    @property
    def retry_after_s(self) -> int:
        """Seconds after which a request that is refused now may find room."""
        return max(1, round(self.in_flight * self._owner.service_s + 0.5))

    @property
    def max_bytes(self) -> int:
        """Bytes of an image."""
        return int(self.spec.max_mib * _MIB)

    @property
    def upload_s(self) -> float:
        """Seconds that a request may take to arrive."""
        return self.spec.upload_s

    def count_refusal(self, refusal: Refusal) -> None:
        """Count what was not decided."""
        self.telemetry.refused(refusal.reason)

    def served(self, name: str | None) -> Served:
        """Return a model.

        Args:
            name: None: the only one.

        Raises:
            Refusal: there is none of that name, or several and none is named.
        """
        known = self.models.all()
        if name is None and len(known) == 1:
            return next(iter(known.values()))
        listed = ", ".join(sorted(known))
        if name is None:
            raise refusals.malformed(
                f"model must be named where there are several. Got none of {listed}. Add ?model=."
            )
        if name not in known:
            raise refusals.unknown(f"model must be one that is served. Got none of {listed}.")
        return known[name]

    async def inspect(
        self,
        served: Served,
        submission: Submission,
        *,
        has_deadline: bool = True,
        is_gone: Callable[[], Awaitable[bool]] | None = None,
        is_put: bool = True,
    ) -> Inspection:
        """Decide about one image, count it and keep it.

        Args:
            served: the model.
            submission: the image.
            has_deadline: whether it may wait no longer than `spec.deadline_ms`; not so the images
                of a batch, which wait for one another.
            is_gone: asked while the image waits; where nobody waits for it, it is dropped.
            is_put: whether the verdict is put before the sinks here.

        Raises:
            Refusal: it got no decision.
        """
        waits_s = self.spec.deadline_ms / 1e3 if has_deadline else math.inf
        deadline = time.monotonic() + waits_s
        future = concurrent.futures.Future[QueuedVerdict]()
        try:
            metadata = passed_through.checked(submission.metadata)
            if len(str(metadata)) > _MOST_METADATA:
                raise refusals.malformed(
                    f"Metadata must have at most {_MOST_METADATA} characters. Got more. Send less."
                )
            self._loaders.submit(self._load, served, submission, metadata, deadline, future)
            found = await self._result(future, deadline, is_gone)
            refusals.require_decision(found.verdict)
        except TooLateError:
            raise self._late() from None
        except Exception as problem:
            raise refusals.of_problem(problem) from problem
        self.telemetry.inspected(served.name, found.verdict, found.queue_ms)
        served.drift.add(found.verdict.score)
        beside = self.results.add(served, found.verdict, found.queue_ms)
        inspection = Inspection(found.verdict, beside)
        if is_put and self.sinks is not None:
            self.sinks.put(inspection.to_dict())
        return inspection

    async def tune_image(self, served: Served, place: int, *, version: str | None) -> bytes:
        """Return an image that a threshold was chosen on, as PNG.

        Args:
            served: the model.
            place: of the image in the scores.
            version: of the model whose scores these are; None: of the one that serves.

        Raises:
            Refusal: it is not at hand.
        """
        found = None
        if served.tune_images is not None and version in (None, served.version):
            load = functools.partial(served.tune_images.png, place)
            # A thread of its own: the first one may read the whole data set.
            found = await asyncio.get_running_loop().run_in_executor(self._tune_images, load)
        if found is None:
            raise refusals.unknown(
                "A tune image must be in the bundle, or in the folder of --data. Got none there. "
                "Restart the service with --data."
            )
        return found

    async def check(self, served: Served) -> int:
        """Run the golden samples of a model, in its turn; returns how many there are.

        Raises:
            errors.BundleError: one does not come out as it was recorded.
        """
        inspector, root = served.inspector, served.root
        return await asyncio.wrap_future(self._owner.call(lambda: inspector.check_golden(root)))

    def _load(
        self,
        served: Served,
        submission: Submission,
        metadata: Mapping[str, str],
        deadline: float,
        future: "concurrent.futures.Future[QueuedVerdict]",
    ) -> None:
        """Make an image ready in a thread of the loaders, and queue it from there.

        The event loop is not asked in between: each thread that hands on costs 0.2 ms.
        """
        if future.cancelled():
            return
        try:
            loaded = _loaded(served, submission)
        except Exception as problem:
            if future.set_running_or_notify_cancel():
                future.set_exception(problem)
            return
        self._owner.submit(Job(served.inspector, loaded, metadata, deadline, future=future))

    async def _result(
        self,
        future: "concurrent.futures.Future[QueuedVerdict]",
        deadline: float,
        is_gone: Callable[[], Awaitable[bool]] | None,
    ) -> QueuedVerdict:
        waited = asyncio.wrap_future(future)
        gone = None if is_gone is None else asyncio.ensure_future(is_gone())
        both: Sequence[asyncio.Future[Any]] = [waited] if gone is None else [waited, gone]
        try:
            left = None if math.isinf(deadline) else max(deadline - time.monotonic(), 0.0)
            await asyncio.wait(both, timeout=left, return_when=asyncio.FIRST_COMPLETED)
            if not waited.done() and future.cancel():  # it did not begin
                if gone is not None and gone.done():
                    raise Refusal(499, "gone", "The client has gone.")
                raise TooLateError
            return await waited
        finally:
            future.cancel()  # of a caller that was cancelled; of what is done it changes nothing
            if gone is not None:
                gone.cancel()

    def _late(self) -> Refusal:
        return Refusal(
            504,
            "late",
            f"No decision: the image waited longer than {self.spec.deadline_ms:g} ms. "
            "Send it again, or fewer at once.",
            {"Retry-After": str(self.retry_after_s)},
        )

    def swap(self, *, only_files: bool) -> None:
        """Let bundles take over that are others than before."""

        def tell(served: Served, is_taken: bool) -> None:
            self.telemetry.swapped(served.name, is_taken=is_taken)
            if is_taken:
                self._tell_version(served)

        self.models.swap_changed(tell, only_files=only_files)

    def close(self) -> None:
        """End its threads when what waits is done."""
        self._loaders.shutdown()
        self._tune_images.shutdown(wait=False, cancel_futures=True)
        self._owner.close()
        if self._archive is not None:
            self._archive.close()

    def _tell_version(self, served: Served) -> None:
        self.telemetry.serves(served.name, served.version, served.inspector.engine_name)
        self.telemetry.follow_drift(served.name, served.drift.index)


def _archive(spec: ServiceSpec) -> Archive | None:
    if spec.history is None:
        return None
    budget = int(spec.history_mib * _MIB)
    return Archive(spec.history, budget=budget, pictures=pictures_of)


def _loaded(served: Served, submission: Submission) -> runtime.Loaded:
    """Return an image that is ready for the networks.

    Raises:
        Refusal: it has more pixels than are decoded.
        errors.ImageError: it cannot be read, or does not fit the bundle.
    """
    for image in (submission.image, submission.template):
        if image is not None:
            _require_pixels(image)
    return served.inspector.load_image(submission.image, submission.template)


def _require_pixels(image: images.Source) -> None:
    """Refuse a file of more pixels than are decoded, before it is.

    Raises:
        Refusal: it has more.
    """
    if not isinstance(image, bytes):
        return
    header = images.read_header(image, max_pixels=_NO_LIMIT)
    if header.width * header.height > images.MAX_PIXELS:
        raise Refusal(
            413,
            "too_large",
            f"An image must have at most {images.MAX_PIXELS} px. Got {header.width} x "
            f"{header.height}. Send a smaller one.",
        )
