import logging
import os
import signal

import pytest

from inspection_tf import config, errors
from inspection_tf.recipes import command_line


class Settings(config.Section):
    rate: float
    """Of learning, per step."""


@pytest.fixture(autouse=True)
def log_as_it_was():
    """`launch` sends the log to the stderr of its moment, which is gone after the test."""
    log = logging.getLogger("inspection_tf")
    handlers, level = log.handlers[:], log.level
    yield
    log.handlers[:] = handlers
    log.setLevel(level)


@pytest.fixture
def launch(tmp_path, monkeypatch):
    """Run a recipe that stands in a folder of its own with its YAML."""
    (tmp_path / "toy.yaml").write_text("rate: 3e-4\n")

    def run(body, *words):
        monkeypatch.setattr("sys.argv", ["toy", *words])
        return command_line.launch(Settings, body, str(tmp_path / "toy.py"))

    return run


def test_launch_reads_the_yaml_beside_the_recipe_and_the_command_line(launch, tmp_path):
    seen = []
    assert launch(lambda *given: seen.append(given)) == 0
    assert launch(lambda *given: seen.append(given), "--rate", "0.5", "--out", "here") == 0
    assert [(settings.rate, out and out.name) for settings, out in seen] == [
        (3e-4, None),
        (0.5, "here"),
    ]
    other = tmp_path / "other.yaml"
    other.write_text("rate: 2\n")
    assert launch(lambda *given: seen.append(given), "--config", str(other)) == 0
    assert seen[-1][0].rate == 2


@pytest.mark.parametrize(
    ("problem", "code"),
    [
        (errors.DataError("no images"), 3),
        (errors.StorageError("disk full"), 5),
        (errors.DivergedError("not finite"), 6),
        (errors.GateError("differs"), 7),
        (RuntimeError("a bug"), 70),
        (KeyboardInterrupt(), 130),
    ],
)
def test_launch_turns_a_problem_into_its_exit_code_and_a_sentence(launch, capsys, problem, code):
    def body(settings, out):
        raise problem

    assert launch(body) == code
    captured = capsys.readouterr()
    assert captured.out == ""
    last = captured.err.splitlines()[-1]
    assert last == (f"error: {problem}" if str(problem) else "Stopped; what is on disk stays.")


@pytest.mark.skipif(os.name != "posix", reason="SIGTERM is POSIX")
def test_launch_ends_with_143_when_it_is_told_to_stop(launch):
    def body(settings, out):
        os.kill(os.getpid(), signal.SIGTERM)
        signal.pause()

    assert launch(body) == 143


def test_launch_ends_with_2_at_a_misspelt_field(launch, tmp_path, capsys):
    (tmp_path / "toy.yaml").write_text("rate: 1\nraet: 1\n")
    assert launch(lambda *given: None) == 2
    assert "Perhaps you meant 'rate'" in capsys.readouterr().err


def test_help_lists_the_fields_with_their_units(launch, capsys):
    with pytest.raises(SystemExit) as caught:
        launch(lambda *given: None, "--help")
    assert caught.value.code == 0
    shown = " ".join(capsys.readouterr().out.split())
    assert "--rate" in shown
    assert "Of learning, per step." in shown
    assert "--out DIR" in shown
