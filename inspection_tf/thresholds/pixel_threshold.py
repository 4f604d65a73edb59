"""The pixel threshold whose regions fit the labelled masks best."""

import itertools
from collections.abc import Iterable
from typing import Any

import numpy as np
from numpy.typing import NDArray

from inspection_tf import errors

_GRID = tuple(round(0.05 * step, 2) for step in range(1, 20))


def best_mask_threshold(
    probabilities: Iterable[NDArray[Any]],
    masks: Iterable[NDArray[Any]],
    *,
    grid: Iterable[float] = _GRID,
) -> float:
    """Return the pixel threshold with the largest mean Dice over the defective images.

    `Dice = 2 |P and T| / (|P| + |T|)` per image. Images are read one at a time. Of equal thresholds
    it is the one nearest 0.5; without a defective image there is nothing to measure: 0.5.

    Args:
        probabilities: of each image (height, width), 0..1.
        masks: of each image (height, width), bool or 0 / 1: the defect's pixels.
        grid: the candidates, 0..1.

    Raises:
        errors.DataError: a map and its mask differ in size, or the numbers of both differ.
    """
    candidates = np.unique(np.fromiter(grid, dtype=np.float64))
    total = np.zeros(candidates.size)
    images = 0
    for probability, mask in itertools.zip_longest(probabilities, masks):
        if probability is None or mask is None:
            raise errors.DataError(
                "There must be one mask per probability map. Got more of one than of the other. "
                "Give the two in the same order."
            )
        truth = np.asarray(mask, bool)
        if probability.shape != truth.shape:
            raise errors.DataError(
                "A probability map and its mask must have one size. Got "
                f"{probability.shape} and {truth.shape}. Map both to the source image."
            )
        if truth.any():
            total += _dice(np.asarray(probability), truth, candidates)
            images += 1
    if not images:
        return 0.5
    best = np.flatnonzero(np.round(total, 9) == np.round(total, 9).max())
    return float(candidates[best[np.abs(candidates[best] - 0.5).argmin()]])


def _dice(
    probability: NDArray[Any], truth: NDArray[np.bool], candidates: NDArray[np.float64]
) -> NDArray[np.float64]:
    reached = np.searchsorted(candidates, probability, side="right")  # how many it is at or above
    bins = candidates.size + 1
    marked = np.bincount(reached.ravel(), minlength=bins)[::-1].cumsum()[::-1][1:]
    hit = np.bincount(reached[truth], minlength=bins)[::-1].cumsum()[::-1][1:]
    dice: NDArray[np.float64] = 2 * hit / (marked + truth.sum())
    return dice
