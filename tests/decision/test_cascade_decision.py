import dataclasses
import json
import math

import cv2
import numpy as np
import pytest

from inspection_tf import decision, thresholds


def at(threshold, *, review_from=None, mask_threshold=0.5):
    return thresholds.OperatingPoint(
        threshold=threshold, review_from=review_from, mask_threshold=mask_threshold
    )


def gate(score, *, first=0.2, whole=0.6, first_review=None, **options):
    return decision.gate(
        score, at(first, review_from=first_review), at(whole), image_size=(20, 31), **options
    )


def spot(peak):
    probability = np.full((20, 31), 0.1, np.float32)
    probability[2:5, 2:5] = peak
    return probability


# The first stage


def test_an_image_under_the_first_threshold_is_ok_and_the_second_stage_is_spared():
    verdict = gate(0.05, classes=("scratch", "dent"))
    assert (verdict.outcome, verdict.decided_by) == ("OK", "classifier")
    assert verdict.stages == {"classifier": 0.05}
    assert verdict.reasons == ("classifier: score 0.050 under 0.200",)
    assert verdict.score == pytest.approx(0.15)  # 0.6 * 0.05 / 0.2
    assert verdict.threshold == 0.6
    assert verdict.image_size == (20, 31)
    assert verdict.classes == ("scratch", "dent")
    assert (verdict.regions, verdict.probability) == ((), None)
    assert not verdict.mask().any()


def test_an_image_at_or_over_the_first_threshold_goes_on():
    assert gate(0.2) is None
    assert gate(0.9) is None
    assert gate(np.nextafter(0.2, 0)) is not None


@pytest.mark.parametrize(
    ("score", "outcome"), [(0.09, "OK"), (0.1, "REVIEW"), (0.19, "REVIEW"), (0.2, None)]
)
def test_a_score_in_the_band_of_the_first_stage_is_for_review(score, outcome):
    verdict = gate(score, first_review=0.1)
    assert (verdict and verdict.outcome) == outcome
    if outcome == "REVIEW":
        assert verdict.decided_by == "classifier"
        text = f"classifier: score {score:.3f} at or above 0.100, under 0.200"
        assert verdict.reasons == (text,)


@pytest.mark.parametrize("score", [math.nan, math.inf, -math.inf])
def test_a_first_score_that_is_not_finite_is_for_review(score):
    verdict = gate(score)
    assert (verdict.outcome, verdict.decided_by) == ("REVIEW", "classifier")
    assert math.isnan(verdict.score)
    assert verdict.reasons == ("classifier: score not finite",)
    assert verdict.to_dict()["stages"] == {"classifier": None}
    json.dumps(verdict.to_dict(), allow_nan=False)


def test_scores_that_look_alike_get_digits_that_tell_them_apart():
    assert gate(0.19996).reasons == ("classifier: score 0.19996 under 0.20000",)
    assert gate(0.0002, first=0.0004).reasons == ("classifier: score 0.0002 under 0.0004",)


@pytest.mark.parametrize("first", [1e-6, 0.2, 1.0])
@pytest.mark.parametrize("whole", [-1e-6, 0.0, 0.3, 1.0])
def test_a_stopped_image_scores_under_the_threshold_of_the_whole(first, whole):
    stopped = [0.0, first / 3, first / 2, float(np.nextafter(first, 0))]
    scores = [gate(score, first=first, whole=whole).score for score in stopped]
    assert all(score < whole for score in scores)
    if whole > 0:
        assert scores == sorted(scores)
        assert len(set(scores[:3])) == 3


def test_an_ok_image_of_the_first_stage_lies_under_the_review_band_of_the_whole():
    whole = at(0.5, review_from=0.4)
    for score, outcome in ((0.39, "OK"), (0.2, "OK"), (0.0, "OK")):
        verdict = decision.gate(score, at(0.4), whole, image_size=(20, 31))
        assert verdict.outcome == outcome
        assert verdict.score == pytest.approx(0.4 * score / 0.4)
        assert verdict.score < verdict.review_from
    banded = decision.gate(0.39, at(0.4, review_from=0.3), whole, image_size=(20, 31))
    assert banded.outcome == "REVIEW"
    assert 0.4 <= banded.score < 0.5  # 0.5 * 0.39 / 0.4


def test_a_first_threshold_of_zero_lets_every_probability_pass():
    assert gate(0.0, first=0.0) is None
    assert gate(-0.1, first=0.0).score < 0.6


# The whole


@pytest.mark.parametrize("seed", range(30))
def test_ng_if_and_only_if_both_scores_reach_their_thresholds(seed):
    rng = np.random.default_rng(seed)
    first, peak = rng.random(2).round(1)
    whole = at(0.6)
    verdict = decision.gate(first, at(0.4), whole, image_size=(20, 31))
    if verdict is None:
        verdict = decision.decide(
            spot(peak), whole, stage="segmenter", earlier={"classifier": first}
        )
    second = decision.score(spot(peak), mask_threshold=0.5)
    assert (verdict.outcome == "NG") == (first >= 0.4 and second >= 0.6)
    assert (verdict.score >= verdict.threshold) == (verdict.outcome == "NG")


def test_the_last_stage_tells_of_the_ones_before():
    earlier = {"classifier": 0.7}
    verdict = decision.decide(spot(0.9), at(0.6), stage="segmenter", earlier=earlier)
    assert (verdict.outcome, verdict.decided_by) == ("NG", "segmenter")
    assert verdict.stages == {"classifier": 0.7, "segmenter": verdict.score}
    assert verdict.reasons == (
        "1 region, 9 px",
        "segmenter: score 0.90 at or above 0.60",
        "classifier: score 0.700, passed on",
    )
    quiet = decision.decide(spot(0.3), at(0.6), stage="segmenter", earlier=earlier)
    assert (quiet.outcome, quiet.decided_by) == ("OK", "segmenter")
    assert quiet.reasons[0] == "segmenter: score 0.30 under 0.60"
    assert earlier == {"classifier": 0.7}


def test_without_a_cascade_there_is_no_stage():
    verdict = decision.decide(spot(0.9), at(0.6))
    assert (verdict.decided_by, verdict.stages) == ("", {})
    given = verdict.to_dict()
    assert list(given)[-3:] == ["classes", "decided_by", "stages"]
    assert (given["decided_by"], given["stages"]) == ("", {})


def test_stages_survive_json_and_verdicts_stay_hashable():
    for verdict in (
        gate(0.05),
        decision.decide(spot(0.9), at(0.6), stage="segmenter", earlier={"classifier": 0.7}),
    ):
        given = verdict.to_dict()
        assert json.loads(json.dumps(given, allow_nan=False)) == given
        assert given["decided_by"] == list(given["stages"])[-1]
        assert verdict == dataclasses.replace(verdict)
        hash(verdict)


def test_a_stopped_verdict_shows_the_image_alone():
    verdict = gate(0.05)
    assert verdict.overlay() is None
    assert verdict._repr_png_() is None
    image = np.full((20, 31), 77, np.uint8)
    with_image = dataclasses.replace(verdict, image=image)
    assert (with_image.overlay() == 77).all()
    png = np.frombuffer(with_image._repr_png_(), np.uint8)
    assert cv2.imdecode(png, cv2.IMREAD_COLOR)[0, 0, ::-1].tolist() == [0, 160, 60]  # green: OK
    assert dataclasses.replace(gate(math.nan), image=image)._repr_png_() is not None


def test_stopped_and_decided_verdicts_can_be_combined():
    passed = decision.decide(spot(0.9), at(0.6), stage="segmenter", earlier={"classifier": 0.7})
    whole = decision.CompositeVerdict.of({"top": gate(0.05), "side": passed})
    assert (whole.outcome, whole.decided_by) == ("NG", "side")
    assert decision.CompositeVerdict.of({"top": gate(0.05)}).outcome == "OK"
