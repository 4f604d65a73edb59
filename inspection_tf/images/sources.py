"""What may be given as an image: a file, wherever its bytes come from, or pixels.

A file is given by its path (`str` or path-like), its bytes (`bytes`, `bytearray`, a `memoryview` of
one dimension), or open: whatever has a `read` that returns bytes is read from where it stands, to
its end. Pixels are an array, a `memoryview` of several dimensions, or an image of Pillow. All else
is refused.
"""

import os
import select
import stat
from pathlib import Path
from typing import IO, Any, Protocol, TypeGuard

import numpy as np
from numpy.typing import NDArray

from inspection_tf import errors


class PillowImage(Protocol):
    """What a source needs to be taken for an image of Pillow, which need not be installed."""

    @property
    def mode(self) -> str:
        """How its pixels are stored, such as RGB."""
        ...

    @property
    def size(self) -> tuple[int, int]:
        """Width and height, px."""
        ...

    def load(self) -> object:
        """Decode it."""
        ...


Source = (
    str | os.PathLike[str] | bytes | bytearray | memoryview | IO[bytes] | PillowImage | NDArray[Any]
)

MAX_BYTES = 2**30
PIPE_WAIT_MS = 5_000  # for what comes next out of a pipe
_CHUNK = 2**20
_KINDS = "a path, a file's bytes, a file open for reading in binary, an array or a Pillow image"


def name_of(source: object, otherwise: str) -> str:
    """Return what messages call a source: its path, or something else."""
    try:
        name = os.fsdecode(source) if isinstance(source, str | os.PathLike) else ""
    except TypeError:  # a path-like that is none
        name = ""
    return (name if name.isprintable() else repr(name)) or otherwise


def pixels_of(source: object) -> NDArray[Any] | None:
    """Return the pixels of a source that is an array, uncopied; None of another one.

    Raises:
        errors.ImageError: a memoryview that cannot be read as one.
    """
    if isinstance(source, np.ndarray):
        return source
    if not isinstance(source, memoryview):
        return None
    try:
        is_file = source.ndim == 1 and source.itemsize == 1
        return None if is_file else np.asarray(source)
    except ValueError as problem:
        raise _refusal(f"a memoryview that is none ({problem})") from problem


def load(source: object) -> tuple[str, bytes]:
    """Return what messages call a file, and its bytes.

    Raises:
        errors.ImageError: it cannot be read, is empty or too long, or is no file at all.
        errors.StorageError: memory does not suffice.
    """
    name = name_of(source, "The image")
    try:
        if isinstance(source, str | os.PathLike):
            data = _of_path(source, name)
        elif isinstance(source, bytes | bytearray | memoryview):
            _require_length(len(source), name)
            data = bytes(source)
        elif _is_open(source):
            name, data = _of_open(source)
        else:
            raise _refusal(_called(source))
    except MemoryError as problem:
        raise errors.StorageError(
            f"{name} must fit into memory. Got too large a file. Free memory or shrink it."
        ) from problem
    if not data:
        raise errors.ImageError(
            f"{name} must hold an image. Got 0 bytes. Copy or export it again, or leave it out."
        )
    return name, data


def _refusal(got: str) -> errors.ImageError:
    return errors.ImageError(f"The image must be {_KINDS}. Got {got}.")


def _called(source: object) -> str:
    """Return what a source of no known kind is, and the way out."""
    if source is None:
        return "None. Check the path: cv2.imread returns it for a file that it cannot read"
    kind = type(source)
    name = kind.__name__ if kind.__module__ == "builtins" else f"{kind.__module__}.{kind.__name__}"
    got = f"{'an' if name[0] in 'aeio' else 'a'} {name}"
    if isinstance(source, list | tuple | set | frozenset | dict):
        return f"{got}. Give one image at a time, pixels as a NumPy array"
    if hasattr(source, "__array__"):
        return f"{got}. Make it a NumPy array: numpy.asarray(image)"
    return f"{got}. Give one of these"


def _require_length(length: int, name: str) -> None:
    if length > MAX_BYTES:
        raise errors.ImageError(
            f"{name} must have at most {MAX_BYTES} bytes. Got {length}. Crop or compress it."
        )


def _of_path(source: str | os.PathLike[str], name: str) -> bytes:
    try:
        path = os.fsdecode(source)
        if not path:
            raise errors.ImageError("A path must name a file. Got an empty one. Name a file.")
        status = Path(path).stat()
        if stat.S_ISREG(status.st_mode) or stat.S_ISDIR(status.st_mode):
            _require_length(status.st_size, name)
            return Path(path).read_bytes()  # of a folder the system says that it is one
        if stat.S_ISFIFO(status.st_mode) and hasattr(select, "poll"):
            return _of_pipe(path, name)
    except (OSError, ValueError, TypeError) as problem:  # the latter of NUL, and of what is no text
        got = getattr(problem, "strerror", None) or str(problem)
        raise errors.ImageError(
            f"{name} must be a readable file. Got: {got}. Check the path."
        ) from problem
    raise errors.ImageError(
        f"{name} must be a file. Got a device or socket. Give the image itself."
    )


def _of_pipe(path: str, name: str) -> bytes:
    """Return what is written to a pipe, such as a shell makes of `<(command)`, up to its end."""
    handle = os.open(path, os.O_RDONLY | os.O_NONBLOCK)
    try:
        waiting = select.poll()
        waiting.register(handle, select.POLLIN)
        data = bytearray()
        while waiting.poll(PIPE_WAIT_MS):
            part = os.read(handle, 2**16)
            if not part:
                return bytes(data)
            data += part
            _require_length(len(data), name)
    finally:
        os.close(handle)
    raise errors.ImageError(
        f"{name} must be a file. Got a pipe to which nothing was written for "
        f"{PIPE_WAIT_MS / 1e3:g} s. Give the image itself."
    )


def _is_open(source: object) -> TypeGuard[IO[bytes]]:
    """Return whether something has a `read`; what that returns is not known yet."""
    return callable(getattr(source, "read", None)) and not isinstance(source, type)


def _of_open(file: IO[bytes]) -> tuple[str, bytes]:
    name = name_of(getattr(file, "name", None), "The open file")
    try:
        empty: object = file.read(0)
        if isinstance(empty, bytes | bytearray | memoryview):
            data = _to_the_end(file, name)
            if data:
                return name, data
    except (errors.InspectionError, MemoryError):
        raise
    except Exception as problem:  # whatever stands behind it: an archive, a connection
        raise errors.ImageError(
            f"{name} must be open for reading. Got: {str(problem) or type(problem).__name__}. "
            "Open it again, or give its path."
        ) from problem
    if isinstance(empty, str):
        raise errors.ImageError(
            f'{name} must be open in binary. Got text. Open it with mode "rb", or give its path.'
        )
    if isinstance(empty, bytes | bytearray | memoryview):
        raise errors.ImageError(
            f"{name} must hold an image from where it stands. Got nothing up to its end. "
            "Rewind it: file.seek(0)."
        )
    if hasattr(empty, "close"):
        empty.close()  # a coroutine that nobody awaits would complain
    raise errors.ImageError(
        f"{name} must be open for reading in binary. Got one whose read returns a "
        f"{type(empty).__name__}. Give the bytes that it reads."
    )


def _to_the_end(file: IO[bytes], name: str) -> bytes:
    """Read an open file to its end; its length may be unknown, and a read may return less."""
    chunks: list[bytes] = []
    length = 0
    while chunk := file.read(_CHUNK):
        chunks.append(chunk)
        length += len(chunk)
        _require_length(length, name)
    return b"".join(chunks)
