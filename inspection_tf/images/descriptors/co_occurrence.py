"""Texture by the co-occurrence of grey values (GLCM): which ones lie beside which.

Source: Haralick, Shanmugam and Dinstein 1973, "Textural features for image classification".
"""

import itertools
from collections.abc import Iterator, Sequence

import numpy as np
from numpy.typing import NDArray

PROPERTIES = ("contrast", "homogeneity", "energy", "correlation")
DEGREES = (0, 45, 90, 135)
"""Directions of the pairs."""


def names(*, distances: Sequence[int]) -> Iterator[str]:
    """Name the values: property, distance in px, and direction of the pair."""
    for name, distance, degrees in itertools.product(PROPERTIES, distances, DEGREES):
        yield f"{name}_d{distance}_{degrees}deg"


def values(
    gray: NDArray[np.uint8], *, distances: Sequence[int], levels: int
) -> NDArray[np.float64]:
    """Return four properties of the matrix P of each distance and direction.

    P[i, j] is the share of pairs with the levels i and j, in either order. Contrast is
    sum P (i - j)^2, homogeneity sum P / (1 + (i - j)^2), energy the root of sum P^2, correlation
    that of the two levels of a pair: 1 for a constant image.

    Args:
        gray: (height, width).
        distances: px.
        levels: to which the 256 grey values are rounded down.

    Returns:
        `(4 * distances * 4,)`.
    """
    from skimage import feature

    # In 16 bit: 255 * 32 does not fit into 8.
    level = (gray.astype(np.uint16) * levels // 256).astype(np.uint8)
    matrix = feature.graycomatrix(
        level, distances, np.deg2rad(DEGREES), levels=levels, symmetric=True, normed=True
    )
    return np.concatenate([feature.graycoprops(matrix, name).ravel() for name in PROPERTIES])
