"""Streams that are absent, closed, full, foreign or left by their reader."""

import io
import logging
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest
import rich.table

from inspection_tf import errors, process

ROOT = Path(__file__).parents[2]
NAMES = ("[blue].png", ":smile:.png", "lot[/7]/a.png", "检查.png", "a" * 90 + ".png")


@pytest.fixture
def unread():
    """A pipe that nobody reads any more, as a text stream."""
    reader, writer = os.pipe()
    os.close(reader)
    with os.fdopen(writer, "w") as stream:
        yield stream
        # What could not be written would be tried once more when it is closed.
        with Path(os.devnull).open("w") as sink:
            os.dup2(sink.fileno(), writer)


def say_much():
    for number in range(3):
        process.say(f"line {number}")
    sys.stdout.write("and more\n")
    return errors.OK


# No console


def test_without_streams_a_command_ends_as_ever(monkeypatch):
    monkeypatch.setattr(sys, "stdout", None)
    monkeypatch.setattr(sys, "stderr", None)
    assert process.run(say_much) == 0
    assert (sys.stdout, sys.stderr) == (None, None)


def test_with_closed_streams_a_command_ends_as_ever(monkeypatch):
    for name in ("stdout", "stderr"):
        stream = io.StringIO()
        stream.close()
        monkeypatch.setattr(sys, name, stream)

    def fail():
        say_much()
        raise errors.DataError("A. Got B. Do C.")

    assert process.run(fail) == 3


def test_outside_of_a_command_what_nobody_can_read_is_dropped(monkeypatch):
    monkeypatch.setattr(sys, "stdout", None)
    monkeypatch.setattr(sys, "stderr", None)
    process.say("x")
    process.complain("x")
    logging.getLogger("inspection_tf").warning("x")
    assert not process.is_unheard()
    assert not process.is_terminal(None)


def test_a_console_that_works_gets_everything_as_it_is(capsys):
    assert process.run(say_much) == 0
    assert capsys.readouterr().out == "line 0\nline 1\nline 2\nand more\n"


CLOSED = """
import os, sys
from inspection_tf import process

def body():
    with open(sys.argv[1], "wb") as stream:
        os.write(2, b"what a library says")
        os.write(1, b"or this")
        stream.write(b"whole")
        print("nobody")
    return 0

sys.exit(process.run(body))
"""


@pytest.mark.skipif(os.name != "posix", reason="descriptors of POSIX")
def test_what_is_said_on_a_closed_descriptor_lands_in_no_file(tmp_path):
    path = tmp_path / "bundle"
    words = f'exec "{sys.executable}" -c "$0" "{path}" <&- >&- 2>&-'
    ended = subprocess.run(["sh", "-c", words, CLOSED], cwd=ROOT, check=False)
    assert ended.returncode == 0
    assert path.read_bytes() == b"whole"


# Nobody reads, or nothing can be written


def test_a_reader_that_went_away_ends_a_command_with_141_and_in_silence(
    unread, monkeypatch, capsys
):
    monkeypatch.setattr(sys, "stdout", unread)
    assert process.run(say_much) == errors.SIGPIPE == 141
    assert sys.stdout is unread
    assert capsys.readouterr().err == ""


@pytest.mark.parametrize("code", [1, 3])
def test_what_a_command_says_by_its_code_outweighs_a_reader_that_went_away(
    unread, monkeypatch, code
):
    monkeypatch.setattr(sys, "stdout", unread)
    assert process.run(lambda: say_much() or code) == code


def test_a_reader_of_stderr_may_go_away_too(unread, monkeypatch):
    monkeypatch.setattr(sys, "stderr", unread)

    def body():
        logging.getLogger("inspection_tf").warning("x")
        process.complain("y")
        return 1

    assert process.run(body) == 1


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="no /dev/full")
def test_a_full_console_is_told_once(monkeypatch, capsys):
    with Path("/dev/full").open("w") as full:
        monkeypatch.setattr(sys, "stdout", full)
        assert process.run(say_much) == 141
        with pytest.raises(OSError, match="No space"):  # what waits is the caller's again
            full.flush()
        with Path(os.devnull).open("w") as sink:
            os.dup2(sink.fileno(), full.fileno())
    assert capsys.readouterr().err.count("No space left on device") == 1


def test_a_command_may_ask_whether_it_is_heard(unread, monkeypatch):
    heard = []

    def body():
        heard.append(not process.is_unheard())
        process.say("x")
        heard.append(not process.is_unheard())
        return 0

    assert process.run(body) == 0
    assert heard == [True, True]
    monkeypatch.setattr(sys, "stdout", unread)
    assert process.run(body) == 141
    assert heard[2:] == [True, False]


WRITES = """
import sys
from inspection_tf import process
sys.exit(process.run(lambda: [print(n) for n in range(9999)] and 0))
"""


@pytest.mark.skipif(os.name != "posix", reason="pipes of POSIX")
@pytest.mark.parametrize("where", ["| head -n 1", "> /dev/full"])
def test_python_does_not_complain_at_its_end(where):
    words = f'set -o pipefail; "{sys.executable}" -c "$0" {where}'
    ended = subprocess.run(
        ["bash", "-c", words, WRITES], cwd=ROOT, capture_output=True, text=True, check=False
    )
    assert ended.returncode == 141
    assert "Exception" not in ended.stderr
    assert "Traceback" not in ended.stderr


# Another code page


@pytest.mark.parametrize("encoding", ["ascii", "cp1252", "utf-8"])
def test_what_a_console_has_no_letter_for_is_written_as_an_escape(encoding, monkeypatch):
    raw = io.BytesIO()
    monkeypatch.setattr(sys, "stdout", io.TextIOWrapper(raw, encoding=encoding))
    assert process.run(lambda: sys.stdout.write("检 é \udcff") and 0) == 0
    sys.stdout.flush()
    expected = {
        "ascii": rb"\u68c0 \xe9 \udcff",
        "cp1252": b"\\u68c0 \xe9 \\udcff",
        "utf-8": "检 é ".encode() + rb"\udcff",
    }
    assert raw.getvalue() == expected[encoding]


# Lines and tables


def test_a_sentence_is_one_line_whatever_names_it_holds(capsys):
    process.complain("a\nb\x1b[31m")
    process.say("c\nd")
    captured = capsys.readouterr()
    assert captured.err == "a\\nb\\x1b[31m\n"
    assert captured.out == "c\\nd\n"


def test_a_message_of_the_log_is_one_line_and_a_traceback_has_its_own(monkeypatch):
    monkeypatch.setattr(sys, "stderr", io.StringIO())
    process.set_up_logging()
    log = logging.getLogger("inspection_tf")
    log.warning("%s is odd", "a\nb")
    assert sys.stderr.getvalue().endswith(" a\\nb is odd\n")
    assert sys.stderr.getvalue().count("\n") == 1
    log.error("internal", exc_info=ValueError("x"))
    assert sys.stderr.getvalue().endswith("internal\nValueError: x\n")


def table():
    made = rich.table.Table("name", "what", box=None)
    for name in NAMES:
        made.add_row(process.cell(name), "it is so, and that for a reason " * 3)
    return made


def test_in_a_pipe_each_row_is_one_line_with_all_of_its_text(capsys):
    process.show_table(table())
    lines = capsys.readouterr().out.splitlines()
    assert len(lines) == 1 + len(NAMES)
    for line, name in zip(lines[1:], NAMES, strict=True):
        assert line.split("  ")[0].strip() == name
        assert line.endswith("for a reason")


def on_a_terminal(monkeypatch, width):
    stream = io.StringIO()
    stream.isatty = lambda: True
    monkeypatch.setattr(sys, "stdout", stream)
    monkeypatch.setenv("TERM", "xterm")
    monkeypatch.setenv("NO_COLOR", "1")
    monkeypatch.setenv("COLUMNS", str(width))
    process.show_table(table())
    return re.sub(r"\x1b\[\d*m", "", stream.getvalue()).splitlines()


def test_on_a_terminal_a_table_is_as_wide_as_that(monkeypatch):
    lines = on_a_terminal(monkeypatch, 140)
    assert max(map(len, lines)) <= 140
    first = [line.split()[0] for line in lines if not line.startswith("  ")]
    assert first[:5] == ["name", *NAMES[:4]]
    assert sum(line.count("a") for line in lines) >= 90  # of the longest name
    assert sum(line.count("reason") for line in lines) == 3 * len(NAMES)


def test_on_a_narrow_terminal_names_go_on_in_the_next_line(monkeypatch):
    lines = on_a_terminal(monkeypatch, 60)
    assert max(map(len, lines)) <= 60
    assert sum(line.count("a") for line in lines) >= 90  # of the longest name
    for name in NAMES[:4]:
        assert any(line.strip().startswith(name) for line in lines)
    assert sum(line.count("reason") for line in lines) == 3 * len(NAMES)
