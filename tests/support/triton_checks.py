"""Configurations of Triton beside the networks that they are about."""

import pytest

from inspection_tf import runtime

library = pytest.importorskip("onnx")


def parsed(path):
    """Read a configuration as Triton does."""
    schema = pytest.importorskip("tritonclient.grpc.model_config_pb2")
    from google.protobuf import text_format

    return text_format.Parse(path.read_text(), schema.ModelConfig()), schema


def check_repository(root, name="triton", backend="onnxruntime"):
    """Compare every configuration with the ONNX that it is about."""
    manifest = runtime.Inspector.load(root).manifest
    models = root / "engines" / name / "models"
    assert sorted(path.name for path in models.iterdir()) == sorted(
        ["inspection", *(graph.name for graph in manifest.graphs)]
    )
    for graph in manifest.graphs:
        found, schema = parsed(models / graph.name / "config.pbtxt")
        assert (found.name, found.backend) == (graph.name, backend)
        assert (models / graph.name / "1" / found.default_model_filename).is_file()
        onnx = library.load(root / graph.file).graph
        for given, expected, kind in (
            (found.input, onnx.input, schema.TYPE_UINT8),
            (found.output, onnx.output, schema.TYPE_FP32),
        ):
            assert [item.name for item in given] == [value.name for value in expected]
            for item, value in zip(given, expected, strict=True):
                shape = [axis.dim_value for axis in value.type.tensor_type.shape.dim]
                # Triton adds the batch, where it gathers requests to one.
                assert list(item.dims) == ([-1] if backend == "openvino" else []) + shape[1:]
                assert item.data_type == kind
        each, warm = (4 if graph.name == "refiner" else 1), found.model_warmup[0]
        if backend == "openvino":
            # Its backend refuses every batch that is not full.
            assert found.max_batch_size == 0
            assert not found.HasField("dynamic_batching")
            assert warm.batch_size == 1
            assert {value.dims[0] for value in warm.inputs.values()} == {each}
        else:
            assert found.max_batch_size >= found.dynamic_batching.preferred_batch_size[0] > 0
            assert warm.batch_size == each
        assert found.model_warmup[0].inputs.keys() == {value.name for value in onnx.input}
        assert found.instance_group[0].count == 1
    verdict, schema = parsed(models / "inspection" / "config.pbtxt")
    assert (verdict.backend, verdict.max_batch_size) == ("python", 0)
    assert [item.name for item in verdict.input] == [item.name for item in manifest.inputs]
    assert verdict.output[0].data_type == schema.TYPE_STRING
    return models
