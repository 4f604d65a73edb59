"""Thresholds where images alone do not tell: near ties, and splits without a good image."""

import numpy as np
import pytest

from inspection_tf import thresholds


def split(*, good, bad):
    score = np.array([*good, *bad], float)
    return score, np.array([False] * len(good) + [True] * len(bad))


# Scores that an exported graph may round either way


def test_scores_within_rounding_of_each_other_are_one_score():
    # 0.4 and two scores 1e-9 and 1.5e-6 over it: an export may swap them. 0.4 + 3e-6 is as near
    # to the last as that to the ones before: one chain of ties.
    near = [0.4, 0.4 + 1e-9, 0.4 + 1.5e-6, 0.4 + 3e-6]
    score, is_defect = split(good=[0.2, near[0], near[2]], bad=[near[1], near[3], 0.8])
    spec = thresholds.ThresholdSpec(method="recall", min_recall=1.0)
    point = thresholds.choose(score, is_defect, spec, mask_threshold=0.1)
    assert point.threshold == pytest.approx(0.3)
    assert point.tune["overkill_rate"] == pytest.approx(2 / 3)
    spec = thresholds.ThresholdSpec(method="precision", min_precision=1.0)
    point = thresholds.choose(score, is_defect, spec, mask_threshold=0.1)
    assert point.threshold == pytest.approx(0.6)


def test_a_chain_of_ties_longer_than_the_gap_above_it_is_not_cut():
    # Tied to their lowest, 0.5; midway between 0.5 and the next would lie inside the chain.
    chain = 0.5 + 1.5e-6 * np.arange(20)
    defect = chain[-1] + 4e-6
    score, is_defect = split(good=chain, bad=[defect])
    spec = thresholds.ThresholdSpec(method="f_beta")
    point = thresholds.choose(score, is_defect, spec, mask_threshold=0.1)
    assert point.threshold == pytest.approx((chain[-1] + defect) / 2, abs=1e-9)
    assert ((score >= point.threshold) == is_defect).all()


@pytest.mark.parametrize("highest", [5e-5, 1e-4, 1e-3])
def test_ties_do_not_break_what_is_promised_of_overkill(highest):
    score = np.linspace(0, highest, 200)
    good = np.zeros(200, bool)
    spec = thresholds.ThresholdSpec()
    point = thresholds.choose(score, good, spec, mask_threshold=0.5)
    assert point.method == "overkill_rate"
    assert point.tune["overkill_rate"] <= 0.05
    assert ((score >= point.threshold).mean()) <= 0.05
    first, whole = thresholds.choose_jointly(score, score, good, spec, mask_threshold=0.5)
    ng = (score >= first.threshold) & (score >= whole.threshold)
    assert ng.mean() <= 0.05
    # And beside a defect that scores lower than all of them.
    spec = thresholds.ThresholdSpec(method="overkill_rate")
    point = thresholds.choose([*score, 0.0], [*good, True], spec, mask_threshold=0.5)
    assert point.tune["overkill_rate"] <= 0.05


# Regions, where no image is good


def regions(peak, matched, true):
    return thresholds.RegionScores(np.array(peak, float), np.array(matched), true)


# Peaks 0.9, 0.8, 0.6, 0.5, 0.4, 0.3 find true, true, false, true, false, none of 4 true ones.
BOARDS = [regions([0.9, 0.6, 0.4], [1, 1, 1], 1), regions([0.8, 0.5, 0.3], [1, 2, 2], 3)]


def test_regions_have_the_threshold_of_the_largest_f_beta():
    # 2 M / (4 + N): 2/5, 4/6, 4/7, 6/8, 6/9, 6/10
    assert thresholds.for_region_f_beta(BOARDS) == pytest.approx(0.45)
    # (1 + b2) M / (b2 4 + N), b2 = 0.01: 1.01 / 1.04, 2.02 / 2.04, 2.02 / 3.04, ...
    assert thresholds.for_region_f_beta(BOARDS, beta=0.1) == pytest.approx(0.7)
    # Of equal ones the lowest: the last two regions neither help nor cost with a large beta.
    assert thresholds.for_region_f_beta(BOARDS, beta=1e9) == pytest.approx(0.2997)
    assert thresholds.for_region_f_beta([regions([0.9], [0], 2)]) is None
    assert thresholds.for_region_f_beta([]) is None


@pytest.mark.parametrize("method", ["f_beta", "cost"])
def test_without_a_good_image_regions_choose(method):
    spec = thresholds.ThresholdSpec(method=method)
    options = {"mask_threshold": 0.2, "regions": lambda: BOARDS}
    point = thresholds.choose([0.9, 0.8], [1, 1], spec, **options)
    assert (point.method, point.parameters) == ("region_f_beta", {"beta": 1.0})
    assert point.threshold == pytest.approx(0.45)
    assert f"{method} over images cannot tell" in point.note
    # The pixels of a region reach the mask threshold, and so does a threshold on its peak.
    assert (
        thresholds.choose([0.9, 0.8], [1, 1], spec, **options | {"mask_threshold": 0.5}).threshold
        == 0.5
    )
    found_nothing = options | {"regions": lambda: [regions([], [], 1)] * 2}
    assert thresholds.choose([0.1, 0.2], [1, 1], spec, **found_nothing).method == method


def test_with_a_good_image_or_another_method_regions_are_not_asked_for():
    def ask():
        raise AssertionError

    for labels, method in (([0, 1], "f_beta"), ([1, 1], "recall")):
        spec = thresholds.ThresholdSpec(method=method)
        point = thresholds.choose([0.3, 0.8], labels, spec, mask_threshold=0.2, regions=ask)
        assert point.method == method
