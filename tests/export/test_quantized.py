"""What an int8 network of OpenVINO holds."""

import keras
import numpy as np
import pytest

from inspection_tf.export import _build_openvino, onnx
from inspection_tf.models import unet


def test_what_stays_in_float32_is_read_from_the_network_itself():
    nncf, openvino = pytest.importorskip("nncf"), pytest.importorskip("openvino")
    keras.utils.set_random_seed(0)
    model = unet.build(image_size=(32, 32), filters=(4, 8), working_stride=2)
    read = openvino.Core().read_model(onnx.convert(model), b"")
    names = [operator.name for operator in _build_openvino._operators(read, ["MatMul"])]
    pixels = np.random.default_rng(0).integers(0, 256, (1, 32, 32, 1), np.uint8)
    made = nncf.quantize(
        read,
        nncf.Dataset([{"image": pixels}]),
        ignored_scope=nncf.IgnoredScope(names=[names[0], names[-1]], types=["MatMul"]),
    )
    found = _build_openvino._in_float(made, ["MatMul"])
    assert found[0] == names[0]
    assert len(found) == 2
    assert not any("MatMul" in name for name in names)
    assert len(names) > 8
