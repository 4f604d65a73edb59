"""All sinks of a service, and the outbox before them."""

import concurrent.futures
import functools
import json
import logging
import uuid
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from inspection_tf.service.lines.outbox import Outbox, Seen
from inspection_tf.service.lines.sinks import Courier, deliverer
from inspection_tf.service.lines.sources import shown
from inspection_tf.service.telemetry import Telemetry

_LOG = logging.getLogger("inspection_tf")


class Sinks:
    """Takes verdicts at once, and tells them when it can.

    Attributes:
        outbox: what waits.
        couriers: one for each sink.
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

    def put(
        self, content: Mapping[str, Any], *, seen: Seen | None = None
    ) -> "concurrent.futures.Future[None]":
        """Store a verdict for every sink; the future is done once it is on disk.

        Args:
            content: ready for JSON.
            seen: the file that it is of.
        """
        body = {"time": datetime.now(UTC).isoformat(timespec="milliseconds"), **content}
        stored = self._storing.submit(self._store, json.dumps(body, allow_nan=False), seen)
        stored.add_done_callback(_report)
        return stored

    def follow(self, telemetry: Telemetry) -> None:
        """Tell what waits for each sink from now on."""
        for courier in self.couriers:
            telemetry.follow_sink(
                shown(courier.word),
                functools.partial(self.outbox.waiting, courier.word),
                functools.partial(getattr, courier, "failures"),
            )

    def close(self) -> None:
        """Store what came in, and end the threads; what was not told waits on disk."""
        self._storing.shutdown()
        for courier in self.couriers:
            courier.close()
        self.outbox.close()

    def _store(self, body: str, seen: Seen | None) -> None:
        words = [courier.word for courier in self.couriers]
        self.outbox.put(words, uuid.uuid4().hex, body, seen=seen)
        for courier in self.couriers:
            courier.wake()


def _report(stored: "concurrent.futures.Future[None]") -> None:
    if problem := stored.exception():
        _LOG.error("a verdict is not told: %s", problem)
