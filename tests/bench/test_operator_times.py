import collections
import math
import sys

import numpy as np
import pytest

from inspection_tf import bench, errors
from inspection_tf.bench import operator_times

onnx = pytest.importorskip("onnx")


def constant(name, *shape):
    values = np.full(shape, 0.01, np.float32)
    return onnx.numpy_helper.from_array(values, name)


def network(*nodes, inputs, output):
    """Make a network of 8 x 8 px, 1 channel, from nodes and the shapes of their constants."""
    given = onnx.helper.make_tensor_value_info("image", onnx.TensorProto.UINT8, (1, 1, 8, 8))
    returned = onnx.helper.make_tensor_value_info("y", onnx.TensorProto.FLOAT, output)
    cast = onnx.helper.make_node("Cast", ["image"], ["x"], to=onnx.TensorProto.FLOAT)
    constants = [constant(name, *shape) for name, shape in inputs.items()]
    graph = onnx.helper.make_graph([cast, *nodes], "toy", [given], [returned], constants)
    opset = onnx.helper.make_opsetid("", 18)
    return onnx.helper.make_model(graph, opset_imports=[opset], ir_version=9).SerializeToString()


def conv(source, kernel, target, side, group=1):
    return onnx.helper.make_node(
        "Conv", [source, kernel], [target], kernel_shape=(side, side), pads=[side // 2] * 4,
        group=group,
    )  # fmt: skip


def relu(source, target):
    return onnx.helper.make_node("Relu", [source], [target])


def operators(model, **options):
    inputs = {"image": np.zeros((1, 1, 8, 8), np.uint8)}
    return {
        op.kind: op for op in operator_times.profile("toy", model, inputs, threads=1, **options)
    }


@pytest.fixture(scope="module")
def model():
    # 16 and 32 channels fill the vectors of every processor, so none are added.
    return network(
        conv("x", "first", "a", 3),
        relu("a", "b"),
        conv("b", "depthwise", "c", 3, group=16),
        relu("c", "d"),
        conv("d", "pointwise", "e", 1),
        conv("e", "second", "f", 3),
        relu("f", "y"),
        inputs={
            "first": (16, 1, 3, 3),
            "depthwise": (16, 1, 3, 3),
            "pointwise": (32, 16, 1, 1),
            "second": (16, 32, 3, 3),
        },
        output=(1, 16, 8, 8),
    )


def test_multiply_adds_of_convolutions_are_those_worked_out_by_hand(model):
    found = operators(model, repeats=2)
    # each of 16 * 8 * 8 values reads 1 * 3 * 3, then 32 * 3 * 3
    assert found["Conv 3x3"].macs == 16 * 64 * 9 + 16 * 64 * 32 * 9
    assert found["Conv 3x3"].count == 2
    assert found["Conv depthwise"].macs == 16 * 64 * 9  # of its own channel alone
    assert found["Conv 1x1"].macs == 32 * 64 * 16
    assert "Conv" not in found  # none without its kernel


def test_a_convolution_of_groups_is_not_depthwise():
    model = network(
        conv("x", "first", "a", 1),
        conv("a", "halves", "y", 3, group=2),
        inputs={"first": (32, 1, 1, 1), "halves": (32, 16, 3, 3)},
        output=(1, 32, 8, 8),
    )
    # each of 32 * 8 * 8 values reads the 16 channels of its half
    assert operators(model)["Conv 3x3"].macs == 32 * 64 * 16 * 9


@pytest.mark.parametrize("kind", ["MatMul", "Gemm"])
def test_multiply_adds_of_dense_layers_are_those_worked_out_by_hand(kind):
    flat = onnx.helper.make_node("Flatten", ["x"], ["flat"])
    dense = onnx.helper.make_node(kind, ["flat", "kernel"], ["y"])
    model = network(flat, dense, inputs={"kernel": (64, 5)}, output=(1, 5))
    assert operators(model)[kind].macs == 64 * 5


def test_gemm_reads_a_kernel_that_lies_the_other_way_round_alike():
    flat = onnx.helper.make_node("Flatten", ["x"], ["flat"])
    dense = onnx.helper.make_node("Gemm", ["flat", "kernel"], ["y"], transB=1)
    model = network(flat, dense, inputs={"kernel": (5, 64)}, output=(1, 5))
    assert operators(model)["Gemm"].macs == 64 * 5


def test_nothing_hangs_on_the_package_onnx(model, monkeypatch):
    before = {kind: (op.count, op.macs) for kind, op in operators(model).items()}
    monkeypatch.setitem(sys.modules, "onnx", None)  # as in a base installation
    assert {kind: (op.count, op.macs) for kind, op in operators(model).items()} == before


def test_bytes_that_onnxruntime_refuses_are_a_bundle_error():
    with pytest.raises(errors.BundleError, match="onnxruntime must be able to load"):
        operators(b"no model")


def test_a_profile_leaves_no_file(model, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    operators(model)
    assert list(tmp_path.iterdir()) == []


def event(name, ms, *, kind="Relu", node=0):
    return {
        "cat": "Node",
        "name": f"{name}_kernel_time",
        "dur": 1e3 * ms,
        "args": {"op_name": kind, "node_index": str(node)},
    }


def test_times_are_means_of_the_runs_that_count():
    # Two warm-ups of 9 ms, then 1 and 3 ms; two nodes share a name, of which one takes 6 ms.
    events = [event("a", ms) for ms in (9, 9, 1, 3)]
    events += [event("a", ms, node=1) for ms in (9, 9, 6, 6)]
    events += [event("b", 2, kind="FusedConv", node=2)] * 4
    events += [{"cat": "Session", "name": "model_run", "dur": 1e9}]
    first, second = operator_times._summary("toy", events, 2)
    assert (first.kind, first.count, first.ms) == ("Relu", 2, 8.0)  # 2 + 6
    assert (second.kind, second.count, second.ms) == ("Conv", 1, 2.0)
    assert (first.share, second.share) == (0.8, 0.2)
    assert (first.macs, first.macs_per_us) == (0, 0.0)


def test_multiply_adds_a_microsecond():
    assert operator_times.Operator("toy", "Conv 3x3", 1, 2.0, 1.0, 6000).macs_per_us == 3.0
    assert operator_times.Operator("toy", "Relu", 1, 0.0, 0.0, 0).macs_per_us == 0.0
    assert operator_times.Operator("toy", "Relu", 1, 2.0, 1.0, 0).to_dict()["macs_per_us"] == 0.0


# Of a bundle


def test_the_profile_of_a_cascade_tells_both_networks_to_the_last_percent(toy_cascade):
    by_graph = collections.defaultdict(list)
    for operator in bench.profile(toy_cascade.path, repeats=2, threads=1):
        by_graph[operator.graph].append(operator)
    assert list(by_graph) == ["classifier", "segmenter"]
    for found in by_graph.values():
        assert math.fsum(operator.share for operator in found) == pytest.approx(1)
        assert [op.ms for op in found] == sorted((op.ms for op in found), reverse=True)
        assert any(operator.kind == "Conv 3x3" for operator in found)
    (depthwise,) = (op for op in by_graph["classifier"] if op.kind == "Conv depthwise")
    assert depthwise.macs == 16 * 32 * 32 * 9  # stride 2 of 64 px


def test_the_profile_of_a_bundle_that_compares_feeds_both_images(toy_pair):
    found = {op.kind: op for op in bench.profile(toy_pair.path, repeats=1, threads=1)}
    assert found["Sub"].count == 1
    assert found["Conv 3x3"].graph == "segmenter"


@pytest.mark.parametrize("repeats", [0, -3])
def test_a_profile_needs_a_run_that_counts(toy_cascade, repeats):
    with pytest.raises(errors.ConfigError, match=f"must be at least 1. Got {repeats}"):
        bench.profile(toy_cascade.path, repeats=repeats)
