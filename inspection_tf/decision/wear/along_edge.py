"""A wear land along its ideal edge: turned so that the edge lies flat, and sampled finely."""

import math
from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from inspection_tf.decision.wear import ideal_edge
from inspection_tf.decision.wear.ideal_edge import NOISE_PX, Floats, IdealEdge

EdgeSide = Literal["top", "bottom", "left", "right", "auto"]
"""The side of a wear land on which the cutting edge lies; auto: where its border is smoother."""
Point = tuple[float, float]
"""x and y, px; the centre of the first pixel is (0, 0)."""

# Cells of the grid along one px, and all of them: bounds time and memory.
_FINEST, _CELLS = 4, 4_000_000


@dataclass(frozen=True, slots=True)
class View:
    """A wear land turned by right angles, or mirrored, so that its edge is on top.

    Attributes:
        blobs: (h, w), labels.
        side: on which the edge lies in the image.
        edge: the ideal one; here the first pixel reaches from 0 to 1.
    """

    blobs: NDArray[np.int32]
    side: EdgeSide
    edge: IdealEdge

    @classmethod
    def of(cls, blobs: NDArray[np.int32], side: EdgeSide) -> "View":
        """Turn labels of blobs (height, width), of which one pixel or more is not 0."""
        if side in ("bottom", "right"):
            blobs = blobs[::-1] if side == "bottom" else blobs[:, ::-1]
        if side in ("left", "right"):
            blobs = blobs.T
        column = np.flatnonzero(blobs.any(axis=0)).astype(np.float64)
        row = (blobs[:, column.astype(int)] > 0).argmax(axis=0)  # the upper end of the first pixel
        edge = ideal_edge.fit(column + 0.5, row.astype(np.float64))
        return cls(blobs, side, edge)

    def on_image(self, x: float, y: float) -> Point:
        """Return where a place of the view lies in the image, from the first pixel's centre."""
        if self.side in ("bottom", "right"):
            y = self.blobs.shape[0] - y
        x, y = (y, x) if self.side in ("left", "right") else (x, y)
        return float(x) - 0.5, float(y) - 0.5


@dataclass(frozen=True, slots=True)
class Frame:
    """Coordinates along the chord of the ideal edge, and across, away from it: px.

    Attributes:
        origin: on the chord, in the view.
        along: unit vector along the chord; across is the same turned to the right.
    """

    origin: Point
    along: Point
    edge: IdealEdge

    @classmethod
    def of(cls, view: View) -> "Frame":
        """Lay it along the chord between the first and the last column of the land."""
        column = np.flatnonzero(view.blobs.any(axis=0)) + 0.5
        x = np.array([column[0], column[-1]])
        y = view.edge.at(x)
        slope = (y[1] - y[0]) / (x[1] - x[0]) if x[1] > x[0] else 0.0
        length = math.hypot(1.0, slope)
        return cls((float(x[0]), float(y[0])), (1 / length, slope / length), view.edge)

    def of_places(self, x: Floats, y: Floats) -> tuple[Floats, Floats]:
        """Return how far places of the view lie along the chord, and under the ideal edge."""
        away_x, away_y = x - self.origin[0], y - self.origin[1]
        along = away_x * self.along[0] + away_y * self.along[1]
        across = away_y * self.along[0] - away_x * self.along[1]
        return along, across - self.sag(along)

    def places(self, along: Floats, under: Floats) -> tuple[Floats, Floats]:
        """Return x and y in the view; see `of_places`."""
        across = under + self.sag(along)
        x = self.origin[0] + along * self.along[0] - across * self.along[1]
        return x, self.origin[1] + along * self.along[1] + across * self.along[0]

    def sag(self, along: Floats) -> Floats:
        """Return how far the ideal edge lies under its chord; 0 everywhere where it is a line."""
        if not self.edge.is_curved:
            return np.zeros_like(along)
        x = self.origin[0] + along * self.along[0]
        chord = self.origin[1] + along * self.along[1]
        # From down to across: for slight curves the difference in slope does not matter.
        return (self.edge.at(x) - chord) * self.along[0]


def _wear_land(view: View, frame: Frame) -> tuple[NDArray[np.bool], Floats, Floats]:
    """Return the blobs that count (h, w), and the bounds of their pixels: along, and under."""
    rows, columns = np.nonzero(view.blobs)
    label = view.blobs[rows, columns]
    x, y = columns.astype(np.float64) + 0.5, rows.astype(np.float64) + 0.5
    along, under = frame.of_places(x, y)
    nearest = np.full(label.max() + 1, np.inf)
    np.minimum.at(nearest, label, under)
    counts = nearest <= under[label == 1].max()
    counts[0] = False
    inside = counts[label]
    reach = (abs(frame.along[0]) + abs(frame.along[1])) / 2  # of a pixel's corners
    bounds = np.array([-reach, reach])
    along = np.array([along[inside].min(), along[inside].max()]) + bounds
    under = np.array([under[inside].min(), under[inside].max()]) + bounds
    return counts[view.blobs], along, under


def _sampled(
    land: NDArray[np.bool], along: Floats, under: Floats, frame: Frame
) -> tuple[NDArray[np.bool], Floats, Floats]:
    """Return the land with its edge lying flat (m, k), and where its rows and columns lie."""
    area = np.ptp(along) * np.ptp(under)
    cells = int(np.clip(math.sqrt(_CELLS / area), 1, _FINEST))
    depth = under[0] + (np.arange(math.ceil(np.ptp(under) * cells)) + 0.5) / cells
    place = along[0] + (np.arange(math.ceil(np.ptp(along) * cells)) + 0.5) / cells
    x, y = frame.places(place[None], depth[:, None])
    column, row = np.floor(x).astype(np.int64), np.floor(y).astype(np.int64)
    height, width = land.shape
    outside = (column < 0) | (column >= width) | (row < 0) | (row >= height)
    flat = land[np.clip(row, 0, height - 1), np.clip(column, 0, width - 1)] & ~outside
    return flat, depth, place


@dataclass(frozen=True, slots=True)
class Widths:
    """A wear land along its edge, in steps of `cell` px.

    Attributes:
        place: (k,) px along the chord of the ideal edge.
        width: (k,) px, from the ideal edge to the far border of the land; nan where there is none.
        missing: (k,) px, from the ideal edge to the land; 0 where there is none.
        cell: px.
    """

    place: Floats
    width: Floats
    missing: Floats
    cell: float

    @classmethod
    def of(cls, view: View, frame: Frame) -> "Widths":
        """Measure the land; see `flank_wear` for how."""
        flat, depth, place = _sampled(*_wear_land(view, frame), frame)
        cell = 1.0 if len(place) < 2 else float(place[1] - place[0])
        area = flat.sum(axis=0) * cell
        there = np.asarray(flat.any(axis=0))
        gap = np.where(there, depth[flat.argmax(axis=0)] - cell / 2, 0.0)
        width = np.where(there, np.maximum(area + gap, 0.0), np.nan)
        part = _whole(view, frame, place, gap, width)
        # Perpendicular to a curve the way is shorter than perpendicular to its chord.
        slant = np.hypot(1.0, frame.sag(place + 0.5) - frame.sag(place - 0.5))
        return cls(place[part], (width / slant)[part], (gap / slant)[part], cell)

    @property
    def each(self) -> int:
        """How many of them are one px of the edge."""
        return max(1, round(1 / self.cell))


def _whole(view: View, frame: Frame, place: Floats, gap: Floats, width: Floats) -> slice:
    """Return the part of the edge that is seen: from the first place to the last that lies on it.

    Beyond them the border of the land leaves the ideal edge for good: there the land ends, or the
    tool has its corner. Where the image cuts the land off aslant, the edge or the border of the
    land is outside of it; such places are left out too, unless nothing would be left.
    """
    there = np.isfinite(width)
    on_edge = there & (np.abs(gap) <= NOISE_PX)
    found = np.flatnonzero(on_edge if on_edge.any() else there)
    first, last = int(found[0]), int(found[-1]) + 1
    inside = np.ones(len(place), bool)
    for under in (0.0, float(np.median(width[there]))):
        x, _ = frame.places(place, np.full(len(place), under))
        inside &= (x >= 0) & (x <= view.blobs.shape[1])
    inside &= there  # an edge ends where there is land
    left = np.flatnonzero(inside[first:last])
    if not len(left):
        return slice(first, last)
    return slice(first + int(left[0]), first + int(left[-1]) + 1)
