"""What can go wrong, and the exit code each kind of failure has.

```
InspectionError            70  an internal error; the base of all
├── ConfigError             2  usage or configuration
├── DataError               3  images, masks, folders, splits
│   └── ImageError          3  one image that cannot be read or does not fit
├── BundleError             4  a bundle or model that is damaged, foreign or too new
├── StorageError            5  disk or memory
├── DivergedError           6  a training whose loss is no longer finite
├── GateError               7  a check said no: parity, promise, promotion
└── SealedError            70  something asked for a sealed image before its bundle is finished
```
"""

import errno
from collections.abc import Iterable
from typing import Any

OK = 0
NOT_OK = 1  # something inspected is NG or REVIEW
SIGINT = 130
SIGPIPE = 141  # the reader of the results went away
SIGTERM = 143


class InspectionError(Exception):
    """Base of every error this package raises on purpose.

    The message holds the requirement, what was received and the way out, one sentence each.
    """

    exit_code = 70


class ConfigError(InspectionError, ValueError):
    """A configuration field or an argument is not what it must be."""

    exit_code = 2


class DataError(InspectionError):
    """Images, masks or folders do not hold what the task needs."""

    exit_code = 3


class ImageError(DataError):
    """One image cannot be read, or does not fit the preprocessing."""


class BundleError(InspectionError):
    """A bundle is incomplete, altered, foreign or newer than this package."""

    exit_code = 4


class StorageError(InspectionError):
    """A disk is full, a folder cannot be written, or memory does not suffice."""

    exit_code = 5


class DivergedError(InspectionError):
    """A training has left the finite numbers."""

    exit_code = 6


class SealedError(InspectionError):
    """Something asked for the pixels of a sealed image before its bundle is finished."""


class GateError(InspectionError):
    """A gate refused: what was exported does not decide as what was trained.

    Attributes:
        report: what was compared, ready for JSON; None where there is no more to say.
    """

    exit_code = 7
    report: dict[str, Any] | None = None


def is_full_disk(problem: BaseException) -> bool:
    """Return whether the system says that a disk, or what a user may store on it, is full."""
    return isinstance(problem, OSError) and problem.errno in (errno.ENOSPC, errno.EDQUOT)


def first_line(problem: BaseException) -> str:
    """Return what a library said, in one line without its full stop."""
    lines = [line.strip() for line in str(problem).splitlines() if line.strip()]
    return lines[0].rstrip(".") if lines else type(problem).__name__


def gravest(exit_codes: Iterable[int]) -> int:
    """Return the exit code of a run over many files: 5 > 4 > 3 > 1 > 0; any other outranks them.

    Args:
        exit_codes: the code of each file.
    """
    by_gravity = (OK, NOT_OK, DataError.exit_code, BundleError.exit_code, StorageError.exit_code)
    return max(
        exit_codes,
        key=lambda code: by_gravity.index(code) if code in by_gravity else 99,
        default=OK,
    )
