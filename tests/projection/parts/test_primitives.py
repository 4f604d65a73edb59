"""Chords against closed forms and against points on the rays, which are inside or not."""

import numpy as np
import pytest

from inspection_tf import errors
from inspection_tf.projection import Box, Cone, Cylinder, Rays, Sphere

BODIES = {
    "sphere": (Sphere(3.0), lambda p: (p**2).sum(-1) <= 9),
    "box": (Box(4.0, 5.0, 6.0), lambda p: (np.abs(p) <= [2, 2.5, 3]).all(-1)),
    "cylinder": (
        Cylinder(2.0, 6.0),
        lambda p: (p[..., 0] ** 2 + p[..., 1] ** 2 <= 4) & (np.abs(p[..., 2]) <= 3),
    ),
    "cone": (
        Cone(0.0, 3.0, 6.0),
        lambda p: (np.hypot(p[..., 0], p[..., 1]) <= (p[..., 2] + 3) / 2) & (p[..., 2] <= 3),
    ),
    "cut cone": (
        Cone(3.0, 1.0, 2.0),
        lambda p: (np.hypot(p[..., 0], p[..., 1]) <= 2 - p[..., 2]) & (np.abs(p[..., 2]) <= 1),
    ),
}
every_body = pytest.mark.parametrize(("body", "is_inside"), BODIES.values(), ids=BODIES)


def ray(origin, direction):
    step = np.array([direction], float)
    return Rays(np.array([origin], float), step / np.linalg.norm(step))


def chord(body, origin, direction):
    low, high = body.interval(ray(origin, direction))
    return float(high[0] - low[0])


def rays_from(distance, count=400):
    """Return rays from all sides past the origin, every way steep."""
    rng = np.random.default_rng(0)
    away, aim = rng.normal(size=(count, 3)), rng.normal(size=(count, 3)) * 1.5
    origin = distance * away / np.linalg.norm(away, axis=1, keepdims=True)
    direction = aim - origin
    return Rays(origin, direction / np.linalg.norm(direction, axis=1, keepdims=True))


@every_body
def test_a_chord_is_where_points_of_the_ray_are_inside(body, is_inside):
    rays = rays_from(20.0)
    low, high = body.interval(rays)
    steps = np.linspace(10, 30, 4001)
    points = rays.origin[:, None] + steps[:, None] * rays.direction[:, None]
    counted = is_inside(points).sum(axis=1) * (steps[1] - steps[0])
    assert (counted > 0).mean() > 0.5
    np.testing.assert_allclose(high - low, counted, atol=0.011)


@every_body
def test_from_far_away_a_chord_is_as_long(body, is_inside):
    near, far = rays_from(20.0), rays_from(20.0)
    far = Rays(far.origin - 1e6 * far.direction, far.direction)
    lengths = [high - low for low, high in map(body.interval, (near, far))]
    np.testing.assert_allclose(lengths[1], lengths[0], atol=1e-4)


@every_body
def test_a_ray_that_begins_inside_has_the_whole_chord(body, is_inside):
    for direction in ((1, 0, 0), (0, 0, 1), (1, 2, -3)):
        before = chord(body, -50 * np.array(direction) / np.linalg.norm(direction), direction)
        assert chord(body, (0, 0, 0), direction) == pytest.approx(before, rel=1e-9)


def test_chords_of_a_sphere_have_the_closed_form():
    for aside in (0.0, 1.0, 2.999, 3.0, 3.5):
        expected = 2 * np.sqrt(max(0.0, 9 - aside**2))
        found = chord(Sphere(3.0), (aside, 0, -700.0), (0, 0, 1))
        assert found == pytest.approx(expected, rel=1e-6, abs=1e-6)


def test_chords_of_a_box_have_the_closed_form():
    box = Box(4.0, 5.0, 6.0)
    assert chord(box, (0, 0, -700), (0, 0, 1)) == pytest.approx(6, rel=1e-6)
    assert chord(box, (1.99, 2.49, -700), (0, 0, 1)) == pytest.approx(6, rel=1e-6)
    assert chord(box, (2.01, 0, -700), (0, 0, 1)) == 0
    # At 45 degrees in x and z the sides of 4 bound it: 4 times the root of 2.
    assert chord(box, (-100, 0, -100), (1, 0, 1)) == pytest.approx(4 * 2**0.5, rel=1e-6)


def test_chords_of_a_cylinder_have_the_closed_form():
    rod = Cylinder(2.0, 6.0)
    assert chord(rod, (0.5, 0.5, -700), (0, 0, 1)) == pytest.approx(6, rel=1e-6)
    assert chord(rod, (2.5, 0.5, -700), (0, 0, 1)) == 0
    assert chord(rod, (-700, 1, 0), (1, 0, 0)) == pytest.approx(2 * 3**0.5, rel=1e-6)
    # At 60 degrees to the axis through the middle it runs from side to side: 4 / sin 60.
    slant = (np.sin(np.pi / 3), 0, np.cos(np.pi / 3))
    assert chord(rod, (0, 0, 0), slant) == pytest.approx(4 / np.sin(np.pi / 3), rel=1e-6)


def test_chords_of_a_cone_have_the_closed_form():
    cone = Cone(0.0, 3.0, 6.0)  # the radius grows by half of the height
    assert chord(cone, (0, 0, -700), (0, 0, 1)) == pytest.approx(6, rel=1e-6)
    assert chord(cone, (1, 0, -700), (0, 0, 1)) == pytest.approx(4, rel=1e-6)
    assert chord(cone, (-700, 0, 1), (1, 0, 0)) == pytest.approx(4, rel=1e-6)
    # Along its surface, half a millimetre aside: in where x = (z + 3) / 2 passes the ray's.
    along = (1, 0, 2)
    assert chord(cone, (-0.5, 0, -3), along) == pytest.approx(chord_along_surface(), rel=1e-6)


def chord_along_surface():
    # x = -0.5 + t, z = -3 + 2 t: inside from |x| <= t, so t >= 0.25, up to z = 3, t = 3.
    return (3 - 0.25) * 5**0.5


@pytest.mark.parametrize(
    ("make", "match"),
    [
        (lambda: Sphere(0.0), "radius of a sphere must be over 0"),
        (lambda: Box(1.0, -1.0, 1.0), "y of a box"),
        (lambda: Cylinder(1.0, float("nan")), "height of a cylinder"),
        (lambda: Cone(0.0, 0.0, 1.0), "radius of a cone"),
        (lambda: Cone(-1.0, 1.0, 1.0), "0 or more"),
    ],
)
def test_a_body_without_a_size_is_refused(make, match):
    with pytest.raises(errors.DataError, match=match):
        make()
