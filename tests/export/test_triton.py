import importlib.util
import json
import shutil
import sys
import types

import numpy as np
import pytest
from engine_checks import ANYTHING, spec

from inspection_tf import bench, cli, errors, images, runtime
from inspection_tf._engine_entry import BatchProfile
from inspection_tf.export import convert

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
                assert list(item.dims) == shape[1:]  # Triton adds the batch
                assert item.data_type == kind
        assert found.max_batch_size >= found.dynamic_batching.preferred_batch_size[0] > 0
        assert found.model_warmup[0].batch_size == (4 if graph.name == "refiner" else 1)
        assert found.model_warmup[0].inputs.keys() == {value.name for value in onnx.input}
        assert found.instance_group[0].count == 1
    verdict, schema = parsed(models / "inspection" / "config.pbtxt")
    assert (verdict.backend, verdict.max_batch_size) == ("python", 0)
    assert [item.name for item in verdict.input] == [item.name for item in manifest.inputs]
    assert verdict.output[0].data_type == schema.TYPE_STRING
    return models


@pytest.mark.parametrize("made", ["toy_shipped", "toy_cascade", "toy_pair"])
def test_a_repository_fits_its_networks(request, tmp_path, made):
    root = shutil.copytree(request.getfixturevalue(made).path, tmp_path / "bundle")
    entry = convert.convert(root, "triton", spec=spec()).entry
    assert (entry.kind, entry.state, entry.options["backend"]) == (
        "triton",
        "built, not run",
        "onnxruntime",
    )
    check_repository(root)
    with pytest.raises(errors.BundleError, match="for other software"):
        runtime.Inspector.load(root, engine="triton")


def test_a_repository_is_stale_after_another_threshold(toy_bundle_copy, capsys):
    convert.convert(toy_bundle_copy, "triton", spec=spec())
    assert cli.main(["threshold", str(toy_bundle_copy), "--set", "0.6"]) == 0
    assert "engines/triton must pass the gate again" in capsys.readouterr().out
    state = runtime.Inspector.load(toy_bundle_copy).manifest.engines["triton"].state
    assert state == "must pass the gate again"


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
def test_every_engine_of_a_bundle_of_fields_agrees(field_run, tmp_path, to):
    root = shutil.copytree(field_run[0] / "bundle", tmp_path / "bundle")
    entry = convert.convert(root, to, spec=spec(gate=ANYTHING)).entry
    assert sorted(entry.files) == ["locator", "refiner"]
    plain, other = runtime.Inspector.load(root), runtime.Inspector.load(root, engine=to)
    for image, _ in bench.golden_frames(root):
        expected, found = (one.output(one.prepare(image)) for one in (plain, other))
        assert np.abs(expected - found).max() < (1e-4 if entry.precision == "float32" else 0.2)


@pytest.mark.slow
@pytest.mark.parametrize("precision", ["fp32", "fp16", "int8"])
def test_tensorrt_builds_both_looks(field_run, tmp_path, precision):
    pytest.importorskip("tensorrt_rtx")
    root = shutil.copytree(field_run[0] / "bundle", tmp_path / "bundle")
    entry = convert.convert(root, "tensorrt", spec=spec(precision=precision)).entry
    assert sorted(entry.files) == ["locator", "refiner"]


@pytest.mark.slow
def test_it_serves_an_engine_of_the_bundle(toy_bundle_copy, capsys):
    pytest.importorskip("openvino")
    convert.convert(toy_bundle_copy, "openvino", spec=spec())
    words = ["convert", str(toy_bundle_copy), "--to", "triton", "--engine", "openvino"]
    assert cli.main([*words, "--name", "triton-openvino"]) == 0
    models = check_repository(toy_bundle_copy, "triton-openvino", "openvino")
    assert (models / "segmenter" / "1" / "model.bin").is_file()
    convert.convert(toy_bundle_copy, "onnx-fp16", spec=spec())
    convert.convert(toy_bundle_copy, "savedmodel", spec=spec())
    words = ["convert", str(toy_bundle_copy), "--to", "triton", "--engine", "savedmodel"]
    assert cli.main(words) == 2
    assert "Triton runs onnxruntime, openvino, tensorrt" in capsys.readouterr().err


@pytest.fixture
def server(monkeypatch):
    """Return a function that loads the verdict step as Triton would, on onnxruntime."""

    class Tensor:
        def __init__(self, name, value):
            self.name, self.value = name, value

        def as_numpy(self):
            return self.value

    class Response:
        def __init__(self, output_tensors=(), error=None):
            self.tensors, self.problem = output_tensors, error

        def has_error(self):
            return self.problem is not None

        def error(self):
            return types.SimpleNamespace(message=lambda: self.problem)

    def by_name(holder, name):
        return next((tensor for tensor in holder.tensors if tensor.name == name), None)

    def load(root):
        models = root / "engines" / "triton" / "models"

        class Request:
            def __init__(self, model_name, requested_output_names, inputs):
                self.model, self.outputs, self.inputs = model_name, requested_output_names, inputs

            def exec(self):
                engine = runtime.Engine((models / self.model / "1" / "model.onnx").read_bytes())
                given = {tensor.name: tensor.value for tensor in self.inputs}
                found = engine.session.run(self.outputs, given)
                return Response([Tensor(self.outputs[0], found[0])])

        backend = types.SimpleNamespace(
            Tensor=Tensor,
            InferenceRequest=Request,
            InferenceResponse=Response,
            TritonError=str,
            TritonModelException=RuntimeError,
            get_output_tensor_by_name=by_name,
            get_input_tensor_by_name=by_name,
        )
        monkeypatch.setitem(sys.modules, "triton_python_backend_utils", backend)
        path = models / "inspection" / "1" / "model.py"
        found = importlib.util.spec_from_file_location("model", path)
        module = importlib.util.module_from_spec(found)
        found.loader.exec_module(module)
        model = module.TritonPythonModel()
        model.initialize({"model_repository": str(models / "inspection"), "model_version": "1"})

        def ask(**sources):
            tensors = [
                Tensor(name, np.frombuffer(data, np.uint8)) for name, data in sources.items()
            ]
            (response,) = model.execute([types.SimpleNamespace(tensors=tensors)])
            if response.has_error():
                return response.problem
            return json.loads(response.tensors[0].value[0])

        return ask

    return load


@pytest.mark.parametrize("made", ["toy_shipped", "toy_cascade", "toy_pair"])
def test_the_verdict_step_decides_as_the_runtime_does(request, tmp_path, server, made):
    root = shutil.copytree(request.getfixturevalue(made).path, tmp_path / "bundle")
    convert.convert(root, "triton", spec=spec())
    ask, inspector = server(root), runtime.Inspector.load(root)
    for image, template in bench.golden_frames(root):
        given = {"image": images.encode_png(image)}
        if template is not None:
            given["template"] = images.encode_png(template)
        found, expected = ask(**given), inspector.inspect(image, template=template).to_dict()
        assert found["outcome"] == expected["outcome"]
        assert found["score"] == pytest.approx(expected["score"], abs=1e-6)
        assert found["regions"] == expected["regions"]
    assert "image" in ask(image=b"no picture").lower()
