"""Plans of TensorRT, and the script where there is none."""

import os
import shutil
import subprocess

import pytest
from engine_checks import contents, spec

from inspection_tf import bundle, cli, errors, runtime
from inspection_tf.conversion import convert
from inspection_tf.engines.entry import BatchProfile

pytest.importorskip("onnx")


@pytest.mark.slow
@pytest.mark.parametrize("precision", ["fp32", "fp16", "int8"])
@pytest.mark.parametrize("made", ["toy_shipped", "toy_cascade", "toy_pair"])
def test_tensorrt_is_built_ahead_of_time_and_not_run(request, tmp_path, made, precision):
    pytest.importorskip("tensorrt_rtx")
    root = shutil.copytree(request.getfixturevalue(made).path, tmp_path / "bundle")
    asked = spec(
        precision=precision,
        compute_capability="8.6",
        batch=BatchProfile(smallest=1, usual=2, largest=8),
    )
    entry = convert.convert(root, "tensorrt", spec=asked).entry
    assert (entry.kind, entry.target, entry.state) == ("tensorrt_rtx", "SM86", "built, not run")
    assert (entry.batch.usual, entry.batch.largest) == (2, 8)
    assert (entry.calibration is not None) == (precision == "int8")
    for file in entry.files.values():
        assert (root / file).stat().st_size > 10_000
    with pytest.raises(errors.BundleError, match="must have passed the gate"):
        runtime.Inspector.load(root, engine="tensorrt")
    assert runtime.Inspector.load(root, engine="auto").engine_name == "onnx"


@pytest.mark.slow
def test_a_compute_capability_that_is_none_lists_those_there_are(toy_bundle_copy, capsys):
    pytest.importorskip("tensorrt_rtx")
    words = ["convert", str(toy_bundle_copy), "--to", "tensorrt", "--compute-capability", "3.0"]
    assert cli.main(words) == 2
    assert "must be one of 7.5, 8.0, 8.6, 8.9, 12.0" in capsys.readouterr().err


def test_without_tensorrt_a_script_is_written(toy_bundle_copy, monkeypatch, capsys):
    from inspection_tf.conversion.builders import tensorrt_plan

    monkeypatch.setattr(tensorrt_plan, "MODULES", ())
    assert cli.main(["convert", str(toy_bundle_copy), "--to", "tensorrt"]) == 0
    assert "engines/tensorrt/build.sh" in capsys.readouterr().out
    text = (toy_bundle_copy / "engines" / "tensorrt" / "build.sh").read_text()
    assert 'trtexec --onnx="$here/segmenter.onnx" --saveEngine="$out/segmenter.engine"' in text
    assert "--minShapes=image:1x64x64x1 --optShapes=image:4x64x64x1" in text
    assert bundle.read(toy_bundle_copy).engines["tensorrt"].kind == "trtexec"


def test_the_script_builds_outside_the_bundle(toy_bundle_copy, tmp_path, monkeypatch):
    from inspection_tf.conversion.builders import tensorrt_plan

    monkeypatch.setattr(tensorrt_plan, "MODULES", ())
    convert.convert(toy_bundle_copy, "tensorrt")
    tool = tmp_path / "bin" / "trtexec"
    tool.parent.mkdir()
    tool.write_text(
        '#!/usr/bin/env bash\nfor word in "$@"; do case $word in\n'
        '--onnx=*) test -f "${word#*=}" ;;\n--saveEngine=*) echo plan >"${word#*=}" ;;\n'
        "esac || exit 9; done\n"
    )
    tool.chmod(0o755)
    script = toy_bundle_copy / "engines" / "tensorrt" / "build.sh"

    def build(*words):
        path = f"{tool.parent}:{os.environ['PATH']}"
        return subprocess.run(
            ["bash", str(script), *words],
            env={**os.environ, "PATH": path},
            cwd=toy_bundle_copy,
            capture_output=True,
            text=True,
            check=False,
        )

    before = contents(toy_bundle_copy)
    for inside in (".", "new/folder", str(script.parent)):
        refused = build(inside)
        assert refused.returncode == 2
        assert "must lie outside the bundle" in refused.stderr
    assert "build.sh FOLDER" in build().stderr
    out = tmp_path / "bundle engines"  # its name begins as the bundle's does
    assert build(str(out)).returncode == 0
    assert (out / "segmenter.engine").read_text() == "plan\n"
    assert contents(toy_bundle_copy) == before
    assert not (toy_bundle_copy / "new").exists()


@pytest.mark.parametrize(
    "words", [("--batch.largest", "2", "--batch.usual", "1"), ("--batch.smallest", "2")]
)
def test_a_profile_that_the_gate_cannot_use_is_refused_at_once(toy_bundle_copy, words, capsys):
    assert cli.main(["convert", str(toy_bundle_copy), "--to", "tensorrt", *words]) == 2
    assert "must take single images and the batches of gate and tiles, 4" in capsys.readouterr().err
