"""A stream of images whose stages overlap: decode, run, decide, each while the others work."""

import collections
import concurrent.futures
import contextlib
import dataclasses
import os
import queue
import threading
import time
from collections.abc import Callable, Generator, Iterable, Iterator
from typing import TYPE_CHECKING, Any

from inspection_tf import errors
from inspection_tf.engines import native
from inspection_tf.runtime.runner import Runner

if TYPE_CHECKING:
    from inspection_tf import decision
    from inspection_tf.tasks.base import Output, Pixels, Prepared

_PREPARERS = 2  # threads; what decodes leaves the interpreter's lock
_AHEAD = 2  # batches that are prepared before the networks take them


@dataclasses.dataclass(frozen=True, slots=True)
class Loaded:
    """A decoded image, ready for the networks."""

    image: "Pixels"
    prepared: "Prepared"
    pre_ms: float


def stream(
    load: Callable[[Any], Loaded],
    sources: Iterable[Any],
    runner: Runner,
    finish: "Callable[[decision.Verdict, Loaded, float, float], decision.Verdict]",
    *,
    batch: int,
) -> "Iterator[decision.Verdict]":
    """Decode, run and decide, each while the others work; verdicts come in order.

    Args:
        load: decodes and prepares one source.
        sources: taken one by one, some batches ahead, in a thread of their own.
        runner: whose networks run, in the thread of the caller.
        finish: adds to a verdict what `Inspector.inspect` adds; called with the verdict, what was
            loaded, and ms of model and post.
        batch: images a call of the networks, which wait until there are as many, or no more.

    Raises:
        errors.ImageError: a source cannot be read; those before it have their verdicts.
        errors.InspectionError: a network fails; the batches before have their verdicts.
        errors.ConfigError: the process has forked since this began, and this is the child.
    """
    process = os.getpid()
    verdicts = _streamed(load, sources, runner, finish, batch=batch)
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
    runner: Runner,
    finish: "Callable[[decision.Verdict, Loaded, float, float], decision.Verdict]",
    *,
    batch: int,
) -> "Generator[decision.Verdict, None, None]":
    """Give verdicts; see `stream`."""

    def decide(
        loaded: list[Loaded], outputs: "list[Output]", model_s: float
    ) -> "list[decision.Verdict]":
        began = time.perf_counter()
        verdicts = [
            runner.decide(output, item.prepared)
            for output, item in zip(outputs, loaded, strict=True)
        ]
        post_ms = 1e3 * (time.perf_counter() - began) / len(loaded)
        model_ms = 1e3 * model_s / len(loaded)
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
                    started = time.perf_counter()
                    outputs = runner.run([item.prepared for item in loaded])
                    model_s = time.perf_counter() - started
                    deciding.append(pool.submit(decide, loaded, outputs, model_s))
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
