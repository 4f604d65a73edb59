"""Room for the pixels of a cache: in memory, or in files that vanish with it."""

import contextlib
import logging
import math
import os
import shutil
import tempfile
import weakref
from collections.abc import Iterator, Mapping
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from inspection_tf import errors

_LOG = logging.getLogger("inspection_tf")
Shapes = Mapping[str, tuple[int, ...]]


def needed(shapes: Shapes) -> int:
    """Return the bytes that arrays of these shapes take."""
    return sum(math.prod(shape) for shape in shapes.values())


def allocate(shapes: Shapes, *, on_disk: bool) -> dict[str, NDArray[np.uint8]]:
    """Return an array for each shape; on disk they vanish with the one named image.

    Raises:
        MemoryError: memory is too small.
        OSError: the disk is.
    """
    if not on_disk:
        return {name: np.empty(shape, np.uint8) for name, shape in shapes.items()}
    folder = Path(tempfile.mkdtemp(prefix="inspection_tf_cache_"))
    _LOG.info("caching %d MiB on disk in %s", needed(shapes) >> 20, folder)
    try:
        arrays = {name: _on_file(folder / name, shape) for name, shape in shapes.items()}
    except BaseException:
        shutil.rmtree(folder, ignore_errors=True)
        raise
    weakref.finalize(arrays["image"], shutil.rmtree, folder, ignore_errors=True)
    return arrays


def _on_file(path: Path, shape: tuple[int, ...]) -> NDArray[np.uint8]:
    if not hasattr(os, "posix_fallocate"):
        return np.memmap(path, mode="w+", shape=shape)
    # A map over a sparse file ends the process when the disk fills up; this raises.
    with path.open("wb") as file:
        os.posix_fallocate(file.fileno(), 0, math.prod(shape))
    return np.memmap(path, mode="r+", shape=shape)


@contextlib.contextmanager
def told(count: int) -> Iterator[None]:
    """Say of a block that stores `count` images that neither memory nor disk holds them.

    Raises:
        errors.StorageError: it does not.
    """
    try:
        yield
    except (MemoryError, OSError) as problem:
        raise errors.StorageError(
            f"The cache must hold {count} images. Got: {problem}. "
            "Free memory or disk, or set loader.cache: disk."
        ) from problem
