"""What must still be told, on disk: verdicts for each sink, and which files were inspected.

Source: the pattern "transactional outbox"; SQLite keeps what was stored through a crash.
"""

import collections
import contextlib
import dataclasses
import logging
import sqlite3
import threading
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

from inspection_tf import errors, files

_LOG = logging.getLogger("inspection_tf")
FILE = "outbox.sqlite3"
_SCHEMA = """
CREATE TABLE IF NOT EXISTS waiting (
    number INTEGER PRIMARY KEY AUTOINCREMENT, sink TEXT NOT NULL, event TEXT NOT NULL,
    body TEXT NOT NULL, tries INTEGER NOT NULL DEFAULT 0);
CREATE INDEX IF NOT EXISTS by_sink ON waiting (sink, number);
CREATE TABLE IF NOT EXISTS seen (source TEXT NOT NULL, name TEXT NOT NULL, mark TEXT NOT NULL,
    PRIMARY KEY (source, name));
"""


@dataclasses.dataclass(frozen=True, slots=True)
class Waiting:
    """A message that a sink has not taken yet.

    Attributes:
        number: its place in the order.
        event: its id, the same each time it is told.
        body: JSON.
        tries: how often it was told before; over 0, the sink may have it already.
    """

    number: int
    event: str
    body: str
    tries: int


@dataclasses.dataclass(frozen=True, slots=True)
class Seen:
    """A file that was inspected.

    Attributes:
        source: which gave it.
        name: its path in the source.
        mark: what differs once another file has its name.
    """

    source: str
    name: str
    mark: str


class Outbox:
    """Messages for sinks, bounded, in one file."""

    def __init__(self, folder: Path, *, most: int) -> None:
        """Open the file, or make it.

        Args:
            folder: which holds it; made where it is absent.
            most: messages that may wait for a sink; of more the oldest are dropped.

        Raises:
            errors.StorageError: it cannot be written, is no such file, or another service has it.
        """
        self._most, self._lock = most, threading.RLock()
        self.dropped = 0
        path = files.make_folder(folder) / FILE
        try:
            self._base = sqlite3.connect(path, check_same_thread=False, timeout=0.2)
            self._base.execute("PRAGMA locking_mode=EXCLUSIVE")
            self._base.execute("PRAGMA journal_mode=WAL")
            self._base.execute("PRAGMA synchronous=FULL")
            with self._base:
                self._base.executescript(_SCHEMA)
            count = "SELECT sink, COUNT(*) FROM waiting GROUP BY sink"
            self._counts = collections.Counter(dict(self._base.execute(count)))
        except sqlite3.Error as problem:
            raise errors.StorageError(
                f"{path}: the outbox must be a file that one service alone writes. Got "
                f"{problem}. Stop the other service, or give another folder as state."
            ) from problem

    def put(
        self, sinks: Sequence[str], messages: Mapping[str, str], *, seen: Seen | None = None
    ) -> None:
        """Store messages for sinks, and which file they are of, all or nothing.

        Args:
            sinks: each gets every message.
            messages: event to body.
            seen: the file.

        Raises:
            errors.StorageError: the disk does not take them.
        """
        with self._lock:  # until what is counted is so many
            with self._writing():
                self._base.executemany(
                    "INSERT INTO waiting (sink, event, body) VALUES (?, ?, ?)",
                    [(sink, event, body) for sink in sinks for event, body in messages.items()],
                )
                if seen is not None:
                    self._base.execute(
                        "INSERT OR REPLACE INTO seen VALUES (?, ?, ?)",
                        (seen.source, seen.name, seen.mark),
                    )
                for sink in sinks:
                    self._drop(sink, self._counts[sink] + len(messages) - self._most)
            for sink in sinks:
                self._counts[sink] = min(self._counts[sink] + len(messages), self._most)

    def next(self, sink: str) -> Waiting | None:
        """Return the oldest message of a sink, and count that it is told; None where none waits."""
        with self._writing():
            row = self._base.execute(
                "SELECT number, event, body, tries FROM waiting WHERE sink = ? ORDER BY number "
                "LIMIT 1",
                (sink,),
            ).fetchone()
            if row is None:
                return None
            self._base.execute("UPDATE waiting SET tries = tries + 1 WHERE number = ?", row[:1])
        return Waiting(*row)

    def taken(self, sink: str, message: Waiting) -> None:
        """Forget a message that its sink has taken."""
        with self._lock:
            with self._writing():
                removed = self._base.execute(
                    "DELETE FROM waiting WHERE number = ?", (message.number,)
                ).rowcount
            self._counts[sink] -= removed

    def was_seen(self, seen: Seen) -> bool:
        """Return whether a file was inspected as it is."""
        with self._lock:
            row = self._base.execute(
                "SELECT mark FROM seen WHERE source = ? AND name = ?", (seen.source, seen.name)
            ).fetchone()
        return row is not None and row[0] == seen.mark

    def waiting(self, sink: str) -> int:
        """Return how many messages wait for a sink."""
        return self._counts[sink]  # not asked of the disk, which may be slow

    def close(self) -> None:
        """Close the file."""
        with self._lock:
            self._base.close()

    @contextlib.contextmanager
    def _writing(self) -> Iterator[None]:
        with self._lock:
            try:
                with self._base:
                    yield
            except sqlite3.Error as problem:
                raise errors.StorageError(
                    f"The outbox must be writable. Got {problem}. Free space on its disk."
                ) from problem

    def _drop(self, sink: str, count: int) -> None:
        """Drop the oldest messages of a sink where more wait than may."""
        if count <= 0:
            return
        self._base.execute(
            "DELETE FROM waiting WHERE number IN (SELECT number FROM waiting WHERE sink = ? "
            "ORDER BY number LIMIT ?)",
            (sink, count),
        )
        self.dropped += count
        _LOG.error("%s took nothing for long: its oldest messages are dropped", sink)
