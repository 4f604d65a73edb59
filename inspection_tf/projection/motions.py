"""Small motions of a part, and how its image changes with them.

A motion is six numbers: degrees about the axes of the scanner through the part's origin, then mm
along them. No angle of it has a pole, wherever the part is turned to.
"""

import math
from collections.abc import Iterable

import numpy as np
from numpy.typing import NDArray

from inspection_tf import errors
from inspection_tf.projection.poses import Pose
from inspection_tf.projection.radiographs import Setup

NAMES = ("turn_x", "turn_y", "turn_z", "x", "y", "z")
"""What the numbers of a motion do, in their order."""
_Floats = NDArray[np.float64]
_POLE = 1e9  # condition of the axes of the angles: over it two of them are one
_MEAN_RADIUS = 0.7  # of the reach: how far what shows a turn lies from its axis


def moved(pose: Pose, motion: _Floats) -> Pose:
    """Return a pose after a motion (6,)."""
    from scipy.spatial.transform import Rotation

    turn = Rotation.from_rotvec(motion[:3], degrees=True).as_matrix()
    return Pose.of(turn @ pose.rotation, pose.position + motion[3:])


def angles_per_turn(pose: Pose) -> _Floats:
    """Return (3, 3), degrees of phi, theta and psi for a degree about each axis of the scanner.

    Near theta = 90 degrees, where phi and psi turn about one axis, its numbers are very large.

    Raises:
        errors.DataError: theta is 90 or -90 degrees.
    """
    about_phi = Pose(phi=pose.phi).rotation
    about_theta = Pose(phi=pose.phi, theta=pose.theta).rotation
    # A change of phi turns about y, of theta about x as turned by phi, of psi about z likewise.
    turns = np.stack([(0.0, 1.0, 0.0), about_phi[:, 0], about_theta[:, 2]], axis=1)
    if not np.linalg.cond(turns) < _POLE:
        raise errors.DataError(
            f"phi and psi must turn about two axes. Got theta = {pose.theta:.6g} degrees, where "
            "they have one. Let theta stay away from 90."
        )
    return np.asarray(np.linalg.inv(turns))


def count(setup: Setup) -> int:
    """Return how many numbers of a motion an image shows: a parallel beam shows no depth."""
    return 6 if setup.scanner.beam == "cone" else 5


def steps(setup: Setup, *, px: float) -> _Floats:
    """Return (6,), motions of each kind that move what is seen by about so many px."""
    scanner, radius = setup.scanner, setup.part.reach * _MEAN_RADIUS
    mm = px * scanner.pixel_mm / scanner.magnification
    turn = math.degrees(mm / radius)
    return np.array([turn, turn, turn, mm, mm, mm * scanner.source_part_mm / radius])


def derivatives(
    setup: Setup, pose: Pose, moves: Iterable[int] | None = None, *, samples: int = 5
) -> NDArray[np.float32]:
    """Return how the share that passes changes with each motion.

    They are differences over a pixel: rays at points show no change where a border runs along them.

    Args:
        setup: part, scanner and beam.
        pose: of the part.
        moves: numbers of `NAMES`; None: all that an image shows.
        samples: rays in each pixel.

    Returns:
        (moves, k, height, width), at each of k energies, per degree and per mm.
    """
    found, step_of = [], steps(setup, px=0.5)
    for index in range(count(setup)) if moves is None else moves:
        motion, step = np.zeros(6), step_of[index]
        motion[index] = step
        there, back = (
            setup.passed(moved(pose, sign * motion), samples=samples) for sign in (1.0, -1.0)
        )
        found.append((there - back) / np.float32(2 * step))
    return np.stack(found)
