"""Several images at once: a batch through the networks, and a stream whose stages overlap."""

import collections
import concurrent.futures
import contextlib
import dataclasses
import os
import queue
import threading
import time
from collections.abc import Callable, Generator, Iterable, Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from inspection_tf import errors
from inspection_tf.engines import native, onnxruntime_engine
from inspection_tf.images import tiling

if TYPE_CHECKING:
    from inspection_tf import decision, runtime

_PREPARERS = 2  # threads; what decodes leaves the interpreter's lock
_AHEAD = 2  # batches that are prepared before the networks take them


@dataclasses.dataclass(frozen=True, slots=True)
class Outputs:
    """What the networks returned for a batch, before any threshold.

    Attributes:
        main: of each image what `Inspector.run` or `located` returns, (1, height, width, classes)
            or (9,); None where a first stage stopped it.
        first: of each image what the first stage says; empty without one.
        stopped: verdicts of the first stage, by place in the batch.
        model_s: seconds in the networks.
    """

    main: tuple[NDArray[np.float32] | None, ...]
    first: tuple[NDArray[np.float32], ...]
    stopped: "Mapping[int, decision.Verdict]"
    model_s: float


def run(
    inspector: "runtime.Inspector",
    prepared: "Sequence[runtime.Prepared]",
    *,
    runs_both: bool = False,
) -> Outputs:
    """Run a batch through the networks of a bundle.

    Args:
        inspector: of the bundle.
        prepared: at least one image.
        runs_both: through both networks of a cascade, whatever the first one says.

    Raises:
        errors.BundleError: a network returns another shape or dtype than the bundle says.
    """
    if inspector.manifest.tiles is not None:
        if not _are_tiles(inspector, prepared):
            return _run_tiles(inspector, prepared)
        size = inspector.preprocessing.size
        tiling.say(size, inspector.memory_bytes(size) or 0)
    image = np.concatenate([item.image for item in prepared])
    template = None
    if prepared[0].template is not None:
        template = np.concatenate([item.template for item in prepared if item.template is not None])
    spent = 0.0
    first: tuple[NDArray[np.float32], ...] = ()
    stopped: dict[int, Any] = {}
    if inspector.classifier is not None:
        started = time.perf_counter()
        found = inspector.classifier.run(image, template)
        spent = time.perf_counter() - started
        first = tuple(inspector.classes_of(found, len(image)))
        for place, row in enumerate(first):
            size = prepared[place].placement.source_size
            verdict = inspector.stopped(onnxruntime_engine.ng_score(row), size)
            if verdict is not None:
                stopped[place] = verdict
    rows = [place for place in range(len(prepared)) if runs_both or place not in stopped]
    main: list[NDArray[np.float32] | None] = [None] * len(prepared)
    if rows:
        started = time.perf_counter()
        every = len(rows) == len(prepared)
        found = inspector.engine.run(
            image if every else image[rows],
            template if every or template is None else template[rows],
        )
        for place, output in zip(rows, _each(inspector, found, len(rows)), strict=True):
            main[place] = output
            if inspector.manifest.is_located:
                main[place] = inspector.located(prepared[place], output)
        spent += time.perf_counter() - started
    return Outputs(tuple(main), first, stopped, spent)


def _are_tiles(inspector: "runtime.Inspector", prepared: "Sequence[runtime.Prepared]") -> bool:
    """Return whether each image is one tile, so that the network takes them as they are."""
    size = tuple(inspector.preprocessing.size)
    return all(item.image.shape[1:3] == size for item in prepared)


def _run_tiles(inspector: "runtime.Inspector", prepared: "Sequence[runtime.Prepared]") -> Outputs:
    started = time.perf_counter()
    main = tuple(inspector.run(item) for item in prepared)
    return Outputs(main, (), {}, time.perf_counter() - started)


def _each(
    inspector: "runtime.Inspector", found: NDArray[Any], count: int
) -> list[NDArray[np.float32]]:
    if inspector.manifest.is_located:
        return list(onnxruntime_engine.checked(found, (count, 9)))
    size = (*inspector.preprocessing.size, len(inspector.manifest.classes))
    checked = onnxruntime_engine.checked(found, (count, *size))
    return [checked[place : place + 1] for place in range(count)]


def conclude(
    inspector: "runtime.Inspector", prepared: "Sequence[runtime.Prepared]", outputs: Outputs
) -> "list[decision.Verdict]":
    """Apply thresholds and rules to what `run` returned; a stopped image keeps that verdict."""
    verdicts = []
    for place, (item, output) in enumerate(zip(prepared, outputs.main, strict=True)):
        verdict = outputs.stopped.get(place)
        if verdict is None and output is not None:
            first = outputs.first[place] if outputs.first else None
            verdict = (
                inspector.locate(output, item.placement.source_size)
                if inspector.manifest.is_located
                else inspector.decide(inspector.to_source(output, item.placement), first=first)
            )
        if verdict is None:
            raise errors.InspectionError("an image has neither output nor verdict")
        verdicts.append(verdict)
    return verdicts


@dataclasses.dataclass(frozen=True, slots=True)
class Loaded:
    """A decoded image, ready for the networks."""

    image: NDArray[Any]
    prepared: "runtime.Prepared"
    pre_ms: float


def stream(
    load: Callable[[Any], Loaded],
    sources: Iterable[Any],
    inspector: "runtime.Inspector",
    finish: "Callable[[decision.Verdict, Loaded, float, float], decision.Verdict]",
    *,
    batch: int,
) -> "Iterator[decision.Verdict]":
    """Decode, run and decide, each while the others work; verdicts come in order.

    Args:
        load: decodes and prepares one source.
        sources: taken one by one, some batches ahead, in a thread of their own.
        inspector: whose networks run, in the thread of the caller.
        finish: adds to a verdict what `Inspector.inspect` adds; called with the verdict, what was
            loaded, and ms of model and post.
        batch: images a call of the networks, which wait until there are as many, or no more.

    Raises:
        errors.ImageError: a source cannot be read; those before it have their verdicts.
        errors.InspectionError: a network fails; the batches before have their verdicts.
        errors.ConfigError: the process has forked since this began, and this is the child.
    """
    process = os.getpid()
    verdicts = _streamed(load, sources, inspector, finish, batch=batch)
    try:
        while True:
            if os.getpid() != process:
                raise errors.ConfigError(
                    "Verdicts must be taken in the process that asked for them. Got a call in a "
                    "child of its fork. Call inspect_many again after the fork."
                )
            try:
                verdict = next(verdicts)
            except StopIteration:
                return
            yield verdict
    finally:
        if os.getpid() == process:
            verdicts.close()
        else:  # to end it would wait for threads that only the parent has
            native.leak(verdicts)


def _streamed(
    load: Callable[[Any], Loaded],
    sources: Iterable[Any],
    inspector: "runtime.Inspector",
    finish: "Callable[[decision.Verdict, Loaded, float, float], decision.Verdict]",
    *,
    batch: int,
) -> "Generator[decision.Verdict, None, None]":
    """Give verdicts; see `stream`."""

    def decide(loaded: list[Loaded], outputs: Outputs) -> "list[decision.Verdict]":
        began = time.perf_counter()
        verdicts = conclude(inspector, [item.prepared for item in loaded], outputs)
        post_ms = 1e3 * (time.perf_counter() - began) / len(loaded)
        model_ms = 1e3 * outputs.model_s / len(loaded)
        return [
            finish(verdict, item, model_ms, post_ms)
            for verdict, item in zip(verdicts, loaded, strict=True)
        ]

    deciding = collections.deque[Any]()
    with (
        concurrent.futures.ThreadPoolExecutor(_PREPARERS) as pool,
        _fed(load, sources, pool, ahead=_AHEAD * batch) as waiting,
    ):
        problem: Exception | None = None
        is_last = False
        while problem is None and not is_last:
            loaded: list[Loaded] = []
            while len(loaded) < batch and problem is None and not is_last:
                if waiting.empty():  # the next image may be long in coming
                    while deciding:
                        yield from deciding.popleft().result()
                future = waiting.get()
                try:
                    if future is None:
                        is_last = True
                    else:
                        loaded.append(future.result())
                except Exception as found:
                    problem = found
            try:
                if loaded:
                    outputs = run(inspector, [item.prepared for item in loaded])
                    deciding.append(pool.submit(decide, loaded, outputs))
            except Exception as found:  # what was run before it has its verdicts all the same
                problem = found
            # One batch is decided while the next one runs.
            while len(deciding) > (problem is None and not is_last):
                yield from deciding.popleft().result()
        if problem is not None:
            raise problem


@contextlib.contextmanager
def _fed(
    load: Callable[[Any], Loaded],
    sources: Iterable[Any],
    pool: concurrent.futures.ThreadPoolExecutor,
    *,
    ahead: int,
) -> "Iterator[queue.Queue[concurrent.futures.Future[Loaded] | None]]":
    """Give a queue that a thread of its own fills; None ends it.

    Of its own, since the next image may be long in coming: what is loaded must not wait for it.
    """
    waiting: queue.Queue[concurrent.futures.Future[Loaded] | None] = queue.Queue(ahead)
    is_over = threading.Event()

    def put(item: "concurrent.futures.Future[Loaded] | None") -> None:
        while not is_over.is_set():
            with contextlib.suppress(queue.Full):
                return waiting.put(item, timeout=0.1)

    def feed() -> None:
        try:
            for source in sources:
                if is_over.is_set():
                    return
                put(pool.submit(load, source))
        except BaseException as problem:
            failed: concurrent.futures.Future[Loaded] = concurrent.futures.Future()
            failed.set_exception(problem)
            put(failed)
        put(None)

    threading.Thread(target=feed, daemon=True, name="sources").start()
    try:
        yield waiting
    finally:
        is_over.set()
