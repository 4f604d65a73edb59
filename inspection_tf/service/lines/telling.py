"""All sinks of a service, and the outbox before them."""

import concurrent.futures
import functools
import json
import logging
import threading
import uuid
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from inspection_tf import errors
from inspection_tf.service.lines.outbox import Outbox, Seen
from inspection_tf.service.lines.sinks import Courier, deliverer
from inspection_tf.service.telemetry import Telemetry

_PAUSE_S = 1.0  # before the disk is tried again
_LOG = logging.getLogger("inspection_tf")


class Sinks:
    """Takes verdicts at once, and tells them when it can.

    Attributes:
        outbox: what waits.
        couriers: one for each sink.
        lost: verdicts that the disk did not take.
    """

    def __init__(self, words: Sequence[str], state: Path, *, most: int) -> None:
        """Open the outbox and start a thread for each sink.

        Args:
            words: of sinks.
            state: folder of the outbox.
            most: messages that may wait for each.

        Raises:
            errors.ConfigError: a sink is none.
            errors.StorageError: the outbox cannot be written.
        """
        deliver = {word: deliverer(word) for word in words}
        self.outbox = Outbox(state, most=most)
        self.couriers = [Courier(word, told, self.outbox) for word, told in deliver.items()]
        # One thread: what came first is stored first, and no verdict waits for the disk.
        self._storing = concurrent.futures.ThreadPoolExecutor(1, "outbox")
        self._most, self._pending, self.lost = most, 0, 0
        self._lock, self._is_over = threading.Lock(), threading.Event()

    def put(
        self, *contents: Mapping[str, Any], seen: Seen | None = None
    ) -> "concurrent.futures.Future[None]":
        """Store verdicts for every sink; the future is done once they are on disk.

        Args:
            *contents: ready for JSON; stored together.
            seen: the file that they are of.
        """
        now = datetime.now(UTC).isoformat(timespec="milliseconds")
        messages = {
            uuid.uuid4().hex: json.dumps({"time": now, **content}, allow_nan=False)
            for content in contents
        }
        with self._lock:
            is_full = self._pending >= self._most
            self.lost += is_full
            self._pending += not is_full
        if is_full:  # the disk takes nothing for long
            _LOG.error("a verdict is lost: the outbox cannot be written")
            nothing: concurrent.futures.Future[None] = concurrent.futures.Future()
            nothing.set_result(None)
            return nothing
        return self._storing.submit(self._store, messages, seen)

    def follow(self, telemetry: Telemetry) -> None:
        """Tell what waits for each sink from now on."""
        for courier in self.couriers:
            telemetry.follow_sink(
                courier.name,
                functools.partial(self.outbox.waiting, courier.name),
                functools.partial(getattr, courier, "failures"),
            )
        telemetry.follow_lost(lambda: self.lost + self.outbox.dropped)

    def close(self) -> None:
        """Store what came in, and end the threads; what was not taken waits on disk."""
        self._is_over.set()
        self._storing.shutdown()
        for courier in self.couriers:
            courier.close()
        self.outbox.close()

    def _store(self, messages: Mapping[str, str], seen: Seen | None) -> None:
        names = [courier.name for courier in self.couriers]
        try:
            while True:
                try:
                    self.outbox.put(names, messages, seen=seen)
                    break
                except errors.StorageError as problem:
                    _LOG.error("a verdict waits for the disk: %s", problem)
                    if self._is_over.wait(_PAUSE_S):
                        self.lost += len(messages)
                        raise
        finally:
            with self._lock:
                self._pending -= 1
        for courier in self.couriers:
            courier.wake()
