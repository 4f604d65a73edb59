"""What a verdict says of an image."""

import dataclasses
from typing import ClassVar

import numpy as np


@dataclasses.dataclass(frozen=True, slots=True)
class Brightness:
    """Mean grey value of an image, None where an output is not finite, its limits, and why.

    Why: the band of rows that is furthest from what an image should be like, the top one is 0.
    """

    kind: ClassVar[str] = "brightness"
    defect_count: ClassVar[int] = 0
    needs_no_score: ClassVar[bool] = False

    brightness: float | None
    limits: tuple[float, float]
    furthest_band: int

    def to_dict(self):
        return {
            "brightness": self.brightness,
            "brightness_limits": list(self.limits),
            "furthest_band": self.furthest_band,
        }

    def mask(self, image_size):
        return np.ones(image_size, bool)

    def backdrop(self):
        return None

    def pictures(self, image):
        return {}

    def picture_names(self, image):
        return ()

    def mark(self, picture, colour, width):
        pass

    def without_pixels(self):
        return self
