import math

import numpy as np
import pytest

from inspection_tf import thresholds
from inspection_tf.thresholds import parts, resampled

SCORE = np.array([0.05, 0.1, 0.2, 0.3, 0.4, 0.6, 0.7, 0.8, 0.9, 0.95])
DEFECT = np.array([0, 0, 0, 1, 0, 1, 1, 1, 1, 1], bool)
GROUPS = ["a", "a", "b", "c", "b", "d", "d", "e", "e", "f"]


def spec(**fields):
    return thresholds.ThresholdSpec(method="cost", escape_cost=1.0, overkill_cost=1.0, **fields)


def test_the_mean_is_that_of_the_log_odds():
    # log-odds of 0.9 and 0.5 are ln 9 and 0; half of ln 9 is ln 3: 3 to 1
    assert resampled.mean([0.9, 0.5]) == pytest.approx(0.75)
    assert resampled.mean([0.5, 0.9, 0.1]) == pytest.approx(0.5)
    # What is nearer to 1 than a millionth counts as a millionth away.
    near = math.log((1 - 1e-6) / 1e-6) / 2
    assert resampled.mean([1.2, 0.5]) == pytest.approx(1 / (1 + math.exp(-near)))


def test_where_half_of_them_let_everything_pass_so_does_the_mean():
    assert resampled.mean([0.0, 0.0, 0.9]) == 0
    assert resampled.mean([0.0, 0.5, 0.9]) > 0


def test_a_resample_draws_whole_parts_those_with_defects_apart():
    of = parts.numbered(GROUPS, len(SCORE))
    drawn = list(resampled.rows(DEFECT, of, count=50))
    whole = {name: {n for n, one in enumerate(GROUPS) if one == name} for name in set(GROUPS)}
    for one in drawn:
        names = []
        for number in np.unique(one.parts.of):
            rows = one.rows[one.parts.of == number].tolist()
            name = GROUPS[rows[0]]
            assert set(rows) == whole[name]
            assert len(rows) == len(whole[name])
            names.append(name)
        # a and b are good; c, d, e and f are not. As many of either as there are.
        assert sum(name in "ab" for name in names) == 2
        assert sum(name in "cdef" for name in names) == 4
    assert len({tuple(one.rows) for one in drawn}) > 10


def test_the_same_split_gives_the_same_threshold_and_says_how_it_came():
    points = [
        thresholds.choose(SCORE, DEFECT, spec(resamples=40), mask_threshold=0.01, groups=GROUPS)
        for _ in range(2)
    ]
    assert points[0] == points[1]
    assert points[0].parameters == {"escape_cost": 1, "overkill_cost": 1, "resamples": 40}
    assert "The mean threshold of 40 resamples of whole parts." in points[0].note
    assert points[0].method == "cost"
    best = thresholds.choose(SCORE, DEFECT, spec(), mask_threshold=0.01, groups=GROUPS)
    assert "resamples" not in best.parameters
    assert points[0].threshold != best.threshold


def test_the_mean_of_resamples_is_that_of_the_thresholds_of_each():
    of = parts.numbered(GROUPS, len(SCORE))
    each = [
        thresholds.for_cost(SCORE[one.rows], DEFECT[one.rows], escape_cost=1.0, overkill_cost=1.0)
        for one in resampled.rows(DEFECT, of, count=30)
    ]
    found = thresholds.choose(SCORE, DEFECT, spec(resamples=30), mask_threshold=0.01, groups=GROUPS)
    assert found.threshold == pytest.approx(resampled.mean(each))


@pytest.mark.parametrize("method", ["escape_rate", "precision", "recall", "overkill_rate"])
def test_what_is_held_on_the_split_is_not_resampled(method):
    fields = {"method": method, "max_escape_rate": 0.6, "max_overkill_rate": 0.9}
    points = [
        thresholds.choose(
            SCORE,
            DEFECT,
            thresholds.ThresholdSpec(resamples=count, **fields),
            mask_threshold=0.01,
            groups=GROUPS,
        )
        for count in (0, 20)
    ]
    assert points[0] == points[1]


def test_a_promise_that_falls_back_to_f_beta_is_resampled():
    asked = thresholds.ThresholdSpec(method="escape_rate", resamples=20)
    point = thresholds.choose(SCORE, DEFECT, asked, mask_threshold=0.01, groups=GROUPS)
    assert point.method == "f_beta"
    assert "Chosen by F-beta instead. The mean threshold of 20" in point.note


def test_both_thresholds_of_a_cascade_are_means():
    rng = np.random.default_rng(0)
    groups = np.repeat(np.arange(30), 2)
    defect = groups % 3 == 0
    first, second = (1 / (1 + np.exp(-(rng.normal(size=60) + 3 * defect - 1))) for _ in range(2))
    plain, mean = (
        thresholds.choose_jointly(
            first, second, defect, spec(resamples=count), mask_threshold=0.01, groups=groups
        )
        for count in (0, 25)
    )
    assert mean[1].parameters["resamples"] == 25
    assert (mean[0].threshold, mean[1].threshold) != (plain[0].threshold, plain[1].threshold)
    assert 0 <= mean[0].threshold < 1
    assert 0 < mean[1].threshold < 1
    assert "The mean threshold of 25" in mean[1].note


def test_a_split_of_defects_alone_has_nothing_to_resample():
    defect = np.ones(4, bool)
    for count in (0, 10):
        point = thresholds.choose(
            SCORE[:4], defect, spec(resamples=count), mask_threshold=0.01, groups=GROUPS[:4]
        )
        assert "resamples of whole parts" not in point.note
