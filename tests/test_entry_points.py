"""How the package is started: as a module, from any folder, and without docstrings."""

import configparser
import importlib
import importlib.util
import os
import subprocess
import sys
import types
from pathlib import Path

import pytest

import pipelines
from inspection_tf import config, errors
from inspection_tf.config import help_texts

ROOT = Path(__file__).parents[1]


def python(*words, cwd):
    return subprocess.run(
        [sys.executable, *words], cwd=cwd, env={**os.environ, "PYTHONPATH": str(ROOT)},
        capture_output=True, text=True, check=False, timeout=120,
    )  # fmt: skip


def test_the_package_is_the_command(tmp_path):
    ended = python("-m", "inspection_tf", "--help", cwd=tmp_path)
    assert (ended.returncode, ended.stderr) == (0, "")
    assert "usage: inspection" in ended.stdout
    assert "evaluate" in ended.stdout
    ended = python("-m", "inspection_tf", "verify", "none", cwd=tmp_path)
    assert ended.returncode == 4
    assert ended.stderr.startswith("error: none: a bundle must be a folder")


def test_an_unknown_command_ends_with_2(tmp_path):
    assert python("-m", "inspection_tf", "predit", cwd=tmp_path).returncode == 2


# Recipes in every folder


def test_recipes_are_installed_with_their_configurations():
    declared = configparser.ConfigParser()
    declared.read(ROOT / "setup.cfg")
    assert "pipelines" in declared["options.packages.find"]["include"].split()
    pattern = declared["options.package_data"]["pipelines"]
    others = {path.suffix for path in (ROOT / "pipelines").iterdir() if path.is_file()} - {".py"}
    assert others == {Path(pattern).suffix} == {".yaml"}


@pytest.mark.slow
def test_a_recipe_starts_in_another_folder(tmp_path):
    ended = python("-m", "pipelines.dagm_segmentation", "--help", cwd=tmp_path)
    assert ended.returncode == 0
    plain = python("-OO", "-m", "pipelines.dagm_segmentation", "--help", cwd=tmp_path)
    assert plain.stdout == ended.stdout
    assert "Defect segmentation: from images to a bundle" in ended.stdout


@pytest.mark.parametrize(("started", "code"), [(["-m"], 2), (["pytest"], None)])
def test_a_recipe_without_keras_says_what_to_install(monkeypatch, capsys, started, code):
    monkeypatch.setattr(sys, "argv", started)
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None)
    if code is None:
        importlib.reload(pipelines)
        return
    with pytest.raises(SystemExit) as caught:
        importlib.reload(pipelines)
    assert caught.value.code == code
    said = capsys.readouterr().err
    assert said.startswith("error: A recipe trains with Keras")
    assert 'pip install ".[train]"' in said


def test_with_keras_it_says_nothing(monkeypatch):
    monkeypatch.setattr(sys, "argv", ["-m"])
    importlib.reload(pipelines)


def test_a_configuration_that_lies_beside_the_recipe_is_named(tmp_path, monkeypatch):
    (tmp_path / "there").mkdir()
    for name in ("toy", "real"):
        (tmp_path / "there" / f"{name}.yaml").write_text("rate: 1\n")
    (tmp_path / "here").mkdir()
    monkeypatch.chdir(tmp_path / "here")

    def start(*words):
        default = tmp_path / "there" / "toy.yaml"
        return config.from_command_line(
            Toy, words, default_path=default, program="x", description="x"
        )

    with pytest.raises(errors.ConfigError, match=f"lies at {tmp_path}/there/real.yaml"):
        start("--config", "pipelines/real.yaml")
    with pytest.raises(errors.ConfigError, match="must be a readable file"):
        start("--config", "pipelines/no.yaml")
    assert start("--config", "../there/real.yaml")[0] == Toy(rate=1)


class Toy(config.Section):
    rate: float
    """Step."""


# -OO


def test_help_keeps_its_texts_without_docstrings(tmp_path):
    whole = python("-m", "inspection_tf", "predict", "--help", cwd=tmp_path)
    plain = python("-OO", "-m", "inspection_tf", "predict", "--help", cwd=tmp_path)
    assert plain.returncode == 0
    assert plain.stdout == whole.stdout
    assert "Decide about images." in plain.stdout
    assert "folder of the bundle." in plain.stdout


SOURCE = '''"""Module."""
import dataclasses
from pathlib import Path


@dataclasses.dataclass
class Kind:
    """What to draw."""

    count: int = 0


def command() -> int:
    """Do it."""
    return 0


def bare() -> int:
    return 0
'''


@pytest.fixture
def stripped(tmp_path):
    """A module as Python compiles it under -OO."""
    path = tmp_path / "toy.py"
    path.write_text(SOURCE)
    module = types.ModuleType("toy")
    module.__file__ = str(path)
    sys.modules["toy"] = module
    exec(compile(SOURCE, path, "exec", optimize=2), module.__dict__)
    yield module
    del sys.modules["toy"]


def test_docstrings_are_read_from_the_source(stripped):
    assert (stripped.__doc__, stripped.command.__doc__) == (None, None)
    known = Path.__doc__
    help_texts.restore_in(stripped)
    assert stripped.__doc__ == "Module."
    assert stripped.Kind.__doc__ == "What to draw."
    assert (stripped.command.__doc__, stripped.bare.__doc__) == ("Do it.", None)
    assert Path.__doc__ == known


def test_without_a_source_nothing_happens(stripped, tmp_path):
    (tmp_path / "toy.py").unlink()
    help_texts.restore_in(stripped)
    assert stripped.command.__doc__ is None
