"""Bundles that earlier versions wrote, kept as they were: each schema is read, run and changed."""

import importlib.util
import json
import shutil
import sys
from pathlib import Path

import pytest

from inspection_tf import bundle, cli, runtime

KEPT = Path(__file__).parents[1] / "bundles"
VERDICTS = json.loads((KEPT / "verdicts.json").read_text())
NAMES = sorted(VERDICTS)
WITH_ENGINES = [(name, engine) for name in NAMES for engine in VERDICTS[name]]


def approx(value):
    """Compare numbers as other processors may round them; all else must be equal."""
    if isinstance(value, dict):
        return {key: approx(item) for key, item in value.items()}
    if isinstance(value, list):
        return [approx(item) for item in value]
    return pytest.approx(value, rel=1e-3, abs=1e-4) if isinstance(value, float) else value


@pytest.fixture
def copied(tmp_path):
    return lambda name: shutil.copytree(KEPT / name, tmp_path / name)


@pytest.mark.parametrize("name", NAMES)
def test_it_is_of_the_schema_that_it_is_named_after(name):
    stored = json.loads((KEPT / name / bundle.MANIFEST).read_text())
    assert name.startswith(f"schema_{stored['schema_version']}_")


@pytest.mark.parametrize(("name", "engine"), WITH_ENGINES)
def test_it_decides_as_it_did(name, engine):
    if engine == "openvino":
        pytest.importorskip("openvino")
    if engine == "litert":
        pytest.importorskip("ai_edge_litert")
    inspector = runtime.Inspector.load(KEPT / name, engine=engine, threads=1)  # golden samples too
    for image, expected in VERDICTS[name][engine].items():
        found = inspector.inspect(KEPT / name / image).to_dict()
        del found["ms"]
        assert found == approx(expected)


@pytest.mark.parametrize("name", NAMES)
def test_it_is_verified(name, capsys):
    assert cli.main(["verify", str(KEPT / name)]) == 0


@pytest.mark.parametrize("classes", [[], ["broken", "worn"]])
def test_a_classifier_of_other_classes_than_said_is_refused(classes, copied, capsys):
    root = copied("schema_5_classification")
    stored = json.loads((root / bundle.MANIFEST).read_text())
    (root / bundle.MANIFEST).write_text(json.dumps({**stored, "classes": classes}))
    assert cli.main(["verify", str(root)]) == 4
    assert "Got " in capsys.readouterr().err


@pytest.mark.parametrize("name", NAMES)
def test_it_gets_another_threshold(name, copied, capsys):
    root = copied(name)
    assert cli.main(["threshold", str(root), "--set", "0.25"]) == 0
    changed = runtime.Inspector.load(root).manifest
    assert changed.operating_point.threshold == 0.25
    assert changed.schema_version == bundle.SCHEMA_VERSION
    assert cli.main(["verify", str(root)]) == 0


@pytest.mark.parametrize(
    "name",
    [
        # Each image of its tune and test splits is measured several times.
        pytest.param(name, marks=pytest.mark.slow) if name.endswith("pose") else name
        for name in NAMES
    ],
)
def test_it_is_converted_on_the_data_that_it_was_made_from(name, copied, capsys):
    pytest.importorskip("openvino")
    root = copied(name)
    assert cli.main(["convert", str(root), "--to", "openvino", "--name", "added"]) == 0
    assert runtime.Inspector.load(root, engine="added").engine_name == "added"


# A repository of its time holds no bundle of a later schema.
@pytest.mark.parametrize("name", [name for name in NAMES if name < "schema_5"])
def test_the_model_py_of_an_older_repository_of_triton_still_starts(name, monkeypatch, tmp_path):
    monkeypatch.setitem(sys.modules, "triton_python_backend_utils", object())
    place = KEPT / "triton_model_of_schema_4.py"
    loading = importlib.util.spec_from_file_location("older_triton_model", place)
    module = importlib.util.module_from_spec(loading)
    loading.loader.exec_module(module)
    (tmp_path / "1").mkdir()
    shutil.copy(KEPT / name / bundle.MANIFEST, tmp_path / "1")
    inspector = runtime.Inspector.load(KEPT / name, threads=1)
    model = module.TritonPythonModel()
    model.initialize(
        {
            "model_repository": str(tmp_path),
            "model_version": "1",
            "model_config": json.dumps(
                {"parameters": {"model_sha256": {"string_value": "0" * 64}}}
            ),
        }
    )
    asked = []
    monkeypatch.setattr(
        module._Remote,
        "run",
        lambda self, image, template=None: (
            asked.append(self.name) or inspector.networks[self.name].run(image, template)
        ),
    )
    image = next(iter(VERDICTS[name]["onnx"]))
    found = model.inspector.inspect(KEPT / name / image).to_dict()
    assert asked
    assert found["outcome"] == VERDICTS[name]["onnx"][image]["outcome"]
