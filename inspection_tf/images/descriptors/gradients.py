"""Histograms of the directions of gradients (HOG): where edges run which way.

Source: Dalal and Triggs 2005, "Histograms of oriented gradients for human detection".
"""

import itertools
from collections.abc import Iterator

import numpy as np
from numpy.typing import NDArray

BLOCK = 2
"""Cells along the side of a block, over which histograms are normalised."""


def names(*, cells: int, directions: int) -> Iterator[str]:
    """Name the values: block, cell in the block (row and column each), middle of the directions."""
    blocks, inside = range(cells - BLOCK + 1), range(BLOCK)
    for row, column, i, j, place in itertools.product(
        blocks, blocks, inside, inside, range(directions)
    ):
        yield f"block{row}.{column}_cell{i}.{j}_{round((place + 0.5) * 180 / directions)}deg"


def values(gray: NDArray[np.uint8], *, cells: int, directions: int) -> NDArray[np.float64]:
    """Return the histograms of each block of 2 x 2 cells.

    A gradient adds its size to the direction that it has, 0 to 180 degrees. A block's values are
    divided by their norm, cut at 0.2 and divided again. Where nothing changes they are 0.

    Args:
        gray: (height, width), each side as long as there are cells, or longer.
        cells: along each side; what is left over at the end is not looked at.
        directions: of a histogram.

    Returns:
        `((cells - 1)^2 * 4 * directions,)`, in 0..1.
    """
    from skimage import feature

    height, width = gray.shape
    found: NDArray[np.float64] = feature.hog(
        gray,
        orientations=directions,
        pixels_per_cell=(height // cells, width // cells),
        cells_per_block=(BLOCK, BLOCK),
        block_norm="L2-Hys",
        feature_vector=False,
    )
    # As many cells as were asked for: with 4 cells of 56 px 225 px would have 4 too, 280 px 5.
    return found[: cells - BLOCK + 1, : cells - BLOCK + 1].ravel()
