"""What a cutting edge has lost: the wear land's width and the missing material along the edge.

ISO 3685 measures the flank wear VB from the ideal edge, perpendicular to it, and leaves the corner
(zone C) and the quarter of the worn edge that is farthest from it (zone N) out of zone B. A photo
does not say where the corner lies, so here zone B leaves out a quarter at either end of that part
of the straight edge which has cut and which the image shows.
"""

import dataclasses
import math

import numpy as np
from numpy.typing import NDArray

from inspection_tf.synthesis.inserts.edge import Coordinates, Edge
from inspection_tf.synthesis.inserts.spec import InsertSpec

Profile = NDArray[np.float64]
_DEEPEST_CORNER = 0.85
"""Of the corner's radius: what is broken off it, at most; the distance from the edge ends there."""


@dataclasses.dataclass(frozen=True, slots=True, eq=False)
class Damage:
    """What an edge has lost at each whole px along it; between them it is interpolated.

    Attributes:
        first: `along` of the first value, px.
        vb_px: (m,) depth at which the wear land ends, px; 0 where it is not worn.
        missing_px: (m,) depth to which material is missing, px.
    """

    first: int
    vb_px: Profile
    missing_px: Profile

    def at(self, along: Coordinates) -> tuple[Coordinates, Coordinates]:
        """Return the land's end and the depth of missing material at places along the edge, px."""
        place = np.clip(along - self.first, 0, len(self.vb_px) - 1.001)
        low = place.astype(np.int64)
        share = place - low
        vb, missing = (
            values[low] + share * (values[low + 1] - values[low])
            for values in (self.vb_px, self.missing_px)
        )
        return vb, missing


def masks(
    depth: Coordinates, land: Coordinates, missing: Coordinates
) -> tuple[NDArray[np.bool_], NDArray[np.bool_]]:
    """Return which pixels show the wear land, and where material is missing.

    A pixel shows what its centre shows: the land where missing <= depth < land, missing material
    where 0 <= depth < missing. What is broken away is no wear land.

    Args:
        depth: (H, W) of the pixels' centres, px; see `edge.Edge.coordinates`.
        land: (H, W) depth at which the wear land ends at their place along the edge, px.
        missing: (H, W) depth to which material is missing there, px.
    """
    is_flank = depth >= 0
    is_missing = is_flank & (depth < missing)
    return is_flank & ~is_missing & (depth < land), is_missing


def zone_b(edge: Edge, along: NDArray[np.int64], engaged_px: float) -> NDArray[np.bool_]:
    """Return which of the visible places lie in zone B.

    Args:
        edge: the ideal edge.
        along: (n,) of `Edge.visible`.
        engaged_px: where along the edge the part ends that has cut.
    """
    worn = along[(along >= edge.first_px) & (along <= engaged_px)]
    quarter = (worn[-1] - worn[0]) / 4
    return np.asarray((along >= worn[0] + quarter) & (along <= worn[-1] - quarter), np.bool_)


def _waves(rng: np.random.Generator, count: int, *, cell: float) -> Profile:
    """Return (count,) smooth random values, zero mean and about unit deviation."""
    knots = rng.standard_normal(math.ceil(count / cell) + 4)
    place = np.arange(count) / cell + rng.random()
    low = place.astype(np.int64)
    share = place - low
    share = share * share * (3 - 2 * share)
    return np.asarray(1.15 * (knots[low] * (1 - share) + knots[low + 1] * share))


def _facets(rng: np.random.Generator, count: int, *, cell: float) -> Profile:
    """Return (count,) values within 0..1 on straight pieces, as grains break out."""
    knots = rng.random(math.ceil(count / cell) + 4)
    return np.interp(np.arange(count) / cell + rng.random(), np.arange(len(knots)), knots)


def _smoothstep(value: Profile) -> Profile:
    value = np.clip(value, 0, 1)
    return value * value * (3 - 2 * value)


def wear(
    rng: np.random.Generator, edge: Edge, spec: InsertSpec, along: NDArray[np.int64]
) -> tuple[Profile, float]:
    """Draw the wear land: where it ends, and how far along the edge it goes.

    Its mean in zone B is drawn from `spec.vb_um`, unless a small corner leaves less room; around
    the corner it runs out.

    Args:
        rng: the only source of randomness.
        edge: the ideal edge.
        spec: the ranges.
        along: (m,) whole px at which the width is wanted, rising by 1.

    Returns:
        (m,) depth at which the land ends, px, and `along` of its end, px.
    """
    visible, _ = edge.visible()
    is_worn = rng.random() >= spec.unworn_share
    mean_px = spec.px(float(rng.uniform(*spec.vb_um)))
    share = float(rng.uniform(*spec.engaged))
    begin, end = max(float(visible[0]), edge.first_px), float(visible[-1])
    engaged_px = begin + share * (end - begin) if share < 1 else math.inf
    places = along.astype(np.float64)
    waves = sum(
        weight * _waves(rng, len(along), cell=cell)
        for weight, cell in ((0.85, 60.0), (0.5, 22.0), (0.13, 5.0))
    )
    width = 1 + spec.vb_variation * np.clip(waves, -1.8, 1.8)
    fade = min(float(rng.uniform(6, 30)), 0.2 * share * (end - begin))  # within zone N
    notch = float(rng.uniform(0.15, 0.5)) * float(rng.random() < 0.3)
    if share < 1:
        # ISO 3685 calls the deeper wear at the depth of cut notch wear; it is in zone N.
        width += notch * np.exp(-(((places - engaged_px + fade + 8) / 12) ** 2))
        width *= _smoothstep((engaged_px - places) / fade)
    is_visible = np.isin(along, visible)
    zone = zone_b(edge, along[is_visible], engaged_px)
    width *= mean_px / width[is_visible][zone].mean()
    if edge.radius_px is not None:
        # On the corner the land stays within the radius, and it ends before the side.
        most = edge.radius_px * 0.65 + 0.8 * np.maximum(places, 0)
        width = np.minimum(width, most) * _smoothstep(places / edge.arc_px * 1.6 + 1.3)
    return (np.maximum(width, 0) if is_worn else np.zeros(len(along))), engaged_px


def roughness(rng: np.random.Generator, spec: InsertSpec, along: NDArray[np.int64]) -> Profile:
    """Draw the micro-roughness that every edge has: (m,) depth, px.

    Args:
        rng: the only source of randomness.
        spec: its largest depth.
        along: (m,) whole px at which it is wanted.
    """
    deepest = spec.px(float(rng.uniform(0.2, 1.0)) * spec.roughness_um)
    rough = np.abs(_waves(rng, len(along), cell=2.5)) + np.abs(_waves(rng, len(along), cell=8.0))
    rough *= _facets(rng, len(along), cell=20.0)
    return np.asarray(deepest * np.minimum(rough / 2.4, 1.0))


def chipping(
    rng: np.random.Generator, edge: Edge, spec: InsertSpec, along: NDArray[np.int64]
) -> Profile:
    """Draw what is broken out of an edge: (m,) depth, px.

    One chip, several, or the corner; the deepest is as deep as is drawn from `spec.chipping_um`,
    and where the image shows the edge.

    Args:
        rng: the only source of randomness.
        edge: the ideal edge.
        spec: the ranges.
        along: (m,) whole px at which the depth is wanted, rising by 1.
    """
    # More shallow chips than deep ones.
    low, high = spec.chipping_um
    depth = spec.px(low + (high - low) * float(rng.random()) ** 1.6)
    visible, _ = edge.visible()
    begin, end = max(float(visible[0]), edge.first_px), float(visible[-1])
    main = begin + (end - begin) * float(rng.uniform(0.15, 0.85))
    width = min(depth * float(rng.uniform(1.6, 4.5)), 0.8 * (end - begin))
    radius = edge.radius_px
    is_corner = rng.random() < 0.35 and radius is not None and depth <= _DEEPEST_CORNER * radius
    if is_corner:
        main, width = -edge.arc_px / 2, max(edge.arc_px * float(rng.uniform(1.1, 1.8)), width)
    found = _chip(rng, along, main, max(width, 3.0), depth)
    for _ in range(int(rng.integers(0, 5)) if rng.random() < 0.6 else 0):
        beside = main + float(rng.uniform(-1.6, 1.6)) * width
        if beside >= edge.first_px:
            small = depth * float(rng.uniform(0.15, 0.7))
            found = np.maximum(
                found, _chip(rng, along, beside, small * float(rng.uniform(1.5, 4)), small)
            )
    if radius is not None:  # beyond the corner there is no depth over its radius
        found = np.where(along < 0, np.minimum(found, _DEEPEST_CORNER * radius), found)
    deepest = found[np.isin(along, visible)].max()
    return np.asarray(np.minimum(found * (depth / deepest), depth), np.float64)


def _chip(
    rng: np.random.Generator, along: NDArray[np.int64], middle: float, width: float, depth: float
) -> Profile:
    """Return (m,) the depth of one chip; at its deepest `depth`."""
    skew = float(rng.uniform(-0.45, 0.45))
    x = 2 * (along - middle) / width
    x = (x - skew) / np.where(x > skew, 1 - skew, 1 + skew)
    power = float(rng.uniform(1.2, 3.0))
    shape = np.clip(1 - np.abs(np.clip(x, -1, 1)) ** power, 0, 1) ** float(rng.uniform(0.6, 1.0))
    jagged = 0.7 * _facets(rng, len(along), cell=max(3.0, width / 7))
    jagged += 0.3 * _facets(rng, len(along), cell=2.0)
    # No peak is narrower than a px: the deepest point shows on the image.
    shape = np.convolve(shape * (0.7 + 0.3 * jagged), (0.25, 0.5, 0.25), mode="same")
    return np.asarray(depth * shape / max(float(shape.max()), 1e-9))
