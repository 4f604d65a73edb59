"""Bodies of a closed form, and where rays enter and leave them.

Each is convex and lies around its own origin, its axis along z. Distances are mm. A ray that misses
a body leaves it where it enters it.
"""

import dataclasses
import math
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from inspection_tf import errors
from inspection_tf.projection.scanner import Rays

_Floats = NDArray[np.float64]
_ALONG = 1e-24  # square of the sine of the angle to an axis, under which a ray runs along it
Interval = tuple[_Floats, _Floats]
"""(n,) twice, mm along each ray: where it enters and where it leaves."""


class Primitive(Protocol):
    """A convex body."""

    @property
    def reach(self) -> float:
        """Radius of the smallest ball around the origin that holds it."""

    @property
    def half_sides(self) -> tuple[float, float, float]:
        """Of the smallest box around the origin that holds it, along x, y and z."""

    def interval(self, rays: Rays) -> Interval:
        """Return where rays, in the frame of the body, enter and leave it."""


def _require_positive(name: str, **sizes: float) -> None:
    for what, value in sizes.items():
        if not (np.isfinite(value) and value > 0):
            raise errors.DataError(
                f"The {what} of a {name} must be over 0, mm. Got {value}. Correct it."
            )


@dataclasses.dataclass(frozen=True, slots=True)
class Sphere:
    """All points that are no farther from the origin than the radius.

    Raises:
        errors.DataError: the radius is not over 0.
    """

    radius: float

    def __post_init__(self) -> None:
        """Check the radius."""
        _require_positive("sphere", radius=self.radius)

    @property
    def reach(self) -> float:
        """The radius."""
        return self.radius

    @property
    def half_sides(self) -> tuple[float, float, float]:
        """The radius, thrice."""
        return (self.radius,) * 3

    def interval(self, rays: Rays) -> Interval:
        """Return where rays enter and leave it."""
        along = -(rays.origin * rays.direction).sum(axis=1)
        nearest = rays.origin + along[:, None] * rays.direction
        half = _root(self.radius**2 - (nearest**2).sum(axis=1))
        return along - half, along + half


@dataclasses.dataclass(frozen=True, slots=True)
class Box:
    """A block with the sides x, y and z.

    Raises:
        errors.DataError: a side is not over 0.
    """

    x: float
    y: float
    z: float

    def __post_init__(self) -> None:
        """Check the sides."""
        _require_positive("box", x=self.x, y=self.y, z=self.z)

    @property
    def reach(self) -> float:
        """Half of the diagonal."""
        return math.hypot(self.x, self.y, self.z) / 2

    @property
    def half_sides(self) -> tuple[float, float, float]:
        """Half of the sides."""
        return self.x / 2, self.y / 2, self.z / 2

    def interval(self, rays: Rays) -> Interval:
        """Return where rays enter and leave it."""
        return _common(
            *(_slab(rays, axis, side / 2) for axis, side in enumerate((self.x, self.y, self.z)))
        )


@dataclasses.dataclass(frozen=True, slots=True)
class Cylinder:
    """A round rod along z.

    Raises:
        errors.DataError: radius or height is not over 0.
    """

    radius: float
    height: float

    def __post_init__(self) -> None:
        """Check the sizes."""
        _require_positive("cylinder", radius=self.radius, height=self.height)

    @property
    def reach(self) -> float:
        """To the rim."""
        return math.hypot(self.radius, self.height / 2)

    @property
    def half_sides(self) -> tuple[float, float, float]:
        """Radius, radius and half of the height."""
        return self.radius, self.radius, self.height / 2

    def interval(self, rays: Rays) -> Interval:
        """Return where rays enter and leave it.

        In the plane across its axis a ray comes nearest to that at the middle of its chord.
        """
        (x, y), (step_x, step_y) = rays.origin[:, :2].T, rays.direction[:, :2].T
        across = step_x * step_x + step_y * step_y
        is_along = across <= _ALONG
        across = np.where(is_along, 1.0, across)
        middle = -(x * step_x + y * step_y) / across
        # How far from the axis: from the point there, as from the source on squares would cancel.
        squares = self.radius**2 - (x + middle * step_x) ** 2 - (y + middle * step_y) ** 2
        half = np.where(is_along, np.inf, _root(squares / across))
        misses = squares <= 0
        low, high = (np.where(misses, 0.0, middle + sign * half) for sign in (-1.0, 1.0))
        return _common((low, high), _slab(rays, 2, self.height / 2))


@dataclasses.dataclass(frozen=True, slots=True)
class Cone:
    """A cone along z, whole or cut off.

    Attributes:
        first_radius: at z = -height / 2, 0 or more.
        second_radius: at z = height / 2, likewise; one of both is over 0.
        height: along z.

    Raises:
        errors.DataError: a size is out of range.
    """

    first_radius: float
    second_radius: float
    height: float

    def __post_init__(self) -> None:
        """Check the sizes."""
        _require_positive("cone", height=self.height, radius=max(*self._radii))
        if not min(self._radii) >= 0:
            raise errors.DataError(
                f"A radius of a cone must be 0 or more, mm. Got {min(self._radii)}. Correct it."
            )

    @property
    def reach(self) -> float:
        """To the wider rim."""
        return math.hypot(max(self._radii), self.height / 2)

    @property
    def half_sides(self) -> tuple[float, float, float]:
        """The larger radius, twice, and half of the height."""
        return max(self._radii), max(self._radii), self.height / 2

    @property
    def _radii(self) -> tuple[float, float]:
        return self.first_radius, self.second_radius

    def interval(self, rays: Rays) -> Interval:
        """Return where rays enter and leave it.

        On the surface x^2 + y^2 = w^2 with the radius w = middle + slope z. Along a ray that is a
        quadratic equation a t^2 + 2 b t + c = 0. With a > 0 the ray is inside between its roots;
        with a < 0, where it is steeper than the surface, beyond the one root at which w grows.
        """
        slope = (self.second_radius - self.first_radius) / self.height
        middle = (self.first_radius + self.second_radius) / 2
        # From the point of each ray nearest to the middle: from the source on squares would cancel.
        along = -(rays.origin * rays.direction).sum(axis=1)
        near = rays.origin + along[:, None] * rays.direction
        step = np.broadcast_to(rays.direction, near.shape)
        width, growth = middle + slope * near[:, 2], slope * step[:, 2]
        a = step[:, 0] ** 2 + step[:, 1] ** 2 - growth**2
        b = near[:, 0] * step[:, 0] + near[:, 1] * step[:, 1] - width * growth
        c = near[:, 0] ** 2 + near[:, 1] ** 2 - width**2
        low, high = _inside(a, b, c, grows=growth > 0)
        return _common((along + low, along + high), _slab(rays, 2, self.height / 2))


def _root(squares: _Floats) -> _Floats:
    return np.asarray(np.sqrt(np.maximum(squares, 0.0)))


def _inside(a: _Floats, b: _Floats, c: _Floats, *, grows: NDArray[np.bool_]) -> Interval:
    """Return where a t^2 + 2 b t + c <= 0, of two such parts the one on the side that grows."""
    squares = b * b - a * c
    root = _root(squares)
    # By the root that does not cancel, and the product of both.
    q = -(b + np.where(b >= 0, root, -root))
    with np.errstate(divide="ignore", invalid="ignore"):
        one, other = q / a, c / q
    one, other = (np.where(np.isnan(t), np.inf, t) for t in (one, other))
    first, second = np.minimum(one, other), np.maximum(one, other)
    low = np.where(a > 0, first, np.where(grows, second, -np.inf))
    high = np.where(a > 0, second, np.where(grows, np.inf, first))
    # Along the surface, or the axis of a rod: inside from one root on, everywhere, or nowhere.
    is_even = np.abs(a) <= 1e-14
    with np.errstate(divide="ignore", invalid="ignore"):
        border = -c / (2 * b)
    is_flat = np.abs(b) <= 1e-14
    low = np.where(is_even, np.where((b < 0) & ~is_flat, border, -np.inf), low)
    high = np.where(is_even, np.where((b > 0) & ~is_flat, border, np.inf), high)
    misses = ((a > 0) & (squares <= 0)) | (is_even & is_flat & (c > 0))
    return np.where(misses, 0.0, low), np.where(misses, 0.0, high)


def _slab(rays: Rays, axis: int, half: float) -> Interval:
    """Return where rays are between two planes at `-half` and `half` of an axis."""
    start, step = rays.origin[:, axis], rays.direction[:, axis]
    with np.errstate(divide="ignore", invalid="ignore"):
        one, other = (-half - start) / step, (half - start) / step
    low, high = np.minimum(one, other), np.maximum(one, other)
    is_along = step == 0
    is_within = np.abs(start) < half
    low = np.where(is_along, np.where(is_within, -np.inf, 0.0), low)
    high = np.where(is_along, np.where(is_within, np.inf, 0.0), high)
    return low, high


def _common(*intervals: Interval) -> Interval:
    """Return what is in all of some intervals."""
    lows, highs = zip(*intervals, strict=True)
    low, high = (
        np.maximum.reduce(np.broadcast_arrays(*lows)),
        np.minimum.reduce(np.broadcast_arrays(*highs)),
    )
    return low, np.maximum(low, high)
