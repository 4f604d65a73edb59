"""Truth and verdict compared class by class: pixels, and regions that found their defect."""

import dataclasses
from collections.abc import Iterator, Sequence
from typing import NamedTuple

import cv2
import numpy as np
from numpy.typing import NDArray

from inspection_tf import decision, errors
from inspection_tf.thresholds import RegionScores

MATCH_IOU = 0.33
"""A found and a true region are the same defect when their IoU is over this."""


class RegionCounts(NamedTuple):
    """Numbers of regions of one image: truly there, found, and paired with one another."""

    true: int
    found: int
    matched: int


def require_ids(ids: NDArray[np.uint8], classes: Sequence[str], *, where: str) -> None:
    """Refuse ids of classes that have no name.

    Args:
        ids: (height, width), 0 is background.
        classes: names of the ids 1, 2, ...
        where: the image, for the message.

    Raises:
        errors.DataError: an id is too high.
    """
    highest = int(ids.max(initial=0))
    if highest > len(classes):
        raise errors.DataError(
            f"{where}: class id out of range; the {len(classes)} classes {', '.join(classes)} have "
            f"the ids 1 to {len(classes)}. Got {highest}. Correct the mask, or name every class."
        )


def count_pixels(
    truth: NDArray[np.uint8], found: NDArray[np.uint8], *, classes: int
) -> NDArray[np.int64]:
    """Return how many pixels have which true id (row) and which found id (column).

    Args:
        truth: (height, width), ids 0 to `classes`.
        found: (height, width), ids 0 to `classes`.
        classes: their number, without the background.

    Returns:
        (classes + 1, classes + 1); row and column 0 are the background.
    """
    side = classes + 1
    pair = truth.astype(np.intp) * side + found
    return np.bincount(pair.ravel(), minlength=side**2).reshape(side, side)


def without_ignored(
    regions: Sequence[decision.Region], ignored: NDArray[np.bool_] | None
) -> list[decision.Region]:
    """Return found regions without their pixels that do not count; none that has no other.

    Args:
        regions: of a verdict.
        ignored: (height, width), True where a pixel does not count; None: all count.
    """
    if ignored is None:
        return list(regions)
    left = []
    for region in regions:
        x0, y0, x1, y1 = region.box_xyxy
        inside = np.ones((y1 - y0, x1 - x0), bool) if region.mask is None else region.mask
        counted = inside & ~ignored[y0:y1, x0:x1]
        if counted.any():
            left.append(
                dataclasses.replace(region, mask=counted, area_px=int(np.count_nonzero(counted)))
            )
    return left


def _overlaps(
    labels: NDArray[np.int32], count: int, regions: Sequence[decision.Region]
) -> NDArray[np.float64]:
    """Return the IoU of each found region (row) with each true one (column)."""
    area = np.bincount(labels.ravel(), minlength=count)[1:]
    iou = np.zeros((len(regions), count - 1))
    for row, region in zip(iou, regions, strict=True):
        x0, y0, x1, y1 = region.box_xyxy
        inside = np.ones((y1 - y0, x1 - x0), bool) if region.mask is None else region.mask
        both = np.bincount(labels[y0:y1, x0:x1][inside], minlength=count)[1:]
        row[:] = both / (area + np.count_nonzero(inside) - both)
    return iou


def _pairs(same: NDArray[np.bool_]) -> int:
    """Return how many pairs there can be at most when each region has one partner."""
    if not same.any():
        return 0
    from scipy import optimize

    partners = optimize.linear_sum_assignment(same.astype(np.float64), maximize=True)
    return int(np.count_nonzero(same[partners]))


def _by_class(
    truth: NDArray[np.uint8], regions: Sequence[decision.Region], classes: Sequence[str]
) -> Iterator[tuple[int, list[int], NDArray[np.bool_]]]:
    """Go through the classes that are truly there.

    Yields the number of true regions, which of those found are of the class, and (found, true)
    whether two are the same defect.
    """
    for number, name in enumerate(classes, start=1):
        pixels = (truth == number).astype(np.uint8)
        if not pixels.any():
            continue
        count, labels = cv2.connectedComponents(pixels, connectivity=8)
        found = [place for place, region in enumerate(regions) if region.class_name == name]
        overlaps = _overlaps(labels, count, [regions[place] for place in found])
        yield count - 1, found, overlaps > MATCH_IOU


def score_regions(
    truth: NDArray[np.uint8], regions: Sequence[decision.Region], classes: Sequence[str]
) -> RegionScores:
    """Count the pairs of `match_regions` among the regions of the highest peaks, 1, 2, ... of them.

    Args:
        truth: (height, width), ids of the classes, 0 is background.
        regions: of a verdict with the lowest threshold there may be.
        classes: what the verdict calls the ids 1, 2, ...
    """
    falling = sorted(regions, key=lambda region: -region.peak_score)
    matched = np.zeros(len(falling), np.int64)
    true = 0
    for count, found, same in _by_class(truth, falling, classes):
        true += count
        pairs = np.array([_pairs(same[:kept]) for kept in range(len(found) + 1)])
        reached = np.searchsorted(found, np.arange(len(falling)), side="right")
        matched += pairs[reached]
    peak = np.array([region.peak_score for region in falling], np.float64)
    return RegionScores(peak, matched, true)


def match_regions(
    truth: NDArray[np.uint8],
    regions: Sequence[decision.Region],
    classes: Sequence[str],
) -> RegionCounts:
    """Count true regions, found ones, and pairs of the same class with an IoU over `MATCH_IOU`.

    True regions are the 8-connected components of each class. Pairs are one to one, and as many as
    possible (optimal assignment): a greedy choice may spend a region that another one needs.

    Args:
        truth: (height, width), ids of the classes, 0 is background.
        regions: of the verdict, in pixels of the same image.
        classes: what the verdict calls the ids 1, 2, ...
    """
    true = matched = 0
    for count, _, same in _by_class(truth, regions, classes):
        true += count
        matched += _pairs(same)
    return RegionCounts(true, len(regions), matched)
