"""The registry of kinds of engines, which bundle, runtime and builders read."""

import importlib
import re
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace

import pydantic
import pytest

import inspection_tf
from inspection_tf.bundle import listed_files
from inspection_tf.engines import kinds, starting
from inspection_tf.engines.entry import EngineEntry
from inspection_tf.engines.network import StoredNetwork

RUNNABLE = [kind for kind in kinds.KINDS.values() if kind.is_runnable]


@pytest.mark.parametrize("kind", RUNNABLE, ids=lambda kind: kind.name)
def test_every_kind_that_the_runtime_starts_has_a_module_that_does(kind):
    module = importlib.import_module(f"inspection_tf.engines.{kind.module}")
    assert callable(module.start_network)
    assert kind.packages


def test_a_manifest_names_the_kinds_of_the_registry_alone():
    for name in kinds.KINDS:
        assert EngineEntry(kind=name, precision="float32").of_kind is kinds.KINDS[name]
    with pytest.raises(pydantic.ValidationError, match="should be 'onnxruntime', 'openvino'"):
        EngineEntry(kind="cuda", precision="float32")


def test_a_bundle_may_hold_the_files_of_every_kind_in_the_folders_of_engines():
    for suffix in kinds.SUFFIXES:
        assert listed_files.check_name(Path("bundle"), f"engines/own/file{suffix}")


def test_only_openvino_has_weights_beside_its_file():
    weights = {name: kind.weights("engines/own/a.b.xml") for name, kind in kinds.KINDS.items()}
    assert {name for name, file in weights.items() if file} == {"openvino"}
    assert weights["openvino"] == "engines/own/a.b.bin"


def test_a_network_is_started_by_the_module_of_its_kind(monkeypatch):
    from inspection_tf.engines import litert_engine

    asked = {}

    def start_network(stored, **options):
        asked.update(options, data=stored.model())
        return "network"

    monkeypatch.setattr(litert_engine, "start_network", start_network)
    entry = SimpleNamespace(kind="litert", files={"segmenter": "engines/own/segmenter.tflite"})
    stored = StoredNetwork("segmenter", entry, lambda name: name.encode())
    assert starting.start(stored, threads=2) == "network"
    assert asked == {"threads": 2, "device": "cpu", "data": b"engines/own/segmenter.tflite"}


def test_no_other_module_compares_a_kind_with_its_name():
    root = Path(inspection_tf.__file__).parent
    quoted = "|".join(kinds.KINDS)
    found = [
        path.relative_to(root).as_posix()
        for path in sorted(root.rglob("*.py"))
        if re.search(rf'kind (==|!=|in|not in) \(?"({quoted})"', path.read_text())
    ]
    assert found == []


def test_the_registry_costs_no_pydantic():
    code = "import sys, inspection_tf.engines.kinds; print('pydantic' in sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "False"
