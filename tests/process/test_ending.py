import errno
import logging
import os
import signal
import subprocess
import sys
import threading
from pathlib import Path

import pytest

from inspection_tf import errors, process

ROOT = Path(__file__).parents[2]


class ResourceExhaustedError(Exception):
    """Named as TensorFlow's."""


def raises(problem):
    def body():
        raise problem

    return body


@pytest.mark.parametrize(
    ("problem", "code"),
    [
        (errors.DataError("x"), 3),
        (errors.GateError("x"), 7),
        (KeyboardInterrupt(), 130),
        (process.Terminated(), 143),
        (OSError(errno.ENOSPC, "full"), 5),
        (OSError(errno.EDQUOT, "quota"), 5),
        (MemoryError(), 5),
        (ResourceExhaustedError(), 5),
        (OSError(errno.EACCES, "no"), 70),
        (ZeroDivisionError(), 70),
    ],
)
def test_whatever_is_raised_becomes_an_exit_code(problem, code, capsys):
    assert process.exit_code_of(problem) == code
    assert process.run(raises(problem)) == code
    assert capsys.readouterr().out == ""


def test_a_body_that_ends_well_gives_its_own_code():
    assert process.run(lambda: 1) == 1


def test_an_error_is_one_line_on_stderr(capsys):
    process.run(raises(errors.BundleError("A. Got B. Do C.")))
    assert capsys.readouterr().err == "error: A. Got B. Do C.\n"


def test_an_internal_error_is_logged_with_its_traceback(caplog, capsys):
    with caplog.at_level(logging.ERROR, logger="inspection_tf"):
        process.run(raises(ZeroDivisionError("1 / 0")))
    assert caplog.records[0].exc_info[0] is ZeroDivisionError
    assert capsys.readouterr().err.endswith("error: 1 / 0\n")


def test_an_error_without_words_is_named_by_its_kind(capsys):
    process.run(raises(MemoryError()))
    assert capsys.readouterr().err == "error: MemoryError\n"


def test_help_and_usage_errors_pass_through():
    with pytest.raises(SystemExit) as caught:
        process.run(raises(SystemExit(2)))
    assert caught.value.code == 2


def test_the_handler_of_sigterm_is_given_back():
    before = signal.getsignal(signal.SIGTERM)
    process.run(lambda: 0)
    assert signal.getsignal(signal.SIGTERM) is before


def test_it_runs_outside_the_main_thread():
    codes = []
    thread = threading.Thread(target=lambda: codes.append(process.run(lambda: 3)))
    thread.start()
    thread.join()
    assert codes == [3]


SCRIPT = """
import sys, time
from pathlib import Path
from inspection_tf import files, process

def body():
    with files.new_folder(sys.argv[1]) as folder:
        (folder / "half").touch()
        print("ready", flush=True)
        time.sleep(60)
    return 0

sys.exit(process.run(body))
"""


@pytest.mark.skipif(os.name != "posix", reason="signals of POSIX")
@pytest.mark.parametrize(("sent", "code"), [(signal.SIGTERM, 143), (signal.SIGINT, 130)])
def test_a_signal_ends_the_process_with_its_code_and_cleans_up(tmp_path, sent, code):
    # A job in the background of a shell inherits an ignored SIGINT, and Python keeps it so.
    restore = f"import signal; signal.signal({sent:d}, signal.default_int_handler)\n"
    if sent != signal.SIGINT:
        restore = ""
    with subprocess.Popen(
        [sys.executable, "-c", restore + SCRIPT, str(tmp_path / "final")],
        cwd=ROOT,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    ) as running:
        assert running.stdout.readline() == "ready\n"
        running.send_signal(sent)
        out, err = running.communicate(timeout=30)
    assert running.returncode == code
    assert (out, err) == ("", "Stopped; what is on disk stays.\n")
    assert [p.name for p in tmp_path.iterdir()] == []
