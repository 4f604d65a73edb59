"""How a part lies before the detector: three angles and a position.

The angles are intrinsic, in the order y, x, z: first phi about the vertical axis, then theta about
the x axis as that turned it, then psi about the z axis as both turned it, each counter-clockwise
for who looks against the axis. So the rotation is R = Ry(phi) Rx(theta) Rz(psi), and scipy calls it
`Rotation.from_euler("YXZ", [phi, theta, psi], degrees=True)`.
"""

import dataclasses
import math

import numpy as np
from numpy.typing import ArrayLike, NDArray

from inspection_tf import errors

_Matrix = NDArray[np.float64]


@dataclasses.dataclass(frozen=True, slots=True)
class Pose:
    """Orientation and position of a part.

    Attributes:
        phi: degrees about the vertical axis.
        theta: degrees about the part's x axis.
        psi: degrees about the part's z axis.
        x: mm to the right, of the part's origin, from where the middle ray meets the part's plane.
        y: mm down, likewise.
        z: mm towards the detector, likewise.
    """

    phi: float = 0.0
    theta: float = 0.0
    psi: float = 0.0
    x: float = 0.0
    y: float = 0.0
    z: float = 0.0

    @property
    def position(self) -> NDArray[np.float64]:
        """(3,), mm."""
        return np.array([self.x, self.y, self.z])

    @property
    def rotation(self) -> _Matrix:
        """(3, 3), from the part's frame to the scanner's."""
        return _about(1, self.phi) @ _about(0, self.theta) @ _about(2, self.psi)

    def turn_to(self, other: "Pose") -> float:
        """Return the angle between the orientations of two poses, 0 to 180 degrees."""
        # Of a turn by an angle a, the squares of R - 1 add up to 8 sin(a / 2)^2.
        chord = float(np.linalg.norm(self.rotation - other.rotation))
        return 2 * math.degrees(math.asin(min(1.0, chord / math.sqrt(8))))

    def alike(self, symmetry: int) -> list["Pose"]:
        """Return the poses in which a part that looks alike several times in a turn looks as here.

        It is turned about its own vertical axis before it is tilted, so that theta and psi change
        as well as phi.

        Args:
            symmetry: how often it looks alike in a turn about that axis; 1: once.
        """
        if symmetry == 1:
            return [self]
        turns = (_about(1, 360.0 * number / symmetry) for number in range(symmetry))
        return [Pose.of(self.rotation @ turn, self.position) for turn in turns]

    def first_alike(self, symmetry: int) -> "Pose":
        """Return the one of `alike` with the smallest phi: that under which a pose is told."""
        return min(self.alike(symmetry), key=lambda pose: pose.phi)

    def nearest_alike(self, other: "Pose", symmetry: int) -> "Pose":
        """Return the one of `alike` whose orientation is nearest to that of another pose."""
        return min(self.alike(symmetry), key=other.turn_to)

    def off_from(self, other: "Pose") -> NDArray[np.float64]:
        """Return (6,): by how much each number differs from another pose's, degrees and mm.

        Angles differ by 180 at most: of 359.9 and 0.1 it is 0.2.
        """
        turns = np.array(
            [self.phi - other.phi, self.theta - other.theta, self.psi - other.psi], np.float64
        )
        return np.append((turns + 180) % 360 - 180, self.position - other.position)

    @classmethod
    def of(cls, rotation: ArrayLike, position: ArrayLike = (0.0, 0.0, 0.0)) -> "Pose":
        """Return the pose of a rotation and a position.

        Args:
            rotation: (3, 3), orthogonal, of determinant 1.
            position: (3,), mm.

        Returns:
            The pose with phi in 0..360 (360 excluded), theta in -90..90 and psi in -180..180. Where
            theta is 90 or -90, phi and psi turn about one axis: then psi is 0.

        Raises:
            errors.DataError: it is no rotation, or a number is not finite.
        """
        matrix, place = np.asarray(rotation, np.float64), np.asarray(position, np.float64)
        if matrix.shape != (3, 3) or place.shape != (3,) or not np.isfinite(place).all():
            raise errors.DataError(
                "A pose needs a rotation of shape (3, 3) and a finite position of shape (3,). "
                f"Got {matrix.shape} and {place.tolist()}. Correct them."
            )
        if not np.allclose(matrix @ matrix.T, np.eye(3), atol=1e-6) or np.linalg.det(matrix) < 0:
            raise errors.DataError(
                "A rotation must be orthogonal, with the determinant 1. "
                f"Got {matrix.tolist()}. Make it one, without scale and mirror."
            )
        # R = [[., ., cos t sin p], [cos t sin s, cos t cos s, -sin t], [., ., cos t cos p]]
        cosine = math.hypot(matrix[0, 2], matrix[2, 2])
        theta = math.atan2(-matrix[1, 2], cosine)
        if cosine > 1e-9:
            phi = math.atan2(matrix[0, 2], matrix[2, 2])
            psi = math.atan2(matrix[1, 0], matrix[1, 1])
        else:
            phi, psi = math.atan2(-matrix[2, 0], matrix[0, 0]), 0.0
        degrees = math.degrees(phi) % 360.0
        x, y, z = place.tolist()
        # A hair under 0 would be 360 by its rounding.
        turn = 0.0 if degrees == 360.0 else degrees
        return cls(turn, math.degrees(theta), math.degrees(psi), x, y, z)


def _about(axis: int, degrees: float) -> _Matrix:
    """Return the rotation about one of the axes x, y and z."""
    cosine, sine = math.cos(math.radians(degrees)), math.sin(math.radians(degrees))
    matrix = np.eye(3)
    first, second = (axis + 1) % 3, (axis + 2) % 3
    matrix[first, first] = matrix[second, second] = cosine
    matrix[first, second], matrix[second, first] = -sine, sine
    return matrix
