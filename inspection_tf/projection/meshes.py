"""Parts whose surface is made of triangles, and how far rays run through them.

Each triangle is drawn line by line of the detector. To the pixels that its line covers it adds the
depth of its plane, with a plus where the ray leaves the part and a minus where it enters it. A line
covers a pixel if its centre lies in `[left, right)`, and a triangle a row likewise; where an edge
crosses a row follows from its two ends in one order for both triangles that share it. So each ray
meets each closed surface an even number of times, and no streaks arise.
"""

import dataclasses

import numpy as np
from numpy.typing import NDArray

from inspection_tf import errors
from inspection_tf.projection.poses import Pose
from inspection_tf.projection.scanner import Scanner

_Floats = NDArray[np.float64]
_Numbers = NDArray[np.int64]


@dataclasses.dataclass(frozen=True, slots=True)
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
        sides = np.concatenate([faces[:, [0, 1]], faces[:, [1, 2]], faces[:, [2, 0]]])
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

    def path_lengths(self, scanner: Scanner, pose: Pose, *, samples: int = 1) -> _Floats:
        """Return how far the ray of each pixel runs through the part.

        Args:
            scanner: which sees it.
            pose: of the part.
            samples: rays along each side of a pixel.

        Returns:
            (height * samples, width * samples), mm.

        Raises:
            errors.DataError: the part reaches the source, or lies behind it.
        """
        placed = scanner.placed(self.vertices, pose)
        if scanner.beam == "cone" and not placed[:, 2].min() > 0:
            raise errors.DataError(
                "A part must lie between the source and the detector. Got one that reaches "
                f"{-placed[:, 2].min():.3g} mm behind the source. Move it, or check its unit."
            )
        height, width = (side * samples for side in scanner.size)
        # In rays: the ray 0 of samples along a pixel lies before its centre.
        seen = (scanner.on_detector(placed) + 0.5) * samples - 0.5
        face, row, column = _covered(seen, self.faces, (height, width))
        met = scanner.plane(row, column, samples=samples)
        depth = _signed_depths(placed[self.faces], face, *met, scanner)
        pixel = row * width + column
        depths = np.bincount(pixel, depth, minlength=height * width).reshape(height, width)
        return np.maximum(depths * scanner.length_of_depth(samples=samples), 0.0)


def _covered(
    seen: _Floats, faces: _Numbers, size: tuple[int, int]
) -> tuple[_Numbers, _Numbers, _Numbers]:
    """Return (k,) thrice: faces and the rows and columns of pixels that they cover.

    Args:
        seen: (vertices, 2), (x, y) px.
        faces: (m, 3).
        size: (height, width) px.
    """
    height, width = size
    across, down = seen[:, 0][faces], seen[:, 1][faces]
    begin = np.clip(np.ceil(_least(down)), 0, height).astype(np.int64)
    end = np.clip(np.ceil(_most(down)), 0, height).astype(np.int64)
    # What lies beside the detector covers nothing.
    is_beside = (_most(across) < 0) | (_least(across) > width - 1)
    face, row = _spread(begin, np.where(is_beside, begin, end))
    left, right = np.full(len(face), np.inf), np.full(len(face), -np.inf)
    for one, other in ((0, 1), (1, 2), (2, 0)):
        # In the order of their numbers: both faces of an edge compute the same crossing.
        first, second = faces[:, one], faces[:, other]
        low, high = np.minimum(first, second), np.maximum(first, second)
        (x0, y0), (x1, y1) = seen[low].T, seen[high].T
        with np.errstate(divide="ignore", invalid="ignore"):
            slope = (x1 - x0) / (y1 - y0)
        top, bottom = np.minimum(y0, y1), np.maximum(y0, y1)
        crosses = np.flatnonzero((top[face] <= row) & (row < bottom[face]))
        edge = face[crosses]
        x = x0[edge] + (row[crosses] - y0[edge]) * slope[edge]
        left[crosses] = np.minimum(left[crosses], x)
        right[crosses] = np.maximum(right[crosses], x)
    begin, stop = (
        np.clip(np.ceil(np.where(np.isfinite(x), x, 0)), 0, width).astype(np.int64)
        for x in (left, right)
    )
    span, column = _spread(begin, stop)
    return face[span], row[span], column


def _least(values: _Floats) -> _Floats:
    """Return (m,), the smallest of three numbers each."""
    first, second, third = values.T
    return np.asarray(np.minimum(np.minimum(first, second), third))


def _most(values: _Floats) -> _Floats:
    """Return (m,), the largest of three numbers each."""
    first, second, third = values.T
    return np.asarray(np.maximum(np.maximum(first, second), third))


def _spread(first: _Numbers, end: _Numbers) -> tuple[_Numbers, _Numbers]:
    """Return each index as often as its range is long, and the numbers of the ranges."""
    lengths = np.maximum(end - first, 0)
    index = np.repeat(np.arange(len(first)), lengths)
    before = np.cumsum(lengths) - lengths
    return index, np.arange(len(index)) - before[index] + first[index]


def _signed_depths(
    corners: _Floats, face: _Numbers, x: _Floats, y: _Floats, scanner: Scanner
) -> _Floats:
    """Return (k,), the depths z at which rays meet the planes of faces, mm, negative on entering.

    The plane of a face is n . p = level. A ray of a cone meets it in s (x, y, distance) with
    s = level / (n . (x, y, distance)), a parallel one where z = (level - nx x - ny y) / nz.

    Args:
        corners: (m, 3, 3), mm, of each face in the frame of the scanner.
        face: (k,), one for each ray.
        x: (k,), mm, where each ray meets the detector.
        y: (k,), likewise.
        scanner: whose rays they are.
    """
    normal = np.cross(corners[:, 1] - corners[:, 0], corners[:, 2] - corners[:, 0])
    level = (normal * corners[:, 0]).sum(axis=1)
    nx, ny, nz = normal.T
    with np.errstate(divide="ignore", invalid="ignore"):
        if scanner.beam == "cone":
            distance = scanner.source_detector_mm
            steep = nx[face] * x + ny[face] * y + (nz * distance)[face]
            depth = (level * distance)[face] / steep
        else:
            steep = nz[face]
            depth = (level[face] - nx[face] * x - ny[face] * y) / steep
    # Of a face that is seen from its edge the plane says little: no point lies beyond its corners.
    near, far = _least(corners[:, :, 2]), _most(corners[:, :, 2])
    depth = np.minimum(np.fmax(depth, near[face]), far[face])
    return np.asarray(np.where(steep > 0, depth, -depth))
