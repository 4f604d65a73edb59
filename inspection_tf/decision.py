"""Probability map -> `Verdict`: regions, rules, the score that knows them, and reasons in words.

One rule for everyone (evaluation, command line, service): **NG if and only if score >= threshold**.
How the score takes the rules into account is told in `_rules`; coordinates in `_regions`. A map
with a value that is not finite is REVIEW, never OK.
"""

import dataclasses
import math
from dataclasses import dataclass
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from inspection_tf import _rules, errors, thresholds
from inspection_tf._regions import Zone
from inspection_tf._rules import Level, Rules
from inspection_tf._verdict import CompositeVerdict, Outcome, Region, Verdict

__all__ = [
    "CompositeVerdict",
    "HiddenDefect",
    "Level",
    "Outcome",
    "Region",
    "Rules",
    "Verdict",
    "Zone",
    "decide",
    "hidden_defects",
    "score",
]

# Not `Rules()`: validating would build pydantic's schemas at import.
_NO_RULES = Rules.model_construct()


def score(
    probability: NDArray[Any],
    rules: Rules = _NO_RULES,
    *,
    mask_threshold: float,
    mm_per_px: float | None = None,
) -> float:
    """Return the score of an image after the rules: what thresholds are chosen on.

    Args:
        probability: (height, width), floating point, in the size of the source image.
        rules: on regions and on the image.
        mask_threshold: probability from which a pixel belongs to a region.
        mm_per_px: scale of the source image, for rules in mm.

    Returns:
        A probability; nan if the map is not finite.

    Raises:
        errors.ConfigError: the map is no map, rules in mm have no scale, or nothing is inspected.
    """
    return _rules.assess(
        probability, rules, mask_threshold=mask_threshold, mm_per_px=mm_per_px
    ).score


def decide(
    probability: NDArray[Any],
    operating_point: thresholds.OperatingPoint,
    rules: Rules = _NO_RULES,
    *,
    mm_per_px: float | None = None,
    class_name: str = "defect",
) -> Verdict:
    """Decide about one image.

    Reported are the surviving regions whose peak reaches the threshold (for REVIEW: the start of
    the band). An OK image reports none.

    Args:
        probability: (height, width), floating point, in the size of the source image. The verdict
            keeps it.
        operating_point: the thresholds.
        rules: those that the thresholds were chosen with.
        mm_per_px: scale of the source image; adds areas in mm2 and lengths in mm.
        class_name: of the regions.

    Raises:
        errors.ConfigError: the map is no map, rules in mm have no scale, or nothing is inspected.
    """
    probability = np.asarray(probability)
    point = operating_point
    found = _rules.assess(
        probability, rules, mask_threshold=point.mask_threshold, mm_per_px=mm_per_px
    )
    outcome = _outcome(found.score, point)
    start = point.threshold if outcome == "NG" else point.review_from
    shown: list[int] = []
    if outcome != "OK" and start is not None:
        shown = [int(index) for index in found.kept if found.regions.peak[index] >= start]
    regions = tuple(_region(found, index, class_name, mm_per_px) for index in shown)
    if rules.outline == "ellipse":
        regions = tuple(
            _as_ellipse(region, found, index, probability.shape)
            for region, index in zip(regions, shown, strict=True)
        )
    ratio = float(found.regions.inspected_px[shown].sum() / found.inspected_px)
    level = None
    if rules.levels and shown:
        reached = _rules.levels_reached(
            rules,
            area_px=found.regions.area_px[shown].sum(keepdims=True),
            ratio=np.array([ratio]),
            mm_per_px=mm_per_px,
        )[0]
        level = rules.levels[reached].name if reached >= 0 else None
    return Verdict(
        outcome=outcome,
        score=found.score,
        threshold=point.threshold,
        reasons=(
            *_region_reasons(regions, rules, ratio, level),
            *_score_reasons(outcome, found, point, probability),
            *(_rule_reasons(found, rules) if outcome != "NG" else ()),
        ),
        regions=regions,
        pattern_ratio=ratio,
        level=level,
        review_from=point.review_from,
        image_size=(probability.shape[0], probability.shape[1]),
        probability=probability,
    )


def _outcome(score: float, point: thresholds.OperatingPoint) -> Outcome:
    if math.isnan(score):
        return "REVIEW"
    if score >= point.threshold:
        return "NG"
    return "REVIEW" if point.review_from is not None and score >= point.review_from else "OK"


def _region(
    found: _rules.Assessment, index: int, class_name: str, mm_per_px: float | None
) -> Region:
    regions = found.regions
    x0, y0, x1, y1 = (int(edge) for edge in regions.box_xyxy[index])
    x, y = (float(value) for value in regions.centroid_xy[index])
    area, length = int(regions.area_px[index]), regions.length_px(index)
    return Region(
        class_name=class_name,
        box_xyxy=(x0, y0, x1, y1),
        centroid_xy=(x, y),
        area_px=area,
        length_px=length,
        mean_score=float(regions.mean[index]),
        peak_score=float(regions.peak[index]),
        area_mm2=None if mm_per_px is None else area * mm_per_px**2,
        length_mm=None if mm_per_px is None else length * mm_per_px,
        mask=regions.mask(index),
    )


def _as_ellipse(
    region: Region, found: _rules.Assessment, index: int, shape: tuple[int, ...]
) -> Region:
    box, mask = found.regions.ellipse(index, size=(shape[0], shape[1]))
    return dataclasses.replace(region, box_xyxy=box, mask=mask)


def _apart(first: float, second: float) -> tuple[str, str]:
    """Format two numbers with as many digits as it takes to tell them apart."""
    for digits in range(2, 9):
        texts = f"{first:.{digits}f}", f"{second:.{digits}f}"
        if first == second or texts[0] != texts[1]:
            return texts
    return repr(first), repr(second)


def _several(count: int, noun: str) -> str:
    return f"{count} {noun}" if count == 1 else f"{count} {noun}s"


def _region_reasons(
    regions: tuple[Region, ...], rules: Rules, ratio: float, level: str | None
) -> tuple[str, ...]:
    if not regions:
        return ()
    one = len(regions) == 1
    smallest = min(region.area_px for region in regions)
    parts = [
        _several(len(regions), "region"),
        f"{sum(region.area_px for region in regions)} px" + ("" if one else " together"),
    ]
    if (limit := rules.min_area_px) is not None:
        each = "" if one else "each "
        parts.append(f"{each}{'over' if smallest > limit else 'at or over'} {limit:g} px")
    areas = [region.area_mm2 for region in regions if region.area_mm2 is not None]
    if areas:
        parts.append(f"{sum(areas):.3g} mm2")
    reasons = [", ".join(parts)]
    if rules.min_pattern_ratio is not None:
        reasons.append(f"pattern ratio {ratio:.3g}, limit {rules.min_pattern_ratio:.3g}")
    if level is not None:
        reasons.append(f"level {level}")
    return tuple(reasons)


def _score_reasons(
    outcome: Outcome,
    found: _rules.Assessment,
    point: thresholds.OperatingPoint,
    probability: NDArray[Any],
) -> tuple[str, ...]:
    if math.isnan(found.score):
        broken = int(np.count_nonzero(~np.isfinite(probability)))
        return (f"{_several(broken, 'value')} of the map not finite",)
    start = point.review_from if outcome == "REVIEW" else point.threshold
    value, limit = _apart(found.score, point.threshold if start is None else start)
    text = f"score {value} {'under' if outcome == 'OK' else 'at or above'} {limit}"
    if outcome == "REVIEW":
        text += f", under {_apart(found.score, point.threshold)[1]}"
    if outcome != "OK" and found.score < point.mask_threshold and not len(found.kept):
        text += f", and no region reaches {point.mask_threshold:g}"
        y, x = np.unravel_index(int(np.argmax(probability)), probability.shape)
        if float(probability[y, x]) == found.score:
            text += f"; the peak lies at ({x}, {y})"
    return (text,)


def _rule_reasons(found: _rules.Assessment, rules: Rules) -> tuple[str, ...]:
    """Say which rules stand between what was found and NG."""
    reasons = [
        f"{_several(int(fails.sum()), 'region')} dropped by {_named(name, rules)}"
        for name, fails in found.dropped.items()
        if fails.any()
    ]
    if found.unmet:
        names = ", ".join(_named(name, rules) for name in found.unmet)
        reasons.append(f"{_several(len(found.kept), 'region')}, not enough for {names}")
    return tuple(reasons)


def _named(rule: str, rules: Rules) -> str:
    limit = getattr(rules, rule, None)
    return rule if limit is None else f"{rule} {limit if isinstance(limit, str) else f'{limit:g}'}"


@dataclass(frozen=True, slots=True)
class HiddenDefect:
    """A true defect that the network found and a rule would hide."""

    rules: tuple[str, ...]  # that drop its regions, or that the image does not meet
    box_xyxy: tuple[int, int, int, int]  # of the true defect; the end is exclusive
    area_px: int  # of the true defect
    found_px: int  # area of the regions that touch it
    peak_score: float  # of these regions


def hidden_defects(
    probability: NDArray[Any],
    rules: Rules,
    mask: NDArray[Any],
    *,
    mask_threshold: float,
    mm_per_px: float | None = None,
) -> tuple[HiddenDefect, ...]:
    """Audit the rules on one labelled image: list the defects they turn into escapes.

    A true defect (8-connected in `mask`) is hidden when regions touch it but each of them is
    dropped by a rule, or when all surviving regions together do not meet a rule on the image.
    A defect that no region touches is the network's escape and not listed.

    Args:
        probability: (height, width), floating point.
        rules: to audit.
        mask: (height, width), bool or 0 / 1: the true defects.
        mask_threshold: probability from which a pixel belongs to a region.
        mm_per_px: scale of the image, for rules in mm.

    Raises:
        errors.DataError: the mask has another size than the map.
        errors.ConfigError: as `score`.
    """
    truth = np.asarray(mask, bool)
    if truth.shape != np.shape(probability):
        raise errors.DataError(
            "A mask must have the size of its map. Got "
            f"{truth.shape} for {np.shape(probability)}. Map both to the source image."
        )
    found = _rules.assess(probability, rules, mask_threshold=mask_threshold, mm_per_px=mm_per_px)
    regions = found.regions
    x, y = regions.offset_xy
    height, width = regions.labels.shape
    count, labels, stats, _ = cv2.connectedComponentsWithStats(
        truth.astype(np.uint8), connectivity=8
    )
    nearby = labels[y : y + height, x : x + width]
    hidden = []
    for defect in range(1, count):
        touching = np.flatnonzero(np.isin(regions.label, regions.labels[nearby == defect]))
        reasons = _hiding(found, touching)
        if not reasons:
            continue
        left, top, wide, high, area = (int(value) for value in stats[defect])
        hidden.append(
            HiddenDefect(
                rules=reasons,
                box_xyxy=(left, top, left + wide, top + high),
                area_px=area,
                found_px=int(regions.area_px[touching].sum()),
                peak_score=float(regions.peak[touching].max()),
            )
        )
    return tuple(hidden)


def _hiding(found: _rules.Assessment, touching: NDArray[np.int64]) -> tuple[str, ...]:
    if not len(touching):
        return ()
    if np.isin(touching, found.kept).any():
        return found.unmet
    return tuple(name for name, fails in found.dropped.items() if fails[touching].any())
