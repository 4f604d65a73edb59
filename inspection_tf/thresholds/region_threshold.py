"""The threshold for a split without good images, chosen by its regions.

Where every image is defective (boards with several defects each), images cannot say how high a
threshold may be: any that keeps them all is as good. Regions can: a false one is found beside the
true ones.
"""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from inspection_tf.thresholds import cuts


class RegionScores(NamedTuple):
    """The regions found in one image, whatever the threshold, beside those truly there."""

    peak: NDArray[np.float64]
    """(found,), their peaks, falling: a threshold keeps the first of them."""
    matched: NDArray[np.int64]
    """(found,), how many true regions the first 1, 2, ... of them find."""
    true: int
    """Number of regions truly there."""


def for_region_f_beta(images: Sequence[RegionScores], *, beta: float = 1.0) -> float | None:
    """Return the threshold with the largest F-beta over the regions of all images.

    `F = (1 + b^2) matched / (b^2 true + found)`, found being the regions whose peak reaches the
    threshold. Of equal ones it is the lowest, midway between two peaks.

    Args:
        images: of the tuning split.
        beta: recall counts beta times as much as precision.

    Returns:
        The threshold; None where no region is matched.
    """
    peak = np.concatenate([image.peak for image in images] or [np.zeros(0)]).astype(np.float64)
    gain = [np.diff(image.matched, prepend=0) for image in images]
    gained = np.concatenate(gain or [np.zeros(0, np.int64)])
    if not gained.any():
        return None
    level, place = np.unique(cuts.tied(peak), return_inverse=True)  # ascending
    matched = np.bincount(place, weights=gained)[::-1].cumsum()[::-1]
    found = np.bincount(place)[::-1].cumsum()[::-1]
    true = sum(image.true for image in images)
    f_beta = np.round((1 + beta**2) * matched / (beta**2 * true + found), 12)
    cut = int(f_beta.argmax())
    below = float(level[cut - 1]) if cut else -np.inf
    return cuts.between(cuts.midway(below, float(level[cut])), peak)
