import io
import sys

import pytest

from inspection_tf import process


class Terminal(io.StringIO):
    def isatty(self):
        return True


@pytest.fixture
def on_terminal(monkeypatch):
    """Make stderr a terminal. Not while fixtures are set up: pytest puts its own there after it."""

    def begin():
        monkeypatch.setenv("TERM", "xterm")
        monkeypatch.setattr(sys, "stderr", Terminal())
        return sys.stderr

    return begin


def work():
    with process.bar("drawing [blue]") as progress:
        for done in range(1, 4):
            progress(done, 3)


def test_a_bar_shows_on_a_terminal_what_takes_long_and_how_far_it_is(on_terminal):
    terminal = on_terminal()
    work()
    shown = terminal.getvalue()
    assert "drawing [blue]" in shown
    assert "3/3" in shown


def test_nothing_shows_where_stderr_is_no_terminal(monkeypatch):
    monkeypatch.setattr(sys, "stderr", io.StringIO())
    work()
    assert sys.stderr.getvalue() == ""


@pytest.mark.parametrize("close", [True, False])
def test_nothing_shows_where_there_is_no_stderr(monkeypatch, close):
    stream = io.StringIO()
    stream.close()
    monkeypatch.setattr(sys, "stderr", stream if close else None)
    work()


def test_a_terminal_that_cannot_go_back_shows_no_bar(on_terminal, monkeypatch):
    terminal = on_terminal()
    monkeypatch.setenv("TERM", "dumb")
    work()
    assert terminal.getvalue() == ""


def test_a_bar_within_a_bar_shows_nothing(on_terminal):
    terminal = on_terminal()
    with process.bar("outer"), process.bar("inner") as progress:
        progress(1, 1)
    assert "outer" in terminal.getvalue()
    assert "inner" not in terminal.getvalue()


def test_a_bar_leaves_stdout_alone_and_goes_when_the_work_fails(on_terminal, capsys):
    terminal = on_terminal()

    def fail():
        with process.bar("drawing"):
            process.say("a result")
            raise ValueError("no")

    with pytest.raises(ValueError, match="no"):
        fail()
    assert capsys.readouterr().out == "a result\n"
    assert "result" not in terminal.getvalue()
    work()  # the next one shows again
    assert "3/3" in terminal.getvalue()
