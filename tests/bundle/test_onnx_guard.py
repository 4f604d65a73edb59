import numpy as np
import pytest

from inspection_tf import errors, runtime
from inspection_tf.bundle import onnx_guard

onnx = pytest.importorskip("onnx")


def tensor(name="w", *, is_external=False):
    made = onnx.numpy_helper.from_array(np.arange(6, dtype=np.float32), name)
    if is_external:
        made.ClearField("raw_data")
        made.data_location = onnx.TensorProto.EXTERNAL
        made.external_data.add(key="location", value="/etc/passwd")
    return made


def graph(*nodes, **parts):
    return onnx.helper.make_graph(list(nodes), "graph", [], [], **parts)


def model(*nodes, **parts):
    return onnx.helper.make_model(graph(*nodes, **parts))


def constant(**options):
    return onnx.helper.make_node("Constant", [], ["c"], value=tensor(**options))


def sparse(**options):
    made = onnx.SparseTensorProto(dims=[9])
    made.values.CopyFrom(tensor(**options))
    made.indices.CopyFrom(onnx.numpy_helper.from_array(np.arange(6), "places"))
    return made


def in_initializer(**options):
    return model(initializer=[tensor(**options)])


def in_sparse_initializer(**options):
    return model(sparse_initializer=[sparse(**options)])


def in_constant(**options):
    return model(constant(**options))


def in_list_of_tensors(**options):
    node = onnx.helper.make_node("Custom", [], ["c"])
    node.attribute.add(name="many", type=onnx.AttributeProto.TENSORS).tensors.add().CopyFrom(
        tensor(**options)
    )
    return model(node)


def in_branch(**options):
    branches = {name: graph(constant(**options)) for name in ("then_branch", "else_branch")}
    return model(onnx.helper.make_node("If", ["x"], ["y"], **branches))


def in_function(**options):
    made = model()
    made.functions.add(name="f", domain="ai.onnx").node.add().CopyFrom(constant(**options))
    return made


def in_default_of_a_function(**options):
    made = model()
    default = made.functions.add(name="f", domain="ai.onnx").attribute_proto.add()
    default.CopyFrom(onnx.helper.make_attribute("value", tensor(**options)))
    return made


def in_training_graph(**options):
    made = model()
    made.training_info.add().algorithm.CopyFrom(graph(constant(**options)))
    return made


PLACES = [
    in_initializer,
    in_sparse_initializer,
    in_constant,
    in_list_of_tensors,
    in_branch,
    in_function,
    in_default_of_a_function,
    in_training_graph,
]


@pytest.mark.parametrize("place", PLACES)
def test_external_data_is_found_wherever_a_tensor_may_be(place):
    onnx_guard.check(place().SerializeToString(), name="model.onnx")
    with pytest.raises(errors.BundleError, match=r"model.onnx.*stored in other files") as caught:
        onnx_guard.check(place(is_external=True).SerializeToString(), name="model.onnx")
    assert caught.value.exit_code == 4


@pytest.mark.parametrize("part", ["data_location", "external_data"])
def test_either_mark_of_external_data_suffices(part):
    made = in_initializer(is_external=True)
    made.graph.initializer[0].ClearField(part)
    with pytest.raises(errors.BundleError, match="other files"):
        onnx_guard.check(made.SerializeToString(), name="model.onnx")


def test_a_model_cut_off_anywhere_inside_its_graph_is_refused():
    data = model(constant(), initializer=[tensor()]).SerializeToString()
    end = data.index(b"graph")  # the name of the graph: from here the graph has begun
    for length in range(end, len(data) - 8):  # the last bytes are the opset, a field of its own
        with pytest.raises(errors.BundleError, match="must be an ONNX model"):
            onnx_guard.check(data[:length], name="model.onnx")


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"\x08\x07",  # field 1 (the version of the format) and no graph
        b"\x3b",  # field 7, wire type 3: a group, given up long ago
        b"\xff" * 16,  # a number without an end
        b"\x3a\x80\x80\x80\x80\x10",  # a graph of 2**32 bytes
        b"\x89PNG\r\n\x1a\n" + bytes(64),
    ],
)
def test_bytes_that_are_no_model_are_refused(data):
    with pytest.raises(errors.BundleError, match="must be an ONNX model"):
        onnx_guard.check(data, name="model.onnx")


def test_a_field_number_that_a_parser_would_cut_off_is_refused():
    # Key 0x3A is field 7, the graph; the same key + 2**32 is cut to it by 32-bit parsers.
    with pytest.raises(errors.BundleError, match="too large"):
        onnx_guard.check(b"\x3a\x00" + b"\xba\x80\x80\x80\x10\x00", name="model.onnx")


def test_endless_nesting_is_refused_before_any_parser_recurses():
    data = b""
    for _ in range(40):  # graph > node > attribute > graph ...: fields 1, 5 and 6, wire type 2
        for key in (b"\x32", b"\x2a", b"\x0a"):
            size, length = len(data), b""
            while size >= 128:
                length, size = length + bytes([size & 127 | 128]), size >> 7
            data = key + length + bytes([size]) + data
    with pytest.raises(errors.BundleError, match="nested too deeply"):
        onnx_guard.check(b"\x3a" + _length(data) + data, name="model.onnx")


def _length(data):
    size, length = len(data), b""
    while size >= 128:
        length, size = length + bytes([size & 127 | 128]), size >> 7
    return length + bytes([size])


def test_a_network_in_the_format_of_onnxruntime_is_not_taken(toy_bundle, tmp_path):
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.log_severity_level = 3
    options.optimized_model_filepath = str(tmp_path / "model.ort")
    options.add_session_config_entry("session.save_model_format", "ORT")
    onnxruntime.InferenceSession(
        str(toy_bundle / "model.onnx"), options, providers=["CPUExecutionProvider"]
    )
    data = (tmp_path / "model.ort").read_bytes()
    assert data[4:8] == b"ORTM"
    onnxruntime.InferenceSession(data, providers=["CPUExecutionProvider"])  # takes it unasked
    with pytest.raises(errors.BundleError, match="must be able to load the model"):
        runtime.Engine(data)
    with pytest.raises(errors.BundleError, match="marked as onnxruntime's own format"):
        onnx_guard.check(data, name="model.onnx")
