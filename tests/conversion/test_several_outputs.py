"""A classifier and the map that its answer is the mean of: two outputs, one read from the other."""

import importlib.util
import sys
import types
from pathlib import Path

import keras
import numpy as np
import onnxruntime
import pytest

from inspection_tf import runtime
from inspection_tf.conversion import retreat
from inspection_tf.conversion.builders import onnx_int8, openvino_ir, triton_repository
from inspection_tf.engines.openvino_engine import OpenVinoEngine
from inspection_tf.export import onnx as export_onnx

SIDE, CELLS, CLASSES = 18, 8, 3  # cells of kernels of 3 px at a stride of 2
NAMES = ("class_probability", "probability")
"""As the task lists them that has both."""

library = pytest.importorskip("onnx")


def images(count):
    return np.random.default_rng(count).integers(0, 256, (count, SIDE, SIDE, 1), np.uint8)


def build(*, is_pooled_twice=False):
    """Return a network with a map of evidence, (batch, 8, 8, 3), and the softmax of its mean."""
    keras.utils.set_random_seed(0)
    image = keras.Input((SIDE, SIDE, 1), dtype="uint8", name="image")
    x = keras.layers.Rescaling(1 / 255)(image)
    x = keras.layers.Conv2D(8, 3, strides=2, activation="relu", name="features")(x)
    evidence = keras.layers.Conv2D(CLASSES, 1, name="probability")(x)
    pooled = keras.layers.AveragePooling2D(2)(evidence) if is_pooled_twice else evidence
    mean = keras.layers.GlobalAveragePooling2D(name="pool")(pooled)
    answer = keras.layers.Softmax(name="class_probability")(mean)
    return keras.Model({"image": image}, {"probability": evidence, "class_probability": answer})


@pytest.fixture(scope="module")
def model():
    return build()


@pytest.fixture(scope="module")
def exported(model, tmp_path_factory):
    path = tmp_path_factory.mktemp("evidence") / "model.onnx"
    path.write_bytes(export_onnx.convert(model))
    return path


def compare(network, model, *, atol):
    expected = model.predict_on_batch({"image": images(3)})
    for name, output in zip(NAMES, network.run_all(images(3)), strict=True):
        assert output.dtype == np.float32
        np.testing.assert_allclose(output, expected[name], atol=atol)
    # The map differs from place to place by far more than what is allowed here.
    assert expected["probability"].std() > 10 * atol


def test_the_export_has_both_outputs_the_one_that_decides_first(model, exported):
    graph = library.load(exported).graph
    assert [value.name for value in graph.output] == list(NAMES)
    shapes = [[axis.dim_value for axis in v.type.tensor_type.shape.dim] for v in graph.output]
    assert shapes == [[0, CLASSES], [0, CELLS, CELLS, CLASSES]]
    assert {v.type.tensor_type.shape.dim[0].dim_param for v in graph.output} == {"batch"}
    compare(runtime.Engine(exported.read_bytes()), model, atol=1e-5)
    assert export_onnx.convert(model) == exported.read_bytes()


@pytest.mark.parametrize("is_exact", [False, True])
def test_in_float16_both_outputs_are_float32_and_stay_apart(model, exported, is_exact):
    data = onnx_int8.in_float16(exported, is_exact=is_exact)
    graph = library.load_from_string(data).graph
    assert {value.type.tensor_type.elem_type for value in graph.output} == {1}  # float32
    compare(runtime.Engine(data, outputs=NAMES), model, atol=2e-3)
    # The convolutions compute in float16 all the same: only what answers does not.
    types_of = {value.name: value.data_type for value in graph.initializer}
    kernels = [node.input[1] for node in graph.node if node.op_type == "Conv"]
    assert [types_of[name] for name in kernels] == [10, 10]  # float16


@pytest.mark.parametrize("for_tensorrt", [False, True])
def test_in_int8_both_outputs_are_float32_under_their_names(model, exported, for_tensorrt):
    samples = [{"image": images(count)[:1]} for count in range(1, 9)]
    data = onnx_int8.quantized(
        onnx_int8._prepared(exported), samples, retreat.Attempt(), for_tensorrt=for_tensorrt
    )
    operators = [node.op_type for node in library.load_from_string(data).graph.node]
    assert operators.count("QuantizeLinear") >= 2
    compare(
        _as_written(data) if for_tensorrt else runtime.Engine(data, outputs=NAMES), model, atol=0.02
    )


def _as_written(data):
    """A network whose numbers are rounded as its graph says, and multiplied in float32.

    Signed numbers in int8 are for a GPU: processors that add products in 16 bits saturate.
    """
    options = onnxruntime.SessionOptions()
    options.graph_optimization_level = onnxruntime.GraphOptimizationLevel.ORT_DISABLE_ALL
    session = onnxruntime.InferenceSession(data, options, providers=["CPUExecutionProvider"])
    return types.SimpleNamespace(run_all=lambda image: session.run(list(NAMES), {"image": image}))


# OpenVINO's processor plugin gives zeros for a pooling in int8 that reads a map which is an output.
@pytest.mark.parametrize("is_pooled_twice", [False, True])
def test_in_int8_of_openvino_what_reads_the_map_stays_in_float32(tmp_path, is_pooled_twice):
    nncf = pytest.importorskip("nncf")
    model, path = build(is_pooled_twice=is_pooled_twice), tmp_path / "model.onnx"
    path.write_bytes(export_onnx.convert(model))
    conversion = types.SimpleNamespace(
        onnx_file=lambda _graph: path,
        manifest=types.SimpleNamespace(graph_specs=(types.SimpleNamespace(is_exact=False),)),
        spec=types.SimpleNamespace(accuracy_control=False),
    )
    samples = [{"image": images(count)[:1]} for count in range(1, 9)]
    made = openvino_ir._quantized(nncf, conversion, "one", samples, retreat.Attempt())
    kinds = [node.get_type_name() for node in made.get_ordered_ops()]
    # What is int8: what both convolutions read.
    assert (kinds.count("FakeQuantize"), kinds.count("Convolution")) == (2, 2)
    compare(OpenVinoEngine(made, outputs=NAMES), model, atol=0.02)


def test_the_network_of_triton_asks_the_server_for_the_outputs_that_are_needed(monkeypatch):
    asked = []

    class Request:
        def __init__(self, model_name, requested_output_names, inputs):
            asked.append((model_name, requested_output_names))
            self.names = requested_output_names

        def exec(self):
            made = {name: types.SimpleNamespace(as_numpy=lambda n=name: n) for name in self.names}
            return types.SimpleNamespace(has_error=lambda: False, tensors=made)

    server = types.SimpleNamespace(
        InferenceRequest=Request,
        Tensor=lambda name, value: (name, value),
        get_output_tensor_by_name=lambda response, name: response.tensors[name],
    )
    monkeypatch.setitem(sys.modules, "triton_python_backend_utils", server)
    path = Path(triton_repository.__file__).with_name("triton_model.py")
    found = importlib.util.spec_from_file_location("model", path)
    module = importlib.util.module_from_spec(found)
    found.loader.exec_module(module)
    remote = module._Remote("classifier", NAMES)
    assert remote.run(images(1)) == "class_probability"
    assert remote.run_all(images(1)) == NAMES
    assert asked == [("classifier", ["class_probability"]), ("classifier", list(NAMES))]
