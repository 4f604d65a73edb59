"""Parts, whatever they are described by: how far rays run through each of their materials."""

import dataclasses
from collections.abc import Mapping, Sequence
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from inspection_tf import errors
from inspection_tf.projection.bodies import Body, path_lengths
from inspection_tf.projection.meshes import Mesh
from inspection_tf.projection.poses import Pose
from inspection_tf.projection.scanner import Scanner

_Floats = NDArray[np.float64]


class Part(Protocol):
    """What lies before the detector."""

    @property
    def materials(self) -> tuple[str, ...]:
        """Names of what it consists of."""

    @property
    def reach(self) -> float:
        """Radius of a ball around its origin that holds it, mm."""

    def path_lengths(
        self, scanner: Scanner, pose: Pose, *, samples: int = 1
    ) -> Mapping[str, _Floats]:
        """Return how far the ray of each pixel runs through each material.

        Args:
            scanner: which sees it.
            pose: of the part.
            samples: rays along each side of a pixel.

        Returns:
            (height * samples, width * samples) mm, by the names of the materials.

        Raises:
            errors.DataError: the part reaches the source, or lies behind it.
        """


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

    def path_lengths(
        self, scanner: Scanner, pose: Pose, *, samples: int = 1
    ) -> Mapping[str, _Floats]:
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

    @property
    def reach(self) -> float:
        """How far the farthest point of a ball around a body can be from its origin, mm."""
        return max(
            float(np.linalg.norm(body.place.position)) + body.primitive.reach
            for body in self.bodies
            if body.material is not None
        )

    def path_lengths(
        self, scanner: Scanner, pose: Pose, *, samples: int = 1
    ) -> Mapping[str, _Floats]:
        """Return how far each ray runs through its bodies: see `Part`."""
        if scanner.beam == "cone" and not scanner.source_part_mm + pose.z > self.reach:
            raise errors.DataError(
                "A part must lie between the source and the detector. Got one that may reach the "
                f"source: {scanner.source_part_mm + pose.z:.3g} mm from it, with a radius of "
                f"{self.reach:.3g} mm. Move it, or check its unit."
            )
        shape = tuple(side * samples for side in scanner.size)
        rays = scanner.into_part(scanner.rays(samples=samples), pose)
        return {
            name: length.reshape(shape) for name, length in path_lengths(self.bodies, rays).items()
        }
