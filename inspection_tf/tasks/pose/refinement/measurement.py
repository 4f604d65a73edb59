"""A source image as a measurement: shares of the open beam, their noise, and what to leave out."""

import dataclasses
from typing import Any, TypeAlias

import cv2
import numpy as np
from numpy.typing import NDArray

from inspection_tf.projection import Setup
from inspection_tf.tasks.pose.refinement.spec import RefinementSpec

_Floats = NDArray[np.float64]
Pixels: TypeAlias = NDArray[np.uint8] | NDArray[np.uint16]
"""(height, width) of a source image, of the size of the scanner."""
_OUTLIER = 10.0  # standard deviations from its neighbours: a dead or hot pixel
_OUTLIER_SHARE = 0.2  # of them: at a sharp border a pixel is far from its neighbours too
_LEAST = 1e-3  # share of the open beam whose noise is the least there is
_SMALLEST = 48  # px of the shorter side: fewer show no part


@dataclasses.dataclass(frozen=True)
class Measurement:
    """What an image measured, at one resolution.

    Attributes:
        setup: part, scanner and beam, whose scanner has the pixels of the image.
        factor: how many px of the source a pixel is wide.
        values: (height, width), shares of the open beam; of a dead pixel what it says.
        weights: (height, width), one over the standard deviation; 0: a pixel is left out.
        noise: (height, width), the standard deviation; 0: dead.
    """

    setup: Setup
    factor: int
    values: _Floats
    weights: _Floats
    noise: _Floats

    def without(self, leave_out: NDArray[np.bool_]) -> "Measurement":
        """Return it with more pixels (height, width) left out."""
        return dataclasses.replace(self, weights=np.where(leave_out, 0.0, self.weights))


def factors(size: tuple[int, int]) -> tuple[int, ...]:
    """Return the resolutions of an image (height, width) px, the coarsest first."""
    found = [1]
    while min(size) // (2 * found[0]) >= _SMALLEST and found[0] < 4:
        found.insert(0, 2 * found[0])
    return tuple(found)


def measured(
    image: NDArray[np.uint8] | NDArray[np.uint16],
    setup: Setup,
    spec: RefinementSpec,
    *,
    factor: int,
) -> Measurement:
    """Return what an image says at a resolution.

    Args:
        image: (height, width), of the size of the scanner.
        setup: part, scanner and beam.
        spec: how the image was taken.
        factor: px of it along the side of a pixel; what is left over at the borders is left out.
    """
    values = image / spec.open_value
    around = cv2.medianBlur(values.astype(np.float32), 3)
    noise = np.sqrt(np.maximum(around, _LEAST) / spec.photons)
    off = np.abs(values - around)
    counts = (off <= np.maximum(_OUTLIER * noise, _OUTLIER_SHARE * around)).astype(np.float64)
    seen = pooled(counts, factor)
    found = pooled(values * counts, factor) / np.maximum(seen, 1 / factor**2)
    # Noise is that of the mean light: weights that follow the noise itself favour dark pixels.
    light = cv2.GaussianBlur(found, (0, 0), 1.0, borderType=cv2.BORDER_REPLICATE)
    variance = np.maximum(light, _LEAST) / spec.photons + 1 / (12 * spec.open_value**2)
    counted = np.where(seen > 0, seen * factor**2, np.inf)
    noise = np.where(seen > 0, np.sqrt(variance / counted), 0.0)
    weights = np.where(seen > 0, 1 / np.where(seen > 0, noise, 1.0), 0.0)
    scanner = setup.scanner.coarser(factor)
    found = np.where(seen > 0, found, pooled(values, factor))
    return Measurement(dataclasses.replace(setup, scanner=scanner), factor, found, weights, noise)


def pooled(image: NDArray[Any], factor: int) -> _Floats:
    """Return the means of factor x factor px, from the middle of an image (height, width).

    What is left over at the borders is left out, as by `Scanner.coarser`.
    """
    height, width = (side // factor for side in image.shape)
    top, left = (side % factor // 2 for side in image.shape)
    cut = image[top : top + height * factor, left : left + width * factor]
    return np.asarray(cut.reshape(height, factor, width, factor).mean(axis=(1, 3)))
