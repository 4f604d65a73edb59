"""From the rows of a network to the few poses that an image may show."""

import dataclasses
import math
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
        deviations: standard deviations of phi, theta, psi, degrees, and x, y, z, mm.
    """

    pose: Pose
    probability: float
    deviations: tuple[float, ...]


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
    phi = np.asarray(rows[:, 1], np.float64)
    left = np.ones(len(rows), np.bool_)
    found: list[tuple[float, int]] = []
    shares = np.asarray(rows[:, 0], np.float64)
    for index in np.argsort(-shares, kind="stable").tolist():
        if not left[index] or len(found) == count:
            continue
        apart = np.abs(phi - phi[index])
        if symmetry == 1:
            # Where a part looks alike several times, theta and psi jump where phi begins anew.
            apart = np.minimum(apart % 360, -apart % 360)
        near = left & (apart < apart_deg)
        found.append((float(shares[near].sum()), index))
        left &= ~near
    return [
        _mode(rows[index].astype(np.float64), share, symmetry)
        for share, index in sorted(found, key=lambda one: -one[0])
    ]


def _mode(row: NDArray[np.float64], share: float, symmetry: int) -> Mode:
    phi, *others = row[1:7].tolist()
    # Of a Laplace distribution, which is what the network tells the scale of.
    deviations = (math.sqrt(2) * row[7:]).tolist()
    pose = Pose(phi % 360, *others).first_alike(symmetry)
    return Mode(pose, share, tuple(deviations))


def apart(first: Sequence[Mode], second: Sequence[Mode], *, symmetry: int = 1) -> float:
    """Return how far the likeliest pose of each side is from the nearest of the other, degrees.

    Args:
        first: poses, the likeliest first.
        second: likewise.
        symmetry: n, how often the part looks alike in a turn.

    Returns:
        The larger of the two; infinite where one side alone has none, 0 where neither has.
    """
    if not first or not second:
        return 0.0 if not first and not second else math.inf
    return max(
        min(
            mine[0].pose.turn_to(other.pose.nearest_alike(mine[0].pose, symmetry))
            for other in others
        )
        for mine, others in ((first, second), (second, first))
    )


def starts(
    modes: Sequence[Mode], count: int, *, least: float = 0.0, sees_depth: bool = True
) -> list[Pose]:
    """Return poses to refine: those of modes, rounded to a twentieth of a degree and of a mm.

    Refinements that differ by the rounding of a network alone then begin at the very same place.

    Args:
        modes: the likeliest first.
        count: poses at most.
        least: probability that all but the first must have.
        sees_depth: whether an image shows z; else it is 0.
    """
    first, *others = modes[:count]
    found = []
    for mode in (first, *(other for other in others if other.probability >= least)):
        numbers = np.round(np.array(dataclasses.astuple(mode.pose)) * _STEP) / _STEP
        pose = Pose(*numbers.tolist())
        found.append(pose if sees_depth else dataclasses.replace(pose, z=0.0))
    return found
