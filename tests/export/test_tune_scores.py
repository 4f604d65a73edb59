"""The scores of the tune images that a bundle carries."""

import dataclasses
import hashlib
import json

import pytest

from inspection_tf import bundle, cli, errors, runtime
from inspection_tf.export import tune_scores
from inspection_tf.runtime.runner import Runner


def held(root):
    return bundle.read_tune_scores(root, bundle.read(root))


def verdicts(inspector, records, threshold, review_from):
    point = inspector.context.operating_point.model_copy(
        update={"threshold": threshold, "review_from": review_from}
    )
    context = dataclasses.replace(inspector.context, operating_point=point)
    runner = Runner(inspector.task, inspector.networks, context)
    turn = inspector.preprocessing.orientation
    pairs = (record.read_pair(orientation=turn) for record in records)
    return [runner.judge(runner.prepare_decoded(*pair)) for pair in pairs]


def test_they_are_those_of_the_verdicts_on_the_tune_images(toy_bundle, toy_parts):
    found = held(toy_bundle)
    inspector = runtime.Inspector.load(toy_bundle)
    assert found.ids == toy_parts["tune"].ids
    assert found.is_defect == tuple(toy_parts["tune"].is_defect)
    assert found.parts == toy_parts["tune"].parts
    again = [inspector.inspect(record.read_image()).score for record in toy_parts["tune"]]
    assert found.scores == pytest.approx(again, abs=1e-7)
    assert found.mask_threshold == inspector.context.operating_point.mask_threshold


@pytest.mark.parametrize("toy", ["toy_cascade", "toy_pair"])
def test_what_another_threshold_decides_is_told_without_the_images(toy, request):
    shipped = request.getfixturevalue(toy)
    inspector = runtime.Inspector.load(shipped.path)
    records = shipped.parts["tune"]
    found = tune_scores.measured([(inspector, records)], part_escapes="any")
    known = dict(zip(held(shipped.path).ids, held(shipped.path).scores, strict=True))
    assert found.scores == pytest.approx([known[name] for name in found.ids], abs=1e-6)
    middle = sorted(found.scores)[len(records) // 2]
    for threshold in (0.001, middle, middle + 1e-6, 0.7, 0.9999):
        for review_from in (None, threshold / 2):
            expected = verdicts(inspector, records, threshold, review_from)
            assert found.outcomes(threshold, review_from) == [one.outcome for one in expected]


def test_what_the_first_stage_stops_no_threshold_makes_ng(toy_cascade):
    inspector = runtime.Inspector.load(toy_cascade.path)
    decided = verdicts(inspector, toy_cascade.parts["tune"], 1e-9, None)
    stopped = {
        record.id
        for record, verdict in zip(toy_cascade.parts["tune"], decided, strict=True)
        if verdict.decided_by == "classifier"
    }
    bounds = held(toy_cascade.path).bounds
    assert stopped
    assert {name for name in bounds if name in toy_cascade.parts["tune"].ids} == stopped
    assert set(bounds.values()) == {("OK", "OK")}
    assert held(toy_cascade.path).further_thresholds == 1


def test_another_threshold_by_the_images_measures_them_again(toy_bundle_copy, toy_parts):
    before = held(toy_bundle_copy)
    assert cli.main(["threshold", str(toy_bundle_copy), "--recall", "1"]) == 0
    point = bundle.read(toy_bundle_copy).operating_point
    assert held(toy_bundle_copy).mask_threshold == point.mask_threshold
    assert held(toy_bundle_copy).ids == before.ids
    assert cli.main(["threshold", str(toy_bundle_copy), "--set", "0.9"]) == 0
    assert held(toy_bundle_copy).ids == before.ids


def test_a_bundle_without_them_is_read(toy_bundle_copy):
    (toy_bundle_copy / bundle.TUNE_SCORES).unlink()
    values = json.loads((toy_bundle_copy / bundle.MANIFEST).read_text())
    del values["files"][bundle.TUNE_SCORES]
    (toy_bundle_copy / bundle.MANIFEST).write_text(json.dumps(values))
    assert held(toy_bundle_copy) is None
    assert cli.main(["threshold", str(toy_bundle_copy), "--set", "0.9"]) == 0
    assert held(toy_bundle_copy) is None


NAN = '{"ids": ["a"], "is_defect": [true], "scores": [NaN]}'
TWICE = '{"ids": ["a", "a"], "is_defect": [true, true], "scores": [0.1, 0.2]}'


@pytest.mark.parametrize(
    "text", ["{}", "[]", "no JSON", NAN, TWICE, '{"ids": ["a"], "is_defect": [1, 0]}']
)
def test_a_file_that_holds_no_scores_is_refused(toy_bundle_copy, text):
    manifest = bundle.read(toy_bundle_copy)
    (toy_bundle_copy / bundle.TUNE_SCORES).write_text(text)
    with pytest.raises(errors.BundleError, match="another SHA-256"):
        bundle.read_tune_scores(toy_bundle_copy, manifest)
    listed = {**manifest.files, bundle.TUNE_SCORES: hashlib.sha256(text.encode()).hexdigest()}
    resealed = manifest.model_copy(update={"files": listed})
    with pytest.raises(errors.BundleError, match=r"tune_scores\.json"):
        bundle.read_tune_scores(toy_bundle_copy, resealed)
