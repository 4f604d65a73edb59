"""Results on disk: as many as a folder may hold, also after a restart.

Pictures are files, all else a row of SQLite. A thread of its own writes both, so that no verdict
waits for the disk.
"""

import contextlib
import json
import logging
import queue
import re
import shutil
import sqlite3
import threading
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

import numpy as np
from numpy.typing import NDArray

from inspection_tf import errors, files, images

if TYPE_CHECKING:
    from inspection_tf import decision

_LOG = logging.getLogger("inspection_tf")
FILE, PICTURES = "history.sqlite3", "pictures"
_MOST_WAITING = 32  # results, whose pixels are in memory
_LOOK_S = 0.5  # between looks whether the thread still runs
_IDENTITY = re.compile(r"[0-9a-f]{32}")
_SCHEMA = """
CREATE TABLE IF NOT EXISTS results (
    number INTEGER PRIMARY KEY AUTOINCREMENT, id TEXT NOT NULL UNIQUE, is_ok INTEGER NOT NULL,
    bytes INTEGER NOT NULL, brief TEXT NOT NULL, said TEXT NOT NULL);
CREATE INDEX IF NOT EXISTS by_weight ON results (is_ok, number);
"""
_LEAST = """
SELECT number, id, bytes FROM results WHERE number < (SELECT MAX(number) FROM results)
ORDER BY is_ok DESC, number LIMIT 1
"""


class Result(Protocol):
    """A verdict and what was told beside it, such as `results.Entry`."""

    @property
    def verdict(self) -> "decision.Verdict":
        """The verdict."""
        ...

    @property
    def beside(self) -> Mapping[str, Any]:
        """What a client was told beside the verdict."""
        ...

    def told(self) -> dict[str, Any]:
        """Return all that a client was told."""
        ...

    def brief(self) -> dict[str, Any]:
        """Return what a list says of it."""
        ...


Pictures = Callable[["decision.Verdict"], "Iterator[tuple[str, NDArray[np.generic]]]"]
"""Gives the pictures of a verdict by name, the image first."""


class Archive:
    """Results by id, the latest that a budget of bytes allows; NG and REVIEW are kept longest."""

    def __init__(self, folder: Path, *, budget: int, pictures: Pictures) -> None:
        """Open the folder, or make it.

        Args:
            folder: which holds it.
            budget: bytes of the pictures and of what is said of them.
            pictures: of a verdict.

        Raises:
            errors.StorageError: it cannot be written, or another service has it.
        """
        self._folder, self._budget, self._of = files.make_folder(folder), budget, pictures
        self.lost = 0
        self._lock = threading.RLock()
        self._open()
        self._waiting: queue.Queue[tuple[str, Result] | None] = queue.Queue(_MOST_WAITING)
        self._thread = threading.Thread(target=self._work, name="history", daemon=True)
        self._thread.start()

    def _open(self) -> None:
        """Open the file, or make it.

        Raises:
            errors.StorageError: see `__init__`.
        """
        files.make_folder(self._folder / PICTURES)
        path = self._folder / FILE
        try:
            self._base = sqlite3.connect(path, check_same_thread=False, timeout=0.2)
            self._base.execute("PRAGMA locking_mode=EXCLUSIVE")
            self._base.execute("PRAGMA journal_mode=WAL")
            with self._base:
                self._base.executescript(_SCHEMA)
            self._bytes = self._base.execute("SELECT SUM(bytes) FROM results").fetchone()[0] or 0
            self._remove_strays()
            self._shrink()
        except sqlite3.Error as problem:
            is_shared = "locked" in str(problem)
            way_out = "Stop the other service" if is_shared else "Move a damaged file away"
            raise errors.StorageError(
                f"{path}: the history must be a whole file that one service alone writes. Got "
                f"{problem}. {way_out}, or give another folder as history."
            ) from problem

    def put(self, identity: str, entry: Result) -> None:
        """Take a result, which will be written; where too many wait it is lost, and counted."""
        try:
            self._waiting.put_nowait((identity, entry))
        except queue.Full:
            self._lose("too many wait for its disk")

    def listed(self, most: int) -> list[dict[str, Any]]:
        """Return what a list says of the latest results, the latest first."""
        with self._lock:
            rows = self._base.execute(
                "SELECT brief FROM results ORDER BY number DESC LIMIT ?", (most,)
            ).fetchall()
        return [found for (text,) in rows if (found := _parsed(text, "id", "time"))]

    def one(self, identity: str) -> dict[str, Any] | None:
        """Return what a client was told; None where it is not kept any more."""
        with self._lock:
            row = self._base.execute(
                "SELECT said FROM results WHERE id = ?", (identity,)
            ).fetchone()
        return None if row is None else _parsed(row[0], "links")

    def picture(self, identity: str, name: str) -> bytes | None:
        """Return a picture of a result as PNG; None where it is not kept any more."""
        told = self.one(identity)
        if told is None or name not in told["links"]:
            return None
        try:
            return self._path(identity, name).read_bytes()
        except OSError:  # deleted meanwhile
            return None

    def close(self) -> None:
        """Write what waits, and close the file."""
        while self._thread.is_alive():
            with contextlib.suppress(queue.Full):
                self._waiting.put(None, timeout=_LOOK_S)
                break
        self._thread.join()
        with self._lock:
            self._base.close()

    def _path(self, identity: str, name: str) -> Path:
        return self._folder / PICTURES / identity / f"{name}.png"

    def _work(self) -> None:
        while (item := self._waiting.get()) is not None:
            identity, entry = item
            try:
                self._write(identity, entry)
            except Exception as problem:  # whatever it is, the next result has its turn
                self._lose(str(problem))

    def _write(self, identity: str, entry: Result) -> None:
        """Write the pictures, then the row; then drop what is too much."""
        told, is_ok = entry.told(), entry.verdict.outcome == "OK"
        with self._lock:
            if not (self._folder / FILE).exists():
                _LOG.error("%s: the history was removed, and begins anew", self._folder)
                self._base.close()
                files.make_folder(self._folder)
                self._open()
        try:
            links, size = self._write_pictures(identity, entry)
            row = json.dumps(entry.brief()), json.dumps({**told, "links": links})
            size += sum(map(len, row))
            with self._lock, self._base:
                self._base.execute(
                    "INSERT INTO results (id, is_ok, bytes, brief, said) VALUES (?, ?, ?, ?, ?)",
                    (identity, is_ok, size, *row),
                )
        except BaseException:
            shutil.rmtree(self._path(identity, "image").parent, ignore_errors=True)
            raise
        self._bytes += size
        self._shrink()

    def _write_pictures(self, identity: str, entry: Result) -> tuple[dict[str, str], int]:
        """Write the pictures of a result; returns their addresses, and their bytes."""
        links, size = {}, 0
        for name, pixels in self._of(entry.verdict):
            data = images.encode_png(pixels)
            files.make_folder(self._path(identity, name).parent)
            files.write(self._path(identity, name), data, sync=False)
            links[name] = entry.beside["links"][name]
            size += len(data)
            if entry.verdict.outcome == "OK":  # of what is good the image is enough
                break
        return links, size

    def _shrink(self) -> None:
        """Drop what is too much for the budget."""
        with self._lock:
            while self._bytes > self._budget and (least := self._base.execute(_LEAST).fetchone()):
                self._drop(*least)

    def _drop(self, number: int, identity: str, size: int) -> None:
        with self._base:
            self._base.execute("DELETE FROM results WHERE number = ?", (number,))
        self._bytes -= size
        shutil.rmtree(self._path(identity, "image").parent, ignore_errors=True)

    def _remove_strays(self) -> None:
        """Remove pictures whose row was never written, since the process was killed."""
        known = {identity for (identity,) in self._base.execute("SELECT id FROM results")}
        for folder in (self._folder / PICTURES).iterdir():
            if _IDENTITY.fullmatch(folder.name) and folder.name not in known:
                shutil.rmtree(folder, ignore_errors=True)

    def _lose(self, why: str) -> None:
        self.lost += 1
        if self.lost & (self.lost - 1) == 0:  # the 1st, 2nd, 4th, ...: the log must stay short
            _LOG.error("%d results are not in the history: %s", self.lost, why)


def _parsed(text: str, *needed: str) -> dict[str, Any] | None:
    """Return what a row holds; None where it is damaged."""
    try:
        found = json.loads(text)
    except ValueError:
        return None
    return found if isinstance(found, dict) and set(needed) <= found.keys() else None
