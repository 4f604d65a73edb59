import csv
import dataclasses
import json
import types

import numpy as np
import pytest

from inspection_tf import bundle, errors, evaluation, runtime, thresholds
from inspection_tf.export import card, ship


def held(root):
    return {path.relative_to(root).as_posix() for path in root.rglob("*") if path.is_file()}


def golden(root):
    return json.loads((root / "golden" / "expected.json").read_text())


@pytest.fixture
def deliver(monkeypatch, tmp_path, toy_cascade, toy_stages, toy_deliver):
    """Return a function that ships the toy cascade; the conversion is that of its bundle."""
    data = {
        toy_stages.segmenter: (toy_cascade.path / "model.onnx").read_bytes(),
        toy_stages.classifier: (toy_cascade.path / "classifier.onnx").read_bytes(),
    }
    monkeypatch.setattr(ship.onnx, "convert", data.__getitem__)

    def run(*, graphs=("segmenter", "classifier"), **changes):
        models = {"segmenter": toy_stages.segmenter, "classifier": toy_stages.classifier}
        given = {name: models[name] for name in graphs}
        return toy_deliver(tmp_path / "runs" / "bundle", toy_cascade.root, given, **changes)

    return run


@pytest.fixture
def networks(toy_cascade):
    files = {"segmenter": "model.onnx", "classifier": "classifier.onnx"}
    return {name: (toy_cascade.path / file).read_bytes() for name, file in files.items()}


def test_a_cascade_holds_both_networks_and_their_sources(toy_cascade):
    samples = {f"golden/{n}.{suffix}" for n in range(4) for suffix in ("png", "npy")}
    tensors = {name for name in held(toy_cascade.path) if name.startswith("golden/tensors/")}
    assert len(tensors) == 8  # input and output of both networks, of one OK and one NG
    assert held(toy_cascade.path) == samples | tensors | {
        "golden/check.py",
        "INTEGRATION.md",
        "manifest.json",
        "classifier.onnx",
        "model.onnx",
        "source/classifier.keras",
        "source/model.keras",
        "golden/expected.json",
        "MODEL_CARD.md",
        "tune_scores.json",
    }


def test_a_bundle_that_compares_holds_its_golden_templates(toy_pair):
    samples = golden(toy_pair.path)
    assert [s["template"] for s in samples] == [f"golden/{n}_template.png" for n in range(4)]
    assert {s["template"] for s in samples} <= held(toy_pair.path)
    assert all("first_score" not in sample for sample in samples)
    manifest = toy_pair.shipped.manifest
    assert [item.name for item in manifest.inputs] == ["image", "template"]
    assert manifest.task == "segmentation"


def test_the_manifest_says_which_graph_returns_what_and_when(toy_cascade):
    manifest = toy_cascade.shipped.manifest
    assert manifest.task == "two_stage_segmentation"
    assert manifest.classes == ("bright", "dark")
    assert [(g.name, g.file, g.when) for g in manifest.graphs] == [
        ("classifier", "classifier.onnx", "always"),
        ("segmenter", "model.onnx", "NG"),
    ]
    assert {o.graph: (o.name, o.kind, o.shape) for o in manifest.outputs} == {
        "segmenter": ("probability", "probability_map", ("batch", 64, 64, 2)),
        "classifier": ("class_probability", "class_probability", ("batch", 3)),
    }


@pytest.mark.parametrize("made", ["toy_cascade", "toy_pair"])
def test_every_network_repeats_the_manifest(made, request):
    toy = request.getfixturevalue(made)
    manifest = toy.shipped.manifest
    found = sorted(toy.path.glob("*.onnx"))
    assert len(found) == len(manifest.graphs)
    for path in found:
        engine = runtime.Engine(path.read_bytes(), threads=1)
        texts = engine.session.get_modelmeta().custom_metadata_map
        assert json.loads(texts["inspection_tf"]) == json.loads(manifest.for_model())
        assert texts["model_id"] == manifest.model_id


def test_the_thresholds_in_the_metadata_are_the_final_ones(toy_cascade):
    texts = json.loads(toy_cascade.shipped.manifest.for_model())
    manifest = bundle.read(toy_cascade.path)
    first = manifest.stage_points["classifier"]
    assert first.method == "joint"
    assert texts["stage_points"]["classifier"]["threshold"] == first.threshold
    assert texts["operating_point"]["threshold"] == manifest.operating_point.threshold


@pytest.mark.parametrize("made", ["toy_cascade", "toy_pair"])
def test_the_bundle_gives_the_reported_metrics_again(made, request):
    toy = request.getfixturevalue(made)
    inspector = runtime.Inspector.load(toy.path)
    rows = evaluation.measure(inspector, toy.parts["test"])
    assert rows == toy.shipped.rows
    again = evaluation.report(
        rows,
        split="test",
        operating_point=inspector.manifest.operating_point,
        dataset_sha256=toy.parts["test"].sha256(),
        classes=inspector.manifest.classes,
    )
    assert json.loads(json.dumps(again)) == inspector.manifest.metrics


def test_rows_and_table_tell_the_stage_and_the_pixels_of_each_class(toy_cascade, tmp_path):
    shipped = toy_cascade.shipped
    assert shipped.report["classes"] == ["bright", "dark"]
    assert {"iou_class_bright", "iou_class_dark"} <= set(shipped.report["metrics"])
    evaluation.write(tmp_path, shipped.rows, shipped.report)
    lines = list(csv.DictReader((tmp_path / "per_image.csv").read_text().splitlines()))
    for line, row in zip(lines, shipped.rows, strict=True):
        assert line["decided_by"] == ("segmenter" if row.is_ng else "classifier")
        pixels = [int(line[f"true_px_{name}"]) for name in ("bright", "dark")]
        assert sum(pixels) == row.result.true_area_px
        assert (max(pixels) > 0) == row.is_ng
        assert (line["true_class"] == "") != row.is_ng


def test_golden_samples_hold_both_stages_of_both_labels(toy_cascade):
    samples = golden(toy_cascade.path)
    assert [sample["outcome"] for sample in samples] == ["NG", "NG", "OK", "OK"]
    t1 = toy_cascade.shipped.manifest.stage_points["classifier"].threshold
    for sample in samples:
        is_ng = sample["outcome"] == "NG"
        assert sample["decided_by"] == ("segmenter" if is_ng else "classifier")
        assert (sample["first_score"] >= t1) == is_ng


def test_a_golden_ng_is_far_from_both_thresholds():
    # The second score says a, then b, then c; the first one barely passes a, and c is an escape.
    rows = [
        types.SimpleNamespace(id=name, is_ng=True, score=score, threshold=0.5, error=error)
        for name, score, error in (("a", 0.99, None), ("b", 0.9, None), ("c", 0.0, "escape"))
    ]
    records = [
        types.SimpleNamespace(id=row.id, read_pair=lambda orientation, name=row.id: (name, None))
        for row in rows
    ]
    first = {"a": 0.5001, "b": 0.8, "c": 0.9}
    inspector = types.SimpleNamespace(
        task=types.SimpleNamespace(golden_counts=(1, 0)),
        context=types.SimpleNamespace(stage_points={"classifier": None}),
        preprocessing=types.SimpleNamespace(orientation="apply"),
        prepare_decoded=lambda image, template: image,
        run=lambda batch, *, every_stage: batch,
        stage_scores=lambda output, prepared: {"first_score": first[output]},
    )
    assert [r.id for r in ship._golden_records(rows, records, inspector)] == ["b"]


def test_the_source_models_have_the_trained_weights(toy_cascade, toy_stages):
    import keras

    for name, model in (("model", toy_stages.segmenter), ("classifier", toy_stages.classifier)):
        path = toy_cascade.path / "source" / f"{name}.keras"
        loaded = keras.models.load_model(path, compile=False)
        for before, after in zip(model.get_weights(), loaded.get_weights(), strict=True):
            np.testing.assert_array_equal(before, after)


def test_the_model_id_follows_from_both_networks(toy_cascade, deliver, toy_stages):
    manifest = deliver(graphs=("segmenter",)).shipped.manifest
    assert manifest.task == "segmentation"
    assert [graph.name for graph in manifest.graphs] == ["segmenter"]
    assert manifest.model_id != toy_cascade.shipped.manifest.model_id


def test_the_card_states_both_thresholds(toy_cascade):
    manifest = toy_cascade.shipped.manifest
    text = (toy_cascade.path / "MODEL_CARD.md").read_text(encoding="utf-8")
    first = manifest.stage_points["classifier"].threshold
    assert f"at or above **{manifest.operating_point.threshold:.6g}**" in text
    assert f"score is under\n**{first:.6g}** is OK" in text.replace(" **", "\n**")
    assert "the promise is that of the whole" in text
    assert "Segments defects (bright, dark)" in text
    assert "template" not in text


def test_the_card_of_a_single_stage_speaks_of_no_other(toy_pair):
    text = card.render(toy_pair.shipped.manifest)
    assert "each compared with its template" in text
    assert "classifier" not in text


def test_cross_validation_tunes_both_stages_on_every_fold(deliver, networks, toy_classes):
    folds = [(networks, toy_classes[:6]), (networks, toy_classes[6:])]
    shipped = deliver(tuning=folds, measured=folds, split="out_of_fold").shipped
    point = shipped.manifest.operating_point
    assert point.counts == {"images": 12, "defective": 6}
    assert shipped.manifest.stage_points["classifier"].counts == point.counts
    assert shipped.manifest.parity["images"] == 12
    assert [row.decided_by for row in shipped.rows] == ["segmenter"] * 6 + ["classifier"] * 6


@pytest.mark.parametrize("where", ["tuning", "measured"])
def test_a_fold_without_its_classifier_is_refused(deliver, networks, toy_classes, where):
    alone = [({"segmenter": networks["segmenter"]}, toy_classes)]
    with pytest.raises(errors.BundleError, match="must have the models classifier, segmenter"):
        deliver(**{where: alone})


def test_the_thresholds_are_those_of_both_scores(deliver, toy_spec):
    method = thresholds.ThresholdSpec(method="overkill_rate", max_overkill_rate=0.5, confidence=0.9)
    manifest = deliver(spec=dataclasses.replace(toy_spec, threshold=method)).shipped.manifest
    assert manifest.operating_point.method == "overkill_rate"
    assert manifest.stage_points["classifier"].method == "joint"
    assert manifest.operating_point.tune["overkill_rate"] <= 0.5


def altered(monkeypatch, channels, change):
    """Alter what engines return whose output has this many channels."""
    run = runtime.Engine.run

    def alter(engine, *batch):
        output = run(engine, *batch)
        return change(output) if output.shape[-1] == channels else output

    monkeypatch.setattr(runtime.Engine, "run", alter)


def test_when_the_classifier_drifts_there_is_no_bundle(deliver, monkeypatch, tmp_path):
    altered(monkeypatch, 3, lambda output: output * np.float32(0.999))
    with pytest.raises(errors.GateError, match="No bundle was written"):
        deliver()
    assert not (tmp_path / "runs").exists()


@pytest.mark.parametrize("channels", [2, 3])
def test_scores_of_a_stage_that_are_not_finite_choose_no_threshold(
    deliver, monkeypatch, tmp_path, channels
):
    altered(monkeypatch, channels, lambda output: output * np.float32(np.nan))
    with pytest.raises(errors.DataError, match="finite"):
        deliver()
    assert not (tmp_path / "runs").exists()
