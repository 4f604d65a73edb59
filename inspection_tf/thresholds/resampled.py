"""Thresholds as means over resamples of whole parts.

The best cut of a small split hangs on the few images that lie next to it: with another tile more it
would lie elsewhere. A mean over resamples of the parts lies where most of these splits would put
it, and is smooth where scores are sparse. Means are those of log-odds, since probabilities crowd
near 0 and 1, where the middle of 0.9 and 0.999 is no 0.95.

Source: Breiman 1996 (bagging).
"""

import math
from collections.abc import Iterator, Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from inspection_tf.thresholds.parts import Parts

_LEAST = 1e-6  # distance from 0 and 1: log-odds of what is nearer are those of this


class Resample(NamedTuple):
    """One resample of a split."""

    rows: NDArray[np.int64]
    """(images,) places in the split, as often as each was drawn."""
    parts: Parts
    """Of these; a part that is drawn twice is two."""


def rows(defective: NDArray[np.bool], parts: Parts, *, count: int) -> Iterator[Resample]:
    """Yield resamples of a split: its parts drawn with replacement, those with defects apart.

    Args:
        defective: (images,) labels; some are defective and some are good.
        parts: of the images.
        count: of resamples; each is drawn from its own number.
    """
    names, part = np.unique(parts.of, return_inverse=True)
    has_defect = np.zeros(names.size, bool)
    has_defect[part[defective]] = True
    order = np.argsort(part, kind="stable")
    members = np.split(order, np.cumsum(np.bincount(part))[:-1])
    strata = [np.flatnonzero(has_defect == kind) for kind in (False, True)]
    for number in range(count):
        rng = np.random.default_rng([number, names.size])
        drawn = np.concatenate([rng.choice(some, some.size) for some in strata if some.size])
        chosen = [members[one] for one in drawn]
        of = np.repeat(np.arange(drawn.size), [one.size for one in chosen])
        yield Resample(np.concatenate(chosen), Parts(of, parts.are_known))


def mean(thresholds: Sequence[float]) -> float:
    """Return the threshold whose log-odds are the mean of those of several.

    Where half of them let everything pass (0), so does the mean.
    """
    found = np.asarray(thresholds, np.float64)
    if np.median(found) <= 0:
        return 0.0
    clear = np.clip(found, _LEAST, 1 - _LEAST)
    return 1 / (1 + math.exp(-float(np.mean(np.log(clear) - np.log1p(-clear)))))
