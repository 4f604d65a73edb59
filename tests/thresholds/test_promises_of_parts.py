"""Promises where several images show one part: it is the part that counts."""

import importlib.util
import types
from pathlib import Path

import numpy as np
import pytest

from inspection_tf import bundle, errors, thresholds

PATH = Path(__file__).parents[2] / "benchmarks" / "promises.py"


@pytest.fixture(scope="module")
def promises():
    spec = importlib.util.spec_from_file_location("promises", PATH)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def photographed(parts, images, *, low=0.6, step=0.001):
    """Return scores, labels and groups of defective parts, each image a little over the one before.

    The last image of a part scores 0.1 higher than the others.
    """
    first = low + step * np.arange(parts)
    scores = np.repeat(first, images).reshape(parts, images)
    scores[:, -1] += 0.1
    group = np.repeat([f"part{i}" for i in range(parts)], images)
    return scores.ravel(), np.ones(parts * images, bool), group


def with_good(scores, is_defect, group, good):
    """Add good images, each of a part of its own."""
    names = [f"good{i}" for i in range(len(good))]
    return [*scores, *good], [*is_defect, *[False] * len(good)], [*group, *names]


# How many parts a promise takes


@pytest.mark.parametrize("missing", [None, float("nan"), ""])
def test_an_image_whose_group_is_missing_is_a_part_of_its_own(missing):
    # 9 parts are needed: three of two images, six of which nothing is known; not 7.
    scores = np.linspace(0.5, 0.9, 12)
    groups = ["a", "a", "b", "b", "c", "c", *[missing] * 6]
    asked = {"max_escape_rate": 0.3, "confidence": 0.95}
    threshold = thresholds.for_escape_rate(scores, np.ones(12, bool), groups=groups, **asked)
    alone = [*groups[:6], *range(6)]
    assert threshold == thresholds.for_escape_rate(scores, np.ones(12), groups=alone, **asked)


def test_where_every_group_is_missing_no_parts_are_known():
    spec = thresholds.ThresholdSpec(method="f_beta")
    points = [
        thresholds.choose([0.2, 0.8], [False, True], spec, mask_threshold=0.5, groups=groups)
        for groups in (None, [None, None])
    ]
    assert points[0] == points[1]


def test_names_and_numbers_may_be_mixed():
    scores, is_defect = np.linspace(0.5, 0.9, 18), np.ones(18, bool)
    groups = [str(i // 2) if i % 2 else i // 2 for i in range(18)]  # 9 parts
    assert thresholds.for_escape_rate(
        scores, is_defect, max_escape_rate=0.3, groups=groups
    ) == thresholds.for_escape_rate(
        scores, is_defect, max_escape_rate=0.3, groups=np.arange(18) // 2
    )


def test_six_photos_of_ten_parts_promise_what_ten_parts_can():
    # 5 % at 95 % takes 59 defects: 60 images would be enough, 10 parts are not.
    scores, is_defect, group = photographed(10, 6)
    promise = {"max_escape_rate": 0.05, "confidence": 0.95}
    assert thresholds.for_escape_rate(scores, is_defect, **promise) > 0
    with pytest.raises(errors.DataError, match=r"needs 59 defective parts .* Got 10"):
        thresholds.for_escape_rate(scores, is_defect, groups=group, **promise)


def test_choose_falls_back_and_says_how_many_parts_it_would_take():
    scores, is_defect, group = with_good(*photographed(10, 6), [0.1, 0.2])
    point = thresholds.choose(
        scores, is_defect, thresholds.ThresholdSpec(), mask_threshold=0.5, groups=group
    )
    assert (point.method, point.promise, point.promise_needs) == ("f_beta", None, 59)
    assert "needs 59 defective parts; this split has 10" in point.note
    assert point.counts == {"images": 62, "defective": 60, "groups": 12, "defective_groups": 10}


def test_a_promise_names_its_parts_and_images():
    scores, is_defect, group = with_good(*photographed(59, 6), [0.1, 0.2])
    point = thresholds.choose(
        scores, is_defect, thresholds.ThresholdSpec(), mask_threshold=0.5, groups=group
    )
    assert point.promise.defective == 354
    assert point.promise.defective_groups == 59
    assert point.promise.in_words() == (
        "at most 0.05 of defective parts escape by any of their images, at 0.95 confidence "
        "(0 of 59 escaped; 59 parts, 354 images)"
    )
    assert point.note == ""
    assert point.model_dump()["promise"]["part_escapes"] == "any"


def test_without_groups_the_note_says_what_was_taken_for_granted():
    scores, is_defect, _ = with_good(*photographed(60, 1), [0.1])
    spec = thresholds.ThresholdSpec()
    unknown = thresholds.choose(scores, is_defect, spec, mask_threshold=0.5)
    assert "each image was taken for a part of its own" in unknown.note
    known = thresholds.choose(
        scores, is_defect, spec, mask_threshold=0.5, groups=range(len(scores))
    )
    assert known.note == ""
    assert known == unknown.model_copy(update={"note": ""})  # to the last digit


def test_what_is_written_without_groups_is_what_always_was():
    promise = thresholds.Promise(
        max_escape_rate=0.05, confidence=0.95, observed_escapes=1, defective=93
    )
    assert set(promise.model_dump(mode="json")) == {
        "max_escape_rate",
        "confidence",
        "observed_escapes",
        "defective",
    }
    assert promise.in_words() == (
        "at most 0.05 of defective images escape, at 0.95 confidence (1 of 93 escaped)"
    )
    assert thresholds.Promise.model_validate(promise.model_dump()) == promise


def test_what_leaves_defaults_out_leaves_them_out():
    promise = thresholds.Promise(
        max_escape_rate=0.05, confidence=0.95, observed_escapes=1, defective=93
    )
    assert "part_escapes" not in promise.model_dump(exclude_defaults=True)


@pytest.mark.parametrize(
    ("task", "counts", "unit"),
    [
        ("segmentation", {}, "defective images"),
        ("two_stage_segmentation", {"groups": 3}, "defective parts"),
        ("corners", {}, "photos without the field"),
        ("corners", {"groups": 3}, "parts without the field"),
    ],
)
def test_the_unit_of_a_promise_is_the_part_also_where_a_field_is_located(task, counts, unit):
    manifest = types.SimpleNamespace(
        task=task, operating_point=types.SimpleNamespace(counts=counts)
    )
    assert bundle.Manifest.unit_of_promise.fget(manifest) == unit


@pytest.mark.parametrize("method", ["escape_rate", "overkill_rate"])
def test_what_is_promised_does_not_say_that_parts_were_weighed(method):
    scores, is_defect, group = with_good(*photographed(10, 2), [0.1, 0.2, 0.2])
    spec = thresholds.ThresholdSpec(
        method=method, max_escape_rate=0.5, max_overkill_rate=0.5, confidence=0.8, weigh_parts=True
    )
    point = thresholds.choose(scores, is_defect, spec, mask_threshold=0.1, groups=group)
    assert point.method == method
    assert "weigh_parts" not in point.parameters


# Where the threshold lies


def test_a_part_escapes_with_its_lowest_image_or_with_its_highest():
    # Two parts of two images, 50 % at 50 %: needs one part, allows no escape among two
    # (P(X <= 1 | 2, 0.5) = 0.75 > 0.5). By any image the threshold lies under 0.3, the lowest of
    # all; by each under 0.6, the lowest of what the parts reach. Good images up to 0.55 pull it
    # up, the lowest position without a further overkill being midway above the one below.
    scores = [0.3, 0.9, 0.6, 0.5, 0.1, 0.55]
    is_defect = [1, 1, 1, 1, 0, 0]
    groups = ["a", "a", "b", "b", "c", "d"]
    promise = {"max_escape_rate": 0.5, "confidence": 0.5, "groups": groups}
    by_any = thresholds.for_escape_rate(scores, is_defect, **promise)
    by_each = thresholds.for_escape_rate(scores, is_defect, part_escapes="each", **promise)
    assert by_any == pytest.approx((0.1 + 0.3) / 2)
    assert by_each == pytest.approx((0.55 + 0.6) / 2)


def test_a_good_image_of_a_defective_part_is_no_escape():
    # Photos of the back of a part do not show its defect: part "a" escapes by 0.4, not by 0.05.
    threshold = thresholds.for_escape_rate(
        [0.4, 0.05, 0.2],
        [1, 0, 0],
        groups=["a", "a", "b"],
        max_escape_rate=0.5,
        confidence=0.5,
    )
    assert threshold == pytest.approx(0.3)  # midway between the good 0.2 and the defect's 0.4


def test_a_good_part_is_overkill_by_its_highest_image():
    # Three parts, 50 % at 80 %: P(X <= 0 | 3, 0.5) = 0.125, one event 0.5: none is allowed.
    scores = [0.1, 0.2, 0.1, 0.7, 0.3, 0.3]
    found = thresholds.for_overkill_rate(
        scores, max_overkill_rate=0.5, confidence=0.8, groups=[0, 0, 1, 1, 2, 2]
    )
    assert found == pytest.approx(0.7, rel=0.01)
    assert found > 0.7
    with pytest.raises(errors.DataError, match=r"needs 59 good parts\. Got 3"):
        thresholds.for_overkill_rate(scores, max_overkill_rate=0.05, groups=[0, 0, 1, 1, 2, 2])


@pytest.mark.parametrize("part_escapes", ["any", "each"])
def test_with_one_image_a_part_every_choice_is_that_of_images(part_escapes):
    rng = np.random.default_rng(3)
    is_defect = rng.random(400) < 0.4
    first, second = rng.normal(0.4 + 0.2 * is_defect, 0.15, (2, 400)).clip(0, 1).round(2)
    groups = rng.permutation(400)
    for method in ("escape_rate", "overkill_rate", "recall", "f_beta", "cost"):
        plain = thresholds.ThresholdSpec(method=method, max_escape_rate=0.1)
        of_parts = plain.model_copy(update={"part_escapes": part_escapes, "weigh_parts": True})
        asked = [
            (thresholds.choose, (second, is_defect)),
            (thresholds.choose_jointly, (first, second, is_defect)),
        ]
        for choose, given in asked:
            images = choose(*given, plain, mask_threshold=0.3, groups=range(400))
            parts = choose(*given, of_parts, mask_threshold=0.3, groups=groups)
            assert _thresholds(images) == _thresholds(parts), method


def _thresholds(points):
    return [point.threshold for point in (points if isinstance(points, tuple) else (points,))]


# Two stages


def test_two_stages_promise_for_parts_together():
    # 93 parts allow two blocks at 5 %, one for each threshold (see test_joint_thresholds); twice
    # as many images of half as many parts do not.
    parts = 93
    first = np.repeat(0.5 + 0.001 * np.arange(parts), 2)
    second = first + np.tile([0.0, 0.2], parts)
    group = np.repeat(np.arange(parts), 2)
    scores = [np.append(values, [0.2, 0.9]) for values in (first, second)]
    scores[1][-1] = 0.3
    labels = np.append(np.ones(2 * parts, bool), [False, False])
    spec = thresholds.ThresholdSpec()
    stage, whole = thresholds.choose_jointly(
        *scores, labels, spec, mask_threshold=0.1, groups=[*group, 1000, 1001]
    )
    assert whole.promise.in_words().endswith("(0 of 93 escaped; 93 parts, 186 images)")
    assert stage.threshold == pytest.approx((0.2 + 0.5) / 2)
    # Lowered as far as costs no good image: the lowest defect passes the first stage, at 0.5.
    assert whole.threshold == pytest.approx((0.3 + 0.5) / 2)
    few = thresholds.choose_jointly(
        *scores, labels, spec, mask_threshold=0.1, groups=[*(group // 2), 1000, 1001]
    )[1]
    assert (few.method, few.promise) == ("f_beta", None)
    assert "needs 93 defective parts with two thresholds; this split has 47" in few.note


def test_by_each_image_the_second_stage_counts_those_that_the_first_let_pass():
    # One part: its image with the high second score is stopped by the first stage where that is
    # over 0.4. Passing with each of its images, it holds the second threshold down at 0.6 or 0.9.
    parts = thresholds.parts.PairedParts(
        np.array([0.4, 0.8]), np.array([0.9, 0.6]), np.array([0, 0]), "each"
    )
    assert parts.first.tolist() == [0.8]
    assert parts.second(0.3).tolist() == [0.9]
    assert parts.second(0.5).tolist() == [0.6]
    assert parts.second(0.9).tolist() == [-np.inf]
    by_any = thresholds.parts.PairedParts(
        np.array([0.4, 0.8]), np.array([0.9, 0.6]), np.array([0, 0]), "any"
    )
    assert (by_any.first.tolist(), by_any.second(0.5).tolist()) == ([0.4], [0.6])


# Parts that count alike


def test_a_part_with_many_images_weighs_as_much_as_one_with_few():
    # Six good images of one tile at 0.5, a good one at 0.1, defects at 0.4 (one part) and 0.8.
    # By images: at 0.3 cost 6 overkills against 1 escape at 0.6; by parts 1 against 1, and of
    # equal costs the threshold with the fewest escapes wins.
    scores = [*[0.5] * 6, 0.1, 0.4, 0.8]
    is_defect = [*[0] * 7, 1, 1]
    groups = [*["tile"] * 6, "b", "c", "d"]
    costs = {"escape_cost": 1.0, "overkill_cost": 1.0}
    assert thresholds.for_cost(scores, is_defect, **costs) == pytest.approx(0.65)
    assert thresholds.for_cost(scores, is_defect, groups=groups, **costs) == pytest.approx(0.25)


@pytest.mark.parametrize("method", ["cost", "f_beta", "precision", "recall"])
def test_parts_count_alike_only_when_asked(method):
    scores = [*[0.5] * 6, 0.1, 0.4, 0.8]
    is_defect = [*[0] * 7, 1, 1]
    groups = [*["tile"] * 6, "b", "c", "d"]
    spec = thresholds.ThresholdSpec(
        method=method, escape_cost=1.0, min_precision=0.6, min_recall=0.6
    )
    options = {"mask_threshold": 0.05, "groups": groups}
    images = thresholds.choose(scores, is_defect, spec, **options)
    alike = thresholds.choose(
        scores, is_defect, spec.model_copy(update={"weigh_parts": True}), **options
    )
    assert "weigh_parts" not in images.parameters
    assert alike.parameters["weigh_parts"] == 1.0
    # recall: 1 of 2 defects either way; the others see one false alarm where there were six.
    assert (images.threshold == alike.threshold) == (method == "recall")


def test_shares_of_a_part_add_up_to_it():
    # Three images of one part: thirds that must make 1 exactly, or ties are told apart.
    scores, is_defect = [0.2, 0.3, 0.4, 0.9], [0, 0, 0, 1]
    found = thresholds.cuts.sweep(scores, is_defect, groups=["a", "a", "a", "b"])
    assert found.overkills.tolist() == pytest.approx([1, 2 / 3, 1 / 3, 0, 0], abs=1e-9)
    assert found.overkills[0] == 1.0
    assert (found.good, found.defective) == (1.0, 1.0)


@pytest.mark.parametrize("stages", [1, 2])
@pytest.mark.parametrize(
    ("asked", "threshold"),
    # Over 0.25 all of a and b are NG, 2 of 3 images of c, and 2 of 3 of the good d: a precision of
    # (8/3) / (8/3 + 2/3) = 0.8, and a recall of (8/3) / 3 = 8/9.
    [
        ({"method": "precision", "min_precision": 0.8}, (0.25 + 0.9) / 2),
        ({"method": "recall", "min_recall": 8 / 9}, (0.25 + 0.9) / 2),
    ],
)
def test_thirds_of_a_part_reach_what_they_add_up_to(stages, asked, threshold):
    groups = [*"aaabbbcccddd", "e"]
    is_defect = [*[1] * 9, *[0] * 4]
    scores = [*[0.9] * 8, 0.2, 0.9, 0.9, 0.1, 0.25]
    spec = thresholds.ThresholdSpec(weigh_parts=True, **asked)
    choose, given = thresholds.choose, [scores]
    if stages == 2:
        choose, given = thresholds.choose_jointly, [[0.5] * 13, scores]
    points = choose(*given, is_defect, spec, mask_threshold=0.05, groups=groups)
    assert _thresholds(points)[-1] == pytest.approx(threshold)


def test_groups_must_name_each_image():
    with pytest.raises(errors.DataError, match="part of each of 2 images"):
        thresholds.for_escape_rate(
            [0.1, 0.2], [1, 1], max_escape_rate=0.5, confidence=0.5, groups=["a"]
        )


# What a promise is worth; `python -m benchmarks.promises` has the whole table


@pytest.mark.parametrize("part_escapes", ["any", "each"])
@pytest.mark.parametrize("stages", [1, 2])
@pytest.mark.parametrize(("size", "correlation"), [(2, 0.5), (6, 0.95)])
def test_a_promise_about_parts_is_kept(promises, size, correlation, stages, part_escapes):
    # 3 standard errors of 200 draws at 5 %: 0.05 + 3 sqrt(0.05 * 0.95 / 200) = 0.096.
    share, made = promises.broken(
        25,
        size,
        correlation,
        max_escape_rate=0.15,
        stages=stages,
        part_escapes=part_escapes,
        draws=200,
    )
    assert made == 1
    assert share <= 0.096


def test_the_same_promise_by_images_is_not(promises):
    share, _ = promises.broken(25, 6, 0.95, max_escape_rate=0.15, draws=100, by_part=False)
    assert share > 0.3


@pytest.mark.parametrize(("parts", "rate"), [(10, 0.3), (50, 0.1)])
def test_intervals_of_rates_hold_where_images_share_parts(promises, parts, rate):
    # 400 draws: 93 to 98 % with 3 standard errors of 95 % around it, 0.033.
    of_parts, of_images = promises.coverage(parts, 6, 0.95, rate, draws=400)
    assert 0.93 - 0.033 <= of_parts <= 1
    assert of_images < 0.8
