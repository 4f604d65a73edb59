"""Engines that TensorFlow makes and other software runs."""

import shutil
import sys
import types

import pytest
from engine_checks import contents

from inspection_tf import bundle, cli, errors, runtime


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
    """A TF-TRT that leaves a SavedModel as it is, but for the one signature that it keeps."""
    asked = []

    class Converter:
        def __init__(self, **options):
            asked.append(options)

        def convert(self):
            if asked[-1]["precision_mode"] == "FP16":
                raise RuntimeError("Tensorflow has not been built with TensorRT support.")

        def save(self, place):
            import tensorflow as tf

            loaded = tf.saved_model.load(asked[-1]["input_saved_model_dir"])
            key = asked[-1]["input_saved_model_signature_key"]
            tf.saved_model.save(loaded, place, signatures={key: loaded.signatures[key]})

    package = types.ModuleType("tensorflow.python.compiler.tensorrt")
    package.trt_convert = types.SimpleNamespace(TrtGraphConverterV2=Converter)
    monkeypatch.setitem(sys.modules, package.__name__, package)
    return asked


@pytest.mark.slow
def test_what_tf_trt_makes_goes_through_the_gate(toy_bundle_copy, tf_trt, capsys):
    root, words = toy_bundle_copy, ["convert", str(toy_bundle_copy), "--to", "tftrt"]
    assert cli.main([*words, "--precision", "int8"]) == 2
    assert "precision must be fp32 or fp16 for tftrt" in capsys.readouterr().err
    assert cli.main([*words, "--precision", "fp16"]) == 4
    assert "not been built with TensorRT" in capsys.readouterr().err
    assert not (root / "engines").exists()
    assert cli.main(words) == 0
    entry = bundle.read(root).engines["tftrt"]
    assert (entry.kind, entry.target, entry.state) == ("savedmodel", "GPU", "passed")
    assert tf_trt[-1]["precision_mode"] == "FP32"


@pytest.mark.slow
def test_tf_trt_is_said_to_be_elsewhere(toy_bundle_copy, capsys):
    before = contents(toy_bundle_copy)
    assert cli.main(["convert", str(toy_bundle_copy), "--to", "tftrt"]) == 4
    assert "inspection convert BUNDLE --to tensorrt" in capsys.readouterr().err
    assert contents(toy_bundle_copy) == before
