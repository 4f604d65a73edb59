"""Histograms of local binary patterns (LBP): which neighbours of a pixel are as bright as it is.

Source: Ojala, Pietikäinen and Mäenpää 2002, "Multiresolution gray-scale and rotation invariant
texture classification with local binary patterns".
"""

from collections.abc import Iterator, Sequence

import numpy as np
from numpy.typing import NDArray

NEIGHBOURS = 8
"""On each circle: more of them on larger ones cost more than all else together."""


def names(*, radii: Sequence[int]) -> Iterator[str]:
    """Name the values: radius in px, and how many neighbours in one run are as bright."""
    for radius in radii:
        for bright in range(NEIGHBOURS + 1):
            yield f"r{radius}_{bright}"
        yield f"r{radius}_other"


def values(gray: NDArray[np.uint8], *, radii: Sequence[int]) -> NDArray[np.float64]:
    """Return, for each radius, the share of pixels of each uniform pattern.

    A pattern is uniform if its bright neighbours lie in one run; it counts by their number, however
    it is turned. All other patterns count together. A constant image has all neighbours as bright.

    Args:
        gray: (height, width).
        radii: px.

    Returns:
        `(10 * radii,)`, in 0..1; those of a radius add up to 1.
    """
    from skimage import feature

    found = []
    for radius in radii:
        codes = feature.local_binary_pattern(gray, NEIGHBOURS, radius, method="uniform")
        counts = np.bincount(codes.astype(int).ravel(), minlength=NEIGHBOURS + 2)
        found.append(counts / codes.size)
    return np.concatenate(found)
