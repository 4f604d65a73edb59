import json
import math
import subprocess
import sys

import numpy as np
import pydantic
import pytest

from inspection_tf import errors, thresholds


def split(*, good, bad):
    score = np.array([*good, *bad], float)
    return score, np.array([False] * len(good) + [True] * len(bad))


def rates(threshold, score, is_defect):
    ng = score >= threshold
    return int((~ng & is_defect).sum()), int((ng & ~is_defect).sum())


# Binomial bounds


@pytest.mark.parametrize(
    ("rate", "needed"),
    [
        (0.05, 59),  # ln 0.05 / ln 0.95 = 2.9957 / 0.051293 = 58.4
        (0.01, 299),  # ln 0.05 / ln 0.99 = 2.9957 / 0.010050 = 298.1
        (0.5, 5),  # 0.5^4 = 0.0625 > 0.05 >= 0.5^5 = 0.03125
    ],
)
def test_a_promise_at_95_percent_needs_so_many_defects(rate, needed):
    assert thresholds.defects_needed(rate, 0.95) == needed
    assert (1 - rate) ** needed <= 0.05 < (1 - rate) ** (needed - 1)


def test_a_sample_that_suffices_exactly_is_enough():
    # 0.5^2 = 0.25 = 1 - 0.75; and 1 - 0.9 is a little under 0.1 in floating point
    assert thresholds.defects_needed(0.5, 0.75) == 2
    assert thresholds.defects_needed(0.9, 0.9) == 1


def test_upper_bounds_match_the_closed_forms():
    # none of 59: (1 - p)^59 = 0.05 -> p = 1 - 0.05^(1/59) = 0.04951
    assert thresholds.rate_upper_bound(0, 59) == pytest.approx(1 - 0.05 ** (1 / 59))
    # all but one of 2 at 75 %: P(X <= 1) = 1 - p^2 = 0.25 -> p = sqrt(0.75)
    assert thresholds.rate_upper_bound(1, 2, confidence=0.75) == pytest.approx(math.sqrt(0.75))
    assert thresholds.rate_upper_bound(7, 7) == 1.0
    assert thresholds.rate_upper_bound(0, 0) == 1.0


@pytest.mark.parametrize("number", [0.0, 1.0, -0.1, 1.5, math.nan])
def test_rates_and_confidences_lie_between_0_and_1(number):
    with pytest.raises(errors.ConfigError, match="between 0 and 1"):
        thresholds.defects_needed(number, 0.95)
    with pytest.raises(errors.ConfigError, match="confidence"):
        thresholds.rate_upper_bound(0, 5, confidence=number)


def test_more_events_than_trials_are_refused():
    with pytest.raises(errors.ConfigError, match="6 of 5"):
        thresholds.rate_upper_bound(6, 5)


# Promised escape rate


def test_58_defects_cannot_promise_5_percent_and_59_can():
    bad = np.linspace(0.5, 0.9, 59)
    with pytest.raises(errors.DataError, match=r"59 defective images.*Got 58"):
        thresholds.for_escape_rate(*split(good=[0.1], bad=bad[:58]), max_escape_rate=0.05)
    threshold = thresholds.for_escape_rate(*split(good=[0.1], bad=bad), max_escape_rate=0.05)
    assert threshold == pytest.approx(0.3)  # midway between 0.1 and 0.5


def test_the_promise_spends_escapes_only_where_they_save_overkills():
    # 93 defects allow 1 escape at 5 %: P(X <= 1 | 93, 0.05) = 0.95^93 + 93 * 0.05 * 0.95^92
    # = 0.00847 + 0.04148 = 0.04995 <= 0.05; with 92 it is 0.0522.
    strong = np.linspace(0.6, 0.9, 91)
    faint = [0.1, 0.2]
    costly = split(good=[0.0, 0.15], bad=[*faint, *strong])
    threshold = thresholds.for_escape_rate(*costly, max_escape_rate=0.05)
    assert rates(threshold, *costly) == (1, 0)
    assert threshold == pytest.approx((0.15 + 0.2) / 2)
    free = split(good=[0.0, 0.05], bad=[*faint, *strong])
    threshold = thresholds.for_escape_rate(*free, max_escape_rate=0.05)
    assert rates(threshold, *free) == (0, 0)
    one_less = split(good=[0.0, 0.15], bad=[*faint, *strong[1:]])
    threshold = thresholds.for_escape_rate(*one_less, max_escape_rate=0.05)
    assert rates(threshold, *one_less) == (0, 1)


@pytest.mark.parametrize("seed", range(12))
def test_the_promise_holds_with_ties_and_no_cheaper_threshold_keeps_it(seed):
    rng = np.random.default_rng(seed)
    is_defect = np.arange(260) < 160
    score = np.round(rng.normal(0.35 + 0.2 * is_defect, 0.15).clip(0, 1), 2)
    threshold = thresholds.for_escape_rate(score, is_defect, max_escape_rate=0.1)
    escapes, overkills = rates(threshold, score, is_defect)
    assert thresholds.rate_upper_bound(escapes, 160) <= 0.1
    for other in [*np.unique(score), 2.0]:
        missed, killed = rates(other, score, is_defect)
        if thresholds.rate_upper_bound(missed, 160) <= 0.1:
            assert (overkills, escapes) <= (killed, missed)


def test_the_promise_is_kept_on_unseen_images_as_often_as_it_says():
    # scores of defects are uniform, so a threshold t lets the share t of all defects escape
    rng = np.random.default_rng(7)
    kept = 0
    for _ in range(400):
        score, is_defect = split(good=rng.random(50) * 0.5, bad=rng.random(100))
        kept += thresholds.for_escape_rate(score, is_defect, max_escape_rate=0.05) <= 0.05
    assert kept / 400 > 0.93


def test_without_good_images_the_promise_takes_the_highest_threshold():
    bad = np.linspace(0.4, 0.9, 59)
    threshold = thresholds.for_escape_rate(*split(good=[], bad=bad), max_escape_rate=0.05)
    assert 0.39 < threshold < 0.4  # no score lies under it, so it is 0.1 % under the lowest


# Overkill of good images


def test_overkill_needs_no_defect_but_enough_good_images():
    good = np.linspace(0.0, 0.58, 59)
    threshold = thresholds.for_overkill_rate(good, max_overkill_rate=0.05)
    assert 0.58 < threshold < 0.59
    with pytest.raises(errors.DataError, match=r"59 good images.*Got 58"):
        thresholds.for_overkill_rate(good[1:], max_overkill_rate=0.05)


def test_overkill_uses_what_the_bound_allows():
    good = np.arange(93) / 100  # one overkill is allowed, see above
    threshold = thresholds.for_overkill_rate(good, max_overkill_rate=0.05)
    assert threshold == pytest.approx(0.915)


# Measured targets


def test_precision_is_reached_with_the_fewest_escapes():
    score, is_defect = split(good=[0.1, 0.2, 0.6], bad=[0.3, 0.5, 0.7, 0.8])
    # at 0.3: 4 of 5; at 0.7: 2 of 2
    assert thresholds.for_precision(score, is_defect, min_precision=0.8) == pytest.approx(0.25)
    assert thresholds.for_precision(score, is_defect, min_precision=0.9) == pytest.approx(0.65)


def test_precision_out_of_reach_says_what_is_in_reach():
    score, is_defect = split(good=[0.9, 0.5], bad=[0.8, 0.7])
    # everything NG down to 0.7: 2 of 3
    with pytest.raises(errors.DataError, match=r"0\.95 must be reachable.*0\.6667.*threshold 0\.6"):
        thresholds.for_precision(score, is_defect, min_precision=0.95)


def test_recall_is_reached_with_the_fewest_overkills():
    score, is_defect = split(good=[0.1, 0.4, 0.6], bad=[0.3, 0.5, 0.7, 0.8])
    # 3 of 4 need 0.5 (overkill 0.6); 4 of 4 need 0.3 (overkill 0.4, 0.6)
    assert thresholds.for_recall(score, is_defect, min_recall=0.75) == pytest.approx(0.45)
    assert thresholds.for_recall(score, is_defect, min_recall=1.0) == pytest.approx(0.2)


def test_f_beta_weighs_recall():
    score, is_defect = split(good=[0.1, 0.4, 0.5], bad=[0.3, 0.6])
    # F1 at 0.6: 2 / (2 + 1 + 0) = 0.667; at 0.3: 4 / (4 + 0 + 2) = 0.667; at 0.5: 2 / 4
    # F2 at 0.6: 5 / (5 + 4) = 0.556; at 0.3: 10 / (10 + 2) = 0.833
    # F0.5 at 0.6: 1.25 / (1.25 + 0.25) = 0.833; at 0.3: 2.5 / (2.5 + 2) = 0.556
    assert thresholds.for_f_beta(score, is_defect, beta=2) == pytest.approx(0.2)
    assert thresholds.for_f_beta(score, is_defect, beta=0.5) == pytest.approx(0.55)


def test_tied_f_beta_takes_fewer_escapes():
    score, is_defect = split(good=[0.1, 0.4, 0.5], bad=[0.3, 0.6])
    assert thresholds.for_f_beta(score, is_defect) == pytest.approx(0.2)  # F1: see above, a tie


def test_cost_moves_the_threshold_and_may_let_everything_pass():
    score, is_defect = split(good=[0.1, 0.4, 0.5], bad=[0.3, 0.6])
    # at 0.3: 2 overkills; at 0.6: 1 escape
    for prices, expected in (((10, 1), 0.2), ((1, 10), 0.55), ((2, 1), 0.2)):
        threshold = thresholds.for_cost(
            score, is_defect, escape_cost=prices[0], overkill_cost=prices[1]
        )
        assert threshold == pytest.approx(expected)
    hopeless = split(good=[0.9, 0.8], bad=[0.1])
    assert thresholds.for_cost(*hopeless, escape_cost=1, overkill_cost=1) > 0.9


def test_equal_scores_are_never_separated():
    score, is_defect = split(good=[0.5, 0.5, 0.2], bad=[0.5, 0.9])
    for threshold in (
        thresholds.for_recall(score, is_defect, min_recall=1),
        thresholds.for_f_beta(score, is_defect),
        thresholds.for_precision(score, is_defect, min_precision=1),
    ):
        assert len(set(score[score == 0.5] >= threshold)) == 1
        assert threshold not in score


def test_neighbours_in_floating_point_are_still_separated():
    high = 0.5
    score, is_defect = split(good=[np.nextafter(high, 0)], bad=[high])
    assert thresholds.for_f_beta(score, is_defect) == high


# What is refused


MEASURED = [
    lambda score, is_defect: thresholds.for_precision(score, is_defect, min_precision=0.5),
    lambda score, is_defect: thresholds.for_recall(score, is_defect, min_recall=0.5),
    thresholds.for_f_beta,
    lambda score, is_defect: thresholds.for_cost(score, is_defect, escape_cost=1, overkill_cost=1),
]


@pytest.mark.parametrize("choose", MEASURED)
def test_no_defective_image_points_to_overkill(choose):
    with pytest.raises(errors.DataError, match="for_overkill_rate"):
        choose(*split(good=[0.1, 0.2], bad=[]))


@pytest.mark.parametrize("choose", MEASURED)
@pytest.mark.parametrize("broken", [math.nan, math.inf])
def test_scores_that_are_not_finite_are_refused(choose, broken):
    with pytest.raises(errors.DataError, match="1 of 3 that are not"):
        choose(*split(good=[0.1, broken], bad=[0.5]))


@pytest.mark.parametrize("choose", MEASURED)
def test_only_defective_images_are_all_caught(choose):
    assert 0 < choose(*split(good=[], bad=[0.3, 0.3])) <= 0.3


def test_scores_and_labels_must_match():
    with pytest.raises(errors.DataError, match="equally long"):
        thresholds.for_f_beta([0.1, 0.2], [True])
    with pytest.raises(errors.DataError, match="Got none"):
        thresholds.for_f_beta([], [])
    with pytest.raises(errors.DataError, match="true and false"):
        thresholds.for_f_beta([0.1, 0.2], [1, 2])


# The operating point


def chosen(score, is_defect, *, mask_threshold=0.5, **fields):
    spec = thresholds.ThresholdSpec(**fields)
    return thresholds.choose(score, is_defect, spec, mask_threshold=mask_threshold)


def test_an_operating_point_holds_its_promise_and_its_rates():
    score, is_defect = split(good=[0.1, 0.2, 0.95], bad=np.linspace(0.8, 0.9, 59))
    point = chosen(score, is_defect)
    assert point.threshold == pytest.approx(0.5)  # midway between 0.2 and 0.8
    assert point.promise == thresholds.Promise(
        max_escape_rate=0.05, confidence=0.95, observed_escapes=0, defective=59
    )
    assert point.promise_needs is None
    assert point.counts == {"images": 62, "defective": 59}
    assert point.tune == pytest.approx(
        {"escape_rate": 0, "recall": 1, "overkill_rate": 1 / 3, "precision": 59 / 60}
    )
    assert point.parameters == {"max_escape_rate": 0.05, "confidence": 0.95}
    again = thresholds.OperatingPoint.model_validate(json.loads(point.model_dump_json()))
    assert again == point


def test_too_few_defects_fall_back_to_f_beta_without_a_promise():
    point = chosen(*split(good=[0.1, 0.2], bad=[0.7, 0.9]))
    assert (point.method, point.promise, point.promise_needs) == ("f_beta", None, 59)
    assert "59 defective images; this split has 2" in point.note
    assert point.threshold == 0.5  # midway would be 0.45, and the mask threshold separates as well


def test_zero_defects_use_the_overkill_and_say_what_is_not_promised():
    point = chosen(*split(good=np.linspace(0, 0.3, 59), bad=[]), method="f_beta")
    assert (point.method, point.promise, point.promise_needs) == ("overkill_rate", None, 59)
    assert "Nothing is promised about escapes" in point.note
    assert point.tune == {"overkill_rate": 0.0}
    few = chosen(*split(good=[0.1, 0.7], bad=[]))
    assert few.threshold > 0.7
    assert "would need 59" in few.note


def test_a_threshold_no_probability_reaches_is_called_that():
    assert "no image would be NG" in chosen(*split(good=[0.2, 1.0], bad=[])).note


def test_overkill_may_be_asked_for_with_defects_around():
    score, is_defect = split(good=np.linspace(0, 0.6, 59), bad=[0.55, 0.9])
    point = chosen(score, is_defect, method="overkill_rate")
    assert point.threshold > 0.6
    assert point.tune["escape_rate"] == 0.5
    assert "escapes" not in point.note


@pytest.mark.parametrize("method", ["precision", "recall", "f_beta", "cost"])
def test_every_method_separates_what_can_be_separated(method):
    point = chosen(*split(good=[0.1, 0.6], bad=[0.8, 0.9]), method=method)
    assert point.threshold == pytest.approx(0.7)
    assert point.method == method
    assert (point.promise, point.promise_needs) == (None, 59)


def test_the_review_band_lies_under_the_threshold():
    point = chosen(*split(good=[0.1, 0.6], bad=[0.8, 0.9]), review_band=0.25)
    assert point.review_from == pytest.approx(0.45)
    assert chosen(*split(good=[0.1, 0.6], bad=[0.8, 0.9])).review_from is None
    with pytest.raises(pydantic.ValidationError, match="under threshold"):
        thresholds.OperatingPoint(threshold=0.5, review_from=0.5)


def test_a_threshold_among_scores_under_the_mask_threshold_stays_there():
    point = chosen(*split(good=[0.1], bad=[0.3, 0.9]), method="recall", min_recall=1.0)
    assert point.threshold == pytest.approx(0.2)


# Pixels


def test_the_mask_threshold_maximises_mean_dice_over_defective_images():
    probability = np.array([[0.9, 0.6, 0.3]], np.float32)
    mask = np.array([[1, 1, 0]])
    clean = np.full((2, 5), 0.8, np.float32)
    # Dice at 0.2: 2*2/(3+2); at 0.5: 1; at 0.7: 2*1/(1+2). The clean image has no say.
    best = thresholds.best_mask_threshold(
        iter([probability, clean]), iter([mask, np.zeros((2, 5))]), grid=[0.7, 0.2, 0.5]
    )
    assert best == 0.5


def test_equal_mask_thresholds_take_the_middle_one_and_none_measured_takes_half():
    probability = np.array([[0.95, 0.05]], np.float32)
    assert thresholds.best_mask_threshold([probability], [np.array([[1, 0]])]) == 0.5
    assert thresholds.best_mask_threshold([probability], [np.zeros((1, 2))]) == 0.5


def test_of_pixel_thresholds_as_good_as_the_best_it_is_the_one_of_the_right_area():
    # Labelled are 4 of 8 pixels. Image 1: at 0.4 six pixels, Dice 8/10; at 0.6 four, Dice 1.
    # Image 2: at 0.4 four pixels, Dice 1; at 0.6 two, Dice 4/6.
    first = np.array([[0.9, 0.9, 0.9, 0.9, 0.5, 0.5, 0.1, 0.1]])
    second = np.array([[0.9, 0.9, 0.5, 0.5, 0.1, 0.1, 0.1, 0.1]])
    mask = np.array([[1, 1, 1, 1, 0, 0, 0, 0]])

    def best(*maps, parts=None):
        return thresholds.best_mask_threshold(
            maps, [mask] * len(maps), grid=[0.4, 0.6], parts=parts
        )

    # Mean Dice 0.9 at 0.4, 0.833 at 0.6; differences -0.2 and 1/3: mean 0.067, standard error
    # 0.267. So both are as good; areas are 10 / 8 and 6 / 8, factors 1.25 and 1.33.
    assert best(first, second) == 0.4
    # Three times the first: mean Dice 0.85 and 0.917, differences 0.2 (thrice) and -1/3: mean
    # 0.067, standard error 0.133. Areas are 22 / 16 and 14 / 16, factors 1.375 and 1.14.
    assert best(first, first, first, second) == 0.6
    # The second six times: differences are 0.257 behind at 0.6, the standard error is 0.076.
    assert best(first, *[second] * 6) == 0.4


def test_images_of_one_part_count_as_one_in_the_standard_error():
    good = np.array([[0.9, 0.9, 0.5, 0.1]])
    rest = np.array([[0.9, 0.9, 0.5, 0.5]])
    masks = [np.array([[1, 1, 0, 0]])] * 8 + [np.array([[1, 1, 1, 1]])] * 4

    def best(parts):
        return thresholds.best_mask_threshold(
            [good] * 8 + [rest] * 4, masks, grid=[0.4, 0.6], parts=parts
        )

    # Dice at 0.4: 8 times 0.8 and 4 times 1; at 0.6: 8 times 1 and 4 times 2/3: means 0.867 and
    # 0.889. The differences are 0.2 and -1/3, mean 0.022. Twelve parts: standard error 0.076. Area
    # is 8 * 3 + 16 = 40 of 32 at 0.4, and 24 of 32 at 0.6: factors 1.25 and 1.33.
    assert best(None) == 0.4
    # Two parts, which differ much: standard error 0.24.
    assert best(["a"] * 8 + ["b"] * 4) == 0.4
    # All of one part: nothing is known of others, so the best is the best.
    assert best(["a"] * 12) == 0.6


def test_a_pixel_at_the_mask_threshold_counts():
    # Dice at 0.25: 1 (0.25 counts); at 0.5: 2*1/(1+2)
    probability = np.array([[0.25, 0.75]], np.float32)
    assert thresholds.best_mask_threshold([probability], [[[1, 1]]], grid=[0.25, 0.5]) == 0.25


def test_maps_without_their_mask_are_refused():
    with pytest.raises(errors.DataError, match="one mask per"):
        thresholds.best_mask_threshold([np.zeros((2, 2))], [])
    with pytest.raises(errors.DataError, match=r"\(2, 2\) and \(2, 3\)"):
        thresholds.best_mask_threshold([np.zeros((2, 2))], [np.zeros((2, 3))])


def test_importing_costs_no_heavy_library():
    heavy = ("scipy", "sklearn", "matplotlib", "tyro", "rich", "keras", "tensorflow", "PIL")
    program = (
        "import sys; from inspection_tf import decision, thresholds;"
        f"print([name for name in {heavy} if name in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True)
    assert done.stdout.strip() == "[]"
