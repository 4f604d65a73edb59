"""What the gate of engines lets through, on figures made by hand."""

import math
from types import SimpleNamespace

import pytest

from inspection_tf import decision, evaluation, thresholds
from inspection_tf.conversion import engine_gate
from inspection_tf.export import differences
from inspection_tf.tasks.fields.measures import MEASURES as OF_CORNERS
from inspection_tf.tasks.segmentation.measures import MEASURES


def verdict(score, outcome=None, threshold=0.5):
    return decision.Verdict(
        outcome=outcome or ("NG" if score >= threshold else "OK"),
        score=score,
        threshold=threshold,
    )


def failures(pairs, spec=None, changes=None, images_per_part=1, measures=MEASURES):
    """Return what the gate says of (score before, score after) of images."""

    class Named:
        def __init__(self, name):
            self.id = name

    tally = differences.Differences({})
    for place, scores in enumerate(pairs):
        verdicts = [verdict(score) for score in scores]
        tally.add_scores(*differences.stage_scores(*verdicts))
        tally.add_verdicts(Named(str(place)), *verdicts)
    parts = {str(place): str(place // images_per_part) for place in range(len(pairs))}
    found = engine_gate.failures(
        tally, changes or {}, spec or engine_gate.GateSpec(), parts, measures
    )
    return tally, found


def test_a_verdict_may_change_at_the_threshold_of_one_image_in_a_hundred():
    alike = [(0.1, 0.11)] * 99
    tally, found = failures([*alike, (0.51, 0.49)])
    assert found == []
    assert tally.largest_score == pytest.approx(0.02)
    assert failures([*alike[:98], (0.51, 0.49), (0.49, 0.505)])[1] == [
        "2 changed verdicts within 0.02 of the threshold, more than 1% of the images"
    ]


def test_the_gate_counts_parts_where_several_images_show_one():
    # 100 parts of two images each: one of them may be decided anew, by one image or by both.
    alike = [(0.1, 0.11)] * 198
    assert failures([*alike, (0.51, 0.49), (0.49, 0.51)], images_per_part=2)[1] == []
    apart = [(0.51, 0.49), *alike, (0.49, 0.51)]
    assert failures(apart)[1] == []  # 2 of 200 images
    assert failures(apart, images_per_part=2)[1] == [
        "2 changed verdicts of 2 parts within 0.02 of the threshold, more than 1% of the 100 parts"
    ]


def test_a_verdict_may_not_change_further_off():
    tally, (found,) = failures([(0.1, 0.11)] * 99 + [(0.53, 0.49)])
    assert "1 changed verdicts further than 0.02" in found
    assert "99 NG 0.5300 -> OK 0.4900" in found
    assert tally.flips[0].margin == pytest.approx(0.03)
    # A rule may hold a score just under the threshold that belongs to a whole defect.
    (found,) = failures([(0.1, 0.11)] * 99 + [(0.49999, 0.9)])[1]
    assert "1 changed verdicts further than 0.02" in found
    assert failures([(0.53, 0.49)] + [(0.1, 0.1)] * 99, engine_gate.GateSpec(band=0.05))[1] == []


STAGES = {"classifier": thresholds.OperatingPoint(threshold=0.5)}


def stopped(first, outcome="OK"):
    """A verdict of the first stage; what ranks it is its score, scaled under 0.1."""
    return decision.Verdict(
        outcome, 0.1 * first / 0.5, 0.1, decided_by="classifier", stages={"classifier": first}
    )


def passed(first, second):
    return decision.Verdict(
        "NG" if second >= 0.1 else "OK",
        second,
        0.1,
        decided_by="segmenter",
        stages={"classifier": first, "segmenter": second},
    )


@pytest.mark.parametrize(
    ("old", "new", "expected"),
    [
        # 0.09 under the threshold of the first stage, though its rank is but 0.018 under the other.
        (stopped(0.41), passed(0.51, 0.9), ("classifier", 0.41, 0.51, -0.09)),
        # At the threshold of the first stage, though the second is sure.
        (passed(0.501, 0.9), stopped(0.499), ("classifier", 0.501, 0.499, 0.001)),
        (passed(0.8, 0.112), passed(0.8, 0.09), ("segmenter", 0.112, 0.09, 0.012)),
    ],
)
def test_the_stage_that_changed_a_verdict_says_how_near_it_was(old, new, expected):
    stage, scores, margin = differences.changed_stage(old, new, STAGES)
    assert (stage, *scores) == expected[:3]
    assert margin == pytest.approx(expected[3])
    tally = differences.Differences(STAGES)
    tally.add_scores(*differences.stage_scores(old, new))
    tally.add_verdicts(SimpleNamespace(id="a"), old, new)
    assert (tally.flips[0].stage, tally.flips[0].margin) == (stage, pytest.approx(margin))
    shared = [abs(old.stages[name] - new.stages[name]) for name in old.stages if name in new.stages]
    assert tally.largest_score == pytest.approx(max(shared))


@pytest.mark.parametrize(
    ("before", "after", "margin"),
    [
        (("OK", 0.29), ("REVIEW", 0.31), -0.01),
        (("REVIEW", 0.31), ("NG", 0.55), -0.19),  # over the threshold, not over the band's start
        (("OK", 0.29), ("NG", 0.55), 0.25),  # over both: the further one
        (("REVIEW", 0.499), ("NG", 0.95), 0.45),  # from the border to far beyond it
        (("OK", 0.1), ("REVIEW", 0.1), math.nan),  # no border: what four corners look like
        (("OK", 0.29), ("REVIEW", math.nan), math.nan),
    ],
)
def test_the_border_that_was_crossed_counts(before, after, margin):
    old, new = (
        decision.Verdict(outcome, score, 0.5, review_from=0.3) for outcome, score in (before, after)
    )
    found = differences.changed_stage(old, new, {})
    assert found[2] == pytest.approx(margin, nan_ok=True)


def beside(outcome, value, score=0.1):
    return decision.Verdict(outcome, score, 0.5, limits={"novelty": (value, 1.0)})


def test_a_number_beside_the_score_that_crossed_its_limit_says_how_near_it_was():
    found = differences.changed_stage(beside("OK", 0.99), beside("REVIEW", 1.03), {})
    assert found == ("novelty", (0.99, 1.03), pytest.approx(0.03))
    # The score crossed too: that is what changed more than a person's work.
    found = differences.changed_stage(beside("OK", 0.99, 0.45), beside("NG", 1.03, 0.55), {})
    assert found[1] == (0.45, 0.55)
    # Neither did.
    found = differences.changed_stage(beside("OK", 0.9), beside("REVIEW", 0.95), {})
    assert math.isnan(found[2])


def test_metrics_may_drop_a_little_and_rates_are_bounded_by_verdicts():
    def change(**values):
        return {name: evaluation.Estimate(value) for name, value in values.items()}

    assert failures([(0.1, 0.1)], changes=change(dice_defective=-0.005, image_auroc=0.1))[1] == []
    found = failures([(0.1, 0.1)], changes=change(dice_defective=-0.006))[1]
    assert found == ["dice_defective worse by 0.0060, more than 0.005"]
    risen = change(escape_rate=0.2, corner_error_px_mean=9)
    assert failures([(0.1, 0.1)], changes=risen, measures=OF_CORNERS)[1] == []
    risen = change(corner_error_relative_mean=0.001)
    found = failures([(0.1, 0.1)], changes=risen, measures=OF_CORNERS)[1]
    assert found == ["corner_error_relative_mean worse by 0.0010, more than 0.0005"]
    assert failures([(0.1, 0.1)], changes=change(iou_pooled=None))[1] == []
