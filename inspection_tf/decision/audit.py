"""The audit of rules on labelled images: which true defects do they hide?"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from inspection_tf import errors
from inspection_tf.decision.rules import Assessment, Rules, assess


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
    classes: Sequence[str] | None = None,
) -> tuple[HiddenDefect, ...]:
    """Audit the rules on one labelled image: list the defects they turn into escapes.

    A true defect (8-connected in `mask`) is hidden when regions touch it but each of them is
    dropped by a rule, or when all surviving regions together do not meet a rule on the image.
    A defect that no region touches is the network's escape and not listed.

    Args:
        probability: (height, width) or (height, width, classes), floating point.
        rules: to audit.
        mask: (height, width), bool, 0 / 1 or class ids: the true defects.
        mask_threshold: probability from which a pixel belongs to a region.
        mm_per_px: scale of the image, for rules in mm.
        classes: names of the classes, for rules on classes.

    Raises:
        errors.DataError: the mask has another size than the map.
        errors.ConfigError: as `score`.
    """
    truth = np.asarray(mask, bool)
    if truth.shape != np.shape(probability)[:2]:
        raise errors.DataError(
            "A mask must have the size of its map. Got "
            f"{truth.shape} for {np.shape(probability)}. Map both to the source image."
        )
    assessment = assess(
        probability, rules, mask_threshold=mask_threshold, mm_per_px=mm_per_px, classes=classes
    )
    regions = assessment.regions
    x, y = regions.offset_xy
    height, width = regions.labels.shape
    count, labels, stats, _ = cv2.connectedComponentsWithStats(
        truth.astype(np.uint8), connectivity=8
    )
    nearby = labels[y : y + height, x : x + width]
    hidden = []
    for defect in range(1, count):
        touching = np.flatnonzero(np.isin(regions.label, regions.labels[nearby == defect]))
        reasons = _hiding(assessment, touching)
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


def _hiding(assessment: Assessment, touching: NDArray[np.int64]) -> tuple[str, ...]:
    if not len(touching):
        return ()
    if np.isin(touching, assessment.kept).any():
        return assessment.unmet
    return tuple(name for name, fails in assessment.dropped.items() if fails[touching].any())
