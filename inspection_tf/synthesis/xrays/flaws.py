"""What can be wrong with a part: a bore too many, one that was not drilled, a lump."""

import dataclasses
import functools
from collections.abc import Callable

import numpy as np

from inspection_tf import errors
from inspection_tf.projection import Assembly, Body, Cylinder, Part, Pose, Setup, Solid, Sphere
from inspection_tf.projection.parts import Joined

_SHOWN = 0.02  # share of the light that a flaw changes somewhere
_TRIES = 50
_COARSE = 2  # px: whether a flaw shows is seen in few of them too
_INSIDE = 0.8  # of the half sides of a body: a bore beside it changes nothing
_Kind = Callable[[], Part]


def flawed(
    rng: np.random.Generator, setup: Setup, pose: Pose, *, diameter_mm: float, material: str
) -> Setup:
    """Return a part with one thing wrong, which changes 2 % of the light of some pixel or more.

    Of bodies of a closed form one more bore is drilled, or one of theirs is missing; on or in any
    part there may be a ball of its material, where it counts beside what is there.

    Args:
        rng: draws what is wrong, and where.
        setup: the part as it should be.
        pose: in which it is seen.
        diameter_mm: of what is drilled or added.
        material: of what is added.

    Returns:
        The part with a flaw; after 50 of them that do not show, the last.
    """
    part = setup.part
    kinds: list[_Kind] = [functools.partial(_with_ball, rng, part, diameter_mm, material)]
    if isinstance(part, Assembly):
        kinds.append(functools.partial(_drilled, rng, part, diameter_mm))
        if any(body.material is None for body in part.bodies):
            kinds.append(functools.partial(_filled, rng, part))
    seen = dataclasses.replace(setup, scanner=setup.scanner.coarser(_COARSE))
    intact = seen.signal(pose, samples=1)
    found = setup
    for _ in range(_TRIES):
        changed = kinds[int(rng.integers(len(kinds)))]()
        found = dataclasses.replace(setup, part=changed)
        shown = dataclasses.replace(seen, part=changed).signal(pose, samples=1)
        if float(np.abs(shown - intact).max()) >= _SHOWN:
            break
    return found


def _drilled(rng: np.random.Generator, part: Assembly, diameter_mm: float) -> Part:
    """Return a part with a bore along the z axis of one of its bodies."""
    bodies = [body for body in part.bodies if body.material is not None]
    body = bodies[rng.integers(len(bodies))]
    sides = np.array(body.primitive.half_sides)
    aside = np.append(rng.uniform(-_INSIDE, _INSIDE, 2) * sides[:2], 0.0)
    place = Pose.of(body.place.rotation, body.place.position + body.place.rotation @ aside)
    bore = Cylinder(diameter_mm / 2, 2 * float(np.linalg.norm(sides)))
    return Assembly([*part.bodies, Body(bore, None, place)])


def _filled(rng: np.random.Generator, part: Assembly) -> Part:
    """Return a part without one of its bores, of which it has some."""
    holes = [place for place, body in enumerate(part.bodies) if body.material is None]
    missing = holes[int(rng.integers(len(holes)))]
    return Assembly([body for place, body in enumerate(part.bodies) if place != missing])


def _with_ball(rng: np.random.Generator, part: Part, diameter_mm: float, material: str) -> Part:
    """Return a part with a ball on its surface, or in the box around one of its bodies."""
    if isinstance(part, Solid):
        corners = part.mesh.vertices[part.mesh.faces[rng.integers(len(part.mesh.faces))]]
        centre = rng.dirichlet(np.ones(3)) @ corners
    elif isinstance(part, Assembly):
        bodies = [body for body in part.bodies if body.material is not None]
        body = bodies[rng.integers(len(bodies))]
        aside = rng.uniform(-1, 1, 3) * np.array(body.primitive.half_sides)
        centre = body.place.position + body.place.rotation @ aside
    else:
        aside = rng.standard_normal(3)
        centre = part.reach / 2 * aside / np.linalg.norm(aside)
    x, y, z = centre.tolist()
    ball = Body(Sphere(diameter_mm / 2), material, Pose(x=x, y=y, z=z))
    return Joined([part, Assembly([ball])])


def require_set(count: int, flawed_share: float) -> None:
    """Refuse a set that cannot be.

    Args:
        count: number of images.
        flawed_share: of these with something wrong with the part.

    Raises:
        errors.ConfigError: the count is below 1, or the share is none.
    """
    if count < 1 or not 0 <= flawed_share <= 1:
        raise errors.ConfigError(
            "count must be at least 1 and flawed_share within 0..1. "
            f"Got {count} and {flawed_share}. Correct them."
        )


def is_flawed(index: int, share: float) -> bool:
    """Return whether something is wrong with image `index` of a set: evenly among them.

    Args:
        index: of the image.
        share: of images with a flaw, 0 to 1.
    """
    return int((index + 1) * share) > int(index * share)
