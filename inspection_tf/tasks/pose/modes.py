"""From the rows of a network to the few poses that an image may show."""

import dataclasses
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from inspection_tf.projection.poses import Pose
from inspection_tf.tasks.pose.settings import NAMES

NUMBERS = 1 + 2 * len(NAMES)
"""Numbers of a row: a probability, a pose, and its deviations."""
_STEP = 20.0  # steps in a degree or mm: what only rounding tells apart starts at one place


@dataclasses.dataclass(frozen=True, slots=True)
class Mode:
    """A pose that an image may show, as a network tells it.

    Attributes:
        pose: of the part.
        probability: of this one among all, 0 to 1.
        deviations: of phi, theta, psi, degrees, and x, y, z, mm.
    """

    pose: Pose
    probability: float
    deviations: tuple[float, float, float, float, float, float]


def likeliest(
    rows: NDArray[np.float32], count: int, *, apart_deg: float, symmetry: int = 1
) -> list[Mode]:
    """Return the likeliest poses that differ, the likeliest first.

    Classes of phi beside one another share what they tell: their probabilities are added to that of
    the likeliest of them.

    Args:
        rows: (modes, 13) of a network.
        count: at most; fewer where no more differ.
        apart_deg: phi of which are further apart differ.
        symmetry: n, how often the part looks alike in a turn.

    Returns:
        The poses; none where a number is not finite.
    """
    if not np.isfinite(rows).all():
        return []
    period = 360 / symmetry
    phi = np.asarray(rows[:, 1], np.float64) % period
    left = np.ones(len(rows), np.bool_)
    found: list[tuple[float, int]] = []
    shares = np.asarray(rows[:, 0], np.float64)
    for index in np.argsort(-shares, kind="stable").tolist():
        if not left[index] or len(found) == count:
            continue
        apart = np.abs(phi - phi[index])
        near = left & (np.minimum(apart, period - apart) < apart_deg)
        found.append((float(shares[near].sum()), index))
        left &= ~near
    return [
        _mode(rows[index].astype(np.float64), share, period)
        for share, index in sorted(found, key=lambda one: -one[0])
    ]


def _mode(row: NDArray[np.float64], share: float, period: float) -> Mode:
    phi, *others = row[1:7].tolist()
    spread = row[7:].tolist()
    return Mode(
        Pose(phi % period, *others),
        share,
        (spread[0], spread[1], spread[2], spread[3], spread[4], spread[5]),
    )


def starts(modes: Sequence[Mode]) -> list[Pose]:
    """Return poses to refine: those of modes, rounded to a twentieth of a degree and of a mm.

    Refinements that differ by the rounding of a network alone then begin at the very same place.
    """
    rounded = (np.round(np.array(dataclasses.astuple(mode.pose)) * _STEP) / _STEP for mode in modes)
    return [Pose(*numbers.tolist()) for numbers in rounded]
