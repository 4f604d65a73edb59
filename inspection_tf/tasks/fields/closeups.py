"""Close-ups of the corners of a field, cut from the photo at its own resolution.

A close-up is turned, and if need be mirrored, so that the field lies to its lower right whichever
corner it is: what a network learns of one corner it knows of all four. Its two axes run along the
two sides that meet at the corner, as far as the locator knows them.

Source: coarse-to-fine corner refinement as in Javed and Shafait 2017, "Real-time document
localization in natural images by recursive application of a CNN"; the axes are ours.
"""

import cv2
import numpy as np
import pydantic
from numpy.typing import ArrayLike, NDArray

from inspection_tf import config
from inspection_tf.images import geometry

# The neighbours of top left, top right, bottom right and bottom left, along and across the text.
_ALONG, _ACROSS = (1, 0, 3, 2), (3, 2, 1, 0)
_COARSE = 2.0  # px of the photo in one of a close-up from which the photo is averaged first


class CloseupSpec(config.Section):
    """What the refiner sees of each corner."""

    size_px: int = pydantic.Field(default=32, ge=8, le=512)
    """Height and width of a close-up, px."""
    span: float = pydantic.Field(default=0.9, gt=0, le=4)
    """Side of what it shows, as a share of the square root of the field's area."""


def frames(corners_xy: ArrayLike, spec: CloseupSpec) -> NDArray[np.float64]:
    """Return (4, 2, 3): from the pixels of each close-up to those of the photo.

    Args:
        corners_xy: (4, 2) px, where the corners are thought to be: the centres of the close-ups.
        spec: their size and span.

    Raises:
        errors.DataError: the corners are not four finite points around a convex area; such have no
            sides to go by.
    """
    corners = geometry.check_corners(corners_xy)
    geometry.require_convex(corners)
    scale = spec.span * np.sqrt(geometry.area(corners)) / spec.size_px
    along = corners[list(_ALONG)] - corners
    across = corners[list(_ACROSS)] - corners
    axes = np.stack([_unit(along), _unit(across)], axis=-1) * scale
    middle = (spec.size_px - 1) / 2
    origin = corners - axes.sum(axis=-1) * middle
    return np.concatenate([axes, origin[..., None]], axis=-1)


def _unit(vectors: NDArray[np.float64]) -> NDArray[np.float64]:
    return np.asarray(vectors / np.hypot(vectors[:, :1], vectors[:, 1:]))


def cut(
    image: NDArray[np.uint8], placed: NDArray[np.float64], spec: CloseupSpec
) -> NDArray[np.uint8]:
    """Return the close-ups of a photo; beyond its border its outermost pixels are repeated.

    Args:
        image: (H, W) or (H, W, channels), uint8.
        placed: (n, 2, 3), of `frames`.
        spec: their size.

    Returns:
        (n, size, size, channels) uint8.
    """
    # All share one scale; a close-up that took single pixels of a large photo would see its noise.
    scale = float(np.sqrt(abs(np.linalg.det(placed[0, :, :2]))))
    if scale >= _COARSE:
        image, placed = _reduced(image, placed, int(scale))
    parts = [
        cv2.warpAffine(
            image,
            matrix,
            (spec.size_px, spec.size_px),
            flags=cv2.INTER_LINEAR | cv2.WARP_INVERSE_MAP,
            borderMode=cv2.BORDER_REPLICATE,
        )
        for matrix in placed
    ]
    return np.stack(parts).astype(np.uint8).reshape(len(parts), spec.size_px, spec.size_px, -1)


def _reduced(
    image: NDArray[np.uint8], placed: NDArray[np.float64], factor: int
) -> tuple[NDArray[np.uint8], NDArray[np.float64]]:
    """Return a photo averaged to a fraction of its size, and the frames in its pixels."""
    height, width = image.shape[:2]
    size = (max(1, height // factor), max(1, width // factor))
    matrix = geometry.scale_offset_matrix(*geometry.resize_scale_offset((height, width), size))
    small = cv2.resize(image, (size[1], size[0]), interpolation=cv2.INTER_AREA)
    moved = matrix[:2, :2] @ placed
    moved[:, :, 2] += matrix[:2, 2]
    return np.asarray(small, np.uint8), moved


def to_photo(points_xy: ArrayLike, placed: NDArray[np.float64]) -> NDArray[np.float64]:
    """Bring one point of each close-up to the photo.

    Args:
        points_xy: (n, 2) px of the close-ups.
        placed: (n, 2, 3), of `frames`.

    Returns:
        (n, 2) px of the photo.
    """
    points = np.asarray(points_xy, np.float64)
    return np.asarray(np.einsum("nij,nj->ni", placed[:, :, :2], points) + placed[:, :, 2])


def from_photo(points_xy: ArrayLike, placed: NDArray[np.float64]) -> NDArray[np.float64]:
    """Bring one point of the photo into each close-up: the inverse of `to_photo`.

    Args:
        points_xy: (n, 2) px of the photo.
        placed: (n, 2, 3), of `frames`.

    Returns:
        (n, 2) px of the close-ups.
    """
    offset = np.asarray(points_xy, np.float64) - placed[:, :, 2]
    return np.asarray(np.linalg.solve(placed[:, :, :2], offset[..., None])[..., 0])
