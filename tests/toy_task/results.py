"""What a verdict says of an image."""

import dataclasses
from typing import ClassVar

import numpy as np


@dataclasses.dataclass(frozen=True, slots=True)
class Brightness:
    """Mean grey value of an image, None where an output is not finite, and its limits."""

    kind: ClassVar[str] = "brightness"

    brightness: float | None
    limits: tuple[float, float]

    def to_dict(self):
        return {"brightness": self.brightness, "brightness_limits": list(self.limits)}

    def mask(self, image_size):
        return np.ones(image_size, bool)

    def backdrop(self):
        return None

    def pictures(self, image):
        return {}

    def mark(self, picture, colour, width):
        pass

    def without_pixels(self):
        return self
