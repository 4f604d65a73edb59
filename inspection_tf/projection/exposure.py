"""What a detector makes of a beam: blur, scatter, gain, dead pixels, photons, levels."""

import math

import numpy as np
import pydantic
from numpy.typing import NDArray

from inspection_tf import config
from inspection_tf.projection.blur import blurred
from inspection_tf.projection.poses import Pose
from inspection_tf.projection.radiographs import Setup
from inspection_tf.projection.scanner import Scanner

_Images = NDArray[np.float32]
_EVEN = 1e-12  # standard deviation of blotches that are none, as of one pixel
_FWHM = 2 * math.sqrt(2 * math.log(2))  # standard deviations in the width at half the height


class Detector(config.Section):
    """What of an image is the detector's, and the same for all that it takes."""

    photons: float = pydantic.Field(default=1e4, gt=0, le=1e12)
    """A pixel counts on average where nothing is in the way; the noise is theirs."""
    detector_blur_px: float = pydantic.Field(default=0.5, ge=0, allow_inf_nan=False)
    """Standard deviation of what the detector itself blurs."""
    gain: float = pydantic.Field(default=0.0, ge=0, lt=0.5)
    """Standard deviation of what the flat-field correction left."""
    gain_px: float = pydantic.Field(default=20.0, gt=0, allow_inf_nan=False)
    """How large its blotches are."""
    dead: float = pydantic.Field(default=0.0, ge=0, lt=0.5)
    """Share of pixels that show nothing."""
    bits: int = pydantic.Field(default=16, ge=8, le=16, multiple_of=8)
    """Of a pixel, 8 or 16."""
    open_level: float = pydantic.Field(default=0.75, gt=0, le=1)
    """Of the largest number, what a pixel shows where nothing is in the way."""

    @property
    def open_value(self) -> float:
        """What a pixel shows where nothing is in the way."""
        return self.open_level * float(2**self.bits - 1)


class Exposure(Detector):
    """How an image is taken."""

    focal_spot_mm: float = pydantic.Field(default=0.6, ge=0, allow_inf_nan=False)
    """Width of the source, at half its height."""
    scatter: float = pydantic.Field(default=0.1, ge=0, lt=1)
    """Share of what the part takes from the beam that meets the detector elsewhere."""
    scatter_px: float = pydantic.Field(default=40.0, gt=0, allow_inf_nan=False)
    """Standard deviation of how far it meets it."""

    def blur_px(self, scanner: Scanner) -> float:
        """Return the standard deviation of the blur that source and detector make together."""
        spot = self.focal_spot_mm / _FWHM * (scanner.magnification - 1) / scanner.pixel_mm
        return math.hypot(spot, self.detector_blur_px)

    def expected(self, setup: Setup, pose: Pose, *, samples: int = 5) -> _Images:
        """Return what the detector sees on average, as a share of the open beam.

        Args:
            setup: part, scanner and beam.
            pose: of the part.
            samples: rays in each pixel.

        Returns:
            (height, width), over 0.

        Raises:
            errors.DataError: the part reaches the source.
        """
        passed = setup.signal(pose, samples=samples)
        scattered = self.scatter * blurred(1 - passed, self.scatter_px)
        return blurred(passed, self.blur_px(setup.scanner)) + scattered

    def render(
        self, rng: np.random.Generator, expected: _Images
    ) -> NDArray[np.uint8] | NDArray[np.uint16]:
        """Return an image.

        Args:
            rng: for photons, gain and dead pixels.
            expected: (height, width), share of the open beam.
        """
        gain = np.ones_like(expected)
        if self.gain:
            blotches = blurred(rng.standard_normal(expected.shape, np.float32), self.gain_px)
            gain += self.gain * blotches / max(float(blotches.std()), _EVEN)
        counted = rng.poisson(np.maximum(expected * gain, 0) * self.photons)
        counted = np.where(rng.random(expected.shape) < self.dead, 0, counted)
        levels = np.rint(counted * (self.open_value / self.photons))
        levels = np.minimum(levels, 2**self.bits - 1)
        if self.bits == 8:
            return np.asarray(levels, np.uint8)
        return np.asarray(levels, np.uint16)
