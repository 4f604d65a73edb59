"""The ideal cutting edge on an image: where it lies, and how far each pixel is from it.

The edge is a straight line, whose one end may be the rounded corner of the insert, from which the
side of the insert goes down. `along` counts px along the edge: it is 0 where the straight part
begins, grows away from the corner, and is negative on the corner and the side. `depth` counts px
across the edge: it is positive on the flank and negative beyond the edge.

As in `images.geometry` the centre of the first pixel is (0, 0).
"""

import dataclasses
import math

import numpy as np
from numpy.typing import NDArray

from inspection_tf.synthesis.inserts.spec import InsertSpec

Coordinates = NDArray[np.float64]


@dataclasses.dataclass(frozen=True, slots=True)
class Edge:
    """An ideal cutting edge on an image.

    Attributes:
        size: height and width of the image, px.
        start_xy: where the straight part begins, px.
        angle: by which the edge turns from the image's row, downwards, rad.
        is_mirrored: the edge runs from its start to the left, not to the right.
        radius_px: of the corner before the start; None where the straight part goes on.
    """

    size: tuple[int, int]
    start_xy: tuple[float, float]
    angle: float = 0.0
    is_mirrored: bool = False
    radius_px: float | None = None

    @property
    def arc_px(self) -> float:
        """Length of the rounded corner, px."""
        return 0.0 if self.radius_px is None else self.radius_px * math.pi / 2

    @property
    def first_px(self) -> float:
        """`along` of the first point of the straight part; -inf where it begins outside."""
        return -math.inf if self.radius_px is None else 0.0

    def plane(self) -> tuple[Coordinates, Coordinates]:
        """Return, for each pixel, (H, W) px from the start in the direction of the edge, and down.

        On the flank these are what `coordinates` returns, except at the corner.
        """
        rows, columns = np.ogrid[: self.size[0], : self.size[1]]
        right = (columns - self.start_xy[0]) * (-1.0 if self.is_mirrored else 1.0)
        down = rows - self.start_xy[1]
        cos, sin = math.cos(self.angle), math.sin(self.angle)
        return right * cos + down * sin, down * cos - right * sin

    def coordinates(
        self, plane: tuple[Coordinates, Coordinates]
    ) -> tuple[Coordinates, Coordinates]:
        """Return (H, W) `along` and (H, W) `depth` of each pixel's centre, from its `plane`."""
        u, v = plane
        if self.radius_px is None:
            return u, v
        along, depth = u.copy(), v.copy()
        is_side = (u < 0) & (v >= self.radius_px)
        depth[is_side] = u[is_side] + self.radius_px
        along[is_side] = self.radius_px - v[is_side] - self.arc_px
        is_corner = (u < 0) & (v < self.radius_px)
        across, upward = -u[is_corner], self.radius_px - v[is_corner]
        depth[is_corner] = self.radius_px - np.hypot(across, upward)
        along[is_corner] = -self.radius_px * np.arctan2(across, upward)
        return along, depth

    def points_xy(self, along: Coordinates) -> Coordinates:
        """Return (n, 2) px: the points of the edge at these places, none of them on the side."""
        u, v = np.maximum(along, self.first_px), np.zeros_like(along)
        if self.radius_px is not None:
            turn = np.minimum(along, 0.0) / self.radius_px
            u += self.radius_px * np.sin(turn)
            v += self.radius_px * (1 - np.cos(turn))
        cos, sin = math.cos(self.angle), math.sin(self.angle)
        right, down = u * cos - v * sin, u * sin + v * cos
        x = self.start_xy[0] + (-right if self.is_mirrored else right)
        return np.stack([x, self.start_xy[1] + down], axis=1)

    def visible(self) -> tuple[NDArray[np.int64], Coordinates]:
        """Return the whole px of `along` at which the image shows the edge, rising, and (n, 2) px.

        The side of the insert is not part of the cutting edge.
        """
        reach = math.ceil(math.hypot(*self.size)) + 1
        first = -math.floor(self.arc_px) if self.radius_px is not None else -reach
        along = np.arange(first, reach)
        points = self.points_xy(along.astype(np.float64))
        high = np.array([self.size[1] - 0.5, self.size[0] - 0.5])
        inside = ((points >= -0.5) & (points < high)).all(axis=1)
        return along[inside], points[inside]


def place(rng: np.random.Generator, spec: InsertSpec) -> Edge:
    """Choose where the edge lies on an image: flank below, the edge across.

    Args:
        rng: the only source of randomness.
        spec: the ranges.
    """
    height, width = spec.size
    angle = math.radians(rng.uniform(-spec.rotation_deg, spec.rotation_deg))
    shift_x, shift_y = rng.uniform(-spec.shift, spec.shift, 2)
    has_corner, is_mirrored = rng.random() < spec.corner_share, bool(rng.random() < 0.5)
    radius = spec.px(float(rng.uniform(*spec.corner_radius_um)))
    y = height * (0.36 + shift_y)
    if not has_corner:
        return Edge(spec.size, (width / 2 + width * shift_x, y), angle, is_mirrored)
    # Of a large radius, or on a small image, a part of the corner lies outside.
    x = min(max(width * (0.12 + shift_x), 0) + radius, 0.45 * width)
    start = (width - 1 - x if is_mirrored else x), y
    return Edge(spec.size, start, angle, is_mirrored, radius)
