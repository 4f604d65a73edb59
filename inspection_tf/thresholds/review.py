"""Where REVIEW begins: as far under the threshold as a share of the good parts allows.

Where a network errs, its score is near the threshold more often than anything else about the image
is unusual. A band as wide as a number says is wide or narrow as scores happen to crowd; one that
leaves a given share of the good parts to a person costs what the line can afford.
"""

import numpy as np
from numpy.typing import NDArray

from inspection_tf.thresholds import cuts, resampled


def start(
    score: NDArray[np.float64], weight: NDArray[np.float64], threshold: float, share: float
) -> float | None:
    """Return the lowest score that is REVIEW; None where not even the one next to the threshold is.

    Args:
        score: (images,) of good images.
        weight: (images,) under which the images of each part add up to 1.
        threshold: from which on an image is NG.
        share: of the good parts that are REVIEW, at most, 0..1; those that are NG not among them.
    """
    tied = cuts.tied(score)
    is_under = score < threshold
    allowed = share * float(weight.sum())
    lowest, below = threshold, None
    for value in np.unique(tied[is_under])[::-1]:
        if float(weight[is_under & (tied >= value)].sum()) > allowed + 1e-9:
            below = float(value)
            break
        lowest = float(value)
    found = cuts.midway(-np.inf, lowest) if below is None else resampled.mean([below, lowest])
    return found if found < threshold else None
