"""The corner of a cutting edge: the tip where two edges of an insert meet."""

import math
from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

from inspection_tf.images.focus import silhouette

Points = NDArray[np.float64]

_SIDE = 256
"""px of the longer side of the picture in which a corner is looked for."""
_BORDER = 3.0
"""px within which the outline ends at the border of the picture, and not at an edge."""
_RIM = 12.0
"""px within which no corner is looked for: an outline that ends at the border often bends there."""
_LEAST_SOLIDITY = 0.85
_LEAST_TURN = math.radians(30)
"""An edge that bends less goes on."""
_LEAST_HEIGHT = 4.0
"""px from the line between its neighbours: a vertex that is nearer is no corner of its own."""
_ALONG = (6.0, 50.0)
"""px from the tip between which an edge is straight: neither rounded nor worn, nor too far."""
_BESIDE = 5.0
"""px from an edge within which points belong to it."""
_MOST_MOVED = 10.0
"""px that the tip of two straight edges may lie from the outline."""


@dataclass(frozen=True, slots=True)
class Corner:
    """A corner of an insert.

    Attributes:
        point_xy: the tip, px.
        inward_xy: the direction from there into the insert, halfway between its edges, of length 1;
            (0, 0) where no corner was found.
        is_found: False: the image shows none, and `point_xy` is its middle.
    """

    point_xy: tuple[float, float]
    inward_xy: tuple[float, float] = (0.0, 0.0)
    is_found: bool = True


@dataclass(frozen=True, slots=True)
class _Vertex:
    point: Points  # (2,) px
    sides: tuple[Points, Points]  # (2,) each, of length 1: along the edges that meet there


def find_corner(image: NDArray[np.uint8]) -> Corner:
    """Find the corner of the insert that an image shows, by its outline.

    Of several corners it is the sharp one near the middle. Where the tip is worn off or rounded it
    is the point where the straight edges would meet. Light, colours and the way that the insert
    points do not matter. The same image always gives the same corner.

    Args:
        image: (H, W) grey or (H, W, 3) RGB, in whatever size: it is looked at with 256 px.

    Returns:
        The corner; the middle of the image where it shows no convex object with one.
    """
    height, width = image.shape[:2]
    middle = Corner(((width - 1) / 2, (height - 1) / 2), is_found=False)
    shrink = max(1.0, max(height, width) / _SIDE)
    size = (max(1, round(width / shrink)), max(1, round(height / shrink)))
    if min(size) < 8:
        return middle
    picture = np.asarray(cv2.resize(image, size, interpolation=cv2.INTER_AREA), np.uint8)
    outline = silhouette.trace(picture)
    if outline is None or outline.solidity < _LEAST_SOLIDITY:
        return middle
    vertex = _most_salient(outline.contour_xy, size)
    if vertex is None:
        return middle
    inward = vertex.sides[0] + vertex.sides[1]
    inward /= max(float(np.linalg.norm(inward)), 1e-9)
    # The outline runs through the centres of the outermost pixels, half a pixel inside the edges.
    half_angle = math.acos(min(1.0, float(inward @ vertex.sides[0])))
    tip = _meeting_point(outline.contour_xy, vertex) - inward * 0.5 / max(math.sin(half_angle), 0.2)
    scale = np.array((width / size[0], height / size[1]))
    x, y = np.clip((tip + 0.5) * scale - 0.5, 0, (width - 1, height - 1))
    return Corner((float(x), float(y)), (float(inward[0]), float(inward[1])))


def _most_salient(contour_xy: Points, size: tuple[int, int]) -> _Vertex | None:
    """Return the vertex of the hull that turns most and lies nearest to the middle.

    Args:
        contour_xy: (n, 2) px.
        size: (width, height) px.
    """
    last = np.array(size) - 1.0
    hull = cv2.convexHull(contour_xy.astype(np.float32))[:, 0].astype(np.float64)
    points = _simplified(hull, _at_border(hull, last))
    before, after = (_units(np.roll(points, shift, axis=0) - points) for shift in (1, -1))
    turn = math.pi - np.arccos(np.clip((before * after).sum(axis=1), -1, 1))
    distance = np.linalg.norm(points - last / 2, axis=1) / np.linalg.norm(last / 2)
    weight = np.where(
        _at_border(points, last, _RIM) | (turn < _LEAST_TURN), 0, turn * (1.5 - distance)
    )
    best = int(weight.argmax())
    return _Vertex(points[best], (before[best], after[best])) if weight[best] > 0 else None


def _at_border(points: Points, last: Points, within: float = _BORDER) -> NDArray[np.bool_]:
    """Return (n,), whether points (n, 2) lie where the picture ends, within some px."""
    return np.asarray(((points <= within) | (points >= last - within)).any(axis=1))


def _simplified(points: Points, is_fixed: NDArray[np.bool_]) -> Points:
    """Return a polygon without vertices near the lines between their neighbours, flattest first.

    Source: Visvalingam and Whyatt 1993, with heights of triangles in place of their areas.

    Args:
        points: (n, 2) px, in order around it.
        is_fixed: (n,), vertices that stay.
    """
    while len(points) > 3:
        before, after = (np.roll(points, shift, axis=0) - points for shift in (1, -1))
        doubled = np.abs(before[:, 0] * after[:, 1] - before[:, 1] * after[:, 0])
        height = doubled / np.maximum(np.linalg.norm(before - after, axis=1), 1e-9)
        height[is_fixed] = np.inf
        smallest = int(height.argmin())
        if height[smallest] >= _LEAST_HEIGHT:
            break
        points, is_fixed = np.delete(points, smallest, axis=0), np.delete(is_fixed, smallest)
    return points


def _units(vectors: Points) -> Points:
    return np.asarray(vectors / np.linalg.norm(vectors, axis=1, keepdims=True))


def _meeting_point(contour_xy: Points, vertex: _Vertex) -> Points:
    """Return where straight lines along both edges meet; the vertex where they are not straight."""
    lines = []
    for side in vertex.sides:
        away = contour_xy - vertex.point
        along, beside = away @ side, np.abs(away @ (-side[1], side[0]))
        part = contour_xy[(along > _ALONG[0]) & (along < _ALONG[1]) & (beside < _BESIDE)]
        if len(part) < 8:
            return vertex.point
        fitted = cv2.fitLine(part.astype(np.float32), cv2.DIST_HUBER, 0, 0.01, 0.01).ravel()
        lines.append(fitted.astype(np.float64))
    (first, first_at), (second, second_at) = ((line[:2], line[2:]) for line in lines)
    matrix = np.column_stack([first, -second])
    if abs(np.linalg.det(matrix)) < 0.3:  # the sine of the angle between them
        return vertex.point
    met = first_at + np.linalg.solve(matrix, second_at - first_at)[0] * first
    is_near = np.linalg.norm(met - vertex.point) <= _MOST_MOVED
    return np.asarray(met) if is_near else vertex.point
