"""What answers requests: the models, the one owner of their networks, and what was counted."""

import asyncio
import concurrent.futures
import dataclasses
import math
import time
from collections.abc import Awaitable, Callable, Mapping
from typing import TYPE_CHECKING, Any, Protocol

from inspection_tf import images
from inspection_tf.decision import metadata as passed_through
from inspection_tf.service.answers import Refusal, of_problem, require_decision
from inspection_tf.service.models import Models, Served
from inspection_tf.service.owner import Decided, Job, Owner, TooLateError
from inspection_tf.service.results import Results
from inspection_tf.service.spec import ServiceSpec
from inspection_tf.service.telemetry import Telemetry

if TYPE_CHECKING:
    from collections.abc import Sequence

_LOADERS = 2  # threads; what decodes leaves the interpreter's lock
_MIB = 1 << 20
_NO_LIMIT = 1 << 62


@dataclasses.dataclass(frozen=True, slots=True)
class Given:
    """An image that came in.

    Attributes:
        image: the bytes of a file, or its pixels.
        template: likewise; None where none came.
        metadata: passed through.
    """

    image: images.Source
    template: images.Source | None = None
    metadata: Mapping[str, Any] = dataclasses.field(default_factory=dict)


class Tells(Protocol):
    """What is told of verdicts, and never lets one wait."""

    def put(self, content: Mapping[str, Any], /) -> object:
        """Take what is told of a verdict."""
        ...

    def close(self) -> None:
        """Take no more."""
        ...


class Station:
    """Inspects what comes in, one image after the other.

    Attributes:
        spec: how it listens.
        models: which it serves.
        telemetry: what it counted.
        results: the last verdicts.
        is_draining: whether it takes no more requests.
    """

    def __init__(self, models: Models, spec: ServiceSpec, sinks: Tells | None = None) -> None:
        """Start its threads.

        Args:
            models: which it serves.
            spec: how it listens.
            sinks: which are told of verdicts; `close` closes them.
        """
        self.sinks = sinks
        self.spec, self.models = spec, models
        self.telemetry = Telemetry()
        self.results = Results(budget=int(spec.keep_mib * _MIB))
        self.is_draining = False
        self.in_flight = 0
        self._owner = Owner()
        self._loaders = concurrent.futures.ThreadPoolExecutor(_LOADERS, "loader")
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

    def turned_away(self, refusal: Refusal) -> None:
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
            raise Refusal(
                400,
                "malformed",
                f"model must be named where there are several. Got none of {listed}. Add ?model=.",
            )
        if name not in known:
            raise Refusal(
                404, "unknown", f"model must be one that is served. Got none of {listed}."
            )
        return known[name]

    async def inspect(
        self,
        served: Served,
        given: Given,
        *,
        since: float | None,
        is_gone: Callable[[], Awaitable[bool]] | None = None,
        is_told: bool = True,
    ) -> Decided:
        """Decide about one image.

        Args:
            served: the model.
            given: the image.
            since: by `time.monotonic`, when the request came in; None: it may wait for long, as the
                images of a batch do for one another.
            is_gone: asked while the image waits; where nobody waits for it, it is dropped.
            is_told: whether sinks are told of the verdict here.

        Raises:
            Refusal: it got no decision.
        """
        loop = asyncio.get_running_loop()
        try:
            metadata = passed_through.checked(given.metadata)
            _require_pixels(given.image)
            loaded = await loop.run_in_executor(
                self._loaders, served.inspector.load_image, given.image, given.template
            )
            deadline = math.inf if since is None else since + self.spec.deadline_ms / 1e3
            job = Job(served.inspector, loaded, metadata, deadline)
            decided = await self._result(self._owner.submit(job), deadline, is_gone)
            require_decision(decided.verdict)
        except TooLateError:
            raise self._late() from None
        except Exception as problem:
            raise of_problem(problem) from problem
        self.telemetry.inspected(served.name, decided.verdict, decided.queue_ms)
        if is_told and self.sinks is not None:
            told = {"model": served.name, "version": served.version}
            self.sinks.put({**told, **decided.verdict.to_dict()})
        return decided

    async def _result(
        self,
        future: "concurrent.futures.Future[Decided]",
        deadline: float,
        is_gone: Callable[[], Awaitable[bool]] | None,
    ) -> Decided:
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
        self._owner.close()
        if self.sinks is not None:
            self.sinks.close()

    def _tell_version(self, served: Served) -> None:
        self.telemetry.serves(served.name, served.version, served.inspector.engine_name)


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
