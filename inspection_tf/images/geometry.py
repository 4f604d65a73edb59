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


def to_shares(points_xy: ArrayLike, size: tuple[int, int]) -> NDArray[np.float64]:
    """Return points as shares of an image's sides: 0 on its left or upper border, 1 on the other.

    Args:
        points_xy: (..., 2) px.
        size: (height, width), px.
    """
    return np.asarray((np.asarray(points_xy, np.float64) + 0.5) / (size[1], size[0]))


def from_shares(shares_xy: ArrayLike, size: tuple[int, int]) -> NDArray[np.float64]:
    """Return points in px; the inverse of `to_shares`."""
    return np.asarray(np.asarray(shares_xy, np.float64) * (size[1], size[0]) - 0.5)


def homography(source_xy: ArrayLike, target_xy: ArrayLike) -> NDArray[np.float64]:
    """Return the homogeneous (3, 3) matrix that sends four points to four others.

    Args:
        source_xy: (4, 2) px, no three of them on one line.
        target_xy: (4, 2) px, likewise.

    Raises:
        errors.DataError: the points have another shape, or three of them lie on one line.
    """
    source, target = (np.asarray(points, dtype=np.float64) for points in (source_xy, target_xy))
    for points in (source, target):
        check_corners(points)
    zero, one = np.zeros(4), np.ones(4)
    (x, y), (u, v) = source.T, target.T
    # u (g x + h y + 1) = a x + b y + c, and v likewise, for each of the four.
    left = np.concatenate(
        [
            np.column_stack([x, y, one, zero, zero, zero, -u * x, -u * y]),
            np.column_stack([zero, zero, zero, x, y, one, -v * x, -v * y]),
        ]
    )
    try:
        solved = np.linalg.solve(left, np.concatenate([u, v]))
    except np.linalg.LinAlgError:
        raise errors.DataError(
            f"A homography needs four points of which no three lie on one line. "
            f"Got {source.tolist()} and {target.tolist()}. Give the corners of an area."
        ) from None
    return np.append(solved, 1.0).reshape(3, 3)


def check_corners(corners_xy: ArrayLike) -> NDArray[np.float64]:
    """Return four corners as an array.

    Args:
        corners_xy: (4, 2) px: top left, top right, bottom right, bottom left.

    Raises:
        errors.DataError: the shape is another, or a number is not finite.
    """
    corners = np.asarray(corners_xy, dtype=np.float64)
    if corners.shape != (4, 2) or not np.isfinite(corners).all():
        raise errors.DataError(
            "corners_xy must be four finite (x, y) pairs: top left, top right, bottom right, "
            f"bottom left. Got {corners.tolist()}. Correct them."
        )
    return corners


def turns(corners_xy: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return (4,), the cross product of the two sides at each corner, px2.

    All are positive where the corners run clockwise on the screen (y points down) around a convex
    quadrilateral; all are negative where a mirror has turned them round; a crossed or a concave
    one has both signs.
    """
    sides = np.roll(corners_xy, -1, axis=0) - corners_xy
    before = np.roll(sides, 1, axis=0)
    return np.asarray(before[:, 0] * sides[:, 1] - before[:, 1] * sides[:, 0])


def is_convex(corners_xy: ArrayLike) -> bool:
    """Return whether four corners, in their order, bound a convex quadrilateral with an area."""
    signs = np.sign(turns(check_corners(corners_xy)))
    return bool(abs(signs.sum()) == 4)


def require_convex(corners_xy: ArrayLike) -> None:
    """Refuse four corners that do not bound a convex quadrilateral with an area.

    Raises:
        errors.DataError: they do not.
    """
    if not is_convex(corners_xy):
        raise errors.DataError(
            "corners_xy must go around a convex quadrilateral. Got a crossed, hollow or flat one: "
            f"{check_corners(corners_xy).tolist()}. Correct them."
        )


def quadrilateral_iou(first_xy: ArrayLike, second_xy: ArrayLike) -> float:
    """Return the area that two convex quadrilaterals share, over the area of both together.

    A crossed or concave one shares nothing: 0.

    Args:
        first_xy: (4, 2) px, in order around it.
        second_xy: likewise.

    Raises:
        errors.DataError: the corners have another shape or are not finite.
    """
    import cv2

    both = [check_corners(first_xy), check_corners(second_xy)]
    if not all(is_convex(corners) for corners in both):
        return 0.0
    # Near the origin float32, which OpenCV works in, is finest.
    origin = both[0].mean(axis=0)
    shifted = [(corners - origin).astype(np.float32) for corners in both]
    shared, _ = cv2.intersectConvexConvex(shifted[0], shifted[1])
    total = sum(area(corners) for corners in both) - shared
    return float(np.clip(shared / total, 0.0, 1.0))


def area(corners_xy: ArrayLike) -> float:
    """Return the area of a quadrilateral that is not crossed, px2."""
    x, y = check_corners(corners_xy).T
    return float(abs(x @ np.roll(y, -1) - y @ np.roll(x, -1)) / 2)


def inside(corners_xy: ArrayLike, size: tuple[int, int]) -> NDArray[np.bool_]:
    """Return (height, width), True on the pixels whose centres lie in a convex quadrilateral.

    Args:
        corners_xy: (4, 2) px, in order around it, either way.
        size: (height, width), px.

    Raises:
        errors.DataError: the corners have another shape or are not finite.
    """
    corners = check_corners(corners_xy)
    y, x = np.mgrid[: size[0], : size[1]]
    sides = np.roll(corners, -1, axis=0) - corners
    along = [
        side[0] * (y - start[1]) - side[1] * (x - start[0])
        for start, side in zip(corners, sides, strict=True)
    ]
    is_inside = (np.min(along, axis=0) >= 0) | (np.max(along, axis=0) <= 0)
    return np.asarray(is_inside, np.bool_)


def rectify(image: NDArray[np.generic], corners_xy: ArrayLike) -> NDArray[np.generic]:
    """Return what lies inside four corners as an upright rectangle.

    Args:
        image: (H, W) or (H, W, channels), uint8 or uint16.
        corners_xy: (4, 2) px: top left, top right, bottom right, bottom left of what becomes
            upright; the borders of the rectangle's outermost pixels come to lie there.

    Returns:
        (h, w) or (h, w, channels): the mean lengths of the opposite sides, at least 1 px.

    Raises:
        errors.DataError: three corners lie on one line.
    """
    import cv2

    corners = check_corners(corners_xy)
    top, right, bottom, left = np.hypot(*(np.roll(corners, -1, axis=0) - corners).T)
    width, height = max(1, round((top + bottom) / 2)), max(1, round((left + right) / 2))
    x, y = width - 0.5, height - 0.5
    upright = np.array([[-0.5, -0.5], [x, -0.5], [x, y], [-0.5, y]])
    matrix = homography(corners, upright)
    rectified = cv2.warpPerspective(
        np.ascontiguousarray(image), matrix, (width, height), borderMode=cv2.BORDER_REPLICATE
    )
    return np.asarray(rectified)
