import itertools
import math
import time

import numpy as np
import pytest

from inspection_tf import errors, thresholds


def split(*, good, bad):
    """Return first scores, second scores and labels from (first, second) of each image."""
    first, second = np.array([*good, *bad], float).reshape(-1, 2).T
    return first, second, np.array([False] * len(good) + [True] * len(bad))


def chosen(first, second, is_defect, *, mask_threshold=0.5, groups=None, **fields):
    spec = thresholds.ThresholdSpec(**fields)
    return thresholds.choose_jointly(
        first,
        second,
        is_defect,
        spec,
        mask_threshold=mask_threshold,
        groups=range(len(is_defect)) if groups is None else groups,
    )


def judged(stage, whole, first, second):
    return (first >= stage.threshold) & (second >= whole.threshold)


def counted(ng, is_defect):
    return int((is_defect & ~ng).sum()), int((ng & ~is_defect).sum())


def random_split(seed, *, images=60, digits=1):
    rng = np.random.default_rng(seed)
    is_defect = rng.random(images) < rng.uniform(0.2, 0.8)
    scores = rng.normal(0.35 + 0.3 * is_defect, 0.2, (2, images)).clip(0, 1)
    return *np.round(scores, digits), is_defect  # few digits: many ties


# The promise of two thresholds


def test_each_stage_spends_a_block_of_what_the_promise_allows():
    # 93 defects allow 2 blocks at 5 %: P(X <= 1 | 93, 0.05) = 0.04995, see test_thresholds; one for
    # each threshold, so both lie under the lowest defect of those that they see.
    bad = [(0.60, 0.95), *((0.7 + i / 1000, 0.8 + i / 1000) for i in range(92))]
    good = [(0.1, 0.9), (0.2, 0.3), (0.9, 0.4)]
    first, second, is_defect = split(good=good, bad=bad)
    stage, whole = chosen(first, second, is_defect)
    assert stage.threshold == pytest.approx(0.4)  # midway between 0.2 and 0.6
    assert whole.threshold == pytest.approx(0.6)  # between 0.4 and 0.8; 0.9 was stopped before
    assert whole.promise == thresholds.Promise(
        max_escape_rate=0.05, confidence=0.95, observed_escapes=0, defective=93
    )
    assert (whole.method, whole.promise_needs, whole.note) == ("escape_rate", None, "")


def test_a_defect_that_one_threshold_has_cut_off_does_not_hold_the_other_one_down():
    # The defect with the lowest first score, 0.6, has also the lowest second one: the block of the
    # first threshold pays for it, and the second lies over it. One escape, where r - 1 = 1.
    bad = [(0.6, 0.3), *((0.7 + i / 1000, 0.8 + i / 1000) for i in range(92))]
    stage, whole = chosen(*split(good=[(0.2, 0.2), (0.9, 0.7)], bad=bad))
    assert stage.threshold == pytest.approx(0.4)
    assert whole.threshold == pytest.approx(0.75)  # midway between the good 0.7 and 0.8
    assert whole.promise.observed_escapes == 1
    assert whole.tune["overkill_rate"] == 0


def test_enough_defects_for_one_threshold_only_leave_the_first_stage_open():
    bad = [(0.6 + i / 1000, 0.8 + i / 1000) for i in range(92)]
    stage, whole = chosen(*split(good=[(0.1, 0.1), (0.2, 0.9)], bad=bad))
    assert (stage.threshold, stage.note) == (0.0, "It lets every image pass.")
    assert whole.promise is not None
    assert "needs 93 defective images; this split has 92" in whole.note
    assert stage.tune["overkill_rate"] == 1  # every good image goes on
    assert whole.tune["overkill_rate"] == 0.5


def test_too_few_defects_fall_back_to_f_beta_and_say_how_many_two_thresholds_need():
    bad = [(0.6 + i / 1000, 0.8 + i / 1000) for i in range(58)]
    stage, whole = chosen(*split(good=[(0.1, 0.1), (0.7, 0.3)], bad=bad))
    assert (whole.method, whole.promise, whole.promise_needs) == ("f_beta", None, 93)
    assert "needs 93 defective images with two thresholds; this split has 58" in whole.note
    assert stage.threshold == pytest.approx(0.35)
    assert whole.threshold == pytest.approx(0.55)  # midway between 0.3 and 0.8


@pytest.mark.parametrize(
    ("rate", "confidence", "needed"),
    [
        (0.05, 0.95, 93),
        (0.5, 0.75, 5),  # P(X <= 1) = (n + 1) / 2^n: 5/16 > 0.25 >= 6/32
        (0.5, 0.5, 3),  # 4 / 8: exactly enough
    ],
)
def test_the_number_of_defects_that_two_thresholds_need(rate, confidence, needed):
    few = split(good=[(0.1, 0.1)], bad=[(0.9, 0.9)])
    _, whole = chosen(*few, method="f_beta", max_escape_rate=rate, confidence=confidence)
    assert whole.promise_needs == needed


def dependent(rng, kind, count):
    """Draw two uniform scores: independent, equal or opposite."""
    score = rng.random(count)
    return {
        "free": (score, rng.random(count)),
        "equal": (score, score),
        "opposite": (score, 1 - score),
    }[kind]


def true_rate_under(kind, first, second):
    """Return the probability that one of the two scores lies under its threshold."""
    first, second = np.clip([first, second], 0, 1)
    return {
        "free": 1 - (1 - first) * (1 - second),
        "equal": max(first, second),
        "opposite": min(1, first + second),
    }[kind]


@pytest.mark.parametrize("kind", ["free", "equal", "opposite"])
@pytest.mark.parametrize(("defects", "rate", "confidence"), [(100, 0.1, 0.8), (38, 0.1, 0.9)])
def test_the_promise_is_kept_on_unseen_images_as_often_as_it_says(kind, defects, rate, confidence):
    rng, broken, broken_apart, draws = np.random.default_rng(7), 0, 0, 600
    spec = thresholds.ThresholdSpec(max_escape_rate=rate, confidence=confidence)
    is_defect = np.arange(defects + 150) < defects
    for _ in range(draws):
        first, second = rng.random((2, is_defect.size))
        first[is_defect], second[is_defect] = dependent(rng, kind, defects)
        low = rng.random(is_defect.size) < 0.5  # good images crowd along both thresholds
        first[~is_defect & low] *= 0.15
        second[~is_defect & ~low] *= 0.15
        stage, whole = thresholds.choose_jointly(
            first, second, is_defect, spec, mask_threshold=1e-9
        )
        broken += true_rate_under(kind, stage.threshold, whole.threshold) > rate
        apart = [
            thresholds.for_escape_rate(
                score, is_defect, max_escape_rate=rate, confidence=confidence
            )
            for score in (first, second)
        ]
        broken_apart += true_rate_under(kind, *apart) > rate
    allowed = 1 - confidence
    noise = 3 * math.sqrt(allowed * confidence / draws)
    assert broken / draws <= allowed + noise
    if kind != "equal":  # two thresholds, each with the promise to itself, break it together
        assert broken_apart / draws > 2 * (allowed + noise)


@pytest.mark.parametrize("seed", range(8))
def test_the_observed_escapes_bound_the_rate_that_is_promised(seed):
    first, second, is_defect = random_split(seed, images=300)
    _, whole = chosen(first, second, is_defect, max_escape_rate=0.15)
    promise = whole.promise
    assert thresholds.rate_upper_bound(promise.observed_escapes, promise.defective) <= 0.15


# Measured targets: the best of all pairs


def every_pair(first, second):
    cuts = [[-1.0, *np.unique(score), 2.0] for score in (first, second)]
    return itertools.product(*cuts)


OBJECTIVES = {  # of escapes, overkills and the number of defects; smaller is better
    "f_beta": lambda e, o, n: -2 * (n - e) / (2 * (n - e) + e + o),
    "cost": lambda e, o, n: 10 * e + o,
    "recall": lambda e, o, n: o if 1 - e / n >= 0.9 - 1e-9 else math.inf,
    "precision": lambda e, o, n: e if (n - e) / max(n - e + o, 1) >= 0.8 - 1e-9 else math.inf,
}


@pytest.mark.parametrize("method", OBJECTIVES)
@pytest.mark.parametrize("seed", range(8))
def test_no_other_pair_of_thresholds_is_better(method, seed):
    first, second, is_defect = random_split(seed)
    objective, defects = OBJECTIVES[method], int(is_defect.sum())
    best = min(
        objective(*counted((first >= one) & (second >= other), is_defect), defects)
        for one, other in every_pair(first, second)
    )
    stage, whole = chosen(
        first, second, is_defect, method=method, min_recall=0.9, min_precision=0.8
    )
    found = objective(*counted(judged(stage, whole, first, second), is_defect), defects)
    assert found == pytest.approx(best)
    assert whole.method == method


@pytest.mark.parametrize("seed", range(8))
def test_equal_costs_give_the_highest_accuracy(seed):
    first, second, is_defect = random_split(seed)
    best = max(
        np.mean(((first >= one) & (second >= other)) == is_defect)
        for one, other in every_pair(first, second)
    )
    stage, whole = chosen(first, second, is_defect, method="cost", escape_cost=1, overkill_cost=1)
    assert np.mean(judged(stage, whole, first, second) == is_defect) == pytest.approx(best)


def test_of_equal_pairs_the_first_stage_stops_the_most_good_images():
    # The second score alone separates; the first may stop 0.1, 0.3 and 0.5, but not 0.8.
    good = [(0.1, 0.2), (0.3, 0.2), (0.5, 0.3), (0.8, 0.1)]
    stage, whole = chosen(*split(good=good, bad=[(0.6, 0.7), (0.9, 0.9)]), method="f_beta")
    assert stage.threshold == pytest.approx(0.55)
    assert stage.tune["overkill_rate"] == 0.25
    # 0.1 is the one good score that is still to be separated from 0.7: midway is 0.4, and no score
    # lies between that and the mask threshold
    assert whole.threshold == 0.5
    assert whole.tune == {"escape_rate": 0, "recall": 1, "overkill_rate": 0, "precision": 1}


def test_a_useless_first_stage_lets_everything_pass():
    first, second, is_defect = split(good=[(0.6, 0.1), (0.7, 0.2)], bad=[(0.5, 0.7), (0.3, 0.9)])
    stage, whole = chosen(first, second, is_defect, method="f_beta")
    alone = thresholds.choose(
        second, is_defect, thresholds.ThresholdSpec(method="f_beta"), mask_threshold=0.4
    )
    assert stage.threshold == 0.0
    assert whole.tune == alone.tune


def test_precision_out_of_reach_says_what_is_in_reach():
    hopeless = split(good=[(0.9, 0.9), (0.5, 0.5)], bad=[(0.8, 0.8), (0.7, 0.7)])
    # everything down to 0.7 is NG: 2 of 3
    with pytest.raises(errors.DataError, match=r"0\.95 must be reachable.*at most 0\.6667"):
        chosen(*hopeless, method="precision", min_precision=0.95)


def test_letting_every_image_pass_can_be_cheapest():
    hopeless = split(good=[(0.9, 0.9), (0.8, 0.8)], bad=[(0.1, 0.1)])
    stage, whole = chosen(*hopeless, method="cost", escape_cost=1, overkill_cost=1)
    assert whole.tune["escape_rate"] == 1
    assert whole.tune["overkill_rate"] == 0
    first, second, _ = hopeless
    assert not judged(stage, whole, first, second).any()


def test_only_defective_images_are_all_caught():
    stage, whole = chosen(*split(good=[], bad=[(0.6, 0.7), (0.7, 0.8)]), method="f_beta")
    assert stage.threshold == 0.0
    assert whole.threshold == pytest.approx(0.7 * 0.999)  # no score lies under it
    assert whole.tune == {"escape_rate": 0, "recall": 1, "precision": 1}


@pytest.mark.parametrize("method", ["escape_rate", "f_beta", "cost", "overkill_rate"])
def test_two_thousand_images_take_less_than_a_second(method):
    rng = np.random.default_rng(3)
    is_defect = rng.random(2000) < 0.8
    first, second = rng.normal(0.4 + 0.2 * is_defect, 0.2, (2, 2000)).clip(0, 1)
    start = time.process_time()
    chosen(first, second, is_defect, method=method)
    assert time.process_time() - start < 1


# Overkill of good images


@pytest.mark.parametrize("kind", ["free", "equal", "opposite"])
@pytest.mark.parametrize("defects", [0, 30])
def test_the_bound_of_the_overkill_is_kept_on_unseen_images(kind, defects):
    rng, broken, draws = np.random.default_rng(11), 0, 400
    spec = thresholds.ThresholdSpec(method="overkill_rate", max_overkill_rate=0.1, confidence=0.8)
    is_defect = np.arange(120 + defects) >= 120
    for _ in range(draws):
        first, second = rng.random((2, is_defect.size))
        first[~is_defect], second[~is_defect] = dependent(rng, kind, 120)
        stage, whole = thresholds.choose_jointly(
            first, second, is_defect, spec, mask_threshold=1e-9
        )
        one, other = 1 - np.clip([stage.threshold, whole.threshold], 0, 1)
        rate = {"free": one * other, "equal": min(one, other), "opposite": max(0, one + other - 1)}
        broken += rate[kind] > 0.1
    assert broken / draws <= 0.2 + 3 * math.sqrt(0.2 * 0.8 / draws)


def test_without_a_defect_both_stages_are_equally_strict():
    # 59 good images allow no overkill: q = 1 / 60, and sqrt(1 / 60) * 60 = 7.7 -> 8 pass the first
    score = np.arange(59) / 100
    stage, whole = chosen(score, score, np.zeros(59, bool), mask_threshold=0.9)
    assert stage.threshold == pytest.approx(0.505)  # 51 are stopped: 0.00 to 0.50
    assert whole.threshold == 0.9
    assert (whole.method, whole.promise, whole.promise_needs) == ("overkill_rate", None, 93)
    assert "At most 0.05 of the good images" in whole.note
    assert "Nothing is promised about escapes" in whole.note
    assert whole.tune == {"overkill_rate": 0.0}
    assert stage.tune["overkill_rate"] == pytest.approx(8 / 59)
    _, few = chosen(score[:9], score[:9], np.zeros(9, bool))
    assert "None of 9 good images is NG" in few.note
    assert "would need 59" in few.note


def test_overkill_with_defects_around_takes_the_split_that_catches_the_most():
    # Good images fill the first score and leave the second low: only an open first stage catches
    # defects that look good to it. Four splits share 5 %: ln 0.0125 / ln 0.95 = 85.4
    good = [(i / 100, i / 1000) for i in range(100)]
    bad = [(0.01, 0.6), (0.02, 0.7), (0.95, 0.8)]
    stage, whole = chosen(*split(good=good, bad=bad), method="overkill_rate")
    assert stage.threshold == 0.0
    assert whole.tune["escape_rate"] == 0
    assert whole.tune["overkill_rate"] <= 0.01
    _, few = chosen(*split(good=good[:85], bad=bad), method="overkill_rate")
    assert "would need 86" in few.note


# The points


def test_the_first_point_holds_its_own_rates_and_the_second_those_of_the_whole():
    good = [(0.1, 0.9), (0.8, 0.1), (0.9, 0.8)]
    bad = [(0.7, 0.7), (0.75, 0.95), (0.2, 0.9)]
    first, second, is_defect = split(good=good, bad=bad)
    stage, whole = chosen(first, second, is_defect, method="cost", escape_cost=1, overkill_cost=1)
    # Both defects over 0.65 are caught for one overkill, (0.9, 0.8); to catch 0.2 costs none more
    assert stage.threshold == pytest.approx(0.15)
    assert stage.tune == pytest.approx(
        {"escape_rate": 0, "recall": 1, "overkill_rate": 2 / 3, "precision": 3 / 5}
    )
    assert whole.tune == pytest.approx(
        {"escape_rate": 0, "recall": 1, "overkill_rate": 1 / 3, "precision": 3 / 4}
    )
    assert (stage.method, stage.promise, stage.promise_needs) == ("joint", None, None)
    assert whole.parameters == {"escape_cost": 1, "overkill_cost": 1}
    assert stage.counts == whole.counts == {"images": 6, "defective": 3}


def test_the_review_band_is_that_of_the_second_threshold():
    data = split(good=[(0.1, 0.1), (0.2, 0.6)], bad=[(0.9, 0.9)])
    stage, whole = chosen(*data, method="f_beta", review_band=0.25)
    assert stage.review_from is None
    assert whole.review_from == pytest.approx(whole.threshold - 0.25)


def test_a_second_score_of_a_stopped_image_does_not_keep_the_threshold_down():
    # (0.1, 0.45) never reaches the second stage, so nothing lies between midway and 0.5
    data = split(good=[(0.1, 0.45), (0.8, 0.1)], bad=[(0.7, 0.7)])
    _, whole = chosen(*data, method="f_beta")
    assert whole.threshold == 0.5
    data = split(good=[(0.75, 0.1)], bad=[(0.7, 0.3), (0.9, 0.9)])
    _, whole = chosen(*data, method="recall", min_recall=1)
    assert whole.threshold == pytest.approx(0.2)


def test_scores_and_labels_must_match_and_be_probabilities():
    with pytest.raises(errors.DataError, match="equally long"):
        chosen([0.1, 0.2], [0.1], [0, 1])
    with pytest.raises(errors.DataError, match="1 of 2 that are not"):
        chosen([0.1, 0.2], [0.1, math.nan], [0, 1])
    with pytest.raises(errors.DataError, match=r"probabilities. Got -0\.5"):
        chosen([0.1, -0.5], [0.1, 0.2], [0, 1])
    with pytest.raises(errors.DataError, match="Got none"):
        chosen([0.3], [0.4], [1], method="overkill_rate")
