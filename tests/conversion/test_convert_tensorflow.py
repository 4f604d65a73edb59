"""Engines that TensorFlow makes and other software runs."""

import runpy
import shutil
import sys
import types
from pathlib import Path

import pytest
from engine_checks import contents, spec

from inspection_tf import bundle, cli, errors, runtime
from inspection_tf.conversion import convert
from inspection_tf.conversion.builders import saved_model, tf_trt_script


@pytest.mark.slow
@pytest.mark.parametrize("made", ["toy_shipped", "toy_cascade", "toy_pair"])
def test_a_savedmodel_passes_the_gate_and_is_for_other_software(request, tmp_path, made, capsys):
    root = shutil.copytree(request.getfixturevalue(made).path, tmp_path / "bundle")
    assert cli.main(["convert", str(root), "--to", "savedmodel"]) == 0
    assert "savedmodel, float32, passed" in capsys.readouterr().out
    with pytest.raises(errors.BundleError, match="for other software"):
        runtime.Inspector.load(root, engine="savedmodel")
    assert runtime.Inspector.load(root, engine="auto").engine_name == "onnx"


@pytest.fixture
def tf_trt(monkeypatch):
    """A TF-TRT that writes the name of what it was given, and a TensorFlow that writes no network.

    In float16 it says what a TensorFlow without TensorRT says.
    """
    asked = []

    class Converter:
        def __init__(self, **options):
            asked.append(options)

        def convert(self):
            if asked[-1]["precision_mode"] == "FP16":
                raise RuntimeError("Tensorflow has not been built with TensorRT support.")

        def save(self, place):
            Path(place).mkdir(parents=True)
            (Path(place) / "saved_model.pb").write_text(asked[-1]["input_saved_model_dir"])

    package = types.ModuleType("tensorflow.python.compiler.tensorrt")
    package.trt_convert = types.SimpleNamespace(TrtGraphConverterV2=Converter)
    monkeypatch.setitem(sys.modules, package.__name__, package)
    return asked


@pytest.fixture
def no_tensorflow(monkeypatch):
    """SavedModels that are written at once, and hold nothing."""

    def write(request, graph, folder):
        folder.mkdir()
        (folder / "saved_model.pb").write_text(graph)

    monkeypatch.setattr(saved_model, "write", write)


def run_script(monkeypatch, script, *words):
    """Run a script as a program of its own; returns the exit code."""
    monkeypatch.setattr(sys, "argv", [str(script), *map(str, words)])
    with pytest.raises(SystemExit) as ended:
        runpy.run_path(str(script), run_name="__main__")
    return ended.value.code


def test_tf_trt_gets_a_savedmodel_and_a_script_and_is_not_run(
    toy_bundle_copy, no_tensorflow, capsys
):
    assert cli.main(["convert", str(toy_bundle_copy), "--to", "tftrt", "--precision", "fp16"]) == 0
    out = capsys.readouterr().out
    assert "engines/tftrt: savedmodel, float16, built, not run" in out
    assert "see engines/tftrt/build.py" in out
    entry = bundle.read(toy_bundle_copy).engines["tftrt"]
    assert (entry.kind, entry.state, entry.parity) == ("savedmodel", "built, not run", {})
    assert entry.files == {"segmenter": "engines/tftrt/segmenter/saved_model.pb"}
    assert runtime.Inspector.load(toy_bundle_copy, engine="auto").engine_name == "onnx"


def test_the_script_of_tf_trt_converts_outside_the_bundle(
    toy_bundle_copy, no_tensorflow, tf_trt, tmp_path, monkeypatch, capsys
):
    convert.convert(toy_bundle_copy, "tftrt")
    script = toy_bundle_copy / "engines" / "tftrt" / "build.py"
    before = contents(toy_bundle_copy)
    assert run_script(monkeypatch, script) == 2
    assert "python build.py FOLDER" in capsys.readouterr().err
    for inside in (toy_bundle_copy, toy_bundle_copy / "new", script.parent):
        assert run_script(monkeypatch, script, inside) == 2
        assert "must lie outside the bundle" in capsys.readouterr().err
    out = tmp_path / "bundle engines"  # its name begins as the bundle's does
    assert run_script(monkeypatch, script, out) == 0
    source = (out / "segmenter" / "saved_model.pb").read_text()
    assert Path(source) == script.parent.resolve() / "segmenter"
    assert tf_trt[-1]["precision_mode"] == "FP32"
    assert tf_trt[-1]["input_saved_model_signature_key"] == "serving_default"
    assert contents(toy_bundle_copy) == before


def test_what_tf_trt_refuses_is_a_sentence(
    toy_bundle_copy, no_tensorflow, tf_trt, tmp_path, monkeypatch, capsys
):
    convert.convert(toy_bundle_copy, "tftrt", spec=spec(precision="fp16"))
    script = toy_bundle_copy / "engines" / "tftrt" / "build.py"
    assert run_script(monkeypatch, script, tmp_path / "out") == 1
    assert "not been built with TensorRT" in capsys.readouterr().err


def test_tf_trt_has_no_int8_of_its_own(toy_bundle_copy, capsys):
    before = contents(toy_bundle_copy)
    assert cli.main(["convert", str(toy_bundle_copy), "--to", "tftrt", "--precision", "int8"]) == 2
    assert "precision must be fp32 or fp16 for tftrt" in capsys.readouterr().err
    assert contents(toy_bundle_copy) == before


def test_the_script_of_tf_trt_needs_nothing_of_this_package():
    text = Path(tf_trt_script.__file__).read_text()
    assert "inspection_tf" not in text
