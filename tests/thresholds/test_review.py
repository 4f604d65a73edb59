import numpy as np
import pydantic
import pytest

from inspection_tf import thresholds
from inspection_tf.thresholds import resampled, review

GOOD = np.array([0.05, 0.1, 0.2, 0.3, 0.4, 0.45, 0.7])
EACH = np.ones(7)


def test_it_begins_between_the_last_score_that_may_be_review_and_the_next():
    # NG from 0.5: 0.7 is. Of 7 good images 2/7 may be REVIEW: 0.45 and 0.4.
    found = review.start(GOOD, EACH, 0.5, 2 / 7)
    assert found == pytest.approx(resampled.mean([0.3, 0.4]))
    assert ((found <= GOOD) & (GOOD < 0.5)).sum() == 2
    # A share under one image: none of these, but what lies nearer to the threshold.
    found = review.start(GOOD, EACH, 0.5, 0.1)
    assert found == pytest.approx(resampled.mean([0.45, 0.5]))
    # All but the one that is NG.
    assert review.start(GOOD, EACH, 0.5, 6 / 7) < 0.05


def test_photos_of_one_part_count_as_one():
    # 0.45, 0.4 and 0.3 show one part, each of the others one of its own: five parts.
    weight = np.array([1, 1, 1, 1 / 3, 1 / 3, 1 / 3, 1])
    found = review.start(GOOD, weight, 0.5, 1 / 5)
    assert found == pytest.approx(resampled.mean([0.2, 0.3]))


def test_equal_scores_are_review_together_or_not_at_all():
    score = np.array([0.1, 0.4, 0.4, 0.4, 0.45])
    found = review.start(score, np.ones(5), 0.5, 2 / 5)
    assert found == pytest.approx(resampled.mean([0.4, 0.45]))


def test_there_is_no_room_between_a_score_and_the_threshold_just_over_it():
    below = np.nextafter(0.5, 0)
    found = review.start(np.array([below, 0.1]), np.ones(2), 0.5, 0.1)
    assert found is None or below < found < 0.5


def split():
    score = np.concatenate([GOOD, [0.42, 0.8, 0.9]])
    return score, np.arange(10) >= 7


def test_a_recipe_asks_for_a_share_and_the_point_says_so():
    spec = thresholds.ThresholdSpec(method="f_beta", review_share=0.3)
    score, defect = split()
    point = thresholds.choose(score, defect, spec, mask_threshold=0.01)
    good = score[~defect]
    is_review = (good >= point.review_from) & (good < point.threshold)
    assert is_review.sum() <= 0.3 * 7
    assert point.parameters["review_share"] == 0.3
    plain = thresholds.choose(
        score, defect, thresholds.ThresholdSpec(method="f_beta"), mask_threshold=0.01
    )
    assert plain.threshold == point.threshold
    assert plain.review_from is None


def test_in_a_cascade_only_those_that_the_first_stage_passes_are_review():
    score, defect = split()
    first = np.where(score < 0.35, 0.01, 0.9)
    spec = thresholds.ThresholdSpec(method="cost", review_share=0.3)
    stage, whole = thresholds.choose_jointly(first, score, defect, spec, mask_threshold=0.01)
    passed = first >= stage.threshold
    is_review = passed & (score >= whole.review_from) & (score < whole.threshold) & ~defect
    assert is_review.sum() <= 0.3 * 7


def test_a_split_of_defects_alone_says_nothing_of_good_ones():
    spec = thresholds.ThresholdSpec(method="f_beta", review_share=0.3)
    point = thresholds.choose(GOOD, np.ones(7, bool), spec, mask_threshold=0.01)
    assert point.review_from is None


def test_a_band_and_a_share_are_not_asked_for_together():
    with pytest.raises(pydantic.ValidationError, match=r"without review_share, got 0\.1 and 0\.2"):
        thresholds.ThresholdSpec(review_band=0.1, review_share=0.2)
