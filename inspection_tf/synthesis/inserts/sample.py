"""A drawn photo of a cutting insert with all that is known of it."""

import dataclasses
import math
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from inspection_tf.synthesis.inserts import camera, damage, dirt, edge, faces
from inspection_tf.synthesis.inserts.spec import InsertSpec
from inspection_tf.synthesis.inserts.view import View

# One generator a part: what one part draws never shifts another.
_PARTS = ("edge", "wear", "roughness", "chipping", "faces", "fracture", "dirt", "camera")


@dataclasses.dataclass(frozen=True, slots=True, eq=False)
class InsertSample:
    """A photo of a cutting edge, its label, and what has been lost along the edge.

    Attributes:
        image: (H, W) uint8.
        wear_mask: (H, W) bool, the wear land without what is broken away: a pixel belongs to it
            if at its centre missing <= depth < vb (see `damage.masks`). Dirt on it counts for
            nothing.
        chip_mask: (H, W) bool, where material is missing, micro-roughness included.
        is_broken: whether the edge is broken: more is missing than `chipping_tolerance_um`.
        edge_xy: (n, 2) float64 px, the ideal edge where the image shows it, one point a px along
            it, from the corner on; the corner belongs to it, the side of the insert does not.
        vb_um: (n,) width of the wear land at these points, from the ideal edge and perpendicular
            to it, um; 0 where there is none or all of it is broken away.
        missing_um: (n,) depth of missing material at these points, likewise, um.
        zone_b: (n,) bool, which of these points lie in zone B (see `damage`).
        vb_mean_um: mean of `vb_um` in zone B where there is a land, VB_B in ISO 3685; 0 without.
        vb_max_um: its largest there, VB_Bmax in ISO 3685; 0 without.
        chipping_um: largest of `missing_um`.
        mm_per_px: scale of the image.
    """

    image: NDArray[np.uint8]
    wear_mask: NDArray[np.bool_]
    chip_mask: NDArray[np.bool_]
    is_broken: bool
    edge_xy: NDArray[np.float64]
    vb_um: NDArray[np.float64]
    missing_um: NDArray[np.float64]
    zone_b: NDArray[np.bool_]
    vb_mean_um: float
    vb_max_um: float
    chipping_um: float
    mm_per_px: float


def is_broken(index: int, broken_share: float) -> bool:
    """Return whether image `index` of a set shows a broken edge; spread evenly over a set."""
    return math.floor((index + 1) * broken_share) > math.floor(index * broken_share)


def draw(index: int, *, seed: int, spec: InsertSpec, broken_share: float = 0.5) -> InsertSample:
    """Draw one photo of a set; it depends on `seed` and `index` alone, not on its neighbours.

    Whether it is broken changes nothing else on it.

    Args:
        index: place in the set, from 0.
        seed: of the whole set.
        spec: what to draw from.
        broken_share: share of broken edges, 0..1.
    """
    rng = _generators(index, seed)
    lost = _lost(rng, spec, is_broken=is_broken(index, broken_share))
    view = View.of(lost.edge, lost.damage)
    return _sample(_photo(rng, view, spec), view, lost, spec)


def is_worn(index: int, *, seed: int, spec: InsertSpec, broken_share: float = 0.5) -> bool:
    """Return whether the wear mask of a photo has a pixel, without drawing the photo.

    Args:
        index: as for `draw`.
        seed: as for `draw`.
        spec: as for `draw`.
        broken_share: as for `draw`.
    """
    lost = _lost(_generators(index, seed), spec, is_broken=is_broken(index, broken_share))
    plane = lost.edge.plane()
    for step in (8, 1):  # for most photos a few pixels answer
        along, depth = lost.edge.coordinates((plane[0][::step, ::step], plane[1][::step, ::step]))
        is_land, _ = damage.masks(depth, *lost.damage.at(along))
        if is_land.any():
            return True
    return False


def _generators(index: int, seed: int) -> dict[str, np.random.Generator]:
    return {part: np.random.default_rng([seed, index, k]) for k, part in enumerate(_PARTS)}


class _Lost(NamedTuple):
    """An edge with what it has lost."""

    edge: edge.Edge
    damage: damage.Damage
    engaged_px: float
    is_broken: bool


def _lost(rng: dict[str, np.random.Generator], spec: InsertSpec, *, is_broken: bool) -> _Lost:
    placed = edge.place(rng["edge"], spec)
    along = _reach(placed)
    land, engaged_px = damage.wear(rng["wear"], placed, spec, along)
    missing = damage.roughness(rng["roughness"], spec, along)
    if is_broken:
        missing = np.maximum(missing, damage.chipping(rng["chipping"], placed, spec, along))
    lost = damage.Damage(int(along[0]), land, missing)
    return _Lost(placed, lost, engaged_px, is_broken)


def _reach(placed: edge.Edge) -> NDArray[np.int64]:
    """Return the whole px along an edge between which all pixels of its image lie."""
    diagonal = math.ceil(math.hypot(*placed.size)) + math.ceil(math.hypot(*placed.start_xy))
    return np.arange(-diagonal - math.ceil(placed.arc_px) - 2, diagonal + 3)


def _photo(rng: dict[str, np.random.Generator], view: View, spec: InsertSpec) -> NDArray[np.uint8]:
    beyond = faces.rake(rng["faces"], view, faces.background(rng["faces"], view, spec))
    face = faces.flank(rng["faces"], view, spec)
    faces.wear_land(rng["faces"], view, face)
    faces.glint(rng["faces"], view, face)
    steep = float(rng["camera"].uniform(0.03, 0.12))
    beyond = camera.defocus(
        beyond, np.abs(view.depth) * np.float32(2 * steep) + np.float32(0.5), largest=spec.blur_px
    )
    faces.fracture(rng["fracture"], view, face, beyond)
    # The flank hides what is beyond it: both are blurred before they are put together.
    focus = np.abs(view.down - np.float32(rng["camera"].uniform(0, 0.25) * view.size[0]))
    picture = beyond + np.clip(view.depth + np.float32(0.5), 0, 1) * (face - beyond)
    dirt.add(rng["dirt"], picture, view, most=spec.dirt)
    flat = float(rng["camera"].uniform(0.002, 0.02))
    picture = camera.defocus(picture, focus * np.float32(flat), largest=spec.blur_px)
    return camera.shoot(rng["camera"], picture, spec)


def _sample(image: NDArray[np.uint8], view: View, lost: _Lost, spec: InsertSpec) -> InsertSample:
    along, edge_xy = lost.edge.visible()
    land_px, missing_px = lost.damage.at(along.astype(np.float64))
    vb_um = np.where(missing_px < land_px, spec.um(1) * land_px, 0.0)
    missing_um = spec.um(1) * missing_px
    zone = damage.zone_b(lost.edge, along, lost.engaged_px)
    in_zone_um = vb_um[zone & (vb_um > 0)]
    return InsertSample(
        image=image,
        wear_mask=view.is_land,
        chip_mask=view.is_missing,
        is_broken=lost.is_broken,
        edge_xy=edge_xy,
        vb_um=vb_um,
        missing_um=missing_um,
        zone_b=zone,
        vb_mean_um=float(in_zone_um.mean()) if len(in_zone_um) else 0.0,
        vb_max_um=float(in_zone_um.max()) if len(in_zone_um) else 0.0,
        chipping_um=float(missing_um.max()),
        mm_per_px=spec.mm_per_px,
    )
