"""What int8 and float16 networks hold."""

from types import SimpleNamespace

import keras
import numpy as np
import onnxruntime
import pytest

from inspection_tf import errors
from inspection_tf.conversion import retreat
from inspection_tf.conversion.builders import onnx_int8, openvino_ir
from inspection_tf.export import onnx as export_onnx
from inspection_tf.models import unet
from inspection_tf.tasks.fields.learning import network


def test_what_stays_in_float32_is_read_from_the_network_itself():
    nncf, openvino = pytest.importorskip("nncf"), pytest.importorskip("openvino")
    keras.utils.set_random_seed(0)
    model = unet.build(image_size=(32, 32), filters=(4, 8), working_stride=2)
    read = openvino.Core().read_model(export_onnx.convert(model), b"")
    names = [operator.name for operator in openvino_ir._operators(read)]
    pixels = np.random.default_rng(0).integers(0, 256, (1, 32, 32, 1), np.uint8)
    made = nncf.quantize(
        read,
        nncf.Dataset([{"image": pixels}]),
        ignored_scope=nncf.IgnoredScope(names=[names[0], names[-1]]),
    )
    found = openvino_ir._in_float(made)
    assert found[0] == names[0]
    assert len(found) == 2
    assert len(names) > 8


@pytest.fixture(scope="module")
def one_convolution(tmp_path_factory):
    """An ONNX file whose answer is four times the image over 255, and three images of 51, one of
    255: answers of 0.8, 0.8, 0.8 and 4."""
    image = keras.Input((8, 8, 1), dtype="uint8", name="image")
    scaled = keras.layers.Rescaling(1 / 255)(image)
    answer = keras.layers.Conv2D(1, 1, use_bias=False, name="probability")(scaled)
    model = keras.Model({"image": image}, {"probability": answer})
    model.set_weights([np.full((1, 1, 1, 1), 4, np.float32)])
    path = tmp_path_factory.mktemp("one") / "segmenter.onnx"
    path.write_bytes(export_onnx.convert(model))
    return path, [{"image": np.full((1, 8, 8, 1), value, np.uint8)} for value in (51, 51, 51, 255)]


# The widest is that of the brightest image, 1 before the convolution; typical is the mean of the
# four, 0.4. The scale is a 255th of it.
@pytest.mark.parametrize(("ranges", "reach"), [("widest", 1.0), ("typical", 0.4)])
def test_scales_of_onnx_cover_what_is_asked(one_convolution, ranges, reach):
    onnx = pytest.importorskip("onnx")
    path, samples = one_convolution
    how = retreat.Attempt(ranges=ranges)
    data = onnx_int8.quantized(onnx_int8._prepared(path), samples, how, for_tensorrt=False)
    graph = onnx.load_from_string(data).graph
    values = {entry.name: onnx.numpy_helper.to_array(entry) for entry in graph.initializer}
    scales = [
        float(values[node.input[1]]) for node in graph.node if node.op_type == "QuantizeLinear"
    ]
    assert min(abs(scale - reach / 255) for scale in scales) < 1e-6


def in_openvino(path, samples, ranges):
    nncf = pytest.importorskip("nncf")
    conversion = SimpleNamespace(
        onnx_file=lambda _graph: path,
        manifest=SimpleNamespace(graph_specs=(SimpleNamespace(is_exact=False),), main="segmenter"),
        spec=SimpleNamespace(accuracy_control=False),
    )
    how = retreat.Attempt(ranges=ranges)
    return openvino_ir._quantized(nncf, conversion, "segmenter", samples, how).get_ordered_ops()


@pytest.mark.parametrize(("ranges", "reach"), [("widest", 1.0), ("typical", 0.4), ("wide", 0.4)])
def test_scales_of_openvino_cover_what_is_asked(one_convolution, ranges, reach):
    high = [
        float(found.input_value(2).get_node().data.max())
        for found in in_openvino(*one_convolution, ranges)
        if found.get_type_name() == "FakeQuantize"
    ]
    assert min(abs(value - reach) for value in high) < 0.02


def test_weights_of_openvino_leave_room_for_sums_of_16_bits(one_convolution):
    weights = [
        found.data
        for found in in_openvino(*one_convolution, "widest")
        if found.get_type_name() == "Constant" and found.get_element_type().get_type_name() == "i8"
    ]
    assert len(weights) == 1
    # 7 of 8 bits: two products with 255 must stay under 2 to the 15th.
    assert 60 <= np.abs(weights[0].astype(int)).max() <= 64


@pytest.mark.parametrize("never", [["MatMul"], []])
def test_products_of_matrices_are_never_int8(tmp_path, monkeypatch, never):
    image = keras.Input((8, 8, 1), dtype="uint8", name="image")
    x = keras.layers.Conv2D(4, 3)(keras.layers.Rescaling(1 / 255)(image))
    pooled = [keras.layers.GlobalAveragePooling2D()(x), keras.layers.GlobalMaxPooling2D()(x)]
    score = keras.layers.Dense(1)(keras.layers.Concatenate()(pooled))
    answer = keras.layers.Reshape((1, 1, 1), name="probability")(score)
    path = tmp_path / "segmenter.onnx"
    path.write_bytes(export_onnx.convert(keras.Model({"image": image}, {"probability": answer})))
    if not never:  # NNCF by itself would have them in int8
        monkeypatch.setattr(openvino_ir, "_float_types", lambda _order: [])
    pixels = np.random.default_rng(0).integers(0, 256, (1, 8, 8, 1), np.uint8)
    found = in_openvino(path, [{"image": pixels}], "widest")
    in_int8 = {
        node.get_type_name(): openvino_ir._is_int8(node.input_value(1).get_node())
        for node in found
        if node.get_type_name() in ("Convolution", "MatMul")
    }
    assert in_int8 == {"Convolution": True, "MatMul": not never}


@pytest.mark.parametrize("classes", [1, 2])
def test_a_network_sure_of_a_defect_says_how_sure_in_float16(tmp_path, classes):
    pytest.importorskip("onnx")
    model = unet.build(image_size=(16, 16), filters=(4, 8), classes=classes, working_stride=1)
    last = model.get_layer("logits")
    kernel, _ = last.get_weights()
    logits = [10.0] if classes == 1 else [0.0, 10.0, -20.0]
    last.set_weights([np.zeros_like(kernel), np.array(logits, np.float32)])
    path = tmp_path / "model.onnx"
    path.write_bytes(export_onnx.convert(model))
    session = onnxruntime.InferenceSession(onnx_int8.in_float16(path))
    (found,) = session.run(None, {"image": np.zeros((1, 16, 16, 1), np.uint8)})
    assert found.shape == (1, 16, 16, classes)
    np.testing.assert_allclose(1 - found[..., 0], 4.54e-5, rtol=0.01)  # 0 in float16


@pytest.mark.parametrize("ending", ["Sigmoid", "Softmax", "nested"])
def test_scores_near_1_stay_apart_in_float16(tmp_path, ending):
    helper = pytest.importorskip("onnx").helper
    floats = pytest.importorskip("onnx").TensorProto.FLOAT
    # Logits of 10 and 11: 1 - 4.54e-5 and 1 - 1.67e-5, both 1 in float16.
    logits = [[0.0, 10.0], [0.0, 11.0]] if ending == "Softmax" else [[10.0, 11.0]]
    nodes = [helper.make_node("Identity", ["given"], ["logits"], name="a")]
    if ending == "nested":  # in a shape of its own, beside what is no probability
        shape = helper.make_tensor("shape", 7, [2], [2, 1])
        nodes += [
            helper.make_node("Sigmoid", ["logits"], ["p"], name="b"),
            helper.make_node("Reshape", ["p", "shape"], ["column"], name="c"),
            helper.make_node("Reshape", ["logits", "shape"], ["other"], name="d"),
            helper.make_node("Concat", ["column", "other"], ["answer"], name="e", axis=1),
        ]
    else:
        nodes.append(helper.make_node(ending, ["logits"], ["answer"], name="b"))
    graph = helper.make_graph(
        nodes,
        "scores",
        [helper.make_tensor_value_info("given", floats, np.shape(logits))],
        [helper.make_tensor_value_info("answer", floats, None)],
        [shape] if ending == "nested" else [],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=9)
    path = tmp_path / "model.onnx"
    path.write_bytes(model.SerializeToString())
    data = onnx_int8.in_float16(path)
    session = onnxruntime.InferenceSession(data)
    (found,) = session.run(None, {"given": np.array(logits, np.float32)})
    scores = {"Sigmoid": found[0], "Softmax": found[:, -1], "nested": found[:, 0]}[ending]
    np.testing.assert_allclose(1 - scores, [4.54e-5, 1.67e-5], rtol=0.01)


def test_coordinates_are_computed_in_float32(tmp_path):
    library = pytest.importorskip("onnx")
    keras.utils.set_random_seed(0)
    built = network.build(image_size=(64, 64))
    model = keras.Model(built.input, {"corners": built.output["corners"]})
    path = tmp_path / "model.onnx"
    path.write_bytes(export_onnx.convert(model))

    def in_float32(data):
        constants = library.load_from_string(data).graph.initializer
        return {item.name for item in constants if item.data_type == library.TensorProto.FLOAT}

    plain, located = (onnx_int8.in_float16(path, is_exact=is_exact) for is_exact in (False, True))
    # Where the cells of a heatmap lie is a constant of the network, as the weights are.
    assert in_float32(plain) < in_float32(located) < in_float32(path.read_bytes())
    pixels = np.random.default_rng(0).integers(0, 256, (1, 64, 64, 1), np.uint8)
    (exact,), (found,) = (
        onnxruntime.InferenceSession(model).run(None, {"image": pixels})
        for model in (path.read_bytes(), located)
    )
    np.testing.assert_allclose(found, exact, atol=2e-3)


def test_a_network_without_a_convolution_has_nothing_to_quantize(tmp_path):
    image = keras.Input((8, 8, 1), dtype="uint8", name="image")
    x = keras.layers.GlobalAveragePooling2D()(keras.layers.Rescaling(1 / 255)(image))
    x = keras.layers.Dense(2, activation="softmax", name="class_probability")(x)
    model = keras.Model({"image": image}, {"class_probability": x})
    (tmp_path / "model.onnx").write_bytes(export_onnx.convert(model))
    request = SimpleNamespace(
        graphs=("classifier",),
        calibration_samples=dict,
        onnx_file=lambda name: tmp_path / "model.onnx",
    )
    with pytest.raises(errors.BundleError, match="Got the network classifier without any"):
        onnx_int8.int8(request)
