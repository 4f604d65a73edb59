"""The shape of the largest region on one side of Otsu's threshold.

Source: Otsu 1979; Hu 1962, "Visual pattern recognition by moment invariants"; Zahn and Roskies
1972, "Fourier descriptors for plane closed curves".
"""

from collections.abc import Iterator

import cv2
import numpy as np
from numpy.typing import NDArray

_POINTS = 256  # of an outline, at equal distances
_MOMENT_UNIT = 1e-9  # a moment of this size is near the rounding of a symmetrical shape's 0


def names(*, harmonics: int) -> Iterator[str]:
    """Name the values; a harmonic with an m turns against the outline."""
    yield from ("area", "eccentricity", "solidity")
    yield from (f"hu{order}" for order in range(1, 8))
    yield "fourier_m1"
    for order in range(2, harmonics + 1):
        yield from (f"fourier_p{order}", f"fourier_m{order}")


def values(gray: NDArray[np.uint8], *, is_bright: bool, harmonics: int) -> NDArray[np.float64]:
    """Return area, eccentricity, solidity, Hu's moments and Fourier descriptors.

    The area is a share of the image. Eccentricity is that of the ellipse with the same second
    moments; solidity the share of the convex hull. Of Hu's seven invariants the logarithm is taken,
    with their sign: they span ten powers of ten. A Fourier descriptor is the size of a harmonic of
    the outline over that of the first: 0 for a circle; for an ellipse of the semi-axes a and b
    `fourier_m1` is near 3/4 (a - b) / (a + b).

    Args:
        gray: (height, width).
        is_bright: whether the region is brighter than Otsu's threshold, else as dark or darker.
        harmonics: of the outline.

    Returns:
        `(10 + 2 * harmonics - 1,)`. All 0 where there is no such region: in a constant image.
    """
    from skimage import measure

    mask = largest_region(gray, is_bright=is_bright)
    if mask is None:
        return np.zeros(9 + 2 * harmonics)
    (region,) = measure.regionprops(mask.astype(np.uint8))
    moments = np.asarray(region.moments_hu)
    return np.concatenate(
        [
            [region.area / mask.size, region.eccentricity, region.solidity],
            np.sign(moments) * np.log10(1 + np.abs(moments) / _MOMENT_UNIT),
            _fourier(mask, harmonics),
        ]
    )


def largest_region(gray: NDArray[np.uint8], *, is_bright: bool) -> NDArray[np.bool_] | None:
    """Return the largest connected region on one side of Otsu's threshold.

    Args:
        gray: (height, width).
        is_bright: on the brighter side.

    Returns:
        (height, width), True inside; None for a constant image.
    """
    from skimage import filters

    if gray.min() == gray.max():
        return None
    bright = gray > filters.threshold_otsu(gray)
    mask = bright if is_bright else ~bright
    _, labels, statistics, _ = cv2.connectedComponentsWithStats(mask.astype(np.uint8))
    largest = 1 + int(np.argmax(statistics[1:, cv2.CC_STAT_AREA]))
    return np.asarray(labels == largest)


def _fourier(mask: NDArray[np.bool_], harmonics: int) -> NDArray[np.float64]:
    """Return the sizes of the harmonics -1, 2, -2, 3, -3 ... over that of the first."""
    from skimage import measure

    # The rim lets an outline close that touches the border.
    outlines = measure.find_contours(np.pad(mask, 1).astype(float), 0.5)
    outline = max(outlines, key=len)
    lengths = np.linalg.norm(np.diff(outline, axis=0), axis=1)
    travelled = np.concatenate([[0.0], np.cumsum(lengths)])
    places = np.linspace(0, travelled[-1], _POINTS, endpoint=False)
    row, column = (np.interp(places, travelled, outline[:, axis]) for axis in (0, 1))
    sizes = np.abs(np.fft.fft(column + 1j * row))
    forward, backward = sizes[1 : harmonics + 1], sizes[-1 : -harmonics - 1 : -1]
    if backward[0] > forward[0]:  # the outline runs the other way round
        forward, backward = backward, forward
    pairs = np.stack([forward, backward], axis=1).ravel()
    return np.asarray(pairs[1:] / forward[0])
