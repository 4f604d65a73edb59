import dataclasses
import errno
import hashlib
import json
import os

import numpy as np
import pytest

from inspection_tf import (
    bundle,
    decision,
    errors,
    evaluation,
    files,
    images,
    runtime,
    tasks,
    thresholds,
)
from inspection_tf.export import card, networks, ship
from inspection_tf.tasks.segmentation import tuning
from inspection_tf.tasks.segmentation.settings import Settings


@pytest.fixture
def deliver(monkeypatch, tmp_path, toy_bundle, toy_model, toy_parts, toy_spec, toy_provenance):
    """Return a function that ships the toy model; the conversion is that of the toy bundle."""
    data = (toy_bundle / "model.onnx").read_bytes()
    monkeypatch.setattr(ship.onnx, "convert", lambda model: data)

    def run(**changes):
        options = {
            "out": tmp_path / "runs" / "bundle",
            "tuning": [(None, toy_parts["tune"])],
            "measured": [(None, toy_parts["test"])],
            "split": "test",
            "spec": toy_spec,
            "provenance": toy_provenance,
        }
        return ship.ship({"segmenter": toy_model}, **(options | changes))

    return run


def test_a_bundle_holds_what_the_contract_lists(toy_bundle):
    held = {p.relative_to(toy_bundle).as_posix() for p in toy_bundle.rglob("*") if p.is_file()}
    golden = {f"golden/{n}.{suffix}" for n in range(4) for suffix in ("png", "npy")}
    tensors = {name for name in held if name.startswith("golden/tensors/")}
    assert len(tensors) == 4  # input and output of one OK and one NG
    assert held == golden | tensors | {
        "golden/check.py",
        "INTEGRATION.md",
        "manifest.json",
        "model.onnx",
        "source/model.keras",
        "golden/expected.json",
        "MODEL_CARD.md",
        "tune_scores.json",
    }


def test_the_model_file_repeats_the_manifest(toy_bundle, toy_shipped):
    engine = runtime.Engine((toy_bundle / "model.onnx").read_bytes(), threads=1)
    found = engine.session.get_modelmeta().custom_metadata_map
    manifest = toy_shipped.shipped.manifest
    assert json.loads(found["inspection_tf"]) == json.loads(manifest.for_model())
    assert found["model_id"] == manifest.model_id
    assert manifest.model_id.startswith("toy-")


def test_the_bundle_gives_the_reported_metrics_again(toy_bundle, toy_shipped, toy_parts):
    inspector = runtime.Inspector.load(toy_bundle)
    rows = evaluation.measure(inspector, toy_parts["test"])
    assert rows == toy_shipped.shipped.rows
    again = evaluation.report(
        rows,
        split="test",
        operating_point=inspector.manifest.operating_point,
        dataset_sha256=toy_parts["test"].sha256(),
    )
    assert again == toy_shipped.shipped.report
    assert json.loads(json.dumps(again)) == inspector.manifest.metrics


def test_without_a_good_image_the_threshold_comes_from_the_regions_of_the_verdicts(
    toy_bundle, toy_records
):
    manifest = bundle.read(toy_bundle)
    models = {"segmenter": (toy_bundle / "model.onnx").read_bytes()}
    bad = toy_records.where(is_defect=True)
    spec = thresholds.ThresholdSpec(method="f_beta")
    task = tasks.get(manifest.task)
    point = task.choose([(networks.started(models), bad)], spec, manifest.context).whole
    assert point.method == "region_f_beta"

    def f1(threshold):
        lowered = manifest.operating_point.model_copy(
            update={"threshold": threshold, "mask_threshold": point.mask_threshold}
        )
        changed = manifest.model_copy(update={"operating_point": lowered})
        inspector = networks.inspector(models, changed)
        rows = evaluation.measure(inspector, bad)
        results = [row.result for row in rows]
        matched = sum(result.regions_matched for result in results)
        return 2 * matched / sum(r.regions_true + r.regions_found for r in results)

    others = np.linspace(point.mask_threshold, 0.999, 7)
    assert f1(point.threshold) >= max(f1(other) for other in others)
    assert f1(point.threshold) > 0


def test_the_parity_covers_tune_and_test_and_passed(toy_shipped):
    parity = toy_shipped.shipped.manifest.parity
    assert parity["images"] == 8
    assert parity["passed"] is True
    assert parity["changed_verdicts"] == []
    assert parity["max_score_difference"] <= 1e-4


def test_golden_samples_are_the_clearest_images_of_both_labels(toy_bundle, toy_records):
    samples = json.loads((toy_bundle / "golden" / "expected.json").read_text())
    labels = {record.id: record.is_defect for record in toy_records}
    assert sorted(labels[sample["id"]] for sample in samples) == [False, False, True, True]
    for sample in samples:
        record = toy_records.select([sample["id"]])[0]
        np.testing.assert_array_equal(
            images.read(toy_bundle / sample["image"]), record.read_image()
        )


def test_the_source_model_has_the_trained_weights(toy_bundle, toy_model):
    import keras

    loaded = keras.models.load_model(toy_bundle / "source" / "model.keras", compile=False)
    for before, after in zip(toy_model.get_weights(), loaded.get_weights(), strict=True):
        np.testing.assert_array_equal(before, after)


def test_a_measured_image_can_be_shown_by_its_id(toy_shipped, toy_parts):
    record = toy_parts["test"].where(is_defect=True)[0]
    look = toy_shipped.shipped.show(record.id)
    np.testing.assert_array_equal(look.image, record.read_image())
    np.testing.assert_array_equal(look.labels.ids, record.read_mask())
    assert look.verdict.outcome == "NG"
    tuned = toy_parts["tune"][0].id
    with pytest.raises(errors.DataError, match=f"must have been measured. Got '{tuned}'"):
        toy_shipped.shipped.show(tuned)


def test_cross_validation_tunes_and_measures_on_every_fold(deliver, toy_bundle, toy_records):
    data = {"segmenter": (toy_bundle / "model.onnx").read_bytes()}
    folds = [(data, toy_records[:6]), (data, toy_records[6:])]
    shipped = deliver(tuning=folds, measured=folds, split="out_of_fold")
    assert shipped.manifest.operating_point.counts == {"images": 12, "defective": 6}
    assert shipped.report["counts"] == {"images": 12, "defective": 6}
    assert shipped.report["split"] == "out_of_fold"
    assert shipped.manifest.parity["images"] == 12  # each image once


def test_each_fold_is_measured_by_thresholds_that_the_others_choose(
    deliver, toy_bundle, toy_records, tmp_path
):
    data = {"segmenter": (toy_bundle / "model.onnx").read_bytes()}
    folds = [(data, toy_records[start::3]) for start in range(3)]
    shipped = deliver(tuning=folds, measured=folds, split="out_of_fold")
    assert shipped.report["operating_point"] is None
    used = {row.id: row.threshold for row in shipped.rows}
    for number, (_, held) in enumerate(folds):
        others = [part for other, part in enumerate(folds) if other != number]
        again = deliver(tuning=others, measured=others, split="x", out=tmp_path / str(number))
        point = again.manifest.operating_point
        assert {used[record.id] for record in held} == {point.threshold}
    assert len(set(used.values())) > 1
    alone = deliver(
        tuning=folds, measured=[(None, toy_records)], split="test", out=tmp_path / "alone"
    )
    assert alone.report["operating_point"]["threshold"] == alone.manifest.operating_point.threshold


def test_folds_that_cannot_do_without_another_are_measured_by_their_own_thresholds(
    deliver, toy_bundle, toy_records, caplog
):
    data = {"segmenter": (toy_bundle / "model.onnx").read_bytes()}
    folds = [(data, toy_records.where(is_defect=label)) for label in (True, False)]
    shipped = deliver(tuning=folds, measured=folds, split="out_of_fold")
    point = shipped.manifest.operating_point
    assert shipped.report["operating_point"]["threshold"] == point.threshold
    assert {row.threshold for row in shipped.rows} == {point.threshold}
    assert "which flatters: all defective or all good images are in fold 1" in caplog.text


def test_rules_and_scale_reach_the_bundle(deliver, toy_spec, tmp_path):
    settings = Settings(rules=decision.Rules(min_area_mm2=0.01))
    deliver(spec=dataclasses.replace(toy_spec, settings=settings, mm_per_px=0.1))
    manifest = runtime.Inspector.load(tmp_path / "runs" / "bundle").manifest
    assert (manifest.settings, manifest.mm_per_px) == (settings, 0.1)
    text = (tmp_path / "runs" / "bundle" / "MODEL_CARD.md").read_text(encoding="utf-8")
    assert "Rules: min_area_mm2 0.01." in text


def test_a_threshold_below_the_pixel_threshold_lowers_that_too():
    # Pixel threshold 0.5; a good image peaks at 0.2, a defective one at 0.4: between them lies
    # 0.3, where no pixel would belong to a region.
    class Scorer:
        first = None
        is_defect = np.array([False, True])
        parts = ("a", "b")

        def mask_threshold(self):
            return 0.5

        def score(self, mask_threshold):
            return [0.2, 0.4]

        def regions(self, mask_threshold):
            raise AssertionError("one image is good")

    points = tuning.choose_for_maps(Scorer(), thresholds.ThresholdSpec())
    assert points.whole.threshold == pytest.approx(0.3)
    assert points.whole.mask_threshold <= points.whole.threshold
    assert points.stages == {}


def test_good_images_alone_give_a_bundle_that_promises_nothing(deliver, toy_records, tmp_path):
    good = toy_records.where(is_defect=False)
    shipped = deliver(tuning=[(None, good)], measured=[(None, good)])
    assert shipped.manifest.operating_point.promise is None
    runtime.Inspector.load(tmp_path / "runs" / "bundle")
    text = (tmp_path / "runs" / "bundle" / "MODEL_CARD.md").read_text(encoding="utf-8")
    assert "Promise: none" in text
    assert "| dice_defective | undefined |" in text


def drift(monkeypatch, amount):
    run = runtime.Engine.run
    monkeypatch.setattr(
        runtime.Engine, "run", lambda engine, *batch: run(engine, *batch) - np.float32(amount)
    )


def test_when_the_gate_refuses_there_is_no_bundle(deliver, monkeypatch, tmp_path):
    drift(monkeypatch, 1e-3)
    with pytest.raises(errors.GateError, match="No bundle was written") as caught:
        deliver()
    assert caught.value.exit_code == 7
    assert not (tmp_path / "runs").exists()


def test_models_that_are_not_those_of_the_task_are_refused(deliver, toy_spec, tmp_path):
    spec = dataclasses.replace(toy_spec, task="two_stage_segmentation")
    with pytest.raises(errors.BundleError, match=r"models classifier, segmenter\. Got segmenter\."):
        deliver(spec=spec)
    assert not (tmp_path / "runs").exists()


def test_a_target_that_holds_something_is_refused_before_any_work(deliver, monkeypatch, tmp_path):
    (tmp_path / "held").mkdir()
    (tmp_path / "held" / "x").write_text("before")
    monkeypatch.setattr(ship.onnx, "convert", None)
    with pytest.raises(errors.ConfigError, match="must not exist yet"):
        deliver(out=tmp_path / "held")
    assert [p.name for p in (tmp_path / "held").iterdir()] == ["x"]


def test_a_full_disk_leaves_no_bundle_and_the_older_one_whole(
    deliver, monkeypatch, toy_bundle_copy, tmp_path
):
    def full(handle):
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(errors.StorageError, match="No space left") as caught:
        deliver(out=tmp_path / "new")
    assert caught.value.exit_code == 5
    assert [p.name for p in tmp_path.iterdir()] == [toy_bundle_copy.name]
    runtime.Inspector.load(toy_bundle_copy)


def test_a_disk_that_is_really_full_leaves_nothing(deliver, tiny_disk):
    (tiny_disk / "neighbour").write_bytes(bytes(30_000))
    with pytest.raises(errors.StorageError, match="No space left"):
        deliver(out=tiny_disk / "bundle")
    assert [p.name for p in tiny_disk.iterdir()] == ["neighbour"]


def test_a_bundle_that_would_refuse_itself_is_not_written(deliver, monkeypatch, tmp_path):
    monkeypatch.setattr(ship, "_golden_records", lambda *_, **__: [])
    with pytest.raises(errors.BundleError, match="must hold golden samples"):
        deliver()
    assert [p.name for p in (tmp_path / "runs").iterdir()] == []


def test_scores_that_are_not_finite_choose_no_threshold(deliver, monkeypatch, tmp_path):
    drift(monkeypatch, np.nan)
    with pytest.raises(errors.DataError, match="finite"):
        deliver()
    assert not (tmp_path / "runs").exists()


def test_the_card_states_the_promise_and_the_review_band(toy_shipped):
    promise = thresholds.Promise(
        max_escape_rate=0.05, confidence=0.95, observed_escapes=0, defective=60
    )
    point = thresholds.OperatingPoint(
        threshold=0.6, review_from=0.4, method="escape_rate", promise=promise
    )
    manifest = toy_shipped.shipped.manifest.model_copy(update={"operating_point": point})
    text = card.render(manifest)
    assert "at or above **0.6**, and REVIEW from 0.4." in text
    assert "at most 0.05 of defective images escape, at\n0.95" in text.replace(" 0.95", "\n0.95")
    assert "(0 of 60 escaped)" in text


def test_the_manifest_lists_the_hash_of_every_file(toy_bundle, toy_shipped):
    for name, digest in toy_shipped.shipped.manifest.files.items():
        assert files.sha256(toy_bundle / name) == digest
        assert hashlib.sha256((toy_bundle / name).read_bytes()).hexdigest() == digest


def test_maps_that_do_not_fit_on_the_disk_are_said_so(deliver, monkeypatch, tmp_path):
    def full(*_):
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(os, "posix_fallocate", full)
    with pytest.raises(errors.StorageError, match=r"maps of 4 images must fit .*No space left"):
        deliver()
    assert not (tmp_path / "runs").exists()
