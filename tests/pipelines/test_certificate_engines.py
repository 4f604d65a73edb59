import shutil

import numpy as np
import pytest
from engine_checks import ANYTHING, spec
from triton_checks import check_repository, parsed

from inspection_tf import bench, runtime
from inspection_tf.conversion import convert
from inspection_tf.engines import openvino_engine
from inspection_tf.engines.entry import BatchProfile

# Engines of a bundle of fields: two looks, at toy size


@pytest.mark.slow
def test_a_repository_of_fields_fits_both_looks(field_run, tmp_path):
    root = shutil.copytree(field_run[0] / "bundle", tmp_path / "bundle")
    profile = BatchProfile(smallest=1, usual=2, largest=8)
    convert.convert(root, "triton", spec=spec(batch=profile))
    models = check_repository(root)
    refiner, _ = parsed(models / "refiner" / "config.pbtxt")
    assert refiner.max_batch_size == 32  # the four corners of an image
    assert list(refiner.dynamic_batching.preferred_batch_size) == [8]


@pytest.mark.slow
@pytest.mark.parametrize(
    "to", ["openvino", "openvino-bf16", "openvino-int8", "onnx-int8", "onnx-fp16", "litert"]
)
def test_every_engine_of_a_bundle_of_fields_agrees(field_run, tmp_path, monkeypatch, to):
    monkeypatch.setattr(openvino_engine, "has_bfloat16", lambda: True)
    root = shutil.copytree(field_run[0] / "bundle", tmp_path / "bundle")
    entry = convert.convert(root, to, spec=spec(gate=ANYTHING)).entry
    assert sorted(entry.files) == ["locator", "refiner"]
    plain, other = runtime.Inspector.load(root), runtime.Inspector.load(root, engine=to)
    for image, _ in bench.golden_frames(root):
        expected, found = (one.probability(image) for one in (plain, other))
        assert np.abs(expected - found).max() < (1e-4 if entry.precision == "float32" else 0.2)


@pytest.mark.slow
def test_a_savedmodel_of_both_looks_passes(field_run, tmp_path):
    root = shutil.copytree(field_run[0] / "bundle", tmp_path / "bundle")
    entry = convert.convert(root, "savedmodel", spec=spec(gate=ANYTHING)).entry
    assert (sorted(entry.files), entry.state) == (["locator", "refiner"], "passed")
    entry = convert.convert(root, "tftrt", spec=spec()).entry
    assert (sorted(entry.files), entry.state) == (["locator", "refiner"], "built, not run")


@pytest.mark.slow
@pytest.mark.parametrize("precision", ["fp32", "fp16", "int8"])
def test_tensorrt_builds_both_looks(field_run, tmp_path, precision):
    pytest.importorskip("tensorrt_rtx")
    root = shutil.copytree(field_run[0] / "bundle", tmp_path / "bundle")
    entry = convert.convert(root, "tensorrt", spec=spec(precision=precision)).entry
    assert sorted(entry.files) == ["locator", "refiner"]
