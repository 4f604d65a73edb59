"""The reasons of a verdict, in words: the texts of `decision`."""

import collections
import math
from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from inspection_tf import thresholds
from inspection_tf.decision.results import Region
from inspection_tf.decision.rules import Assessment, Rules, class_rule
from inspection_tf.decision.verdict import Outcome
from inspection_tf.decision.wear import limits


def _distinct(first: float, second: float, *, digits: int = 2) -> tuple[str, str]:
    """Format two numbers with as many digits as it takes to make their texts differ."""
    for count in range(digits, 9):
        texts = f"{first:.{count}f}", f"{second:.{count}f}"
        if first == second or texts[0] != texts[1]:
            return texts
    return repr(first), repr(second)


def _several(count: int, noun: str) -> str:
    return f"{count} {noun}" if count == 1 else f"{count} {noun}s"


def _of_classes(regions: tuple[Region, ...]) -> str:
    counts = collections.Counter(region.class_name for region in regions)
    if len(regions) == 1:
        return f" ({regions[0].class_name})"
    return f" ({', '.join(f'{count} {name}' for name, count in counts.most_common())})"


def of_regions(
    regions: tuple[Region, ...],
    rules: Rules,
    ratio: float,
    level: str | None,
    *,
    name_classes: bool,
) -> tuple[str, ...]:
    """Return the reasons from the reported regions: number, area, share of the image, severity."""
    if not regions:
        return ()
    one = len(regions) == 1
    smallest = min(region.area_px for region in regions)
    parts = [
        _several(len(regions), "region") + (_of_classes(regions) if name_classes else ""),
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


def of_wear(assessment: Assessment, rules: Rules) -> tuple[str, ...]:
    """Return flank wear beside its limits, or that there is no scale to judge it by."""
    worn = assessment.wear
    if worn is None or rules.measured_wear is None or not worn.edge_xy:
        return ()
    if worn.vb_mean_um is None:
        text = f"flank wear VB_B {worn.vb_mean_px:.1f} px"
        return (f"{text}, not judged without mm_per_px" if rules.measured_wear.judges else text,)
    _, found = limits.judge(worn, rules.measured_wear)
    texts = [_beside(one, rules.measured_wear.review_share or 1.0) for one in found]
    if rules.measured_wear.max_vb_um is None:
        texts.insert(0, f"{limits.QUANTITIES['max_vb_um']} {worn.vb_mean_um:.0f} um")
    return tuple(texts)


def _beside(found: limits.Finding, review_share: float) -> str:
    limit = f"{found.limit_um:g}"
    start = review_share * found.limit_um if found.grade == "REVIEW" else found.limit_um
    # Without what floating point adds: 20 px of 5 um are not over 100 um.
    value, _ = _distinct(round(found.value_um, 6), start, digits=0)
    where = {
        "OK": f"within {limit} um",
        "REVIEW": f"over {start:g} um, {review_share:g} of {limit} um",
        "NG": f"over {limit} um",
    }[found.grade]
    return f"{limits.QUANTITIES[found.limit]} {value} um, {where}"


def _compared(
    score: float, outcome: Outcome, point: thresholds.OperatingPoint, *, digits: int = 2
) -> str:
    start = point.review_from if outcome == "REVIEW" else point.threshold
    value, limit = _distinct(score, point.threshold if start is None else start, digits=digits)
    text = f"score {value} {'under' if outcome == 'OK' else 'at or above'} {limit}"
    if outcome == "REVIEW":
        text += f", under {_distinct(score, point.threshold, digits=digits)[1]}"
    return text


def of_score(
    outcome: Outcome,
    assessment: Assessment,
    point: thresholds.OperatingPoint,
    class_map: NDArray[Any],
) -> str:
    """Return the comparison of the score, or how many values of the map are not finite."""
    if math.isnan(assessment.score):
        broken = int(np.count_nonzero(~np.isfinite(class_map)))
        return f"{_several(broken, 'value')} of the map not finite"
    text = _compared(assessment.score, outcome, point)
    if outcome != "OK" and assessment.score < point.mask_threshold and not len(assessment.kept):
        text += f", and no region reaches {point.mask_threshold:g}"
        y, x = np.unravel_index(
            int(np.argmax(assessment.probability)), assessment.probability.shape
        )
        if float(assessment.probability[y, x]) == assessment.score:
            text += f"; the peak lies at ({x}, {y})"
    return text


def of_rules(assessment: Assessment, rules: Rules) -> tuple[str, ...]:
    """Return which rules keep the regions that were found from making the image NG."""
    reasons = [
        f"{_several(int(fails.sum()), 'region')} dropped by {_named(name, rules)}"
        for name, fails in assessment.dropped.items()
        if fails.any()
    ]
    if assessment.unmet:
        names = ", ".join(_named(name, rules) for name in assessment.unmet)
        reasons.append(f"{_several(len(assessment.kept), 'region')}, not enough for {names}")
    return tuple(reasons)


def _named(rule: str, rules: Rules) -> str:
    of_class = {class_rule(name): area for name, area in rules.class_min_area_px.items()}
    limit = of_class.get(rule, getattr(rules, rule, None))
    return rule if limit is None else f"{rule} {limit if isinstance(limit, str) else f'{limit:g}'}"


def of_stage(stage: str, score: float, outcome: Outcome, point: thresholds.OperatingPoint) -> str:
    """Return why a stage of a cascade decides without the next one."""
    if not math.isfinite(score):
        return f"{stage}: score not finite"
    return f"{stage}: {_compared(score, outcome, point, digits=3)}"


def of_earlier(stages: Mapping[str, float]) -> tuple[str, ...]:
    """Return the scores with which the earlier stages passed the image on."""
    return tuple(f"{stage}: score {score:.3f}, passed on" for stage, score in stages.items())
