"""What a library of a conversion stumbles over, as a sentence of this package."""

import contextlib
import shutil
import tempfile
from collections.abc import Iterator

from inspection_tf import errors

_LEAST_FREE = 2**20  # bytes; where there is less, what a library could not write is the reason


@contextlib.contextmanager
def blaming(requirement: str, way_out: str = "Choose another engine") -> Iterator[None]:
    """Turn whatever a library stumbles over into the error of a network that it refuses.

    Memory and disk are not the network's fault, and libraries tell of a full disk in their own
    words; so it is looked at.

    Args:
        requirement: what must be possible.
        way_out: what to do.

    Raises:
        errors.BundleError: the library refuses the network.
        errors.StorageError: memory or temporary disk do not suffice.
    """
    try:
        yield
    except (errors.InspectionError, MemoryError):
        raise
    except Exception as problem:
        folder = tempfile.gettempdir()
        if errors.is_full_disk(problem) or shutil.disk_usage(folder).free < _LEAST_FREE:
            raise errors.StorageError(
                f"{folder} must have room for the files of a conversion. Got a full disk "
                f"({errors.first_line(problem)}). Free space, or set TMPDIR to another disk."
            ) from problem
        raise errors.BundleError(
            f"{requirement}. Got: {errors.first_line(problem)}. {way_out}."
        ) from problem
