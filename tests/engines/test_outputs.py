"""Networks with several outputs: every engine returns them in the order of the manifest."""

import re
from types import SimpleNamespace

import keras
import numpy as np
import pytest

from inspection_tf import errors, runtime
from inspection_tf.conversion.builders import saved_model
from inspection_tf.engines import network
from inspection_tf.engines.litert_engine import LiteRtEngine
from inspection_tf.engines.openvino_engine import OpenVinoEngine
from inspection_tf.export import trained
from inspection_tf.tasks import saved_networks

SIDE = 5
NAMES = ("whole", "doubled", "mean")
"""In the order of a manifest, which is neither that of the alphabet nor that of the files."""


def batch(count):
    rng = np.random.default_rng(count)
    return rng.integers(0, 256, (count, SIDE, SIDE, 1), np.uint8)


def check(engine, names=NAMES):
    """Compare all outputs, and the one of `run`, with what NumPy computes."""
    for count in (1, 3):
        image = batch(count).astype(np.float32)
        expected = {
            "whole": image.sum(axis=(1, 2)),  # (images, 1)
            "doubled": 2 * image,
            "mean": image.mean(axis=(1, 2)),
        }
        found = engine.run_all(batch(count))
        assert isinstance(found, tuple)
        for name, output in zip(names, found, strict=True):
            assert output.dtype == np.float32
            np.testing.assert_allclose(output, expected[name], rtol=1e-5)
        np.testing.assert_array_equal(engine.run(batch(count)), found[0])


def check_refusal(start):
    """An engine that lacks an output says which ones it has."""
    with pytest.raises(errors.BundleError) as caught:
        start(("whole", "other"))
    found = re.search(r"must have the outputs whole, other\. Got (.*)\. Convert", str(caught.value))
    assert sorted(found[1].split(", ")) == sorted(NAMES)


def built_onnx(order):
    """Return an ONNX file whose outputs stand in an order, where others are read from `doubled`."""
    onnx = pytest.importorskip("onnx")
    helper, floating = onnx.helper, onnx.TensorProto.FLOAT
    shapes = {"whole": ["batch", 1], "doubled": ["batch", SIDE, SIDE, 1], "mean": ["batch", 1]}
    constants = {
        "two": np.float32(2),
        "half": np.float32(0.5),
        "area": np.float32(SIDE**2),
        "axes": np.array([1, 2], np.int64),
    }
    nodes = [
        helper.make_node("Cast", ["image"], ["plain"], to=floating),
        helper.make_node("Mul", ["plain", "two"], ["doubled"]),
        helper.make_node("Mul", ["doubled", "half"], ["again"]),
        helper.make_node("ReduceMean", ["again", "axes"], ["mean"], keepdims=0),
        helper.make_node("Mul", ["mean", "area"], ["whole"]),
    ]
    image = helper.make_tensor_value_info("image", onnx.TensorProto.UINT8, ["batch", SIDE, SIDE, 1])
    graph = helper.make_graph(
        nodes,
        "three",
        [image],
        [helper.make_tensor_value_info(name, floating, shapes[name]) for name in order],
        [onnx.numpy_helper.from_array(value, name) for name, value in constants.items()],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)], ir_version=8)
    onnx.checker.check_model(model, full_check=True)
    return model.SerializeToString()


ORDERS = [NAMES, tuple(sorted(NAMES)), ("mean", "whole", "doubled")]


@pytest.mark.parametrize("order", ORDERS)
def test_onnxruntime_returns_outputs_by_name_in_the_order_of_the_manifest(order):
    data = built_onnx(order)
    check(runtime.Engine(data, outputs=NAMES))
    check_refusal(lambda names: runtime.Engine(data, outputs=names))
    check(runtime.Engine(data), names=order)  # nobody says: as in the file


def test_onnxruntime_computes_nothing_but_the_first_output_where_one_is_asked_for(monkeypatch):
    engine, asked = runtime.Engine(built_onnx(NAMES), outputs=("mean", "whole")), []

    class Session:
        def get_inputs(self):
            return [SimpleNamespace(name="image")]

        def run(self, outputs, inputs):
            asked.append(list(outputs))
            return [np.zeros((1, 1), np.float32) for _ in outputs]

    monkeypatch.setattr(runtime.Engine, "session", Session())
    engine.run(batch(1))
    engine.run_all(batch(1))
    assert asked == [["mean"], ["mean", "whole"]]


@pytest.mark.parametrize("order", ORDERS)
def test_openvino_returns_outputs_by_name_in_the_order_of_the_manifest(order, tmp_path):
    openvino = pytest.importorskip("openvino")
    data = built_onnx(order)
    check(OpenVinoEngine(data, outputs=NAMES))
    check_refusal(lambda names: OpenVinoEngine(data, outputs=names))
    read = openvino.Core().read_model(data, b"")
    openvino.save_model(read, tmp_path / "three.xml", compress_to_fp16=False)
    model, weights = ((tmp_path / f"three.{suffix}").read_bytes() for suffix in ("xml", "bin"))
    check(OpenVinoEngine(model, weights=weights, outputs=NAMES))


@pytest.fixture(scope="module")
def converting(tmp_path_factory):
    """A conversion of a Keras network of those outputs, as far as its builders ask for it."""
    image = keras.Input((SIDE, SIDE, 1), dtype="uint8", name="image")
    doubled = keras.layers.Rescaling(2.0, name="doubled")(image)
    mean = keras.layers.GlobalAveragePooling2D()(doubled)
    outputs = {
        "mean": keras.layers.Rescaling(0.5, name="mean")(mean),
        "whole": keras.layers.Rescaling(0.5 * SIDE**2, name="whole")(mean),
        "doubled": doubled,
    }
    folder = tmp_path_factory.mktemp("three")
    keras.Model({"image": image}, outputs).save(folder / "three.keras")
    return SimpleNamespace(
        graphs=("three",),
        build_folder=folder,
        keras_file=lambda _graph: folder / "three.keras",
        in_bundle=lambda file: f"engines/own/{file}",
    )


def test_savedmodel_returns_outputs_by_name_in_the_order_of_the_manifest(converting):
    saved_model.savedmodel(converting)
    file = converting.build_folder / "three" / "saved_model.pb"
    check(saved_model.SavedModel(file, NAMES))
    check_refusal(lambda names: saved_model.SavedModel(file, names))


def test_litert_returns_outputs_by_name_in_the_order_of_the_manifest(converting):
    pytest.importorskip("ai_edge_litert")
    saved_model.litert(converting)
    data = (converting.build_folder / "three.tflite").read_bytes()
    check(LiteRtEngine(data, threads=1, outputs=NAMES))
    check_refusal(lambda names: LiteRtEngine(data, outputs=names))


def test_a_trained_network_returns_its_outputs_in_the_order_of_its_export(converting, monkeypatch):
    model = saved_networks.load(converting.keras_file("three"))
    monkeypatch.setattr(
        "inspection_tf.tasks.outputs_in_order",
        lambda names: tuple(name for name in NAMES if name in names),
    )
    check(trained.KerasNetwork(model))


def test_names_of_outputs_are_those_of_the_manifest_or_of_the_engine():
    assert network.output_names(("b", "a"), ["a", "c", "b"]) == ("b", "a")
    assert network.output_names((), ["a", "b"]) == ("a", "b")
    with pytest.raises(errors.BundleError, match=r"have the outputs b\. Got none\. Convert"):
        network.output_names(("b",), [])
