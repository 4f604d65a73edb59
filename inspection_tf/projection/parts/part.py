"""What every part answers: how far rays run through each of its materials."""

from collections.abc import Mapping
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from inspection_tf.projection.poses import Pose
from inspection_tf.projection.scanner import Scanner

PathLengths = Mapping[str, NDArray[np.float64]]
"""(height * samples, width) mm, by the names of materials."""


class Part(Protocol):
    """What lies before the detector."""

    @property
    def materials(self) -> tuple[str, ...]:
        """Names of what it consists of."""

    @property
    def reach(self) -> float:
        """Radius of a ball around its origin that holds it, mm."""

    @property
    def is_sharp(self) -> bool:
        """Whether it has exact borders, which one ray a pixel shows as steps."""

    def path_lengths(self, scanner: Scanner, pose: Pose, *, samples: int = 1) -> PathLengths:
        """Return how far the ray of each pixel runs through each material.

        Args:
            scanner: which sees it.
            pose: of the part.
            samples: rays in each pixel.

        Returns:
            (height * samples, width) mm, by the names of the materials.

        Raises:
            errors.DataError: the part reaches the source, or lies behind it.
        """
