"""Where images come from beside requests: a folder, a video, a camera.

Of a folder and a video each image is inspected. Of a camera the newest is, and what it replaced is
counted.
"""

import contextlib
import dataclasses
import logging
import os
import re
import stat
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Protocol

import cv2

from inspection_tf import config, errors, images
from inspection_tf.service.lines.outbox import Outbox, Seen

_LOG = logging.getLogger("inspection_tf")
_LOOK_S = 0.2  # between looks into a folder
_FIRST_PAUSE_S, _LONGEST_PAUSE_S = 0.5, 10.0
_SECRET = re.compile("://[^/]*@")
_OPEN_MS, _READ_MS = 5000, 5000


@dataclasses.dataclass(frozen=True, slots=True)
class Frame:
    """An image of a source.

    Attributes:
        name: in its source.
        image: the bytes of a file, or pixels.
        seen: the file that it is, so that it is not inspected again.
    """

    name: str
    image: images.Source
    seen: Seen | None = None


class Source(Protocol):
    """What gives images.

    Attributes:
        word: as it was named.
        is_live: whether the newest image counts, and not each.
    """

    word: str
    is_live: bool

    def frames(self, is_over: threading.Event) -> Iterator[Frame | None]:
        """Yield images until there are no more; None: not connected now.

        Args:
            is_over: set when no more are wanted.
        """
        ...


def source(word: str, outbox: Outbox | None) -> Source:
    """Return a source by how it is named.

    Args:
        word: folder:DIR, video:FILE, rtsp://HOST/PATH or usb:NUMBER.
        outbox: remembers files; None: they are remembered as long as the process runs.

    Raises:
        errors.ConfigError: it is none of these, or the folder or file is absent.
    """
    kind, _, rest = word.partition(":")
    if kind == "folder" and rest:
        folder = config.expanded(rest)
        if not folder.is_dir():
            raise errors.ConfigError(
                f"A source folder:DIR must be a folder. Got {str(folder)!r}, which is none. "
                "Make it, or check the path."
            )
        return _Folder(word, folder, outbox)
    if kind == "video" and rest:
        file = config.expanded(rest)
        if not file.is_file():
            raise errors.ConfigError(
                f"A source video:FILE must be a file. Got {str(file)!r}, which is none. "
                "Check the path."
            )
        return _Video(word, file)
    if kind in ("rtsp", "rtsps") and rest.startswith("//"):
        return _Camera(word, word)
    if kind == "usb" and rest.isascii() and rest.isdigit():
        return _Camera(word, int(rest))
    raise errors.ConfigError(
        "A source must be folder:DIR, video:FILE, rtsp://HOST/PATH or usb:NUMBER. "
        f"Got {word!r}. Write it so."
    )


class _Folder:
    """Image files of a folder and those within, each once it is written to its end."""

    is_live = False

    def __init__(self, word: str, folder: Path, outbox: Outbox | None) -> None:
        self.word, self._folder, self._outbox = word, folder, outbox
        self._marks: dict[str, str] = {}
        self._known: dict[str, str] = {}

    def frames(self, is_over: threading.Event) -> Iterator[Frame | None]:
        while not is_over.is_set():
            if not self._folder.is_dir():
                yield None
            # A file that is still written has another size or time at the next look.
            before, self._marks = self._marks, dict(self._listed())
            self._known = {name: self._known[name] for name in self._known if name in self._marks}
            for name, mark in self._marks.items():
                if before.get(name) != mark or self._known.get(name) == mark:
                    continue
                self._known[name] = mark
                try:
                    frame = self._frame(name, mark)
                except FileNotFoundError:
                    del self._known[name]
                    continue
                except Exception as problem:  # of one file; the others have their turn
                    _LOG.error("%s: %s cannot be read: %s", self.word, name, problem)
                    continue
                if frame is not None:
                    yield frame
                if is_over.is_set():
                    return
            is_over.wait(_LOOK_S)

    def _frame(self, name: str, mark: str) -> Frame | None:
        """Return a file, or None where it was inspected before."""
        told = name.encode("utf-8", "backslashreplace").decode()
        seen = Seen(self.word, told, mark)
        if self._outbox is not None and self._outbox.was_seen(seen):
            return None
        return Frame(told, (self._folder / name).read_bytes(), seen)

    def _listed(self) -> Iterator[tuple[str, str]]:
        """Yield the image files with what differs once they are written again, by time and name."""
        found = []
        for place, folders, names in os.walk(self._folder):
            folders[:] = [name for name in folders if not name.startswith(".")]
            for name in names:
                path = Path(place, name)
                if name.startswith(".") or path.suffix.lower() not in images.IMAGE_SUFFIXES:
                    continue
                with contextlib.suppress(OSError):
                    status = path.stat()
                    if stat.S_ISREG(status.st_mode):  # of a pipe nobody may ever write
                        found.append((status.st_mtime_ns, path, status.st_size))
        for written, path, size in sorted(found):
            yield path.relative_to(self._folder).as_posix(), f"{written} {size}"


class _Video:
    """Each frame of a file."""

    is_live = False

    def __init__(self, word: str, file: Path) -> None:
        self.word, self._file = word, file

    def frames(self, is_over: threading.Event) -> Iterator[Frame | None]:
        with _opened(str(self._file)) as capture:
            number = 0
            while not is_over.is_set():
                has_one, pixels = capture.read()
                if not has_one:
                    if number == 0:
                        _LOG.error("%s: no frame of it can be read", self.word)
                    return
                number += 1
                yield Frame(f"{self._file.name}#{number}", _rgb(pixels))


class _Camera:
    """The frames of a stream, which is opened again where it ends."""

    is_live = True

    def __init__(self, word: str, place: str | int) -> None:
        self.word, self._place = word, place

    def frames(self, is_over: threading.Event) -> Iterator[Frame | None]:
        pause, number = _FIRST_PAUSE_S, 0
        while not is_over.is_set():
            with _opened(self._place) as capture:
                while not is_over.is_set():
                    has_one, pixels = capture.read()
                    if not has_one:
                        break
                    pause, number = _FIRST_PAUSE_S, number + 1
                    yield Frame(f"{time.time():.3f}#{number}", _rgb(pixels))
            yield None
            _LOG.warning("%s: not connected, again in %.1f s", shown(self.word), pause)
            is_over.wait(pause)
            pause = min(2 * pause, _LONGEST_PAUSE_S)


@contextlib.contextmanager
def _opened(place: str | int) -> Iterator[Any]:
    if isinstance(place, str):
        limits = [
            cv2.CAP_PROP_OPEN_TIMEOUT_MSEC,
            _OPEN_MS,
            cv2.CAP_PROP_READ_TIMEOUT_MSEC,
            _READ_MS,
        ]
        capture = cv2.VideoCapture(place, cv2.CAP_FFMPEG, limits)
    else:
        capture = cv2.VideoCapture(place)
    try:
        yield capture
    finally:
        capture.release()


def _rgb(pixels: Any) -> Any:
    return pixels if pixels.ndim == 2 else cv2.cvtColor(pixels, cv2.COLOR_BGR2RGB)


def shown(word: str) -> str:
    """Return a source or a sink without the name and password of an address."""
    return _SECRET.sub("://...@", word)
