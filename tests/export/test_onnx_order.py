import hashlib
import os
import subprocess
import sys

import keras
import numpy as np
import pytest

from inspection_tf.export import onnx
from inspection_tf.tasks.fields.learning import network


def locator():
    """A network of branches, with weights as after a training."""
    keras.utils.set_random_seed(1)
    model = network.deployed(network.build(image_size=(48, 64), filters=(4, 8), raised=1))
    for weight in model.weights:
        rng = np.random.default_rng(len(weight.path))
        weight.assign(rng.uniform(0.5, 1.5, weight.shape))
    return model


@pytest.mark.slow
def test_names_that_tf2onnx_gave_before_do_not_change_a_file():
    utils = pytest.importorskip("tf2onnx").utils
    model, files = locator(), set()
    for count in (1, 19, 25, 990, 10**6 - 30):  # 19 and 25 gave three files with 1
        utils.INTERNAL_NAME = count
        files.add(onnx.convert(model))
    assert len(files) == 1


def test_the_order_is_put_back_when_a_conversion_fails():
    graph = pytest.importorskip("tf2onnx").graph.Graph
    node = pytest.importorskip("tf2onnx").graph.Node
    plain = graph.find_output_consumers, node.__hash__
    with onnx._in_one_order():
        assert node.__hash__ is not plain[1]
    with pytest.raises(KeyError), onnx._in_one_order():
        raise KeyError("a converter stumbled")
    assert (graph.find_output_consumers, node.__hash__) == plain


@pytest.mark.slow
def test_equal_models_give_equal_files_in_processes_that_hash_strings_otherwise():
    def digest(seed):
        return subprocess.run(
            (sys.executable, __file__),
            env=os.environ | {"PYTHONHASHSEED": seed, "TF_CPP_MIN_LOG_LEVEL": "3"},
            capture_output=True,
            text=True,
            check=True,
        ).stdout.split()[-1]

    assert digest("0") == digest("1") == hashlib.sha256(onnx.convert(locator())).hexdigest()


if __name__ == "__main__":
    sys.stdout.write(hashlib.sha256(onnx.convert(locator())).hexdigest())
