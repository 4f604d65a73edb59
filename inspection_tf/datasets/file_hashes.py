"""Hashes of a data set's files, each read once in a process as long as it does not change."""

import hashlib
import os
import time
from pathlib import Path

from inspection_tf import errors

# A file that changes twice within the tick of its file system's clock looks as it did before: what
# was written just now is read again.
_SETTLED_NS = 2 * 10**9
_Stamp = tuple[int, int, int, int]
_known: dict[str, tuple[_Stamp, bytes]] = {}


def sha256(path: Path) -> bytes:
    """Return the SHA-256 of a file's bytes.

    A run needs it when it begins, for its folder, and when it ends, for its bundle: a file that has
    the size, the times and the place on the disk that it had is not read again.

    Raises:
        errors.ImageError: the file cannot be read.
    """
    try:
        stamp = _stamp(path.stat())
        known = _known.get(str(path))
        if known is not None and known[0] == stamp:
            return known[1]
        digest = hashlib.sha256(path.read_bytes()).digest()
    except OSError as problem:
        raise errors.ImageError(
            f"{path}: the file must be readable. Got {problem.strerror}. "
            "Restore it or leave it out of the data set."
        ) from problem
    if time.time_ns() - max(stamp[2:]) > _SETTLED_NS:
        _known[str(path)] = stamp, digest
    return digest


def _stamp(status: os.stat_result) -> _Stamp:
    return status.st_ino, status.st_size, status.st_mtime_ns, status.st_ctime_ns
