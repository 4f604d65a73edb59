"""Operating points that a bundle gets after its export, by the methods of a recipe."""

import json
import shutil

import numpy as np
import pytest
from engine_checks import contents, manifest_values

from inspection_tf import bundle, cli, errors, runtime, tasks, thresholds
from inspection_tf.editing import rethreshold
from inspection_tf.tasks.base import OperatingPoints


def run(root, *words):
    return cli.main(["threshold", str(root), *words])


def scores(root, records):
    inspector = runtime.Inspector.load(root)
    found = [inspector.inspect(record.read_image()).score for record in records]
    return np.array(found), np.array([record.is_defect for record in records])


METHODS = [
    (("--precision", "0.9"), {"method": "precision", "min_precision": 0.9}),
    (("--recall", "1"), {"method": "recall", "min_recall": 1.0}),
    (("--f-beta", "2"), {"method": "f_beta", "beta": 2.0}),
    (("--cost", "10", "1"), {"method": "cost", "escape_cost": 10.0, "overkill_cost": 1.0}),
    # Of two good images none is NG: (1 - 0.8) ** 2 is 0.04, under 1 - 0.9.
    (
        ("--overkill-rate", "0.8", "--confidence", "0.9"),
        {"method": "overkill_rate", "max_overkill_rate": 0.8, "confidence": 0.9},
    ),
]


@pytest.mark.parametrize(("words", "spec"), METHODS, ids=[spec["method"] for _, spec in METHODS])
def test_a_bundle_gets_the_threshold_that_a_recipe_would_choose(
    toy_bundle_copy, toy_parts, words, spec, capsys
):
    before = bundle.read(toy_bundle_copy).operating_point
    score, is_defect = scores(toy_bundle_copy, toy_parts["tune"])
    expected = thresholds.choose(
        score,
        is_defect,
        thresholds.ThresholdSpec(**spec),
        mask_threshold=before.mask_threshold,
        groups=range(len(score)),  # drawn, so each image is known to show a part of its own
    )
    assert run(toy_bundle_copy, *words, "--reason", "asked for") == 0
    point = bundle.read(toy_bundle_copy).operating_point
    assert point.method == spec["method"]
    assert point.parameters == {name: spec[name] for name in thresholds.PARAMETERS[point.method]}
    assert point.threshold == pytest.approx(expected.threshold, abs=1e-6)
    assert (point.tune, point.note, point.promise) == (expected.tune, expected.note, None)
    (edit,) = bundle.read(toy_bundle_copy).audit
    assert edit["before"]["threshold"] == before.threshold
    assert (edit["after"]["method"], edit["reason"]) == (point.method, "asked for")
    # Checked by what it holds: hashes, golden samples.
    assert runtime.Inspector.load(toy_bundle_copy).manifest.operating_point == point
    said = capsys.readouterr().out.splitlines()
    assert f" -> {point.threshold:.6g}; " in said[0]
    assert said[1].startswith("on the tune images: escape rate ")
    assert said[1].endswith(point.note)


def test_the_method_of_the_export_gives_its_operating_point_again(toy_bundle_copy):
    before = bundle.read(toy_bundle_copy).operating_point
    assert before.method == "f_beta"
    assert run(toy_bundle_copy, "--f-beta", "1") == 0
    assert bundle.read(toy_bundle_copy).operating_point == before


def test_a_threshold_is_the_mean_of_resamples_on_request(toy_bundle_copy, capsys):
    assert run(toy_bundle_copy, "--cost", "1", "1", "--resamples", "20") == 0
    point = bundle.read(toy_bundle_copy).operating_point
    assert point.parameters == {"escape_cost": 1.0, "overkill_cost": 1.0, "resamples": 20.0}
    assert "The mean threshold of 20 resamples of whole parts." in capsys.readouterr().out


@pytest.mark.parametrize(("words", "spec"), METHODS[:4], ids=[s["method"] for _, s in METHODS[:4]])
def test_both_thresholds_of_a_cascade_are_chosen_together(toy_cascade, tmp_path, words, spec):
    root = shutil.copytree(toy_cascade.path, tmp_path / "bundle")
    assert run(root, *words) == 0
    manifest = bundle.read(root)
    assert manifest.operating_point.method == spec["method"]
    assert manifest.stage_points["classifier"].method == "joint"
    assert manifest.audit[-1]["after"]["stages"].keys() == {"classifier"}


def test_the_overkill_of_a_cascade_is_promised_for_both_stages(toy_cascade, tmp_path, capsys):
    root = shutil.copytree(toy_cascade.path, tmp_path / "bundle")
    assert run(root, "--overkill-rate", "0.9", "--confidence", "0.5") == 0
    note = "At most 0.9 of the good images are overkill, at 0.5 confidence."
    assert bundle.read(root).operating_point.note == f"{note} {thresholds.parts.UNKNOWN}"
    assert note in capsys.readouterr().out


ONE = (
    "threshold needs one of --set, --escape-rate, --precision, --recall, --f-beta, --cost, "
    "--overkill-rate. Got {}. Give one."
)


@pytest.mark.parametrize(
    ("words", "code", "said"),
    [
        ((), 2, ONE.format("none")),
        (("--set", "0.4", "--recall", "0.9"), 2, ONE.format("--set and --recall")),
        (("--cost", "1", "1", "--f-beta", "1", "--precision", "1"), 2, "--precision and --f-beta"),
        (("--precision", "1.5"), 2, "--precision: min_precision must be valid. Got 1.5"),
        (("--recall", "0"), 2, "--recall: min_recall must be valid. Got 0"),
        (("--f-beta", "nan"), 2, "--f-beta: beta must be valid. Got nan"),
        (("--cost", "-1", "1"), 2, "--cost: escape_cost must be valid. Got -1"),
        (("--cost", "0", "0"), 2, "must cost something. Got 0 for both"),
        (("--set", "0.4", "--review-share", "0.1"), 2, "Got it with --set. Leave one out"),
        (
            ("--recall", "1", "--review-share", "0.1", "--review-band", "0.1"),
            2,
            "Got it with --review-band. Leave one out",
        ),
        (("--recall", "1", "--review-share", "1"), 2, "review_share must be valid. Got 1"),
        (("--recall", "1", "--resamples", "9"), 2, "must go with one of --f-beta, --cost. Got it"),
        (("--cost", "1", "1", "--resamples", "-1"), 2, "resamples must be valid. Got -1"),
        (("--overkill-rate", "1"), 2, "--overkill-rate: max_overkill_rate must be valid"),
        (("--overkill-rate", "0.1", "--confidence", "1"), 2, "confidence must be valid. Got 1"),
        # Of n good images without overkill 0.98 ** n <= 0.05 proves 2 %.
        (("--overkill-rate", "0.02"), 3, "would need 149 of them. Promise less"),
    ],
)
def test_what_cannot_be_chosen_is_refused(toy_bundle_copy, words, code, said, capsys):
    before = contents(toy_bundle_copy)
    assert run(toy_bundle_copy, *words) == code
    assert said in capsys.readouterr().err
    assert contents(toy_bundle_copy) == before


@pytest.mark.parametrize(
    ("is_defect", "method", "said"),
    [
        # A recipe would hold the overkill rate instead, or F-beta over regions.
        (False, "recall", r"recall needs good and defective.* 2 images of which 0 are defective"),
        (False, "f_beta", r"f_beta needs good and defective images"),
        (True, "cost", r"cost needs good and defective.* 2 images of which 2 are defective"),
    ],
)
def test_a_method_that_a_recipe_would_replace_is_refused(
    toy_bundle_copy, toy_parts, monkeypatch, is_defect, method, said
):
    one_kind = {"tune": toy_parts["tune"].where(is_defect=is_defect)}
    monkeypatch.setattr(rethreshold.source_data, "parts", lambda *_given: one_kind)
    before = contents(toy_bundle_copy)
    with pytest.raises(errors.DataError, match=said):
        rethreshold.choose(toy_bundle_copy, thresholds.ThresholdSpec(method=method))
    assert contents(toy_bundle_copy) == before


def test_where_the_likeliest_class_decides_there_is_no_threshold_to_choose(
    toy_bundle_copy, toy_parts, monkeypatch
):
    monkeypatch.setattr(rethreshold.source_data, "parts", lambda *_given: toy_parts)
    fixed = OperatingPoints(thresholds.OperatingPoint(threshold=0.5, method="likeliest"))
    task = tasks.get(bundle.read(toy_bundle_copy).task)
    monkeypatch.setattr(task, "choose", lambda *_given: fixed)
    with pytest.raises(errors.ConfigError, match="decides by the likeliest class"):
        rethreshold.choose(toy_bundle_copy, thresholds.ThresholdSpec(method="recall"))


def test_f_beta_of_defective_images_alone_is_that_of_regions(
    toy_bundle_copy, toy_parts, monkeypatch
):
    defective = {"tune": toy_parts["tune"].where(is_defect=True)}
    monkeypatch.setattr(rethreshold.source_data, "parts", lambda *_given: defective)
    changed = rethreshold.choose(toy_bundle_copy, thresholds.ThresholdSpec(method="f_beta"))
    assert changed.operating_point.method == "region_f_beta"
    assert "over regions instead" in changed.operating_point.note


def test_a_cross_validated_bundle_has_no_images_for_a_method(toy_bundle_copy, reseal, capsys):
    values = manifest_values(toy_bundle_copy)
    data = values["provenance"]["data"]
    data["splits"] = {"train": [name for part in data["splits"].values() for name in part]}
    data["source"] |= {"folds": 2}
    reseal(toy_bundle_copy, **values)
    assert run(toy_bundle_copy, "--recall", "0.9") == 3
    assert "without a tune split: it was cross-validated" in capsys.readouterr().err


def test_a_method_leaves_the_review_band_as_wide_as_it_was(toy_bundle_copy, reseal):
    point = manifest_values(toy_bundle_copy)["operating_point"]
    # So narrow that no golden sample lies in it.
    reseal(toy_bundle_copy, operating_point=point | {"review_from": point["threshold"] - 1e-4})
    spec = thresholds.ThresholdSpec(method="recall", min_recall=0.5, review_band=0.2)
    after = rethreshold.choose(toy_bundle_copy, spec).operating_point
    assert after.threshold - after.review_from == pytest.approx(1e-4)


def test_golden_verdicts_follow_the_threshold(toy_bundle_copy):
    # Above every score but the highest of the tune images: recall 0.5 is one of its two defects.
    assert run(toy_bundle_copy, "--recall", "0.5") == 0
    threshold = bundle.read(toy_bundle_copy).operating_point.threshold
    for sample in json.loads((toy_bundle_copy / "golden" / "expected.json").read_text()):
        assert (sample["outcome"] == "NG") == (sample["score"] >= threshold)


def test_what_a_part_is_stays_as_it_was_exported_unless_asked(toy_bundle_copy, capsys):
    words = ("--escape-rate", "0.9", "--confidence", "0.5")
    assert run(toy_bundle_copy, *words, "--part-escapes", "each") == 0
    point = bundle.read(toy_bundle_copy).operating_point
    assert point.promise.defective_groups is None  # each image of this set is a part of its own
    assert f"promised: {point.promise.in_words()}" in capsys.readouterr().out
    assert run(toy_bundle_copy, "--f-beta", "1", "--weigh-parts") == 0
    # Where parts have one image each there is nothing to weigh.
    assert bundle.read(toy_bundle_copy).operating_point.parameters == {"beta": 1.0}


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (("--escape-rate", "0.1", "--weigh-parts"), "--weigh-parts must go with one of"),
        (("--set", "0.5", "--weigh-parts"), "Got it with --set"),
        (("--overkill-rate", "0.1", "--weigh-parts"), "Got it with --overkill-rate"),
        (("--set", "0.5", "--part-escapes", "each"), "--part-escapes must go with a method"),
    ],
)
def test_what_would_change_nothing_is_refused(toy_bundle_copy, words, said, capsys):
    before = contents(toy_bundle_copy)
    assert run(toy_bundle_copy, *words) == 2
    assert said in capsys.readouterr().err
    assert contents(toy_bundle_copy) == before


def _asked_for(root, monkeypatch, **options):
    """Return the method and its numbers that thresholds are chosen with."""
    asked = []

    def choose(tuned, spec, context):
        asked.append(spec)
        raise errors.DataError("enough")

    monkeypatch.setattr(tasks.get(bundle.read(root).task), "choose", choose)
    with pytest.raises(errors.DataError, match="enough"):
        rethreshold.promise(root, 0.2, **options)
    return asked[0]


@pytest.mark.parametrize("configured", ["each", "any", None])
def test_without_a_promise_a_part_escapes_as_the_recipe_was_told(
    toy_bundle_copy, monkeypatch, configured
):
    values = manifest_values(toy_bundle_copy)
    assert values["operating_point"]["promise"] is None
    values["provenance"]["config"]["threshold"] = {"part_escapes": configured}
    (toy_bundle_copy / "manifest.json").write_text(json.dumps(values))
    expected = configured or "any"
    assert _asked_for(toy_bundle_copy, monkeypatch).part_escapes == expected
    given = _asked_for(toy_bundle_copy, monkeypatch, part_escapes="any")
    assert given.part_escapes == "any"


def test_the_review_band_is_set_with_the_threshold(toy_bundle_copy, capsys):
    assert run(toy_bundle_copy, "--set", "0.8", "--review-band", "0.3") == 0
    assert "review from none -> 0.5" in capsys.readouterr().out
    point = bundle.read(toy_bundle_copy).operating_point
    assert (point.threshold, point.review_from) == (0.8, pytest.approx(0.5))
    assert run(toy_bundle_copy, "--recall", "1", "--review-band", "0.1") == 0
    point = bundle.read(toy_bundle_copy).operating_point
    assert point.review_from == pytest.approx(point.threshold - 0.1)
    assert run(toy_bundle_copy, "--set", "0.8", "--review-band", "0") == 0
    assert bundle.read(toy_bundle_copy).operating_point.review_from is None


@pytest.mark.parametrize("width", ["-0.1", "1", "nan", "1e-20"])
def test_a_review_band_that_is_none_is_refused(toy_bundle_copy, width, capsys):
    before = contents(toy_bundle_copy)
    for method in (("--set", "0.8"), ("--recall", "1")):
        assert run(toy_bundle_copy, *method, f"--review-band={width}") == 2
        assert "A review band must be 0 or wider" in capsys.readouterr().err
    assert contents(toy_bundle_copy) == before
