"""The ideal edge: the line on which a cutting edge lay before it wore and chipped.

It is fitted to the border of the wear land on the side of the edge. Where the edge chipped, that
border dips into the land, and dips must not pull the line: it is the curve by which most of the
border lies and over which as little of it as possible stands out, since nothing grows out of an
edge. Everything is deterministic: the candidates go through points of a fixed grid.
"""

import itertools
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

NOISE_PX = 1.5
"""A border that lies so close to the ideal edge is the edge: 0.5 px of rounding, 1 px of noise."""

_STEEPEST = 1.0  # slope; a steeper edge lies on another side of its land
_LINE_POINTS, _CURVE_POINTS = 48, 20  # of the border, through which candidates go
_LOOKED_AT = 400  # points of the border that choose among candidates
_FEWEST_OF_CURVE = 30  # px; a shorter edge is straight
_GAIN = 0.1  # share of the border that a curve must explain beyond what the line does
# How far the middle of a curve may lie over its chord, and under it, as shares of its length: more
# is a corner, and a hollow is a chip as a rule.
_LARGEST_BULGE, _LARGEST_HOLLOW = 0.15, 0.02

Floats = NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class IdealEdge:
    """An ideal edge `y(x)`, seen with the material below it (y grows downwards, as rows do).

    Attributes:
        coefficients: of a polynomial in `x - centre`, the highest power first: a line, or a
            parabola where the edge is curved.
        centre: px.
        agreement: share of the border that lies on it, less the share that stands out over it.
    """

    coefficients: tuple[float, ...]
    centre: float
    agreement: float

    def at(self, x: Floats) -> Floats:
        """Return the rows, px, at columns (n,), px."""
        rows: Floats = np.polyval(np.array(self.coefficients), x - self.centre)
        return rows

    @property
    def is_curved(self) -> bool:
        """Whether it is a parabola."""
        return len(self.coefficients) > 2


def fit(x: Floats, y: Floats) -> IdealEdge:
    """Fit the ideal edge to the border of a wear land.

    A line first. Where the edge is long enough, a parabola takes its place if at least a tenth more
    of the border lies on it. It may bulge by 15 % of its length, and be hollow by 2 %.

    Args:
        x: (n,) px, the columns of the border, rising; at least one.
        y: (n,) px, its rows.
    """
    centre = float(x.mean())
    away, extent = x - centre, float(np.ptp(x))
    if len(x) < 3:
        level = float(y.mean())
        return IdealEdge((0.0, level), centre, _agreement(y - level))
    line = _best(away, y, _through(away, y, degree=1, points=_LINE_POINTS))
    chosen = IdealEdge(line, centre, _agreement(y - np.polyval(line, away)))
    if extent < _FEWEST_OF_CURVE:
        return chosen
    candidates = _through(away, y, degree=2, points=_CURVE_POINTS)
    bulge = candidates[:, 0] * extent / 4  # a x^2 lies |a| extent^2 / 4 from its chord
    candidates = candidates[(bulge <= _LARGEST_BULGE) & (bulge >= -_LARGEST_HOLLOW)]
    if not len(candidates):
        return chosen
    curve = _best(away, y, candidates)
    agreement = _agreement(y - np.polyval(curve, away))
    if agreement > chosen.agreement + _GAIN:
        return IdealEdge(curve, centre, agreement)
    return chosen


def _agreement(below: Floats) -> float:
    """Return the share of residuals (n,) within the noise, less the share that stands out."""
    on_it, above = np.abs(below) <= NOISE_PX, below < -NOISE_PX
    return float(on_it.mean() - above.mean())


def _evenly(count: int, at_most: int) -> NDArray[np.int64]:
    return np.unique(np.linspace(0, count - 1, min(count, at_most)).round().astype(np.int64))


def _through(away: Floats, y: Floats, *, degree: int, points: int) -> Floats:
    """Return the polynomials (candidates, degree + 1) through points of a fixed grid.

    The points of each are far enough apart that their noise does not tilt it.
    """
    chosen = _evenly(len(away), points)
    each = np.array(list(itertools.combinations(chosen, degree + 1)))
    x, rows = away[each], y[each]
    is_wide = (np.diff(x, axis=1) >= np.ptp(away) / 8).all(axis=1)
    x, rows = x[is_wide], rows[is_wide]
    powers = x[:, :, None] ** np.arange(degree, -1, -1)
    found: Floats = np.linalg.solve(powers, rows[:, :, None])[:, :, 0]
    return found[np.abs(found[:, -2]) <= _STEEPEST]


def _best(away: Floats, y: Floats, candidates: Floats) -> tuple[float, ...]:
    """Return the candidate that agrees best, fitted by least squares to what lies on it."""
    degree = int(candidates.shape[1]) - 1
    if not len(candidates):  # a border steeper than an edge
        return (0.0,) * degree + (float(np.median(y)),)
    seen = _evenly(len(away), _LOOKED_AT)
    powers = away[seen] ** np.arange(degree, -1, -1)[:, None]
    below = y[seen] - candidates @ powers
    on_it = np.abs(below) <= NOISE_PX
    agreement = on_it.sum(axis=1) - (below < -NOISE_PX).sum(axis=1)
    closeness = np.where(on_it, np.abs(below), 0).sum(axis=1) / np.maximum(on_it.sum(axis=1), 1)
    best = candidates[np.lexsort((closeness, -agreement))[0]]
    for _ in range(3):
        inside = np.abs(y - np.polyval(best, away)) <= NOISE_PX
        if len(np.unique(away[inside])) <= degree:
            break
        best = np.asarray(np.polyfit(away[inside], y[inside], degree))
    return tuple(map(float, best))
