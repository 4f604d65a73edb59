"""Parts whose surface is made of triangles, and how far rays run through them.

Each triangle is drawn line by line of the detector. To the pixels that its line covers it adds the
depth of its plane, with a plus where the ray leaves the part and a minus where it enters it. A line
covers a pixel if its centre lies in `[left, right)`, and a triangle a row likewise; where an edge
crosses a row is computed once for both triangles that share it, and which of a triangle's two
crossings goes down the image says whether the ray leaves. So each ray enters each closed surface as
often as it leaves it, and no streaks arise.

Depth is linear on the detector where the beam is parallel, and its reciprocal where it is a cone:
so it follows from the ends of the edges, and never lies beyond them.
"""

import dataclasses
import functools

import numpy as np
from numpy.typing import NDArray

from inspection_tf import errors
from inspection_tf.projection import scanner as scanner_rays
from inspection_tf.projection.poses import Pose
from inspection_tf.projection.scanner import Scanner

_Floats = NDArray[np.float64]
_Numbers = NDArray[np.int64]


@dataclasses.dataclass(frozen=True)
class Mesh:
    """A closed surface of triangles.

    Attributes:
        vertices: (n, 3), mm, in the part's frame.
        faces: (m, 3), rows of `vertices`, counter-clockwise for who looks from outside.

    Raises:
        errors.DataError: there is no face, a number is out of range, an edge has not exactly one
            face on each side, or the surface encloses nothing.
    """

    vertices: _Floats
    faces: _Numbers

    def __post_init__(self) -> None:
        """Check that it is closed and turned outwards."""
        vertices, faces = self.vertices, self.faces
        if faces.ndim != 2 or faces.shape[1:] != (3,) or vertices.shape[1:] != (3,):
            raise errors.DataError(
                "A mesh needs vertices of shape (n, 3) and faces of shape (m, 3). "
                f"Got {vertices.shape} and {faces.shape}. Give three corners for each face."
            )
        if not len(faces):
            raise errors.DataError("A mesh must have faces. Got none. Export the part again.")
        if faces.min() < 0 or faces.max() >= len(vertices) or not np.isfinite(vertices).all():
            raise errors.DataError(
                f"Faces must name vertices, 0 to {len(vertices) - 1}, and these be finite. Got "
                f"{faces.min()} to {faces.max()}. Export the part again."
            )
        sides = _sides(faces)
        there, back = (
            np.unique(pairs, axis=0, return_counts=True) for pairs in (sides, sides[:, ::-1])
        )
        is_closed = there[0].shape == back[0].shape and (there[0] == back[0]).all()
        if not is_closed or there[1].max() > 1:
            raise errors.DataError(
                "A mesh must be closed: each edge between two faces that run along it in opposite "
                "directions. Got an open or twisted one. Repair it, and merge equal vertices."
            )
        if not self.volume > 0:
            raise errors.DataError(
                "A mesh must enclose a volume, with its faces turned outwards. "
                f"Got {self.volume:.3g} mm3. Turn the faces round, or export the part again."
            )

    @property
    def volume(self) -> float:
        """What it encloses, mm3."""
        first, second, third = (self.vertices[self.faces[:, k]] for k in range(3))
        return float((first * np.cross(second, third)).sum() / 6)

    @functools.cached_property
    def _edges(self) -> tuple[_Numbers, _Numbers]:
        """(e, 2), the ends of each edge, and (3 m,), the edge of each of the `_sides`."""
        ends, edge = np.unique(np.sort(_sides(self.faces), axis=1), axis=0, return_inverse=True)
        return ends, edge.reshape(-1)

    def path_lengths(self, scanner: Scanner, pose: Pose, *, samples: int = 1) -> _Floats:
        """Return how far the ray of each pixel runs through the part.

        Args:
            scanner: which sees it.
            pose: of the part.
            samples: rays in each pixel.

        Returns:
            (height * samples, width), mm.

        Raises:
            errors.DataError: the part reaches the source, or lies behind it.
        """
        placed = scanner.placed(self.vertices, pose)
        if scanner.beam == "cone" and not placed[:, 2].min() > 0:
            raise errors.DataError(
                "A part must lie between the source and the detector. Got one that reaches "
                f"{-placed[:, 2].min():.3g} mm behind the source. Move it, or check its unit."
            )
        height, width = scanner.size[0] * samples, scanner.size[1]
        x, y = scanner.on_detector(placed).T
        # In rows of rays: the first one of a pixel lies above its centre.
        y = (y + 0.5) * samples - 0.5
        is_cone = scanner.beam == "cone"
        ends, edge = self._edges
        crossings = _crossings(x, y, 1 / placed[:, 2] if is_cone else placed[:, 2], ends, height)
        begins, goes_on = _sides(self.faces).T
        down, up = (
            crossings.of_sides(edge, np.flatnonzero(which))
            for which in (y[begins] < y[goes_on], y[begins] > y[goes_on])
        )
        shift = scanner_rays.offsets(samples) - 0.5
        crossings = dataclasses.replace(crossings, x=crossings.x - shift[crossings.row % samples])
        pixel, linear, leaves = _drawn(crossings, down, up, width)
        depth = 1 / linear if is_cone else linear
        depths = np.bincount(pixel, np.where(leaves, depth, -depth), minlength=height * width)
        depths = depths.reshape(height, width)
        return np.maximum(depths * scanner.length_of_depth(samples=samples), 0.0)


def _sides(faces: _Numbers) -> _Numbers:
    """Return (3 m, 2), from the corners 0 to 1 of all faces, then from 1 to 2, then from 2 to 0."""
    return np.concatenate([faces[:, [0, 1]], faces[:, [1, 2]], faces[:, [2, 0]]])


@dataclasses.dataclass(frozen=True, slots=True)
class _Crossings:
    """Where edges cross rows of rays, edge by edge and row by row.

    Attributes:
        row: (k,), of rays.
        x: (k,), px.
        linear: (k,), of the depth there what is linear on the detector.
        begin: (e,), the first row that each edge crosses.
        first: (e,), where its crossings begin.
        count: (e,), how many it has.
    """

    row: _Numbers
    x: _Floats
    linear: _Floats
    begin: _Numbers
    first: _Numbers
    count: _Numbers

    def of_sides(self, edge: _Numbers, sides: _Numbers) -> _Numbers:
        """Return the crossings of some sides of faces, face by face and row by row.

        Args:
            edge: (3 m,), of each side of the m faces.
            sides: those that go down the image, or those that go up: one in each row of a face.
        """
        sides = sides[self.count[edge[sides]] > 0]
        face, edge = sides % (len(edge) // 3), edge[sides]
        edge = edge[np.lexsort((self.begin[edge], face))]
        which, number = _spread(self.count[edge])
        return self.first[edge][which] + number


def _crossings(x: _Floats, y: _Floats, linear: _Floats, ends: _Numbers, height: int) -> _Crossings:
    """Return where edges cross rows.

    Args:
        x: (n,), of vertices, px.
        y: (n,), of vertices, in rows of rays.
        linear: (n,), of their depth what is linear on the detector.
        ends: (e, 2), of edges.
        height: rows.
    """
    low, high = ends.T
    top, bottom = np.minimum(y[low], y[high]), np.maximum(y[low], y[high])
    begin, stop = (np.clip(np.ceil(side), 0, height).astype(np.int64) for side in (top, bottom))
    count = stop - begin
    edge, number = _spread(count)
    row = begin[edge] + number
    with np.errstate(divide="ignore", invalid="ignore"):  # of level edges, which cross nothing
        inverse = 1 / (y[high] - y[low])
    share = np.clip((row - y[low][edge]) * inverse[edge], 0.0, 1.0)
    first = np.cumsum(count) - count
    across, depth = (
        values[low][edge] + share * (values[high] - values[low])[edge] for values in (x, linear)
    )
    return _Crossings(row, across, depth, begin, first, count)


def _drawn(
    crossings: _Crossings, down: _Numbers, up: _Numbers, width: int
) -> tuple[_Numbers, _Floats, NDArray[np.bool_]]:
    """Return what faces cover: (p,) pixels, the depth's linear form, and whether rays leave there.

    Args:
        crossings: of all edges; px from the rays of the row in the first pixel.
        down: (s,), for each row of each face the crossing of the side that goes down the image.
        up: (s,), of the one that goes up.
        width: of a row.
    """
    leaves = crossings.x[down] > crossings.x[up]
    left, right = np.where(leaves, up, down), np.where(leaves, down, up)
    begin, stop = (
        np.clip(np.ceil(crossings.x[side]), 0, width).astype(np.int64) for side in (left, right)
    )
    covers = np.flatnonzero(stop > begin)
    left, right, begin, stop = (values[covers] for values in (left, right, begin, stop))
    x, linear = crossings.x[left], crossings.linear[left]
    slope = (crossings.linear[right] - linear) / (crossings.x[right] - x)
    span, number = _spread(stop - begin)
    at_begin = linear + slope * (begin - x)
    pixel = (crossings.row[left] * width + begin)[span] + number
    return pixel, at_begin[span] + slope[span] * number, leaves[covers][span]


def _spread(count: _Numbers) -> tuple[_Numbers, _Numbers]:
    """Return each index as often as its count says, and the numbers from 0 to that."""
    index = np.repeat(np.arange(len(count)), count)
    before = np.cumsum(count) - count
    return index, np.arange(len(index)) - before[index]
