"""Parts of several bodies: what each adds, and what it takes away."""

import dataclasses
from collections.abc import Iterator, Mapping, Sequence

import numpy as np
from numpy.typing import NDArray

from inspection_tf import errors
from inspection_tf.projection.parts.primitives import Primitive
from inspection_tf.projection.poses import Pose
from inspection_tf.projection.scanner import Rays

_Floats = NDArray[np.float64]
_LARGER = 1 + 1e-9  # than the ball around a body, so that rounding leaves out no ray


@dataclasses.dataclass(frozen=True, slots=True)
class Body:
    """A primitive in its place in a part.

    Attributes:
        primitive: its shape.
        material: what it consists of; None: nothing, as a hole.
        place: of its frame in that of the part.
    """

    primitive: Primitive
    material: str | None
    place: Pose = dataclasses.field(default_factory=Pose)


def path_lengths(
    bodies: Sequence[Body], rays: Rays, *, near: Sequence[NDArray[np.intp]] | None = None
) -> Mapping[str, NDArray[np.float64]]:
    """Return how far each ray runs through each material.

    Where bodies overlap, the last of them says what is there: so a hole is a body of nothing after
    the one that it is drilled into.

    Args:
        bodies: of the part, in this order.
        rays: in the frame of the part.
        near: which of them may meet each body; None: those that come near to the ball around it.

    Returns:
        (n,) mm for each material.

    Raises:
        errors.DataError: no body is of a material.
    """
    materials = sorted({body.material for body in bodies if body.material is not None})
    if not materials:
        raise errors.DataError(
            "A part must have a body of some material. Got none. Add one with a material."
        )
    if near is None:
        near = [
            rays.passing(body.place.position, body.primitive.reach * _LARGER) for body in bodies
        ]
    enter, leave = _intervals(bodies, rays, near)
    lengths = leave - enter
    meets = lengths > 0
    meets_several = np.count_nonzero(meets, axis=0) > 1
    found = {
        name: np.where(meets_several, 0.0, lengths[_of(name, bodies)].sum(axis=0))
        for name in materials
    }
    for rows, members in _by_bodies(meets, np.flatnonzero(meets_several)):
        own = [bodies[member].material for member in members]
        parts = _lengths(enter[np.ix_(members, rows)], leave[np.ix_(members, rows)])
        for material, length in zip(own, parts, strict=True):
            if material is not None:
                found[material][rows] += length
    return found


def _intervals(
    bodies: Sequence[Body], rays: Rays, near: Sequence[NDArray[np.intp]]
) -> tuple[_Floats, _Floats]:
    """Return (bodies, rays) twice, mm; a ray that misses a body has 0 for both."""
    enter, leave = np.zeros((2, len(bodies), len(rays)))
    for index, (body, rows) in enumerate(zip(bodies, near, strict=True)):
        own = rays.some(rows).seen_from(body.place.rotation, body.place.position)
        low, high = body.primitive.interval(own)
        meets = high > low
        enter[index, rows], leave[index, rows] = np.where(meets, low, 0), np.where(meets, high, 0)
    return enter, leave


def _of(material: str, bodies: Sequence[Body]) -> list[int]:
    return [index for index, body in enumerate(bodies) if body.material == material]


def _by_bodies(
    meets: NDArray[np.bool_], rows: NDArray[np.intp]
) -> Iterator[tuple[NDArray[np.intp], NDArray[np.intp]]]:
    """Yield rays that meet the same bodies, and these.

    Args:
        meets: (bodies, rays).
        rows: of the rays that count.
    """
    packed = np.packbits(meets[:, rows], axis=0)
    if len(packed) <= 2:  # NumPy sorts numbers of 16 bits several times as fast
        number = packed[0] + np.uint16(256) * (packed[-1] if len(packed) > 1 else np.uint16(0))
        order = np.argsort(number, kind="stable")
        changes = np.diff(number[order]) != 0
    else:
        order = np.lexsort(packed)
        changes = (np.diff(packed[:, order], axis=1) != 0).any(axis=0)
    for group in np.split(order, np.flatnonzero(changes) + 1):
        if len(group):
            yield rows[group], np.flatnonzero(meets[:, rows[group[0]]])


def _lengths(enter: _Floats, leave: _Floats) -> _Floats:
    """Return (bodies, rays), mm of each ray at which a body is the last that holds it.

    Args:
        enter: (bodies, rays), mm, of rays that meet all of the bodies.
        leave: likewise.
    """
    # Between neighbouring borders of a ray nothing changes; what is there shows the middle.
    borders = np.sort(np.concatenate([enter, leave]), axis=0)
    length = np.diff(borders, axis=0)
    middle = borders[:-1] + length / 2
    found, left = np.empty_like(enter), np.ones(length.shape, np.bool_)
    for index in range(len(enter) - 1, -1, -1):
        here = left & (enter[index] < middle) & (middle < leave[index])
        found[index] = (length * here).sum(axis=0)
        left &= ~here
    return found
