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

import cv2
import numpy as np
from numpy.typing import NDArray

from inspection_tf import errors
from inspection_tf.decision.wear.along_edge import EdgeSide, Frame, Point, View, Widths
from inspection_tf.decision.wear.ideal_edge import NOISE_PX, Floats

ZONE_B = (0.25, 0.75)
"""Shares of an edge's length between which zone B lies where nothing else is said. ISO 3685 leaves
out the corner (zone C) and the quarter of the worn edge that is farthest from it (zone N). An image
does not say at which end that is, so a quarter is left out at either."""
_SPECK = 0.01  # of the largest blob's area; smaller blobs are none of the wear land
_ALIKE = 0.02  # difference in agreement under which auto takes the first side
_CURVE_POINTS = 17  # of the polyline that stands for a curved edge


def _nothing() -> Floats:
    return np.zeros(0)


@dataclass(frozen=True, slots=True)
class FlankWear:
    """The flank wear of one image, in px, and in um where the scale is known.

    Without a wear land all widths are 0 and there is no edge.

    Attributes:
        vb_mean_px: VB_B, the mean width of the wear land where there is one in zone B.
        vb_max_px: VB_Bmax, the largest width in zone B.
        chipping_px: largest depth to which material is missing between the ideal edge and the land,
            anywhere along the edge; 0 where that is within the noise of a border. Where the land is
            missing in its whole width a chip cannot be told from an edge without wear.
        length_px: of the edge along the wear land, from the first place to the last at which the
            land begins on the ideal edge: beyond them it ends, or the tool has its corner.
        edge_xy: the ideal edge: its two ends, or a polyline where it is curved; none without land.
        widest_xy: the widest place in zone B: on the ideal edge, and on the border of the land.
        edge_side: on which side of the land the edge lies.
        mm_per_px: scale; None where it is not known.
        profile_px: (n,) widths perpendicular to the edge at each px of it, in the order of
            `edge_xy`, also outside of zone B; 0 where there is no land.
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
    zone: tuple[float, float] = ZONE_B,
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
        zone: first and last share of the edge's length that is zone B, 0..1.

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
    views = [View.of(blobs, side) for side in _sides(blobs, edge_side)]
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


def _measured(view: View, zone: tuple[float, float]) -> FlankWear:
    frame = Frame.of(view)
    found = Widths.of(view, frame)
    place, each = found.place, found.each
    profile, missing = _means(found.width, each), _means(found.missing, each)
    first = math.floor(zone[0] * len(profile) + 1e-9)
    last = max(first + 1, math.ceil(zone[1] * len(profile) - 1e-9))
    pixels = slice(first, last)
    in_zone = found.width[first * each : last * each]
    widest = first + int(profile[pixels].argmax())
    chip = float(missing.max())
    count = _CURVE_POINTS if frame.edge.is_curved else 2
    ends = np.linspace(place[0] - found.cell / 2, place[-1] + found.cell / 2, count)
    where = place[min(widest * each + each // 2, len(place) - 1)]
    across = np.array([0.0, profile[widest]])
    return FlankWear(
        vb_mean_px=_mean(in_zone[np.isfinite(in_zone)]),
        vb_max_px=float(profile[widest]),
        chipping_px=chip if chip > NOISE_PX else 0.0,
        length_px=len(place) * found.cell,
        edge_xy=_points(view, *frame.places(ends, np.zeros(count))),
        widest_xy=_points(view, *frame.places(np.full(2, where), across)),
        profile_px=profile,
    )


def _mean(widths: Floats) -> float:
    return float(widths.mean()) if len(widths) else 0.0


def _means(values: Floats, count: int) -> Floats:
    """Return the means of `count` values each, from the first on, without nan; 0 of nothing else.

    The last may be of fewer.
    """
    starts, known = np.arange(0, len(values), count), np.isfinite(values)
    sums = np.add.reduceat(np.where(known, values, 0.0), starts)
    return np.asarray(sums / np.maximum(np.add.reduceat(known.astype(np.float64), starts), 1))


def _points(view: View, x: Floats, y: Floats) -> tuple[Point, ...]:
    return tuple(view.on_image(*place) for place in zip(x, y, strict=True))
