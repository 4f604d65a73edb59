"""What an image shows that the part in its pose should not: more material, or less.

A difference of light is turned into a length: how much longer or shorter the way through material
would have to be. Averaged over a few pixels and compared with the noise of that average, it says
where something is missing or too much, and how surely.
"""

import dataclasses
from typing import Annotated

import cv2
import numpy as np
import pydantic
from numpy.typing import NDArray

from inspection_tf import config
from inspection_tf.projection.blur import average, blurred
from inspection_tf.tasks.pose.refinement import Refined
from inspection_tf.tasks.pose.refinement.model import shares_of

_Floats = NDArray[np.float64]
_NOTHING = 1e-9  # noise of an average in which no pixel is seen
_OPAQUE = 1e-3  # share of the light under which nothing of the depth is seen
_SHADOW = 1e-3  # share of the light that a part takes at its border


class DifferenceSpec(config.Section):
    """How a measured image is compared with its model."""

    scales_px: tuple[Annotated[float, pydantic.Field(gt=0, le=100)], ...] = pydantic.Field(
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
            negative; averaged over the narrowest scale; 0 where no light passes. Of a volume, whose
            lengths have no unit, it has none.
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
        return self.regions_and_mask(least)[0]

    def regions_and_mask(
        self, least: float, *, least_px: int = 1
    ) -> tuple[list["Region"], NDArray[np.bool_]]:
        """Return such places, and (height, width), True in them.

        Args:
            least: significance of a pixel of a region.
            least_px: pixels of a region.
        """
        mask = np.zeros(self.significance.shape, np.bool_)
        count, labels = cv2.connectedComponents((self.significance > least).astype(np.uint8))
        found = []
        for number in range(1, count):
            inside = labels == number
            rows, columns = np.nonzero(inside)
            if len(rows) < least_px:
                continue
            mask |= inside
            peak = int(np.argmax(self.significance[rows, columns]))
            found.append(
                Region(
                    area_px=len(rows),
                    xy=(float(columns.mean()), float(rows.mean())),
                    depth_mm=float(self.depth_mm[rows[peak], columns[peak]]),
                    significance=float(self.significance[rows[peak], columns[peak]]),
                )
            )
        return sorted(found, key=lambda region: -region.significance), mask


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
    shares = shares_of(fit.numbers, setup)
    # A mm more of the material that attenuates most takes so much of the light.
    materials = (setup.mu[name] for name in setup.part.materials)
    mu = max(materials, key=lambda values: float(values.mean()))
    per_mm = np.maximum(np.tensordot(shares * mu, passed, axes=1), 0.0)
    seen = measured.noise > 0
    residual = np.where(seen, measured.values - fit.light, 0.0)
    scaled = residual / np.where(seen, measured.noise, 1.0)
    surest = np.zeros(residual.shape)
    for scale in spec.scales_px:
        sums, noise = average(scaled, seen, scale)
        surest = np.maximum(surest, np.abs(sums) / np.maximum(noise, _NOTHING))
    light, _ = average(residual, seen, spec.scales_px[0])
    change, _ = average(per_mm, seen, spec.scales_px[0])
    # Where next to no light passes, a mm more changes nothing that could be seen.
    is_open = change > _OPAQUE * float(mu.mean())
    depth = np.where(is_open, -light / np.where(is_open, change, 1.0), 0.0)
    shadow = blurred((1 - passed.mean(axis=0)).astype(np.float32), max(spec.border_px / 3, 0.1))
    return Difference(
        depth.astype(np.float32), np.where(shadow > _SHADOW, surest, 0.0).astype(np.float32)
    )
