"""Parts beside or in one another, each of which adds what it takes from the beam."""

import dataclasses
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from inspection_tf import errors
from inspection_tf.projection.parts.part import Part, PathLengths
from inspection_tf.projection.poses import Pose
from inspection_tf.projection.scanner import Scanner


@dataclasses.dataclass(frozen=True)
class Joined:
    """Parts that share a frame: where two overlap, both take their share.

    Attributes:
        parts: at least one.

    Raises:
        errors.DataError: there is none.
    """

    parts: Sequence[Part]

    def __post_init__(self) -> None:
        """Check that something is there."""
        if not self.parts:
            raise errors.DataError("Joined parts must be some. Got none. Give at least one.")

    @property
    def materials(self) -> tuple[str, ...]:
        """Names of what they consist of, sorted."""
        return tuple(sorted({name for part in self.parts for name in part.materials}))

    @property
    def reach(self) -> float:
        """The largest of their radii, mm."""
        return max(part.reach for part in self.parts)

    @property
    def is_sharp(self) -> bool:
        """Whether one of them has exact borders."""
        return any(part.is_sharp for part in self.parts)

    def path_lengths(self, scanner: Scanner, pose: Pose, *, samples: int = 1) -> PathLengths:
        """Return how far each ray runs through each material: see `Part`."""
        found: dict[str, NDArray[np.float64]] = {}
        for part in self.parts:
            for name, length in part.path_lengths(scanner, pose, samples=samples).items():
                found[name] = found[name] + length if name in found else length
        return found
