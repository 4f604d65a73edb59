"""Parts with exact borders: closed surfaces, and bodies of a closed form."""

import dataclasses
import functools
import itertools
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from inspection_tf import errors
from inspection_tf.projection.parts.bodies import Body, path_lengths
from inspection_tf.projection.parts.meshes import Mesh
from inspection_tf.projection.parts.part import PathLengths
from inspection_tf.projection.poses import Pose
from inspection_tf.projection.scanner import Scanner


@dataclasses.dataclass(frozen=True)
class Solid:
    """A part of one material inside a closed surface.

    Attributes:
        mesh: its surface.
        material: name of what is inside.
    """

    mesh: Mesh
    material: str

    @property
    def materials(self) -> tuple[str, ...]:
        """Its one material."""
        return (self.material,)

    @property
    def reach(self) -> float:
        """How far its farthest corner is from its origin, mm."""
        return float(np.linalg.norm(self.mesh.vertices, axis=1).max())

    @property
    def is_sharp(self) -> bool:
        """True: its borders are exact."""
        return True

    def path_lengths(self, scanner: Scanner, pose: Pose, *, samples: int = 1) -> PathLengths:
        """Return how far each ray runs through it: see `Part`."""
        return {self.material: self.mesh.path_lengths(scanner, pose, samples=samples)}


@dataclasses.dataclass(frozen=True)
class Assembly:
    """A part of bodies of a closed form: see `bodies.path_lengths`.

    Attributes:
        bodies: in this order; the last one that holds a point says what is there.

    Raises:
        errors.DataError: no body is of a material.
    """

    bodies: Sequence[Body]

    def __post_init__(self) -> None:
        """Check that something is there."""
        if not self.materials:
            raise errors.DataError(
                "A part must have a body of some material. Got none. Add one with a material."
            )

    @property
    def materials(self) -> tuple[str, ...]:
        """Names of what its bodies consist of, sorted."""
        return tuple(sorted({body.material for body in self.bodies if body.material is not None}))

    @functools.cached_property
    def reach(self) -> float:
        """How far the farthest corner of the box around a body is from its origin, mm."""
        return max(
            float(np.linalg.norm(corners, axis=1).max())
            for body, corners in zip(self.bodies, self._corners, strict=True)
            if body.material is not None
        )

    @property
    def is_sharp(self) -> bool:
        """True: its borders are exact."""
        return True

    @functools.cached_property
    def _corners(self) -> list[NDArray[np.float64]]:
        """Of each body (8, 3), mm in the frame of the part: the corners of the box around it."""
        return [_box_corners(body) for body in self.bodies]

    def path_lengths(self, scanner: Scanner, pose: Pose, *, samples: int = 1) -> PathLengths:
        """Return how far each ray runs through its bodies: see `Part`."""
        scanner.require_before_source(pose, self.reach)
        height, width = scanner.size[0] * samples, scanner.size[1]
        seen = [_window(scanner, pose, corners, samples) for corners in self._corners]
        top, left = (min(box[axis].start for box in seen) for axis in (0, 1))
        bottom, right = (max(box[axis].stop for box in seen) for axis in (0, 1))
        numbers = np.arange(height * width).reshape(height, width)[top:bottom, left:right]
        found = {name: np.zeros((height, width)) for name in self.materials}
        if not numbers.size:
            return found
        rays = scanner.into_part(scanner.rays(samples=samples).some(numbers.reshape(-1)), pose)
        own = np.arange(numbers.size).reshape(numbers.shape)
        near = [
            own[
                rows.start - top : rows.stop - top, columns.start - left : columns.stop - left
            ].reshape(-1)
            for rows, columns in seen
        ]
        for name, length in path_lengths(self.bodies, rays, near=near).items():
            found[name][top:bottom, left:right] = length.reshape(numbers.shape)
        return found


def _box_corners(body: Body) -> NDArray[np.float64]:
    """Return (8, 3) mm in the frame of the part, the corners of the box around a body."""
    signs = np.array(list(itertools.product((-1.0, 1.0), repeat=3)))
    own = signs * body.primitive.half_sides
    return np.asarray(own @ body.place.rotation.T + body.place.position)


def _window(
    scanner: Scanner, pose: Pose, corners: NDArray[np.float64], samples: int
) -> tuple[slice, slice]:
    """Return the rows and columns of rays that hold a body: those of the box around it."""
    placed = scanner.placed(corners, pose)
    if scanner.beam == "cone" and not placed[:, 2].min() > 0:
        # A hole may be longer than its part, and reach the source: it may be seen anywhere.
        return slice(0, scanner.size[0] * samples), slice(0, scanner.size[1])
    seen = scanner.on_detector(placed)
    first = np.floor(seen.min(axis=0) + 0.5)[::-1]
    last = np.ceil(seen.max(axis=0) + 0.5)[::-1]
    rows, columns = (
        slice(int(np.clip(low, 0, side)), int(np.clip(high, 0, side)))
        for low, high, side in zip(first, last, scanner.size, strict=True)
    )
    return slice(rows.start * samples, rows.stop * samples), columns
