"""Probability map -> `Verdict`: one rule for everyone, **NG if and only if score >= threshold**.

With `Rules.wear` flank wear over a limit is NG as well, whatever the score: limits of wear raise an
outcome and never lower it, so what a threshold promises about escapes holds all the same. All that
looks at scores alone (the choice of thresholds, their promises, ranking metrics) does not see it.
"""

import math
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from inspection_tf import errors, thresholds
from inspection_tf.decision import reasons
from inspection_tf.decision.results import Region, Regions
from inspection_tf.decision.rules import Assessment, Rules, assess, levels_reached
from inspection_tf.decision.verdict import OUTCOMES, Outcome, Verdict
from inspection_tf.decision.wear import limits

# Not `Rules()`: validating would build pydantic's schemas at import.
_NO_RULES = Rules.model_construct()


def score(
    probability: NDArray[Any],
    rules: Rules = _NO_RULES,
    *,
    mask_threshold: float,
    mm_per_px: float | None = None,
    classes: Sequence[str] | None = None,
) -> float:
    """Return the score of an image after the rules: what thresholds are chosen on.

    Args:
        probability: (height, width) or (height, width, classes), floating point, in the size of the
            source image.
        rules: on regions and on the image.
        mask_threshold: probability from which a pixel belongs to a region.
        mm_per_px: scale of the source image, for rules in mm.
        classes: names of the classes, for rules on classes.

    Returns:
        A probability; nan if the map is not finite.

    Raises:
        errors.ConfigError: the map is no map, rules in mm have no scale, names do not fit the
            classes, or nothing is inspected.
    """
    return assess(
        probability, rules, mask_threshold=mask_threshold, mm_per_px=mm_per_px, classes=classes
    ).score


def decide(
    probability: NDArray[Any],
    operating_point: thresholds.OperatingPoint,
    rules: Rules = _NO_RULES,
    *,
    mm_per_px: float | None = None,
    classes: Sequence[str] = ("defect",),
    stage: str = "",
    earlier: Mapping[str, float] | None = None,
    class_weight: NDArray[Any] | None = None,
) -> Verdict:
    """Decide about one image.

    Reported are the surviving regions whose peak reaches the threshold (for REVIEW: the start of
    the band), and all of them where wear raised the outcome. An OK image reports none. The class of
    a region is the one with the largest sum of probability over its pixels, or with
    `Rules.one_class` over those of all regions, times `class_weight`.

    Args:
        probability: (height, width) or (height, width, classes), floating point, in the size of the
            source image. The verdict keeps it.
        operating_point: the thresholds.
        rules: those that the thresholds were chosen with.
        mm_per_px: scale of the source image; adds areas in mm2 and lengths in mm.
        classes: names of the classes, one for each channel.
        stage: in a cascade, what its last stage is called; see `gate` for the ones before.
        earlier: in a cascade, the scores of the stages that passed the image on.
        class_weight: (classes,), not negative: what an earlier stage thinks of each class. It
            names regions; score and outcome do not hang on it.

    Raises:
        errors.ConfigError: the map is no map, rules in mm have no scale, names or weights do not
            fit the classes, or nothing is inspected.
    """
    given, point = np.asarray(probability), operating_point
    if class_weight is not None and np.shape(class_weight) != (len(classes),):
        raise errors.ConfigError(
            f"class_weight must hold one number for each of {len(classes)} classes. "
            f"Got shape {np.shape(class_weight)}. Leave out the probability of OK."
        )
    found = assess(
        given,
        rules,
        mask_threshold=point.mask_threshold,
        mm_per_px=mm_per_px,
        classes=classes,
        class_weight=class_weight,
        measures_wear=True,
    )
    by_score = outcome_of(found.score, point)
    outcome = _raised(by_score, found, rules)
    shown = _shown(found, by_score, point) if outcome == by_score else found.kept.tolist()
    regions = tuple(_region(found, index, classes, rules, mm_per_px) for index in shown)
    ratio = float(found.regions.inspected_px[shown].sum() / found.inspected_px)
    level = _level(found, shown, rules, ratio, mm_per_px)
    reason = reasons.of_score(by_score, found, point, given)
    earlier = earlier or {}
    return Verdict(
        outcome=outcome,
        score=found.score,
        threshold=point.threshold,
        reasons=(
            *reasons.of_wear(found, rules),
            *reasons.of_regions(regions, rules, ratio, level, name_classes=len(classes) > 1),
            f"{stage}: {reason}" if stage else reason,
            *reasons.of_earlier(earlier),
            *(reasons.of_rules(found, rules) if outcome != "NG" else ()),
        ),
        result=Regions(
            regions=regions,
            pattern_ratio=ratio,
            level=level,
            probability=given if given.ndim == 2 else found.probability,
            class_probability=given if len(classes) > 1 else None,
            wear=found.wear,
        ),
        review_from=point.review_from,
        image_size=(given.shape[0], given.shape[1]),
        classes=tuple(classes),
        decided_by=stage,
        stages={**earlier, stage: found.score} if stage else dict(earlier),
    )


def gate(
    score: float,
    stage_point: thresholds.OperatingPoint,
    operating_point: thresholds.OperatingPoint,
    *,
    stage: str = "classifier",
    image_size: tuple[int, int],
    classes: Sequence[str] = ("defect",),
) -> Verdict | None:
    """Decide whether the first stage of a cascade stops an image, which spares the second one.

    The image is NG if and only if the first score and the second reach their thresholds, so a
    stopped one is never NG: it is OK, or REVIEW in the band of the stage or without a finite score.
    So that one number ranks all images, the verdict's score is the stage's own, scaled to lie under
    the threshold of the whole: `threshold * score / stage threshold`. Where the whole has a review
    band, an OK one lies under that: the band is the second stage's.

    Args:
        score: of the first stage, a probability.
        stage_point: its thresholds.
        operating_point: the thresholds of the whole, as `decide` takes them.
        stage: what it is called.
        image_size: (height, width) of the source image, px.
        classes: names of the classes, for the verdict.

    Returns:
        The verdict, without map and regions; None when the second stage must run.
    """
    outcome = outcome_of(score if math.isfinite(score) else math.nan, stage_point)
    if outcome == "NG":
        return None
    limit = operating_point.threshold
    if outcome == "OK" and operating_point.review_from is not None:
        limit = operating_point.review_from
    return Verdict(
        outcome=outcome,
        score=_stopped_score(score, stage_point.threshold, limit),
        threshold=operating_point.threshold,
        reasons=(reasons.of_stage(stage, score, outcome, stage_point),),
        review_from=operating_point.review_from,
        image_size=image_size,
        classes=tuple(classes),
        decided_by=stage,
        stages={stage: score},
    )


def _stopped_score(score: float, stage_threshold: float, threshold: float) -> float:
    if not math.isfinite(score):
        return math.nan
    highest = math.nextafter(threshold, -math.inf)
    if stage_threshold <= 0:  # no probability lies under it
        return highest
    return min(threshold * score / stage_threshold, highest)


def outcome_of(score: float, point: thresholds.OperatingPoint) -> Outcome:
    """Return what a score says by itself: REVIEW in the band, and where it is nan."""
    if math.isnan(score):
        return "REVIEW"
    if score >= point.threshold:
        return "NG"
    return "REVIEW" if point.review_from is not None and score >= point.review_from else "OK"


def _raised(outcome: Outcome, found: Assessment, rules: Rules) -> Outcome:
    """Return the graver one of an outcome and of what the limits of wear say."""
    if found.wear is None or rules.wear is None:
        return outcome
    grade, _ = limits.judge(found.wear, rules.wear)
    return max(outcome, grade, key=OUTCOMES.index)


def _shown(found: Assessment, outcome: Outcome, point: thresholds.OperatingPoint) -> list[int]:
    start = point.threshold if outcome == "NG" else point.review_from
    if outcome == "OK" or start is None:
        return []
    return [int(index) for index in found.kept if found.regions.peak[index] >= start]


def _level(
    found: Assessment,
    shown: list[int],
    rules: Rules,
    ratio: float,
    mm_per_px: float | None,
) -> str | None:
    if found.wear is not None and rules.wear is not None and rules.wear.levels:
        return limits.level_of(found.wear, rules.wear)
    if not rules.levels or not shown:
        return None
    reached = levels_reached(
        rules,
        area_px=found.regions.area_px[shown].sum(keepdims=True),
        ratio=np.array([ratio]),
        mm_per_px=mm_per_px,
    )[0]
    return rules.levels[reached].name if reached >= 0 else None


def _region(
    found: Assessment,
    index: int,
    classes: Sequence[str],
    rules: Rules,
    mm_per_px: float | None,
) -> Region:
    regions = found.regions
    x0, y0, x1, y1 = (int(edge) for edge in regions.box_xyxy[index])
    x, y = (float(value) for value in regions.centroid_xy[index])
    area, length = int(regions.area_px[index]), regions.length_px(index)
    box, mask = (x0, y0, x1, y1), regions.mask(index)
    if rules.outline == "ellipse":
        height, width = found.probability.shape
        box, mask = regions.ellipse(index, size=(height, width))
    return Region(
        class_name=classes[found.class_index[index]],
        box_xyxy=box,
        centroid_xy=(x, y),
        area_px=area,
        length_px=length,
        mean_score=float(regions.mean[index]),
        peak_score=float(regions.peak[index]),
        area_mm2=None if mm_per_px is None else area * mm_per_px**2,
        length_mm=None if mm_per_px is None else length * mm_per_px,
        mask=mask,
    )
