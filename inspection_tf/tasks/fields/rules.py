"""Corners and a confidence -> `Verdict`: where a field lies, and whether that can be so."""

import math
from collections.abc import Sequence

import numpy as np
import pydantic
from numpy.typing import NDArray

from inspection_tf import config, thresholds
from inspection_tf.decision.results import Field
from inspection_tf.decision.verdict import Outcome, Verdict
from inspection_tf.images import geometry


class FieldRules(config.Section):
    """What a field can look like; a quadrilateral that is none is left to a person."""

    min_angle_deg: float = pydantic.Field(default=30.0, ge=0, lt=90)
    """Smallest angle at a corner, degrees; the largest is 180 minus it."""
    max_side_ratio: float = pydantic.Field(default=3.0, ge=1, allow_inf_nan=False)
    """Largest ratio of two opposite sides."""
    min_area_share: float = pydantic.Field(default=1e-4, ge=0, le=1)
    """Smallest area, as a share of the image's."""
    max_outside: float = pydantic.Field(default=0.01, ge=0, le=1)
    """How far a corner may lie outside the image, as a share of its width."""


def implausible(
    corners_xy: NDArray[np.float64], rules: FieldRules, *, image_size: tuple[int, int]
) -> str:
    """Say why four corners cannot be those of a field; "" where they can.

    Args:
        corners_xy: (4, 2) finite px: top left, top right, bottom right, bottom left.
        rules: what a field can look like.
        image_size: (height, width), px.
    """
    height, width = image_size
    if not geometry.is_convex(corners_xy) or geometry.turns(corners_xy)[0] < 0:
        return "the corners do not go clockwise around a convex area"
    sides = np.roll(corners_xy, -1, axis=0) - corners_xy
    lengths = np.hypot(*sides.T)
    before = np.roll(lengths, 1)
    angles = np.degrees(np.arcsin(np.clip(geometry.turns(corners_xy) / (lengths * before), 0, 1)))
    if (smallest := float(angles.min())) < rules.min_angle_deg:
        return f"an angle is {smallest:.0f} degrees off a straight line"
    ratio = float(max((lengths / np.roll(lengths, 2)).max(), 1.0))
    if ratio > rules.max_side_ratio:
        return f"a side is {ratio:.1f} times as long as the one opposite"
    if (share := geometry.area(corners_xy) / (height * width)) < rules.min_area_share:
        return f"its area is {share:.2g} of the image's"
    border = np.array([width - 0.5, height - 0.5])
    outside = float(np.maximum(-0.5 - corners_xy, corners_xy - border).max()) / width
    if outside > rules.max_outside:
        return f"a corner lies {outside:.2g} of the width outside the image"
    return ""


def locate(
    corners_xy: NDArray[np.float64],
    confidence: float,
    operating_point: thresholds.OperatingPoint,
    rules: FieldRules,
    *,
    image_size: tuple[int, int],
    classes: Sequence[str] = ("no field",),
) -> Verdict:
    """Decide about one photo: NG where it shows no field, REVIEW where its corners cannot be right.

    The score is `1 - confidence`, how sure it is that there is no field; **NG if and only if score
    >= threshold**.

    Args:
        corners_xy: (4, 2) px of the source: top left, top right, bottom right, bottom left.
        confidence: that there is a field, 0..1.
        operating_point: the thresholds.
        rules: what a field can look like.
        image_size: (height, width) of the source, px.
        classes: of what is wrong with an NG image.

    Returns:
        The verdict; it has corners unless it is NG, and in `guess_xy` whatever was found.
    """
    is_finite = bool(np.isfinite(corners_xy).all() and math.isfinite(confidence))
    score = 1.0 - confidence if is_finite else math.nan
    outcome, reason = _outcome(score, operating_point)
    reasons = [reason]
    problem = implausible(corners_xy, rules, image_size=image_size) if is_finite else ""
    if problem and outcome != "NG":
        outcome = "REVIEW"
        reasons.insert(0, f"no field looks like this: {problem}")
    found = None
    if is_finite and outcome != "NG":
        (x0, y0), (x1, y1), (x2, y2), (x3, y3) = corners_xy.tolist()
        found = ((x0, y0), (x1, y1), (x2, y2), (x3, y3))
    return Verdict(
        outcome=outcome,
        score=score,
        threshold=operating_point.threshold,
        reasons=tuple(reasons),
        review_from=operating_point.review_from,
        image_size=image_size,
        classes=tuple(classes),
        result=Field(found, confidence if is_finite else None, corners_xy),
    )


def _outcome(score: float, point: thresholds.OperatingPoint) -> tuple[Outcome, str]:
    if math.isnan(score):
        return "REVIEW", "the network's output is not finite"
    said = f"confidence {1 - score:.4g}"
    least = 1 - point.threshold
    if score >= point.threshold:
        return "NG", f"no field: {said}, it takes more than {least:.4g}"
    if point.review_from is not None and score >= point.review_from:
        return "REVIEW", f"perhaps no field: {said}, sure above {1 - point.review_from:.4g}"
    return "OK", f"field found: {said}, it takes more than {least:.4g}"
