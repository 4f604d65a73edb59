"""The part of an image that a network sees: a window at what was found."""

from dataclasses import dataclass
from typing import Literal

import numpy as np
import pydantic
from numpy.typing import NDArray

from inspection_tf import config
from inspection_tf.images.focus.corner import find_corner

Box = tuple[int, int, int, int]
"""x0, y0, x1, y1 px of an image; the end is exclusive."""

_INWARD = 0.35
"""Share of a window's side between its centre and the tip of a corner that points at its corner.
Wear lies inside the tip; 15 % of the window remain before it, for a tip that is broken off."""


class FocusSpec(config.Section):
    """What is looked for in an image, and how much of the image around it is kept."""

    method: Literal["none", "edge_corner"] = "none"
    """none: all of the image is seen; edge_corner: the tip where two edges of a cutting insert
    meet."""
    size: tuple[pydantic.PositiveInt, pydantic.PositiveInt] = (320, 320)
    """(height, width) px of the source that are kept; of a smaller image all."""

    @property
    def is_wanted(self) -> bool:
        """Whether something is looked for."""
        return self.method != "none"


@dataclass(frozen=True, slots=True)
class View:
    """The part of an image that a network sees.

    Attributes:
        box_xyxy: px of the image.
        is_found: False: nothing was found, and the window lies in the middle.
    """

    box_xyxy: Box
    is_found: bool = True


def find_view(image: NDArray[np.uint8], spec: FocusSpec) -> View:
    """Find where to look in an image.

    The window lies around what was found, further in than out, and wholly inside the image.

    Args:
        image: (H, W) grey or (H, W, 3) RGB.
        spec: what is looked for.
    """
    corner = find_corner(image)
    inward = np.array(corner.inward_xy)
    inward /= max(float(np.abs(inward).max()), 1e-9)
    sides = np.minimum(spec.size[::-1], image.shape[1::-1])
    centre = np.array(corner.point_xy) + _INWARD * inward * sides
    first = np.clip(np.rint(centre - (sides - 1) / 2), 0, np.array(image.shape[1::-1]) - sides)
    x0, y0, x1, y1 = (int(edge) for edge in (*first, *(first + sides)))
    return View((x0, y0, x1, y1), corner.is_found)
