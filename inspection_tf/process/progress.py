"""A progress bar for long work, on a terminal only."""

import contextlib
import sys
import threading
from collections.abc import Callable, Iterator

from inspection_tf.process import console

Progress = Callable[[int, int], None]
"""Called with (done, of) after each step of something long."""

_console_line = threading.Lock()  # one bar at a time


def _quiet(done: int, of: int) -> None:
    """Do nothing: there is no bar to move."""


@contextlib.contextmanager
def bar(what: str) -> Iterator[Progress]:
    """Show a progress bar on stderr while the block runs; yield the function that moves it.

    There is no bar where stderr is no terminal, or shows one already. It vanishes after the block.

    Args:
        what: the work that takes long, in a word or two.
    """
    if not console.is_terminal(sys.stderr) or not _console_line.acquire(blocking=False):
        yield _quiet
        return
    try:
        with _live(what) as show:
            yield show
    finally:
        _console_line.release()


@contextlib.contextmanager
def _live(what: str) -> Iterator[Progress]:
    import rich.console
    import rich.progress

    terminal = rich.console.Console(stderr=True, markup=False, emoji=False, highlight=False)
    if terminal.is_dumb_terminal:  # it cannot go back to the begin of a line
        yield _quiet
        return
    live = rich.progress.Progress(
        rich.progress.TextColumn("{task.description}", markup=False),
        rich.progress.BarColumn(),
        rich.progress.MofNCompleteColumn(),
        rich.progress.TimeRemainingColumn(),
        console=terminal,
        transient=True,
        redirect_stdout=False,  # results stay where they belong
    )
    with live:
        task = live.add_task(what, total=None)

        def show(done: int, of: int) -> None:
            live.update(task, completed=done, total=of)

        yield show
