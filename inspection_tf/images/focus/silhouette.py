"""The outline of an insert against what lies behind it."""

from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

_AREA_SHARES = (0.05, 0.95)
"""An insert covers no less and no more of the picture."""
_CLEARANCE = 25
"""px of the square that keeps the samples of the background away from a first outline."""


@dataclass(frozen=True, slots=True)
class Silhouette:
    """The outline of what a picture shows.

    Attributes:
        contour_xy: (n, 2) float64 px, in order around it.
        solidity: its area over that of its convex hull, 0..1.
    """

    contour_xy: NDArray[np.float64]
    solidity: float


def trace(picture: NDArray[np.uint8]) -> Silhouette | None:
    """Return the outline of an insert.

    The pixels are parted in two along the direction in which their colours vary most. An insert is
    convex, and what lies around it is not: that decides which part is which, and neither colour nor
    brightness does. Then what is in focus beside it is added.

    Args:
        picture: (height, width) grey or (height, width, 3) RGB, some 256 px wide: widths of filters
            are px of such a picture.

    Returns:
        The outline; None where no part of the picture can be an insert.
    """
    parted = _in_two(picture)
    found = [outline for outline in map(_largest, (parted, ~parted)) if outline is not None]
    if not found:
        return None
    first = max(found, key=lambda outline: outline.solidity)
    inside = np.zeros(picture.shape[:2], np.uint8)
    cv2.drawContours(inside, [first.contour_xy.astype(np.int32)], -1, 1, cv2.FILLED)
    more = inside | _in_focus(picture, inside)
    more = cv2.morphologyEx(more, cv2.MORPH_CLOSE, np.ones((7, 7), np.uint8))
    # What is in focus was told by blurred pictures, and reaches 2 px too far.
    more = cv2.erode(more, np.ones((5, 5), np.uint8))
    return _largest((more | inside).astype(np.bool_)) or first


def _in_two(picture: NDArray[np.uint8]) -> NDArray[np.bool_]:
    """Return (height, width), True on one side of Otsu's threshold along the main colour."""
    smooth = cv2.GaussianBlur(picture, (0, 0), 1.5).astype(np.float32)
    colours = smooth.reshape(picture.shape[0] * picture.shape[1], -1)
    colours -= colours.mean(axis=0)
    _, directions = np.linalg.eigh(colours.T @ colours)
    main = colours @ directions[:, -1]
    low, high = np.percentile(main, (0.5, 99.5))
    if high - low < 2:  # counts: nothing but noise
        return np.zeros(picture.shape[:2], np.bool_)
    levels = np.clip((main - low) * (255 / (high - low)), 0, 255).astype(np.uint8)
    threshold, _ = cv2.threshold(levels, 0, 255, cv2.THRESH_BINARY + cv2.THRESH_OTSU)
    return np.asarray(levels.reshape(picture.shape[:2]) > threshold)


def _largest(mask: NDArray[np.bool_]) -> Silhouette | None:
    """Return the outline of the largest connected part; None where it is too small or too large."""
    contours, _ = cv2.findContours(mask.astype(np.uint8), cv2.RETR_EXTERNAL, cv2.CHAIN_APPROX_NONE)
    if not contours:
        return None
    largest = max(contours, key=cv2.contourArea)
    area, (least, most) = cv2.contourArea(largest), _AREA_SHARES
    if not least * mask.size <= area <= most * mask.size:
        return None
    solidity = area / cv2.contourArea(cv2.convexHull(largest))
    return Silhouette(largest[:, 0].astype(np.float64), solidity)


def _in_focus(picture: NDArray[np.uint8], insert: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """Return (height, width), 1 where the picture differs from a smooth background and is sharp.

    An edge that mirrors the light is as bright as what lies behind, and a threshold of brightness
    loses it. But it is in focus, and what lies behind is not.

    Args:
        picture: (height, width) or (height, width, 3).
        insert: (height, width), 1 on what is known of the insert.
    """
    near = cv2.dilate(insert, np.ones((_CLEARANCE, _CLEARANCE), np.uint8))
    samples = np.zeros(insert.shape, np.bool_)
    samples[::4, ::4] = near[::4, ::4] == 0
    if np.count_nonzero(samples) < 100:
        return np.zeros_like(insert)
    smooth = np.asarray(cv2.GaussianBlur(picture, (0, 0), 1.5), np.uint8)
    off = _off_a_surface(smooth, samples)
    differs = off > max(8.0, 2 * float(np.percentile(off[samples], 80)))
    detail = cv2.absdiff(_grey(picture), _grey(smooth)).astype(np.float32)
    detail = cv2.GaussianBlur(detail, (0, 0), 2.0)
    is_sharp = detail > 2 * float(np.median(detail[samples]))
    found = (differs & is_sharp).astype(np.uint8)
    return np.asarray(cv2.morphologyEx(found, cv2.MORPH_OPEN, np.ones((3, 3), np.uint8)), np.uint8)


def _grey(picture: NDArray[np.uint8]) -> NDArray[np.uint8]:
    grey = picture if picture.ndim == 2 else cv2.cvtColor(picture, cv2.COLOR_RGB2GRAY)
    return np.asarray(grey, np.uint8)


def _off_a_surface(picture: NDArray[np.uint8], samples: NDArray[np.bool_]) -> NDArray[np.float32]:
    """Return (height, width), the distance of the farthest channel from its surface, counts.

    The surface of a channel is of second order: light falls off towards the borders.

    Args:
        picture: (height, width) or (height, width, 3).
        samples: (height, width), the pixels that it is fitted to, and then again without the fifth
            of them that fits least, where a blurred part of the insert lies.
    """
    height, width = samples.shape
    y, x = np.mgrid[-1 : 1 : height * 1j, -1 : 1 : width * 1j].astype(np.float32)
    terms = np.stack([np.ones_like(x), x, y, x * x, x * y, y * y], axis=-1)
    sampled = terms[samples].astype(np.float64)
    off = np.zeros((height, width), np.float32)
    for channel in cv2.split(picture):
        values, kept = channel[samples].astype(np.float64), np.ones(len(sampled), np.bool_)
        for _ in range(2):
            used = sampled[kept]
            # The tiny term keeps it solvable where all samples lie on a line.
            squares = used.T @ used + 1e-6 * np.eye(6)
            fitted = np.linalg.solve(squares, used.T @ values[kept])
            away = np.abs(values - sampled @ fitted)
            kept = away <= np.percentile(away, 80)
        np.maximum(off, np.abs(channel - terms @ fitted.astype(np.float32)), out=off)
    return off
