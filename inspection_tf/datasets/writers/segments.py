"""What was found on an image, piece by piece: pixels and outlines.

Coordinates are those of borders: the first pixel reaches from 0 to 1, so that its centre lies at
0.5. That is half a pixel more than everywhere else in this package, and what COCO and Label Studio
mean.
"""

import dataclasses
from collections.abc import Iterator, Sequence

import cv2
import numpy as np
from numpy.typing import NDArray

from inspection_tf.datasets.writers.labels_file import Line, Sample

FIELD = "field"
"""What a field with corners is called where classes are listed."""
_HALF_PX = 0.5
_LEAST = 3  # corners of an outline


@dataclasses.dataclass(frozen=True, slots=True)
class Segment:
    """A connected piece of what was found.

    Attributes:
        class_name: what it is.
        outline: (n, 2) x and y of its outer border, px.
        labels: (height, width) of the image, the numbers of all pieces of its class, which these
            share; None where corners say all.
        number: of this piece.
    """

    class_name: str
    outline: NDArray[np.float64]
    labels: NDArray[np.int32] | None = None
    number: int = 0

    @property
    def pixels(self) -> NDArray[np.bool_] | None:
        """(height, width) of the image; None where corners say all."""
        return None if self.labels is None else np.asarray(self.labels == self.number, np.bool_)


def class_names(line: Line) -> tuple[str, ...]:
    """Return what segments may be called: the classes, or a field."""
    return (FIELD,) if line.label_kind == "corners" else line.classes


def of(sample: Sample) -> tuple[Segment, ...]:
    """Return the regions of a verdict, or its field; none of what a person calls OK.

    A field is right where a person calls the image OK: it stays.
    """
    line = sample.line
    if line.corners_xy is not None:
        corners = np.array(line.corners_xy, np.float64) + _HALF_PX
        return (Segment(FIELD, corners),)
    if sample.mask is None or line.label == "OK":
        return ()
    return tuple(_pieces(sample.mask, line.classes))


def _pieces(mask: NDArray[np.uint8], classes: Sequence[str]) -> Iterator[Segment]:
    """Yield the 8-connected pieces of each class, the highest first."""
    for number, name in enumerate(classes, start=1):
        count, labels = cv2.connectedComponents((mask == number).view(np.uint8), connectivity=8)
        for piece in range(1, count):
            pixels = np.asarray(labels == piece, np.bool_)
            yield Segment(name, outline(pixels), np.asarray(labels, np.int32), piece)


def outline(pixels: NDArray[np.bool_]) -> NDArray[np.float64]:
    """Return the outer border of connected pixels, along the edges of pixels.

    Args:
        pixels: (height, width), 8-connected, at least one.

    Returns:
        (n, 2) x and y, px; the area inside is that of the pixels with their holes filled.
    """
    rows, columns = (np.flatnonzero(pixels.any(axis=axis)) for axis in (1, 0))
    top, left = int(rows[0]), int(columns[0])
    inside = pixels[top : rows[-1] + 1, left : columns[-1] + 1]
    # cv2 goes through the centres of pixels. Of each split in four it goes through quarters, whose
    # place in their pixel says at which of its borders they lie.
    quarters = np.repeat(np.repeat(inside.view(np.uint8), 2, axis=0), 2, axis=1)
    (found, *_), _ = cv2.findContours(quarters, cv2.RETR_EXTERNAL, cv2.CHAIN_APPROX_NONE)
    borders = (found[:, 0].astype(np.int64) + 1) // 2
    return np.asarray(_turns(borders) + np.array([left, top]), np.float64)


def _turns(points: NDArray[np.int64]) -> NDArray[np.int64]:
    """Return the points of a closed line at which it turns."""
    points = points[np.any(points != np.roll(points, 1, axis=0), axis=1)]
    before, after = points - np.roll(points, 1, axis=0), np.roll(points, -1, axis=0) - points
    return points[np.any(before != after, axis=1)]


def simplified(points: NDArray[np.float64], *, within_px: float) -> NDArray[np.float64]:
    """Return an outline of fewer points.

    Args:
        points: (n, 2) px.
        within_px: how far it may be from the given one.

    Returns:
        The given one where fewer than three points would be left.
    """
    fewer = cv2.approxPolyDP(points.astype(np.float32)[:, None], within_px, True)[:, 0]
    return points if len(fewer) < _LEAST else np.asarray(fewer, np.float64)


def area_px(points: NDArray[np.float64]) -> float:
    """Return the area inside a polygon, px: half of |sum of x_i y_(i+1) - x_(i+1) y_i|."""
    x, y = points.T
    return float(abs(x @ np.roll(y, -1) - y @ np.roll(x, -1)) / 2)
