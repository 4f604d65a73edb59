"""How a process ends: exit codes, one sentence on stderr, and signals."""

import logging
import signal
import threading
from collections.abc import Callable
from types import FrameType
from typing import NoReturn

from inspection_tf import errors
from inspection_tf.process import console

_LOG = logging.getLogger("inspection_tf")


class Terminated(BaseException):
    """SIGTERM arrived; a `BaseException`, so that no handler of errors swallows it."""


def _on_sigterm(signum: int, frame: FrameType | None) -> NoReturn:
    raise Terminated


def exit_code_of(problem: BaseException) -> int:
    """Return the exit code that an exception ends the process with."""
    if isinstance(problem, errors.InspectionError):
        return problem.exit_code
    if isinstance(problem, KeyboardInterrupt):
        return errors.SIGINT
    if isinstance(problem, Terminated):
        return errors.SIGTERM
    # TensorFlow's way to say out of memory, known by its name: this module imports no TensorFlow.
    is_exhausted = type(problem).__name__ == "ResourceExhaustedError"
    if errors.is_full_disk(problem) or is_exhausted or isinstance(problem, MemoryError):
        return errors.StorageError.exit_code
    return errors.InspectionError.exit_code


def report(problem: Exception) -> str:
    """Write to stderr what went wrong: a sentence, and for an internal error its traceback.

    Returns:
        The sentence.
    """
    sentence = str(problem) or type(problem).__name__
    is_expected = isinstance(problem, errors.InspectionError)
    if not is_expected and exit_code_of(problem) == errors.InspectionError.exit_code:
        _LOG.error("internal error", exc_info=problem)
    console.complain(f"error: {sentence}")
    return sentence


def _code_of(body: Callable[[], int]) -> int:
    try:
        return body()
    except (KeyboardInterrupt, Terminated) as stop:
        console.complain("Stopped; what is on disk stays.")
        return exit_code_of(stop)
    except Exception as problem:  # the last line of defence
        report(problem)
        return exit_code_of(problem)


def run(body: Callable[[], int]) -> int:
    """Run a command and turn whatever it raises into a sentence and an exit code.

    A console that is absent, closed, full or without a reader ends nothing; see `steady`. What
    would have ended with 0 ends with 141 where its results could not be written.

    Args:
        body: returns the exit code of a command that ended well.
    """
    with console.steady():
        console.set_up_logging()
        # Only the main thread may set handlers; elsewhere whoever owns it decides.
        is_main = threading.current_thread() is threading.main_thread()
        previous = signal.signal(signal.SIGTERM, _on_sigterm) if is_main else None
        try:
            code = _code_of(body)
        finally:
            if is_main:
                signal.signal(signal.SIGTERM, previous)
        return errors.SIGPIPE if code == errors.OK and console.is_unheard() else code
