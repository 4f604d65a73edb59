"""Boxes around what an image shows: turned with the image, or filled to a mask of class ids.

Coordinates are those of the edges of pixels: pixel (0, 0) reaches from 0 to 1, and a box around the
whole image is 0, 0, width, height. Corners of fields count otherwise, from the centres of pixels.
"""

import dataclasses
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from inspection_tf import images

_HALF_PX = 0.5  # from the edge of a pixel to its centre


@dataclasses.dataclass(frozen=True, slots=True)
class NamedBox:
    """A box and what is in it.

    Attributes:
        name: of the object.
        xyxy: x0, y0, x1, y1 px of the image with its orientation applied; see the module.
    """

    name: str
    xyxy: tuple[float, float, float, float]


def as_read(
    found: Sequence[NamedBox], image_path: Path, orientation: images.Orientation
) -> NDArray[np.float64]:
    """Return boxes on an image as it is read.

    Args:
        found: on the image with its orientation applied.
        image_path: the file.
        orientation: by which it is read.

    Returns:
        (boxes, 4) x0, y0, x1, y1 px.

    Raises:
        errors.ImageError: the file cannot be read.
    """
    xyxy = np.array([box.xyxy for box in found], np.float64).reshape(-1, 4)
    if orientation == "apply" or not found:
        return xyxy
    centres = xyxy.reshape(-1, 2) - _HALF_PX
    stored = images.stored_points(centres, images.read_header(image_path)) + _HALF_PX
    pairs = stored.reshape(-1, 2, 2)  # which corner is the first one has changed
    return np.concatenate([pairs.min(axis=1), pairs.max(axis=1)], axis=1)


def class_mask(
    xyxy: NDArray[np.float64], class_ids: Sequence[int], size: tuple[int, int]
) -> NDArray[np.uint8]:
    """Fill boxes: a pixel has the class of a box that its centre is in, 0 outside all.

    Where boxes overlap the smaller one wins, of equal ones the later. A box that no centre is in
    marks the pixel around its own centre.

    Args:
        xyxy: (boxes, 4) px, inside the image.
        class_ids: of each box, 1 to 255.
        size: (height, width) of the image, px.

    Returns:
        (height, width), uint8.
    """
    mask = np.zeros(size, np.uint8)
    areas = (xyxy[:, 2] - xyxy[:, 0]) * (xyxy[:, 3] - xyxy[:, 1])
    for row in sorted(range(len(xyxy)), key=lambda row: (-areas[row], row)):
        x0, y0, x1, y1 = xyxy[row]
        mask[_pixels(y0, y1), _pixels(x0, x1)] = class_ids[row]
    return mask


def _pixels(start: float, end: float) -> slice:
    """Return the pixels whose centres lie between two edges, or the one between them."""
    first, stop = (int(np.ceil(edge - _HALF_PX)) for edge in (start, end))
    if first < stop:
        return slice(first, stop)
    middle = int((start + end) / 2)
    return slice(middle, middle + 1)
