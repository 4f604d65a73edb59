"""The process contract: exit codes, one sentence on stderr, logs on stderr, results on stdout."""

import logging
import signal
import sys
import threading
from collections.abc import Callable
from types import FrameType
from typing import NoReturn

from inspection_tf import errors

_LOG = logging.getLogger("inspection_tf")


class Terminated(BaseException):
    """SIGTERM arrived; a `BaseException`, so that no handler of errors swallows it."""


def _on_sigterm(signum: int, frame: FrameType | None) -> NoReturn:
    raise Terminated


def set_up_logging(level: int = logging.INFO) -> None:
    """Send the package's log to stderr, once."""
    if not _LOG.handlers:
        handler = logging.StreamHandler(sys.stderr)
        handler.setFormatter(logging.Formatter("%(asctime)s %(message)s", "%H:%M:%S"))
        _LOG.addHandler(handler)
    _LOG.setLevel(level)


def exit_code_of(problem: BaseException) -> int:
    """Return the exit code that an exception ends the process with."""
    if isinstance(problem, errors.InspectionError):
        return problem.exit_code
    if isinstance(problem, KeyboardInterrupt):
        return errors.SIGINT
    if isinstance(problem, Terminated):
        return errors.SIGTERM
    # TensorFlow's way to say out of memory, told by its name: this module imports no TensorFlow.
    is_exhausted = type(problem).__name__ == "ResourceExhaustedError"
    if errors.is_full_disk(problem) or is_exhausted or isinstance(problem, MemoryError):
        return errors.StorageError.exit_code
    return errors.InspectionError.exit_code


def run(body: Callable[[], int]) -> int:
    """Run a command and turn whatever it raises into a sentence and an exit code.

    Args:
        body: returns the exit code of a command that ended well.
    """
    set_up_logging()
    # Only the main thread may set handlers; elsewhere whoever owns it decides.
    is_main = threading.current_thread() is threading.main_thread()
    previous = signal.signal(signal.SIGTERM, _on_sigterm) if is_main else None
    try:
        return body()
    except (KeyboardInterrupt, Terminated) as stop:
        print("Stopped; what is on disk stays.", file=sys.stderr)  # noqa: T201
        return exit_code_of(stop)
    except errors.InspectionError as problem:
        print(f"error: {problem}", file=sys.stderr)  # noqa: T201
        return problem.exit_code
    except Exception as problem:  # the last line of defence: a traceback, and its own exit code
        code = exit_code_of(problem)
        if code == errors.InspectionError.exit_code:
            _LOG.exception("internal error")
        print(f"error: {str(problem) or type(problem).__name__}", file=sys.stderr)  # noqa: T201
        return code
    finally:
        if is_main:
            signal.signal(signal.SIGTERM, previous)
