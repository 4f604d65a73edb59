"""The one editor of bundles that are out."""

import json

import pytest
from engine_checks import contents

from inspection_tf import bundle, runtime
from inspection_tf.editing import rewrite
from inspection_tf.engines.entry import EngineEntry

onnx = pytest.importorskip("onnx")


def edited(root, change, **options):
    manifest = bundle.read(root)
    with rewrite.rewriting(root, manifest, change, **options) as edit:
        edit.found["pages"] = 1
    return edit.manifest


def test_an_edit_of_the_decision_is_noted_and_repeated_in_the_model(toy_bundle_copy):
    point = bundle.read(toy_bundle_copy).operating_point.model_copy(update={"threshold": 0.625})
    change = rewrite.Change({"operating_point": point}, rewrite.note("other", after=0.625))
    assert edited(toy_bundle_copy, change) == bundle.read(toy_bundle_copy)
    (entry,) = bundle.read(toy_bundle_copy).audit
    assert list(entry) == ["at", "what", "after", "pages"]
    model = onnx.load(toy_bundle_copy / "model.onnx")
    (text,) = (one.value for one in model.metadata_props if one.key == "inspection_tf")
    assert json.loads(text)["operating_point"]["threshold"] == 0.625


def test_an_edit_that_decides_nothing_leaves_models_and_audit_as_they_are(toy_bundle_copy):
    before = contents(toy_bundle_copy)
    entry = EngineEntry(kind="savedmodel", precision="float32")
    manifest = edited(toy_bundle_copy, rewrite.Change({"engines": {"own": entry}}))
    after = contents(toy_bundle_copy)
    assert manifest.audit == ()
    assert {name for name in after if after[name] != before.get(name)} <= {
        "manifest.json",
        "MODEL_CARD.md",
    }


def test_only_the_engines_that_it_stops_must_pass_the_gate_again(toy_bundle_copy):
    entries = {
        name: EngineEntry(kind=kind, precision="float32")
        for name, kind in (("served", "triton"), ("plain", "savedmodel"))
    }
    edited(toy_bundle_copy, rewrite.Change({"engines": entries}))
    change = rewrite.Change({}, stops=lambda entry: entry.of_kind.copies_manifest)
    engines = edited(toy_bundle_copy, change).engines
    assert engines["served"].state == "must pass the gate again"
    assert engines["plain"].state == "built, not run"


def test_a_bundle_that_would_refuse_itself_is_as_it_was(toy_bundle_copy, monkeypatch):
    before = contents(toy_bundle_copy)

    def refuse(*_given, **_options):
        raise RuntimeError("it refuses")

    change = rewrite.Change({}, rewrite.note("tiles"))
    monkeypatch.setattr(runtime.Inspector, "load", refuse)
    with pytest.raises(RuntimeError, match="it refuses"):
        edited(toy_bundle_copy, change)
    assert contents(toy_bundle_copy) == before
