"""Commands whose console is absent, full, or left by its reader; and what takes long on one."""

import contextlib
import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from inspection_tf import cli, images, process
from inspection_tf.datasets import data_spec
from inspection_tf.datasets.loading import loader
from inspection_tf.datasets.readers.located import markers
from inspection_tf.export import ship

ROOT = Path(__file__).parents[2]
posix = pytest.mark.skipif(os.name != "posix", reason="shells of POSIX")


def shell(words, **names):
    command = f"inspection() {{ '{sys.executable}' -m inspection_tf.cli \"$@\"; }}"
    return subprocess.run(
        ["bash", "-c", f"{command}; {words}"],
        cwd=ROOT,
        env={**os.environ, **{name: str(value) for name, value in names.items()}},
        capture_output=True,
        text=True,
        check=False,
    )


@posix
def test_a_reader_of_one_line_leaves_all_verdicts_on_disk(toy_bundle, tmp_path):
    ended = shell(
        'inspection predict "$B" "$B"/golden "$B"/golden --json --out "$O" | head -n 1; '
        "exit ${PIPESTATUS[0]}",
        B=toy_bundle,
        O=tmp_path / "o",
    )
    assert ended.returncode in (1, 141)  # golden samples are of both kinds
    assert ended.stderr.startswith("left out of folders: 2 subfolders")
    assert ended.stderr.count("\n") == 1
    first = json.loads(ended.stdout)
    lines = (tmp_path / "o" / "verdicts.jsonl").read_text().splitlines()
    assert len(lines) == 8
    assert json.loads(lines[0]) == first


@posix
def test_a_service_without_a_console_gets_code_and_verdicts(toy_bundle, tmp_path):
    words = 'inspection predict "$B" "$B"/golden/0.png gone.png --out "$O" <&- >&- 2>&-'
    ended = shell(words, B=toy_bundle, O=tmp_path / "o")
    assert ended.returncode == 3
    assert len((tmp_path / "o" / "verdicts.jsonl").read_text().splitlines()) == 2


@posix
@pytest.mark.parametrize("where", ["| head -n 1", "> /dev/full"])
def test_help_that_nobody_reads_to_its_end_ends_quietly(where):
    ended = shell(f"inspection predict --help {where}; exit ${{PIPESTATUS[0]}}")
    assert ended.returncode in (0, 141)
    assert "Traceback" not in ended.stderr
    assert "Exception ignored" not in ended.stderr


@pytest.mark.parametrize(
    "words",
    [
        ["verify"],
        ["predict", "golden/0.png"],
        ["predict", "golden/0.png", "--json"],
        ["evaluate", "--out", "OUT"],
        ["bench", "--repeats", "1", "--batch-sizes", "1", "--profile"],
        ["threshold", "--set", "0.4"],
        ["tiles"],
    ],
)
def test_every_command_works_without_streams(toy_bundle_copy, tmp_path, monkeypatch, words):
    monkeypatch.setattr(sys, "stdout", None)
    monkeypatch.setattr(sys, "stderr", None)
    monkeypatch.chdir(toy_bundle_copy)
    named = [str(tmp_path / "out") if word == "OUT" else word for word in words]
    assert cli.main([named[0], ".", *named[1:]]) in (0, 1)


@pytest.mark.parametrize("encoding", ["ascii", "cp1252"])
def test_help_is_shown_on_any_console(encoding):
    ended = shell("inspection predict", PYTHONIOENCODING=encoding)
    assert ended.returncode == 2
    assert "BUNDLE" in ended.stdout + ended.stderr


# What takes long


@pytest.fixture
def bars(monkeypatch):
    """What was shown as taking long, and how far it came."""
    seen = {}

    @contextlib.contextmanager
    def bar(what):
        yield lambda done, of: seen.update({what: (done, of)})

    monkeypatch.setattr(process, "bar", bar)
    return seen


def test_evaluate_shows_how_far_it_is(toy_bundle, tmp_path, bars):
    assert cli.main(["evaluate", str(toy_bundle), "--out", str(tmp_path / "o")]) == 0
    assert bars == {"inspecting": (4, 4)}


@pytest.mark.parametrize("kind", ["surface", "certificate", "grid", "insert"])
def test_synthesize_shows_how_far_it_is(tmp_path, bars, kind):
    assert cli.main(["synthesize", kind, "--out", str(tmp_path / "o"), "--count", "2"]) == 0
    assert bars == {"drawing": (2, 2)}


def test_markers_shows_how_far_it_is(tmp_path, bars):
    import numpy as np

    (tmp_path / "in").mkdir()
    for name in "ab":
        images.write_png(tmp_path / "in" / f"{name}.png", np.full((8, 8), 90, np.uint8))
    words = ["markers", str(tmp_path / "in"), "--out", str(tmp_path / "o"), "--unmarked"]
    assert cli.main(words) == 0
    assert bars == {"cleaning": (2, 2)}
    assert markers.convert.__kwdefaults__["progress"] is None


def test_a_data_set_that_is_checked_and_decoded_shows_how_far_it_is(toy_classes_root, bars):
    spec = data_spec.DataSpec(format="folder", root=toy_classes_root)
    found, shape = data_spec.read(spec), images.Preprocessing(size=(64, 64))
    data_spec.check(found, spec, shape)
    loader.cache(found, shape)
    assert bars == {"checking": (12, 12), "decoding": (12, 12)}


def test_an_export_shows_how_far_it_is(
    toy_model, toy_parts, toy_spec, toy_provenance, tmp_path, bars
):
    ship.ship(
        {"segmenter": toy_model},
        out=tmp_path / "bundle",
        tuning=[(None, toy_parts["tune"])],
        measured=[(None, toy_parts["test"])],
        split="test",
        spec=toy_spec,
        provenance=toy_provenance,
    )
    assert bars == {"measuring": (4, 4), "comparing": (8, 8)}


def test_a_conversion_shows_how_far_it_is(toy_bundle_copy, bars):
    assert cli.main(["convert", str(toy_bundle_copy), "--to", "onnx-fp16"]) == 0
    assert bars["comparing"] == (16, 16)  # 8 images at two batch sizes
