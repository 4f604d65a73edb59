"""What any threshold would make of the tune images."""

import pydantic
import pytest

from inspection_tf import decision, thresholds


def made(**changes):
    """Three defective parts of four images, and three good parts of one image each."""
    values = {
        "ids": tuple("abcdefg"),
        "is_defect": (True, True, True, True, False, False, False),
        "scores": (0.9, 0.4, 0.6, 0.2, 0.1, 0.3, 0.7),
        "parts": ("1", "1", "2", "3", "4", "5", "6"),
    }
    return decision.TuneScores(**(values | changes))


def test_images_are_decided_as_by_a_verdict():
    # NG from 0.6 on, REVIEW from 0.3 on; both borders belong to the graver side.
    assert made().outcomes(0.6, 0.3) == ["NG", "REVIEW", "NG", "OK", "OK", "REVIEW", "NG"]
    assert made().outcomes(0.6) == ["NG", "OK", "NG", "OK", "OK", "OK", "NG"]


def test_a_score_that_is_not_finite_is_never_ok():
    scores = made(scores=(None, 0.4, 0.6, 0.2, 0.1, 0.3, None))
    assert scores.outcomes(0.95)[0] == scores.outcomes(0.95)[6] == "REVIEW"


def test_what_the_threshold_does_not_decide_stays_within_its_bounds():
    bounds = {"a": ("OK", "OK"), "d": ("NG", "NG"), "e": ("REVIEW", "NG")}
    assert made(bounds=bounds).outcomes(0.6) == ["OK", "OK", "NG", "NG", "REVIEW", "OK", "NG"]
    assert made(bounds=bounds).outcomes(0.05) == ["OK", "NG", "NG", "NG", "NG", "NG", "NG"]


def test_images_are_counted_and_parts_bound_the_rates():
    found = made().tradeoff(0.6, 0.3, confidence=0.9)
    assert found.defective == {"OK": 1, "REVIEW": 1, "NG": 2}
    assert found.good == {"OK": 1, "REVIEW": 1, "NG": 1}
    # Part 1 has an image that is not NG, part 3 too: 2 of 3, where (1 - p)^3 + 3 p (1 - p)^2 +
    # 3 p^2 (1 - p) = 1 - p^3 = 0.1 at most.
    assert (found.not_ng.events, found.not_ng.of) == (2, 3)
    assert found.not_ng.at_most == pytest.approx(0.9 ** (1 / 3))
    # Only part 3 is OK: 1 of 3, bounded where (1 - p)^3 + 3 p (1 - p)^2 = 0.1.
    assert (found.passed.events, found.passed.of) == (1, 3)
    p = found.passed.at_most
    assert (1 - p) ** 3 + 3 * p * (1 - p) ** 2 == pytest.approx(0.1)
    assert (found.overkill.events, found.overkill.of) == (1, 3)
    assert found.to_dict()["passed"] == {"events": 1, "of": 3, "at_most": p}


def test_where_each_image_must_escape_one_that_is_ng_saves_its_part():
    found = made(part_escapes="each").tradeoff(0.6)
    assert (found.passed.events, found.passed.of) == (1, 3)  # only part 3 has no image that is NG
    assert (made().tradeoff(0.6).passed.events) == 2


def test_a_threshold_of_a_stage_before_counts_as_an_escape_more():
    found = made(further_thresholds=1).tradeoff(0.6, 0.3, confidence=0.9)
    assert (found.passed.events, found.passed.of) == (1, 3)
    assert found.passed.at_most == pytest.approx(0.9 ** (1 / 3))  # as 2 of 3 above
    assert found.not_ng.at_most == 1
    assert found.overkill == made().tradeoff(0.6, 0.3, confidence=0.9).overkill


def test_without_parts_each_image_is_one():
    found = made(parts=None).tradeoff(0.6)
    assert (found.passed.events, found.passed.of) == (2, 4)


def test_where_no_image_is_good_nothing_bounds_the_overkill():
    found = made(is_defect=(True,) * 7).tradeoff(0.6)
    assert found.overkill.to_dict() == {"events": 0, "of": 0, "at_most": 1.0}


def test_the_promise_of_a_chosen_threshold_is_found_again():
    n = 120
    score = [(k + 0.5) / n for k in range(n)]
    scores = decision.TuneScores(
        ids=tuple(str(k) for k in range(n)),
        is_defect=tuple(k % 3 > 0 for k in range(n)),
        scores=tuple(score),
    )
    spec = thresholds.ThresholdSpec(max_escape_rate=0.08, confidence=0.95)
    point = thresholds.choose(score, scores.is_defect, spec, mask_threshold=0.01)
    found = scores.tradeoff(point.threshold, confidence=0.95).not_ng
    assert found.events == point.promise.observed_escapes > 0
    assert found.at_most <= 0.08
    defective = [value for k, value in enumerate(score) if k % 3 and value > point.threshold]
    assert scores.tradeoff(min(defective) + 1e-9, confidence=0.95).not_ng.at_most > 0.08


@pytest.mark.parametrize(
    "wrong", [{"scores": (0.5,)}, {"parts": ("1",)}, {"bounds": {"z": ("OK", "OK")}}]
)
def test_columns_that_do_not_fit_are_refused(wrong):
    with pytest.raises(pydantic.ValidationError, match=r"there must be|each image must have"):
        made(**wrong)
