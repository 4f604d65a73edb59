"""One source, read in a thread of its own; what is not taken in time is replaced, or waited for."""

import logging
import threading
import time

from inspection_tf.service.lines.sources import Frame, Source, shown

_LOG = logging.getLogger("inspection_tf")
_QUIET_S = 5.0  # without an image, after which that is said
RUNNING, QUIET, AWAY, ENDED = "running", "no image", "not connected", "ended"
STATES = (RUNNING, QUIET, AWAY, ENDED)


class Feed:
    """What a source gives, one image at a time.

    Attributes:
        word: the source.
        dropped: images that a newer one has replaced.
    """

    def __init__(self, source: Source) -> None:
        """Start the thread."""
        self.word, self.dropped = source.word, 0
        self._source = source
        self._waiting: Frame | None = None
        self._is_away, self._has_ended = False, False
        self._latest = time.monotonic()
        self._changed = threading.Condition()
        self._is_over = threading.Event()
        self._thread = threading.Thread(target=self._read, name=f"source {self.word}", daemon=True)
        self._thread.start()

    @property
    def state(self) -> str:
        """One of `STATES`."""
        with self._changed:
            if self._has_ended and self._waiting is None:
                return ENDED
            if self._is_away:
                return AWAY
            is_quiet = time.monotonic() - self._latest > _QUIET_S
            return QUIET if is_quiet and self._source.is_live else RUNNING

    def take(self, timeout_s: float) -> Frame | None:
        """Return the next image; None where none came in time."""
        with self._changed:
            self._changed.wait_for(lambda: self._waiting or self._has_ended, timeout_s)
            found, self._waiting = self._waiting, None
            self._changed.notify_all()
            return found

    def close(self) -> None:
        """Read no more."""
        self._is_over.set()
        with self._changed:
            self._changed.notify_all()

    def _read(self) -> None:
        try:
            for frame in self._source.frames(self._is_over):
                self._put(frame)
                if self._is_over.is_set():
                    break
        except Exception as problem:  # whatever it is: the others go on
            _LOG.error("%s ends: %s", shown(self.word), problem)
        with self._changed:
            self._has_ended = True
            self._changed.notify_all()

    def _put(self, frame: Frame | None) -> None:
        with self._changed:
            self._is_away = frame is None
            if frame is None:
                return
            self._latest = time.monotonic()
            if self._source.is_live and self._waiting is not None:
                self.dropped += 1
            elif not self._source.is_live:
                self._changed.wait_for(lambda: self._waiting is None or self._is_over.is_set())
                if self._is_over.is_set():
                    return
            self._waiting = frame
            self._changed.notify_all()
