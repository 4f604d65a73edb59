"""Sources that are inspected, verdicts that are told: what a service does without being asked."""

import asyncio
import functools
import logging
from typing import Any

from inspection_tf.service.lines import sources
from inspection_tf.service.lines.feed import ENDED, STATES, Feed
from inspection_tf.service.lines.sources import Frame
from inspection_tf.service.lines.telling import Sinks
from inspection_tf.service.models import Served
from inspection_tf.service.refusals import Refusal
from inspection_tf.service.station import Station, Submission

_LOG = logging.getLogger("inspection_tf")
_LOOK_S = 0.5


class Line:
    """The sources of a service, each inspected by every model.

    Attributes:
        feeds: one for each source.
    """

    def __init__(self, station: Station, words: tuple[str, ...], sinks: Sinks | None) -> None:
        """Find the sources; `run` begins to read them.

        Args:
            station: inspects.
            words: of sources.
            sinks: which are told; None: the log is.

        Raises:
            errors.ConfigError: a source is none.
        """
        outbox = None if sinks is None else sinks.outbox
        self._station, self._sinks = station, sinks
        self._sources = [sources.source(word, outbox) for word in words]
        self.feeds: list[Feed] = []

    async def run(self) -> None:
        """Inspect what the sources give, until they end or `close` is called."""
        self.feeds = [Feed(source) for source in self._sources]
        for feed in self.feeds:
            states = {state: functools.partial(_is_in, feed, state) for state in STATES}
            self._station.telemetry.follow_source(
                sources.shown(feed.word), states, functools.partial(_dropped, feed)
            )
        await asyncio.gather(*(self._follow(feed) for feed in self.feeds))

    def close(self) -> None:
        """Read no more; what was taken is inspected and told."""
        for feed in self.feeds:
            feed.close()

    async def _follow(self, feed: Feed) -> None:
        while True:
            frame = await asyncio.to_thread(feed.take, _LOOK_S)
            if frame is not None:
                await self._inspect(feed, frame)
            elif feed.state == ENDED:
                return

    async def _inspect(self, feed: Feed, frame: Frame) -> None:
        served = list(self._station.models.all().values())
        contents = [await self._content(feed, frame, one) for one in served]
        if self._sinks is None:
            for content in contents:
                result = content.get("outcome") or content["error"]
                _LOG.info("%s: %s %s", content["source"], content["image"], result)
            return
        # Together: a file counts as inspected when the verdicts of all models are stored.
        await asyncio.wrap_future(self._sinks.put(*contents, seen=frame.seen))

    async def _content(self, feed: Feed, frame: Frame, served: Served) -> dict[str, Any]:
        origin = {"source": sources.shown(feed.word), "image": frame.name}
        try:
            inspection = await self._station.inspect(
                served,
                Submission(frame.image, metadata=origin),
                has_deadline=False,
                is_put=False,
            )
        except Refusal as refusal:
            self._station.count_refusal(refusal)
            model = {"model": served.name, "version": served.version}
            return {**origin, **model, "error": refusal.sentence}
        return {**origin, **inspection.to_dict()}


def _is_in(feed: Feed, state: str) -> bool:
    return feed.state == state


def _dropped(feed: Feed) -> int:
    return feed.dropped
