"""What an image shows that the part in its pose should not: more material, or less.

A difference of light is turned into a length: how much longer or shorter the way through material
would have to be. Averaged over a few pixels and compared with the noise of that average, it says
where something is missing or too much, and how surely.
"""

import dataclasses

import cv2
import numpy as np
import pydantic
from numpy.typing import NDArray

from inspection_tf import config
from inspection_tf.projection.blur import blurred, noise_of_average
from inspection_tf.tasks.pose.refinement import Refined

_Floats = NDArray[np.float64]
_FLAT = 1e-9  # change of light for a mm under which nothing follows of it


class DifferenceSpec(config.Section):
    """How a measured image is compared with its model."""

    scales_px: tuple[pydantic.PositiveFloat, ...] = pydantic.Field(
        default=(1.0, 2.0, 4.0), min_length=1
    )
    """Standard deviations of Gaussians that average: from a bore seen along its axis to a wide
    and shallow flaw."""
    border_px: float = pydantic.Field(default=6.0, ge=0, allow_inf_nan=False)
    """Of the part, around its shadow, that is looked at too."""


@dataclasses.dataclass(frozen=True)
class Difference:
    """Where an image differs from its model.

    Attributes:
        depth_mm: (height, width) float32, how much more material the image shows, less where it is
            negative; averaged over the narrowest scale.
        significance: (height, width) float32, standard deviations of noise that an average
            differs by, the largest over all scales; 0 where nothing of the part is.
    """

    depth_mm: NDArray[np.float32]
    significance: NDArray[np.float32]

    def regions(self, least: float) -> list["Region"]:
        """Return the places that differ by more than so many standard deviations, the surest first.

        Args:
            least: significance of a pixel of a region.
        """
        count, labels = cv2.connectedComponents((self.significance > least).astype(np.uint8))
        found = []
        for number in range(1, count):
            inside = labels == number
            rows, columns = np.nonzero(inside)
            peak = int(np.argmax(self.significance[rows, columns]))
            found.append(
                Region(
                    area_px=len(rows),
                    xy=(float(columns.mean()), float(rows.mean())),
                    depth_mm=float(self.depth_mm[rows[peak], columns[peak]]),
                    significance=float(self.significance[rows[peak], columns[peak]]),
                )
            )
        return sorted(found, key=lambda region: -region.significance)


@dataclasses.dataclass(frozen=True, slots=True)
class Region:
    """A place that differs.

    Attributes:
        area_px: its size.
        xy: its middle, px.
        depth_mm: where it is surest, how much more material there is; less: negative.
        significance: there, in standard deviations.
    """

    area_px: int
    xy: tuple[float, float]
    depth_mm: float
    significance: float


def difference(refined: Refined, spec: DifferenceSpec) -> Difference:
    """Return where an image differs from the part in the pose that was found.

    Args:
        refined: what was found, at the resolution of the image.
        spec: how they are compared.
    """
    fit, measured = refined.fit, refined.measured
    setup = measured.setup
    passed = setup.passed(fit.pose, samples=5).astype(np.float64)
    shares = fit.numbers[0] * setup.spectrum.shares + fit.numbers[1 : 1 + len(passed)]
    # A mm more of the material that attenuates most takes so much of the light.
    mu = max(setup.mu.values(), key=lambda values: float(values.mean()))
    per_mm = np.tensordot(shares * mu, passed, axes=1)
    seen = measured.noise > 0
    residual = np.where(seen, measured.values - fit.light, 0.0)
    scaled = np.where(seen, residual / np.where(seen, measured.noise, 1.0), 0.0)
    near = blurred((1 - passed.mean(axis=0)).astype(np.float32), max(spec.border_px / 3, 0.1))
    is_part = near > 1e-3
    surest = np.zeros(residual.shape, np.float32)
    for scale in spec.scales_px:
        average = blurred(scaled.astype(np.float32), scale) / noise_of_average(scale)
        surest = np.maximum(surest, np.abs(average))
    depth = -residual / np.maximum(per_mm, _FLAT)
    return Difference(
        blurred(depth.astype(np.float32), spec.scales_px[0]), np.where(is_part, surest, 0.0)
    )
