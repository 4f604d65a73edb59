"""Flank wear measured on the mask of a wear land, in the words of ISO 3685.

The wear land is the band of worn flank that begins at the cutting edge. Its width is measured from
where the edge lay before, perpendicular to it: VB_B is its mean and VB_Bmax its maximum along the
part of the edge called zone B. Where the edge chipped, material is missing between the ideal edge
and the land; that depth belongs to the width, and its maximum is the chipping.

How: the mask is turned so that the ideal edge lies flat, and sampled on a grid four times as fine
as its pixels. The width at one px of the edge is the area of the land there (so a border between
two pixels counts with its share), plus the signed distance from the ideal edge to the land. So the
noise of the border on the side of the edge does not count at all, and rounding to pixels cancels
out: the mean is off by far less than half a pixel.
"""

import math
from dataclasses import dataclass, field, replace
from typing import Literal

import cv2
import numpy as np
from numpy.typing import NDArray

from inspection_tf import errors
from inspection_tf.decision.wear import ideal_edge
from inspection_tf.decision.wear.ideal_edge import NOISE_PX, Floats, IdealEdge

EdgeSide = Literal["top", "bottom", "left", "right", "auto"]
"""The side of a wear land on which the cutting edge lies; auto: where its border is smoother."""
Point = tuple[float, float]
"""x and y, px; the centre of the first pixel is (0, 0)."""

_SPECK = 0.01  # of the largest blob's area; smaller blobs are none of the wear land
_FINEST, _CELLS = 4, 4_000_000  # grid cells along one px, and all of them; bounds time and memory
_ALIKE = 0.02  # difference in agreement under which auto takes the first side
_CURVE_POINTS = 17  # of the polyline that stands for a curved edge


def _nothing() -> Floats:
    return np.zeros(0)


@dataclass(frozen=True, slots=True)
class FlankWear:
    """The flank wear of one image, in px, and in um where the scale is known.

    Without a wear land all widths are 0 and there is no edge.

    Attributes:
        vb_mean_px: VB_B, the mean width of the wear land along zone B; parts of the edge between
            two blobs of it count as 0.
        vb_max_px: VB_Bmax, the largest width in zone B.
        chipping_px: largest depth in zone B to which material is missing under the ideal edge,
            between two places that lie on it; 0 where that is within the noise of a border. At an
            end of the land a dip is taken for its end or for the corner of the tool, and where the
            land is missing in its whole width a chip cannot be told from an edge without wear.
        length_px: of the edge along the wear land.
        edge_xy: the ideal edge: its two ends, or a polyline where it is curved; none without land.
        widest_xy: the widest place in zone B: on the ideal edge, and on the border of the land.
        edge_side: on which side of the land the edge lies.
        mm_per_px: scale; None where it is not known.
        profile_px: (n,) widths perpendicular to the edge at each px of it, in the order of
            `edge_xy`, also outside of zone B.
    """

    vb_mean_px: float = 0.0
    vb_max_px: float = 0.0
    chipping_px: float = 0.0
    length_px: float = 0.0
    edge_xy: tuple[Point, ...] = ()
    widest_xy: tuple[Point, ...] = ()
    edge_side: EdgeSide = "auto"
    mm_per_px: float | None = None
    profile_px: Floats = field(default_factory=_nothing, repr=False, compare=False)

    def _um(self, px: float) -> float | None:
        return None if self.mm_per_px is None else 1000.0 * self.mm_per_px * px

    @property
    def vb_mean_um(self) -> float | None:
        """VB_B, um; None without a scale."""
        return self._um(self.vb_mean_px)

    @property
    def vb_max_um(self) -> float | None:
        """VB_Bmax, um; None without a scale."""
        return self._um(self.vb_max_px)

    @property
    def chipping_um(self) -> float | None:
        """Depth of the deepest chip, um; None without a scale."""
        return self._um(self.chipping_px)

    @property
    def length_um(self) -> float | None:
        """Length of the edge along the wear land, um; None without a scale."""
        return self._um(self.length_px)

    @property
    def profile_um(self) -> Floats | None:
        """(n,) um, widths at each px of the edge; None without a scale."""
        return None if self.mm_per_px is None else 1000.0 * self.mm_per_px * self.profile_px

    def without_profile(self) -> "FlankWear":
        """Return it without the widths along the edge, which `to_dict` leaves out."""
        return replace(self, profile_px=_nothing())

    def to_dict(self) -> dict[str, object]:
        """Return everything but the widths along the edge, ready for JSON."""
        return {
            "vb_mean_um": self.vb_mean_um,
            "vb_max_um": self.vb_max_um,
            "chipping_um": self.chipping_um,
            "length_um": self.length_um,
            "vb_mean_px": self.vb_mean_px,
            "vb_max_px": self.vb_max_px,
            "chipping_px": self.chipping_px,
            "length_px": self.length_px,
            "edge_side": self.edge_side,
            "edge_xy": [list(point) for point in self.edge_xy],
            "widest_xy": [list(point) for point in self.widest_xy],
        }


def measure(
    mask: NDArray[np.generic],
    *,
    mm_per_px: float | None = None,
    edge_side: EdgeSide = "auto",
    zone: tuple[float, float] = (0.0, 1.0),
) -> FlankWear:
    """Measure flank wear on the mask of a wear land.

    Holes of the land are filled. Of several blobs those count whose area is at least 1 % of the
    largest one's, and that lie no further from the ideal edge than the largest one reaches.

    Args:
        mask: (height, width), True on the wear land.
        mm_per_px: scale of the image; None, or not a positive number: all is measured in px alone.
        edge_side: of the land on which the edge lies. `auto` takes, of the two long sides, the one
            whose border is closer to a line, and top or left where they are alike: worn borders are
            ragged as a rule. Name it where the camera does not move.
        zone: first and last share of the edge's length that is zone B, 0..1. The whole length by
            default: a corner (zone C) or a notch (zone N) is cut off where the image shows one.

    Raises:
        errors.ConfigError: the zone is none.
        errors.DataError: the mask is none.
    """
    if not 0 <= zone[0] < zone[1] <= 1:
        raise errors.ConfigError(
            "zone must be two rising shares of the edge's length, 0 to 1. "
            f"Got {zone}. Use for example (0.1, 0.9)."
        )
    if np.ndim(mask) != 2:
        raise errors.DataError(
            "The mask of a wear land must have the shape (height, width). "
            f"Got {np.shape(mask)}. Give one channel."
        )
    is_scale = mm_per_px is not None and math.isfinite(mm_per_px) and mm_per_px > 0
    scale = mm_per_px if is_scale else None
    given = np.asarray(mask, bool)
    if not given.any():  # also an image without pixels, at which OpenCV would end the process
        return FlankWear(edge_side=edge_side, mm_per_px=scale)
    blobs = _blobs(given)
    views = [_View.of(blobs, side) for side in _sides(blobs, edge_side)]
    best = max(view.edge.agreement for view in views)
    view = next(view for view in views if view.edge.agreement >= best - _ALIKE)
    return replace(_measured(view, zone), edge_side=view.side, mm_per_px=scale)


def _blobs(mask: NDArray[np.bool]) -> NDArray[np.int32]:
    """Return labels (height, width) of the blobs without their holes; 1 is the largest."""
    outlines, _ = cv2.findContours(mask.astype(np.uint8), cv2.RETR_EXTERNAL, cv2.CHAIN_APPROX_NONE)
    filled = np.zeros(mask.shape, np.uint8)
    cv2.drawContours(filled, outlines, -1, 1, cv2.FILLED)
    count, labels, stats, _ = cv2.connectedComponentsWithStats(filled, connectivity=8)
    area = stats[1:, cv2.CC_STAT_AREA]
    rank = np.zeros(count, np.int32)
    rank[1 + np.argsort(-area, kind="stable")] = np.arange(1, count)
    if count > 1:
        rank[1:][area < _SPECK * area.max()] = 0
    ranked: NDArray[np.int32] = rank[labels]
    return ranked


def _sides(blobs: NDArray[np.int32], edge_side: EdgeSide) -> tuple[EdgeSide, ...]:
    if edge_side != "auto":
        return (edge_side,)
    rows, columns = np.nonzero(blobs)
    return ("top", "bottom") if columns.var() >= rows.var() else ("left", "right")


@dataclass(frozen=True, slots=True)
class _View:
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
    def of(cls, blobs: NDArray[np.int32], side: EdgeSide) -> "_View":
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
class _Frame:
    """Coordinates along the chord of the ideal edge, and across, away from it: px.

    Attributes:
        origin: on the chord, in the view.
        along: unit vector along the chord; across is the same turned to the right.
    """

    origin: Point
    along: Point
    edge: IdealEdge

    @classmethod
    def of(cls, view: _View) -> "_Frame":
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


def _wear_land(view: _View, frame: _Frame) -> tuple[NDArray[np.bool], Floats, Floats]:
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
    land: NDArray[np.bool], along: Floats, under: Floats, frame: _Frame
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
class _Widths:
    """A wear land along its edge, in steps of `cell` px.

    Attributes:
        place: (k,) px along the chord of the ideal edge.
        width: (k,) px, from the ideal edge to the far border of the land; 0 where there is none.
        missing: (k,) px, from the ideal edge to the land, where the edge goes on on both sides.
        cell: px.
    """

    place: Floats
    width: Floats
    missing: Floats
    cell: float

    @classmethod
    def of(cls, view: _View, frame: _Frame) -> "_Widths":
        flat, depth, place = _sampled(*_wear_land(view, frame), frame)
        cell = 1.0 if len(place) < 2 else float(place[1] - place[0])
        area = flat.sum(axis=0) * cell
        there = np.asarray(flat.any(axis=0))
        gap = np.where(there, depth[flat.argmax(axis=0)] - cell / 2, 0.0)
        on_edge = np.flatnonzero(there & (np.abs(gap) <= NOISE_PX))
        is_inner = np.zeros(len(place), bool)
        if len(on_edge):
            is_inner[on_edge[0] : on_edge[-1] + 1] = True
        missing = np.where(is_inner, gap, 0.0)
        width = np.maximum(area + missing, 0.0)
        part = _whole(view, frame, place, there, width)
        # Perpendicular to a curve the way is shorter than perpendicular to its chord.
        slant = np.hypot(1.0, frame.sag(place + 0.5) - frame.sag(place - 0.5))
        return cls(place[part], (width / slant)[part], (missing / slant)[part], cell)

    @property
    def each(self) -> int:
        """How many of them are one px of the edge."""
        return max(1, round(1 / self.cell))


def _measured(view: _View, zone: tuple[float, float]) -> FlankWear:
    frame = _Frame.of(view)
    found = _Widths.of(view, frame)
    place, each = found.place, found.each
    profile, missing = _means(found.width, each), _means(found.missing, each)
    first = math.floor(zone[0] * len(place) + 1e-9)
    last = max(first + 1, math.ceil(zone[1] * len(place) - 1e-9))
    pixels = slice(first // each, math.ceil(last / each))
    widest = pixels.start + int(profile[pixels].argmax())
    chip = float(missing[pixels].max())
    count = _CURVE_POINTS if frame.edge.is_curved else 2
    ends = np.linspace(place[0] - found.cell / 2, place[-1] + found.cell / 2, count)
    where = place[min(widest * each + each // 2, len(place) - 1)]
    across = np.array([0.0, profile[widest]])
    return FlankWear(
        vb_mean_px=float(found.width[first:last].mean()),
        vb_max_px=float(profile[widest]),
        chipping_px=chip if chip > NOISE_PX else 0.0,
        length_px=len(place) * found.cell,
        edge_xy=_points(view, *frame.places(ends, np.zeros(count))),
        widest_xy=_points(view, *frame.places(np.full(2, where), across)),
        profile_px=profile,
    )


def _whole(
    view: _View, frame: _Frame, place: Floats, there: NDArray[np.bool], width: Floats
) -> slice:
    """Return the part of the edge from the land's first to its last place.

    Where the image cuts the land off aslant, the edge or the border of the land is outside of it;
    such places are left out, unless nothing would be left.
    """
    found = np.flatnonzero(there)
    first, last = int(found[0]), int(found[-1]) + 1
    typical = float(np.median(width[there]))
    inside = np.ones(len(place), bool)
    for under in (0.0, typical):
        x, _ = frame.places(place, np.full(len(place), under))
        inside &= (x >= 0) & (x <= view.blobs.shape[1])
    left = np.flatnonzero(inside[first:last])
    if not len(left):
        return slice(first, last)
    return slice(first + int(left[0]), first + int(left[-1]) + 1)


def _means(values: Floats, count: int) -> Floats:
    """Return the means of `count` values each, from the first on; the last may be of fewer."""
    starts = np.arange(0, len(values), count)
    sizes = np.diff(np.append(starts, len(values)))
    means: Floats = np.add.reduceat(values, starts) / sizes
    return means


def _points(view: _View, x: Floats, y: Floats) -> tuple[Point, ...]:
    return tuple(view.on_image(*place) for place in zip(x, y, strict=True))
