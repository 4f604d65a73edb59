"""Points and pixels. Coordinates are (x, y) in px; pixel (0, 0) has its *centre* at (0.0, 0.0).

So an image W px wide spans -0.5 to W - 0.5, and enlarging it s times sends x to
`s * (x + 0.5) - 0.5`: the border moves to the border, not the first centre to the first centre.
"""

import numpy as np
from numpy.typing import ArrayLike, NDArray

from inspection_tf import errors


def resize_scale_offset(
    source_size: tuple[int, int], size: tuple[int, int]
) -> tuple[tuple[float, float], tuple[float, float]]:
    """Return `(scale_xy, offset_xy)` with `resized_px = source_px * scale + offset`.

    Args:
        source_size: (height, width) px before resizing.
        size: (height, width) px after it.
    """
    scale_x, scale_y = size[1] / source_size[1], size[0] / source_size[0]
    return (scale_x, scale_y), (0.5 * scale_x - 0.5, 0.5 * scale_y - 0.5)


def scale_offset_matrix(
    scale_xy: tuple[float, float], offset_xy: tuple[float, float]
) -> NDArray[np.float64]:
    """Return the homogeneous (3, 3) matrix of `point * scale + offset`."""
    return np.array(
        [[scale_xy[0], 0.0, offset_xy[0]], [0.0, scale_xy[1], offset_xy[1]], [0.0, 0.0, 1.0]]
    )


def transform_points(points_xy: ArrayLike, matrix: NDArray[np.float64]) -> NDArray[np.float64]:
    """Send points through a homogeneous matrix.

    Args:
        points_xy: (n, 2) px.
        matrix: (3, 3); the last coordinate is divided out.

    Returns:
        (n, 2) float64 px.

    Raises:
        errors.DataError: the points have another shape.
    """
    points = np.asarray(points_xy, dtype=np.float64)
    if points.ndim != 2 or points.shape[1] != 2:
        raise errors.DataError(
            f"points_xy must have shape (n, 2). Got {points.shape}. Give one (x, y) pair a row."
        )
    moved = np.column_stack([points, np.ones(len(points))]) @ matrix.T
    return np.asarray(moved[:, :2] / moved[:, 2:])
