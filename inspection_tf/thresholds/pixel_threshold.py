"""The pixel threshold whose regions fit the labelled masks best, and are as large as these.

Mean Dice hardly changes over a wide range of pixel thresholds, while the area that is found does:
where the best of them lies is chance. So of all that are as good as the best, within one standard
error of the difference, it is the one whose regions are together as large as the labelled ones.

Source: the rule of one standard error, Breiman et al. 1984, "Classification and Regression Trees",
section 3.4.3; here what breaks the tie is the area.
"""

import itertools
from collections.abc import Iterable, Sequence
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from inspection_tf import errors

_GRID = tuple(round(0.05 * step, 2) for step in range(1, 20))


class _Areas(NamedTuple):
    """Of one image, px."""

    true: int
    found: NDArray[np.int64]
    """(candidates,)"""
    both: NDArray[np.int64]
    """(candidates,)"""


def best_mask_threshold(
    probabilities: Iterable[NDArray[Any]],
    masks: Iterable[NDArray[Any]],
    *,
    grid: Iterable[float] = _GRID,
    parts: Sequence[str] | None = None,
) -> float:
    """Return the pixel threshold of the right area among those of the largest mean Dice.

    `Dice = 2 |P and T| / (|P| + |T|)` per image, its mean over the defective images. A threshold is
    as good as the best one where it is at most one standard error of their difference behind. Of
    these it is the one whose area, over all images, is the smallest factor from the labelled one;
    of equal ones the nearest to 0.5. Without a defective image there is nothing to measure: 0.5.
    Images are read one at a time.

    Args:
        probabilities: of each image (height, width), 0..1.
        masks: of each image (height, width), bool or 0 / 1: the defect's pixels.
        grid: the candidates, 0..1.
        parts: the part that each image shows: images of one part err alike, and count as one in
            the standard error. None: each image shows its own.

    Raises:
        errors.DataError: a map and its mask differ in size, or the numbers of both differ.
    """
    candidates = np.unique(np.fromiter(grid, dtype=np.float64))
    measured: list[_Areas] = []
    shown: list[str] = []
    for number, (probability, mask) in enumerate(itertools.zip_longest(probabilities, masks)):
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
            measured.append(_areas(np.asarray(probability), truth, candidates))
            shown.append(str(number) if parts is None else parts[number])
    if not measured:
        return 0.5
    true = np.array([image.true for image in measured])
    found = np.array([image.found for image in measured])
    dice = 2 * np.array([image.both for image in measured]) / (found + true[:, None])
    good = np.flatnonzero(_as_good_as_the_best(dice, np.array(shown)))
    # An area of no pixel is farther from the labelled one than any other.
    factor = np.abs(np.log(np.maximum(found[:, good].sum(axis=0), 1e-9) / true.sum()))
    nearest = good[np.round(factor, 9) == np.round(factor, 9).min()]
    return float(candidates[nearest[np.abs(candidates[nearest] - 0.5).argmin()]])


def _as_good_as_the_best(dice: NDArray[np.float64], parts: NDArray[np.str_]) -> NDArray[np.bool]:
    """Return which candidates are at most one standard error behind the best one.

    Args:
        dice: (images, candidates).
        parts: (images,).
    """
    means = np.round(dice.mean(axis=0), 9)
    behind = dice[:, [means.argmax()]] - dice
    names, of = np.unique(parts, return_inverse=True)
    if names.size < 2:  # one part says nothing of how others differ
        return np.asarray(means == means.max())
    # Of a mean over images whose parts were drawn: each part adds the sum over its images.
    off = behind - behind.mean(axis=0)
    sums = np.zeros((names.size, dice.shape[1]))
    np.add.at(sums, of, off)
    error = np.sqrt((sums**2).sum(axis=0) * names.size / (names.size - 1)) / len(dice)
    return np.asarray(behind.mean(axis=0) <= error + 1e-9)


def _areas(
    probability: NDArray[Any], truth: NDArray[np.bool], candidates: NDArray[np.float64]
) -> _Areas:
    reached = np.searchsorted(candidates, probability, side="right")  # how many it is at or above
    bins = candidates.size + 1
    marked = np.bincount(reached.ravel(), minlength=bins)[::-1].cumsum()[::-1][1:]
    hit = np.bincount(reached[truth], minlength=bins)[::-1].cumsum()[::-1][1:]
    return _Areas(int(truth.sum()), marked, hit)
