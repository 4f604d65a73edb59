"""From a pair of images and boxes around its defects to a mask: what changed inside each box.

Edges of a real pair differ by about a pixel wherever there is one, so that a difference alone marks
them all. A pixel counts as changed where it is brighter than every pixel of the template around it,
or darker than every one; from there a region grows back over plain differences, to its own edge.
"""

import dataclasses
from collections.abc import Sequence

import cv2
import numpy as np
from numpy.typing import NDArray

from inspection_tf import images
from inspection_tf.images import registration

# Raised whenever the same pair and boxes begin to give another mask.
VERSION = 1
_ALIGNMENT = registration.AlignSpec(method="phase")
_CHANGED = 96  # counts of 8 bit
_GROWTH_PX = 2
_JOINED = 0.9  # share of what changed in a box that a region should hold
_CLOSINGS_PX = (1, 3, 5, 7, 9, 11)  # fragments up to this far apart are joined
_AROUND = np.ones((3, 3), np.uint8)


@dataclasses.dataclass(frozen=True, slots=True)
class Box:
    """A box around one defect: x0, y0, x1, y1 px, end exclusive, and its class."""

    x0: int
    y0: int
    x1: int
    y1: int
    class_id: int

    @property
    def area_px(self) -> int:
        """Its area."""
        return (self.x1 - self.x0) * (self.y1 - self.y0)


def class_mask(
    image: images.Image, template: images.Image, boxes: Sequence[Box]
) -> NDArray[np.uint8]:
    """Return (H, W) uint8 ids: one region in each box, of the pixels that changed there.

    Where boxes overlap the smaller one wins, of equal ones the later. Regions of one class that
    would touch are parted by a pixel, so that each stays one 8-connected component.

    Args:
        image: (H, W) or (H, W, 3), uint8 or uint16.
        template: likewise, of the same size.
        boxes: inside the image.

    Raises:
        errors.ImageError: a template of another size.
    """
    laid = registration.align(template, image, _ALIGNMENT).template
    pixels, wanted = (images.to_uint8(images.to_gray(part)) for part in (image, laid))
    owner = np.full(pixels.shape, -1, np.int32)
    for number in sorted(range(len(boxes)), key=lambda n: (-boxes[n].area_px, n)):
        box = boxes[number]
        window = np.s_[box.y0 : box.y1, box.x0 : box.x1]
        region = changed_region(pixels[window], _surround(wanted, box))
        _claim(owner, box, number, region, boxes)
    mask = np.zeros(pixels.shape, np.uint8)
    for number, box in enumerate(boxes):
        mask[_largest(owner == number)] = box.class_id
    return mask


def changed_region(image: NDArray[np.uint8], template: NDArray[np.uint8]) -> NDArray[np.bool_]:
    """Return (h, w): the one region that changed most.

    Args:
        image: (h, w), what a box shows.
        template: (h + 2, w + 2), what it should show, with one more pixel on each side.
    """
    inside = np.s_[1:-1, 1:-1]
    values, plain = image.astype(np.int32), template[inside].astype(np.int32)
    brighter = values - cv2.dilate(template, _AROUND)[inside]
    darker = cv2.erode(template, _AROUND)[inside] - values
    # A defect adds or removes: it is one or the other, and what the other has is noise.
    adds = (darker > _CHANGED).sum() > (brighter > _CHANGED).sum()
    seeds, difference = (darker, plain - values) if adds else (brighter, values - plain)
    region = seeds > _CHANGED
    if not region.any():
        # Thin or faint: what is there at all, at the least the pixel that changed most.
        difference = np.abs(values - plain)
        region = difference >= max(1, min(_CHANGED, int(difference.max())))
        if not region.any():
            region[region.shape[0] // 2, region.shape[1] // 2] = True
    for _ in range(_GROWTH_PX):
        grown = cv2.dilate(region.astype(np.uint8), _AROUND) > 0
        region |= grown & (difference > _CHANGED)
    return _joined(region)


def _joined(region: NDArray[np.bool_]) -> NDArray[np.bool_]:
    """Close gaps until nearly all of a region hangs together, and return its largest part."""
    best = region
    for size in _CLOSINGS_PX:
        kernel = cv2.getStructuringElement(cv2.MORPH_ELLIPSE, (size, size))
        closed = np.pad(region.astype(np.uint8), size)
        closed = cv2.morphologyEx(closed, cv2.MORPH_CLOSE, kernel)[size:-size, size:-size]
        best = _largest(closed > 0)
        if (best & region).sum() >= _JOINED * region.sum():
            break
    return best


def _largest(region: NDArray[np.bool_]) -> NDArray[np.bool_]:
    """Return the largest 8-connected part of a region."""
    count, labels, found, _ = cv2.connectedComponentsWithStats(
        region.astype(np.uint8), connectivity=8
    )
    if count <= 2:
        return region
    return np.asarray(labels == 1 + int(found[1:, cv2.CC_STAT_AREA].argmax()), np.bool_)


def _surround(template: NDArray[np.uint8], box: Box) -> NDArray[np.uint8]:
    """Return a box of the template and a pixel around it."""
    padded = np.pad(template, 1, mode="edge")
    return padded[box.y0 : box.y1 + 2, box.x0 : box.x1 + 2]


def _claim(
    owner: NDArray[np.int32],
    box: Box,
    number: int,
    region: NDArray[np.bool_],
    boxes: Sequence[Box],
) -> None:
    """Give a region to its box, and free pixels around it that another of its class holds."""
    window = np.s_[box.y0 : box.y1, box.x0 : box.x1]
    owner[window][region] = number
    mine = owner == number
    near = (cv2.dilate(mine.astype(np.uint8), _AROUND) > 0) & ~mine & (owner >= 0)
    for row, column in np.argwhere(near):
        if boxes[owner[row, column]].class_id == box.class_id:
            owner[row, column] = -1
