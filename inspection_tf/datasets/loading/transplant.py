"""Defects moved onto other parts: few defects, shown on many surfaces.

A network that knows a defect from one part also learns that part. Copied onto a good part, at
another place, mirrored and brought to that part's exposure, the same defect comes with another
surface around it.

Source: Ghiasi et al. 2021, "Simple Copy-Paste is a Strong Data Augmentation Method".
"""

import cv2
import numpy as np
from numpy.typing import NDArray

__all__ = ["onto"]

_RING_PX = 9
"""Width of the surroundings whose exposure is compared."""
_FEATHER_PX = 3
"""Width of the rim in which the defect fades into the part."""
_LARGEST_GAIN = 3.0
_KEPT = 0.5
"""Least share of a defect's pixels that must lie on the part."""

Pixels = NDArray[np.uint8]


def _content(image: Pixels) -> NDArray[np.bool_]:
    """Return the rectangle of an image that a letterbox left, (height, width)."""
    bright = image.max(axis=-1) > 0
    inside = np.zeros(bright.shape, bool)
    rows, columns = np.flatnonzero(bright.any(axis=1)), np.flatnonzero(bright.any(axis=0))
    if len(rows):
        inside[rows[0] : rows[-1] + 1, columns[0] : columns[-1] + 1] = True
    return inside


def _shifted(layers: NDArray[np.uint8], shift: NDArray[np.int64]) -> NDArray[np.uint8]:
    """Move (height, width, layers) by whole pixels (y, x); what comes in is 0."""
    moved = np.zeros_like(layers)
    source, target = [], []
    for size, step in zip(layers.shape[:2], shift.tolist(), strict=True):
        source.append(slice(max(0, -step), size - max(0, step)))
        target.append(slice(max(0, step), size + min(0, step)))
    moved[tuple(target)] = layers[tuple(source)]
    return moved


def _widened(region: NDArray[np.bool_], px: int) -> NDArray[np.bool_]:
    kernel = np.ones((2 * px + 1, 2 * px + 1), np.uint8)
    return np.asarray(cv2.dilate(region.astype(np.uint8), kernel) > 0)


def _level(
    image: Pixels, ring: NDArray[np.bool_], otherwise: NDArray[np.bool_]
) -> NDArray[np.float64]:
    """Return the median grey values of the ring, or of the rest where there is none."""
    chosen = ring if ring.any() else otherwise
    values = image[chosen] if chosen.any() else image.reshape(-1, image.shape[-1])
    return np.asarray(np.median(values, axis=0), np.float64)


def onto(
    donor: Pixels,
    mask: Pixels,
    recipient: Pixels,
    *,
    rng: np.random.Generator,
    largest_shift: float = 0.3,
) -> tuple[Pixels, Pixels] | None:
    """Copy the defects of one image onto another.

    Args:
        donor: (height, width, channels), uint8: the image with the defects.
        mask: (height, width, 1), uint8: class ids of its pixels, 0 is background.
        recipient: (height, width, channels), uint8: a good image. A rim of zeros (a letterbox's)
            receives nothing.
        rng: draws mirrors and shift.
        largest_shift: along each axis, share of the side.

    Returns:
        Image and mask in their shapes, or None where less than half of the defects' pixels would
        lie on the recipient.
    """
    steps = rng.random(2) < 0.5
    shares = rng.uniform(-largest_shift, largest_shift, 2)
    turn = tuple(slice(None, None, -1 if mirrored else 1) for mirrored in steps)
    content = _content(donor).astype(np.uint8)[..., None]
    layers = np.concatenate([donor, mask, content], axis=-1)[turn]
    moved = _shifted(layers, np.round(shares * mask.shape[:2]).astype(np.int64))
    defect, inside = moved[..., -2] > 0, moved[..., -1] > 0
    part = _content(recipient)
    landed = defect & part
    if landed.sum() < max(1, _KEPT * np.count_nonzero(mask)):
        return None
    reach = _widened(defect, _FEATHER_PX)
    ring = _widened(defect, _RING_PX) & ~reach
    there = _level(moved[..., :-2], ring & inside, inside & ~defect)
    here = _level(recipient, ring & part, part)
    gain = np.clip(here / np.maximum(there, 1), 1 / _LARGEST_GAIN, _LARGEST_GAIN)
    side = 2 * _FEATHER_PX + 1
    weight = cv2.GaussianBlur(reach.astype(np.float32), (side, side), 0)
    weight = (weight * (inside & part))[..., None]
    pasted = recipient + weight * (moved[..., :-2] * gain - recipient)
    image = np.clip(np.round(pasted), 0, 255).astype(np.uint8)
    return image, np.where(landed, moved[..., -2], 0).astype(np.uint8)[..., None]
