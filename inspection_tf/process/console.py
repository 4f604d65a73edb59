"""The two streams of a process: results on stdout, all else on stderr, whatever these are.

A service has no console, a pipe's reader goes away, a console knows another alphabet, a disk is
full: none of them ends the work. Within `steady` every writer is served, this package's and others'
(`print`, logging, rich, tyro, tqdm).
"""

import contextlib
import copy
import dataclasses
import errno
import logging
import os
import sys
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any, TextIO, cast

from inspection_tf.process import text as texts

if TYPE_CHECKING:
    import rich.table

_LOG = logging.getLogger("inspection_tf")
_STANDARD = (0, 1, 2)
_GONE = (errno.EPIPE, errno.ECONNRESET, errno.ESHUTDOWN)  # nobody reads any more: no news to anyone


class _Steady:
    """A text stream that accepts whatever is written to it and raises nothing where that is lost.

    Attributes:
        name: of the stream.
        is_lost: something could not be written; all that follows is dropped.
    """

    def __init__(self, stream: TextIO, name: str) -> None:
        self._stream = stream
        self.name = name
        self.is_lost = False

    def __getattr__(self, name: str) -> object:
        attribute: object = getattr(self._stream, name)
        return attribute

    def write(self, text: str) -> int:
        """Write text; characters that the console has not are written as escapes."""
        if not self.is_lost:
            try:
                self._write(text)
            except (OSError, ValueError) as problem:
                self._lose(problem)
        return len(text)

    def _write(self, text: str) -> None:
        try:
            self._stream.write(text)
        except UnicodeEncodeError:
            encoding = self._stream.encoding
            self._stream.write(text.encode(encoding, "backslashreplace").decode(encoding))

    def writelines(self, lines: list[str]) -> None:
        """Write each."""
        for line in lines:
            self.write(line)

    def flush(self) -> None:
        """Send what was written on its way."""
        if not self.is_lost:
            try:
                self._stream.flush()
            except (OSError, ValueError) as problem:
                self._lose(problem)

    def isatty(self) -> bool:
        """Return whether it is a terminal that can still be written to."""
        return not self.is_lost and is_terminal(self._stream)

    def _lose(self, problem: Exception) -> None:
        self.is_lost = True
        # What waits in Python's buffer must go somewhere, or the interpreter complains at its end.
        with contextlib.suppress(OSError, ValueError):
            number = self._stream.fileno()
            if number in _STANDARD:
                with _nowhere() as sink:
                    os.dup2(sink, number)
        code = problem.errno if isinstance(problem, OSError) else None
        if self.name == "stdout" and code not in _GONE:
            what = os.strerror(code) if code else str(problem)
            complain(
                f"warning: stdout must take the results. Got: {what}. "
                "The exit code still counts, and so does what --out holds."
            )


@contextlib.contextmanager
def _nowhere() -> Iterator[int]:
    sink = os.open(os.devnull, os.O_WRONLY)
    try:
        yield sink
    finally:
        os.close(sink)


def _is_usable(stream: TextIO | None) -> bool:
    return stream is not None and not getattr(stream, "closed", False)


def _fill_descriptors() -> None:
    """Open the null device in place of each standard descriptor that is closed.

    Else the next file that is opened, a bundle's perhaps, gets its number, and what a library
    written in C says on stderr lands in it.
    """
    for number in _STANDARD:
        try:
            os.fstat(number)
        except OSError:
            opened = os.open(os.devnull, os.O_RDWR)  # gets the lowest free number: this one
            if opened == number:
                os.set_inheritable(opened, True)  # a process that is started needs it as well
            else:
                os.close(opened)


@contextlib.contextmanager
def steady() -> Iterator[None]:
    """Make stdout and stderr accept whatever is written while the block runs.

    Where a stream is absent or closed, what is written to it is dropped. Where writing fails, the
    rest is dropped, and `is_unheard` returns True.
    """
    _fill_descriptors()
    before = {name: getattr(sys, name) for name in ("stdout", "stderr")}
    with contextlib.ExitStack() as opened:
        steady_streams: dict[str, _Steady] = {}
        for name, stream in before.items():
            if not _is_usable(stream):
                sink = open(os.devnull, "w", encoding="utf-8")  # noqa: PTH123, SIM115
                stream = opened.enter_context(sink)
            steady_streams[name] = _Steady(stream, name)
            setattr(sys, name, steady_streams[name])
        try:
            yield
        finally:
            for name, stream in steady_streams.items():
                stream.flush()
                if getattr(sys, name) is stream:  # another thread may have put its own there
                    setattr(sys, name, before[name])


def is_unheard() -> bool:
    """Return whether results could not be written: their reader went away, or the disk is full."""
    stream: object = sys.stdout
    if not isinstance(stream, _Steady):
        return False
    stream.flush()
    return stream.is_lost


def is_terminal(stream: TextIO | None) -> bool:
    """Return whether a stream is a terminal; one that is absent or closed is none."""
    try:
        return stream is not None and bool(stream.isatty())
    except (AttributeError, OSError, ValueError):
        return False


def _put(stream: TextIO | None, line: str) -> None:
    if stream is not None:
        stream.write(f"{line}\n")
        stream.flush()


def say(line: str) -> None:
    """Write a result to stdout, on one line; whoever reads it has it when this returns."""
    _put(sys.stdout, texts.printable(line))


def complain(sentence: str) -> None:
    """Write a sentence to stderr, on one line whatever names it holds."""
    _put(sys.stderr, texts.printable(sentence))


def show_table(table: "rich.table.Table") -> None:
    """Write a table to stdout; nothing is cut off.

    On a terminal it is as wide as that; in a pipe or a file each row is one line.

    Args:
        table: its cells are made by `cell`, so that names in it stay names.
    """
    import rich.console
    import rich.measure

    def console(width: int | None) -> rich.console.Console:
        return rich.console.Console(width=width, markup=False, emoji=False, highlight=False)

    narrow = console(None)
    needed = rich.measure.Measurement.get(narrow, narrow.options.update(max_width=2**20), table)
    whole = console(needed.maximum)
    if narrow.is_jupyter:
        whole.print(table)
        return
    if is_terminal(sys.stdout):
        narrow.print(_folded(table, fits=needed.minimum <= narrow.width))
        return
    with whole.capture() as captured:
        whole.print(table)
    for line in captured.get().splitlines():
        _put(sys.stdout, line.rstrip())


def _folded(table: "rich.table.Table", *, fits: bool) -> "rich.table.Table":
    """Return a table whose words go on in the next line of their cell where rich would cut them.

    Args:
        table: stays as it is.
        fits: the columns that are not to be wrapped need not be.
    """
    folded = copy.copy(table)
    folded.columns = [
        dataclasses.replace(column, no_wrap=column.no_wrap and fits, overflow="fold")
        for column in table.columns
    ]
    return folded


class _LogHandler(logging.StreamHandler[Any]):
    """Writes each message as one line to what is stderr at that time."""

    def __init__(self) -> None:
        logging.Handler.__init__(self)
        self.setFormatter(_LineFormatter("%(asctime)s %(message)s", "%H:%M:%S"))

    @property
    def stream(self) -> TextIO:  # an attribute of the base
        """Return stderr, or where there is none a stream that drops everything."""
        return cast(TextIO, sys.stderr if _is_usable(sys.stderr) else _Nothing())


class _Nothing:
    """A stream that drops everything."""

    def write(self, text: str) -> int:
        return len(text)

    def flush(self) -> None:
        """Do nothing."""


class _LineFormatter(logging.Formatter):
    """Keeps a message on one line; a traceback under it has its own."""

    def formatMessage(self, record: logging.LogRecord) -> str:  # noqa: N802  a name of logging
        return texts.printable(super().formatMessage(record))


def set_up_logging(level: int = logging.INFO) -> None:
    """Send the package's log to stderr, once."""
    if not _LOG.handlers:
        _LOG.addHandler(_LogHandler())
    _LOG.setLevel(level)
