"""The process of a service: it listens, swaps bundles, and ends when it is told to."""

import asyncio
import contextlib
import gc
import logging
import signal
import socket
import threading
import time
from collections.abc import AsyncIterator, Iterator, Sequence
from pathlib import Path

import uvicorn
from starlette.types import ASGIApp

from inspection_tf import errors, process
from inspection_tf.service import web
from inspection_tf.service.lines import Line, Sinks
from inspection_tf.service.lines.sources import source
from inspection_tf.service.models import Models
from inspection_tf.service.spec import ServiceSpec
from inspection_tf.service.station import Station
from inspection_tf.service.web.connections import Connection

_LOG = logging.getLogger("inspection_tf")
_NOTICE_S = 0.5  # between saying that it stops and closing the door
_POLL_S = 0.05
_BACKLOG = 2048  # connections that the system accepts before they are looked at
_ENDINGS = {signal.SIGTERM: errors.SIGTERM, signal.SIGINT: errors.SIGINT}
_SWAPS = [signal.SIGHUP] if hasattr(signal, "SIGHUP") else []
_LONGEST_TOKEN = 4096  # characters


class _Server(uvicorn.Server):
    """A server whose signals are handled here, not by uvicorn."""

    @contextlib.contextmanager
    def capture_signals(self):  # type: ignore[no-untyped-def]  # as uvicorn has it
        yield


def serve(bundles: Sequence[str], spec: ServiceSpec) -> int:
    """Serve bundles until SIGTERM or SIGINT; returns the exit code.

    SIGHUP lets bundles take over that are others than before. A file that names a bundle is looked
    at by itself.

    Args:
        bundles: folders, files that name one, or `NAME=` either.
        spec: where and how to listen.

    Raises:
        errors.ConfigError: there is no bundle, two have one name, the address is taken, or the
            token cannot be read.
        errors.BundleError: one cannot be used.
        errors.StorageError: a folder for verdicts or labels cannot be made.
    """
    token = "" if spec.token_file is None else _token(spec.token_file)
    for word in spec.source:
        source(word, None)  # what is none is refused before bundles are started
    with contextlib.ExitStack() as ending:
        ending.enter_context(_signals_as_before())
        sinks = None
        if spec.state is not None:
            sinks = Sinks(spec.sink, spec.state, most=spec.outbox)
            ending.callback(sinks.close)
        station = Station(Models(bundles, spec), spec, sinks)
        ending.callback(station.close)
        if sinks is not None:
            sinks.follow(station.telemetry)
        app = web.build(station, token=token)
        ending.enter_context(_start_left_alone())
        return asyncio.run(_served(station, sinks, app, spec))


@contextlib.contextmanager
def _start_left_alone() -> Iterator[None]:
    """Let collections of garbage in the block pass over what there was before it.

    A full one stops all threads, for 0.1 s where it looks at everything that was imported. A bundle
    that is swapped needs none: it holds no cycle.
    """
    gc.collect()
    gc.freeze()
    try:
        yield
    finally:
        gc.unfreeze()


@contextlib.contextmanager
def _signals_as_before() -> Iterator[None]:
    """Handle signals after the block as before it; in it SIGHUP ends nothing.

    Before bundles are started there is none to swap, and when they end there is none either.
    """
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    before = {number: signal.getsignal(number) for number in (*_ENDINGS, *_SWAPS)}
    for number in _SWAPS:
        signal.signal(number, signal.SIG_IGN)
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def _token(path: Path) -> str:
    """Return the first line of a file.

    Raises:
        errors.ConfigError: it cannot be read, or is empty.
    """
    try:
        with path.open(encoding="utf-8") as file:
            token = file.readline(_LONGEST_TOKEN).strip()
    except (OSError, UnicodeDecodeError) as problem:
        raise errors.ConfigError(
            f"token_file must be a readable file. Got {str(path)!r} ({problem}). Check the path."
        ) from problem
    if not token:
        raise errors.ConfigError(
            f"token_file must hold a token in its first line. Got none in {path}. Write one."
        )
    return token


async def _served(station: Station, sinks: Sinks | None, app: ASGIApp, spec: ServiceSpec) -> int:
    config = uvicorn.Config(
        app,
        host=spec.host,
        port=spec.port,
        http=Connection,
        ws="none",
        lifespan="off",
        log_config=None,
        access_log=False,
        server_header=False,
        proxy_headers=False,  # nobody asks for a client's address
    )
    server = _Server(config)
    code = asyncio.get_running_loop().create_future()
    async with _signals(station, code):
        listening = _listening(spec)
        running = asyncio.ensure_future(server.serve([listening]))
        line = Line(station, spec.source, sinks)
        following = asyncio.ensure_future(line.run())
        watching = asyncio.ensure_future(_watched(station, spec.watch_s))
        try:
            while not server.started:
                if running.done():
                    await running  # which raises what was wrong
                    return errors.InspectionError.exit_code
                await asyncio.sleep(_POLL_S)
            host, port = listening.getsockname()[:2]
            process.say(f"http://{f'[{host}]' if ':' in host else host}:{port}")
            await asyncio.wait([code, running], return_when=asyncio.FIRST_COMPLETED)
            until = time.monotonic() + spec.drain_s
            line.close()
            await _drained(station, until)
            await asyncio.wait([following], timeout=max(until - time.monotonic(), 0.0))
            config.timeout_graceful_shutdown = max(1, round(until - time.monotonic()))
            server.should_exit = True
            await running
        finally:
            watching.cancel()
            line.close()
    return int(code.result()) if code.done() else errors.InspectionError.exit_code


def _listening(spec: ServiceSpec) -> socket.socket:
    """Return a socket that listens.

    Raises:
        errors.ConfigError: the address is taken, or is none of this machine.
    """
    family = socket.AF_INET6 if ":" in spec.host else socket.AF_INET
    try:
        return socket.create_server((spec.host, spec.port), family=family, backlog=_BACKLOG)
    except OSError as problem:
        raise errors.ConfigError(
            f"A service needs an address that is free. Got {spec.host}:{spec.port}, which cannot "
            f"be listened on ({problem.strerror}). Give another --port, or --host."
        ) from problem


async def _drained(station: Station, until: float) -> None:
    """Say that the service stops, and wait for what it took, until a time."""
    station.is_draining = True
    notice = time.monotonic() + _NOTICE_S
    while (now := time.monotonic()) < until:
        if now >= notice and not station.in_flight:
            return
        await asyncio.sleep(_POLL_S)
    if station.in_flight:
        _LOG.warning("%d requests were not answered in time", station.in_flight)


async def _watched(station: Station, every_s: float) -> None:
    """Look now and then whether a file names another bundle."""
    while True:
        await asyncio.sleep(every_s)
        await asyncio.to_thread(_swapped, station, only_files=True)


def _swapped(station: Station, *, only_files: bool) -> None:
    """Let bundles take over; whatever goes wrong, the old ones go on."""
    try:
        station.swap(only_files=only_files)
    except Exception as problem:
        _LOG.error("no bundle was swapped", exc_info=problem)


@contextlib.asynccontextmanager
async def _signals(station: Station, ended: "asyncio.Future[int]") -> AsyncIterator[None]:
    """Handle signals as long as the block runs."""
    loop = asyncio.get_running_loop()
    swaps = set[asyncio.Task[None]]()

    def stop(code: int) -> None:
        if not ended.done():
            ended.set_result(code)

    def swap() -> None:
        task = asyncio.ensure_future(asyncio.to_thread(_swapped, station, only_files=False))
        swaps.add(task)
        task.add_done_callback(swaps.discard)

    for number, code in _ENDINGS.items():
        loop.add_signal_handler(number, stop, code)
    for number in _SWAPS:
        loop.add_signal_handler(number, swap)
    try:
        yield
    finally:
        for number in (*_ENDINGS, *_SWAPS):
            loop.remove_signal_handler(number)
            signal.signal(number, signal.SIG_IGN)  # it ends already: what comes changes nothing
