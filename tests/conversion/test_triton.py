import importlib.util
import json
import shutil
import sys
import types
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
from engine_checks import spec
from triton_checks import check_repository, parsed

from inspection_tf import bench, cli, errors, images, runtime
from inspection_tf.conversion import convert
from inspection_tf.conversion.builders import triton_repository
from inspection_tf.engines.entry import BatchProfile

library = pytest.importorskip("onnx")
KEPT = Path(__file__).parents[1] / "bundles"


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
def test_it_serves_an_engine_of_the_bundle(toy_bundle_copy, capsys):
    pytest.importorskip("openvino")
    convert.convert(toy_bundle_copy, "openvino", spec=spec())
    words = ["convert", str(toy_bundle_copy), "--to", "triton", "--engine", "openvino"]
    assert cli.main([*words, "--name", "triton-openvino"]) == 0
    models = check_repository(toy_bundle_copy, "triton-openvino", "openvino")
    assert (models / "segmenter" / "1" / "model.bin").is_file()
    convert.convert(toy_bundle_copy, "savedmodel", spec=spec())
    words = ["convert", str(toy_bundle_copy), "--to", "triton", "--engine", "savedmodel"]
    assert cli.main(words) == 2
    assert "Triton runs onnxruntime, openvino, tensorrt" in capsys.readouterr().err


@pytest.fixture
def server(monkeypatch, tmp_path):
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
        # As the README says: Python writes beside what it imports, and a bundle holds only what
        # it declares.
        models = shutil.copytree(root / "engines" / "triton" / "models", tmp_path / "models")
        monkeypatch.setattr(sys, "dont_write_bytecode", False)

        class Request:
            def __init__(self, model_name, requested_output_names, inputs):
                self.model, self.outputs, self.inputs = model_name, requested_output_names, inputs

            def exec(self):
                engine = runtime.Engine((models / self.model / "1" / "model.onnx").read_bytes())
                given = {tensor.name: tensor.value for tensor in self.inputs}
                found = engine.session.run(self.outputs, given)
                return Response([Tensor(*one) for one in zip(self.outputs, found, strict=True)])

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
        found, _ = parsed(models / "inspection" / "config.pbtxt")
        settings = {
            "parameters": {k: {"string_value": v.string_value} for k, v in found.parameters.items()}
        }
        model.initialize(
            {
                "model_repository": str(models / "inspection"),
                "model_version": "1",
                "model_config": json.dumps(settings),
            }
        )

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


def test_the_verdict_step_measures_a_pose_as_the_runtime_does(tmp_path, server):
    root = shutil.copytree(KEPT / "schema_5_pose", tmp_path / "bundle")
    convert.convert(root, "triton", spec=spec())
    check_repository(root)
    image, _ = bench.golden_frames(root)[0]
    found = server(root)(image=images.encode_png(image))
    verdict = runtime.Inspector.load(root, check_golden=False).inspect(image)
    expected = json.loads(json.dumps(verdict.to_dict()))
    assert expected["pose"]
    assert {**found, "ms": {}} == {**expected, "ms": {}}


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
        assert found["model_sha256"] == inspector.model_sha256
    assert "image" in ask(image=b"no picture").lower()
    assert list((tmp_path / "models").rglob("__pycache__"))  # what would have spoilt the bundle
    runtime.Inspector.load(root)


@pytest.mark.parametrize("made", ["toy_shipped", "toy_cascade", "toy_pair"])
def test_the_configuration_of_a_plan_fits_its_network(request, tmp_path, made):
    manifest = request.getfixturevalue(made).shipped.manifest
    profile = BatchProfile(smallest=1, usual=3, largest=12)
    entry = SimpleNamespace(batch=profile, precision="float16")
    conversion = SimpleNamespace(
        manifest=manifest.model_copy(update={"engines": {"plan": entry}}),
        spec=spec(engine="plan", instances=2),
    )
    for graph in manifest.graphs:
        path = tmp_path / f"{graph.name}.pbtxt"
        path.write_text(triton_repository._network_config(conversion, graph.name, "tensorrt"))
        found, schema = parsed(path)
        assert (found.backend, found.default_model_filename) == ("tensorrt", "model.engine")
        assert (found.max_batch_size, list(found.dynamic_batching.preferred_batch_size)) == (
            12,
            [2],
        )
        (group,) = found.instance_group
        assert (group.kind, group.count) == (schema.ModelInstanceGroup.KIND_GPU, 2)
        onnx = library.load(request.getfixturevalue(made).path / graph.file).graph
        for given, expected in ((found.input, onnx.input), (found.output, onnx.output)):
            assert {item.name: list(item.dims) for item in given} == {
                value.name: [axis.dim_value for axis in value.type.tensor_type.shape.dim][1:]
                for value in expected
            }
