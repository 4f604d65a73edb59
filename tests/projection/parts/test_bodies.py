import numpy as np
import pytest

from inspection_tf import errors
from inspection_tf.projection import (
    Assembly,
    Body,
    Box,
    Cylinder,
    Pose,
    Rays,
    Scanner,
    Sphere,
    path_lengths,
)

ALONG = Rays(np.array([[0.0, 0, -100], [3.0, 0, -100], [9.0, 0, -100]]), np.array([[0.0, 0, 1]]))


def test_a_hole_takes_away_and_an_inlay_replaces():
    block = Body(Box(10.0, 10.0, 10.0), "aluminium")
    hole = Body(Sphere(2.0), None)
    inlay = Body(Sphere(1.0), "steel")
    found = path_lengths([block, hole, inlay], ALONG)
    # Through the middle: 10 less the hole of 4, in which lies an inlay of 2; beside it all 10.
    np.testing.assert_allclose(found["aluminium"], [6, 10, 0])
    np.testing.assert_allclose(found["steel"], [2, 0, 0])
    # A hole that is drilled before what fills it again takes nothing away.
    again = path_lengths([hole, block], ALONG)
    np.testing.assert_allclose(again["aluminium"], [10, 10, 0])


def test_what_overlaps_counts_once():
    one, other = (Body(Box(4.0, 4.0, 4.0), "iron", Pose(z=z)) for z in (-1.0, 1.0))
    np.testing.assert_allclose(path_lengths([one, other], ALONG)["iron"], [6, 0, 0])


def test_bodies_that_only_touch_add_up():
    one, other = (Body(Box(4.0, 4.0, 4.0), "iron", Pose(z=z)) for z in (-2.0, 2.0))
    np.testing.assert_allclose(path_lengths([one, other], ALONG)["iron"], [8, 0, 0])


def test_a_body_lies_where_its_place_says():
    # A rod along z, turned about y to lie along x, and moved down by 1: a ray along z crosses it.
    rod = Body(Cylinder(1.0, 20.0), "iron", Pose(phi=90, y=1.0))
    rays = Rays(np.array([[5.0, 1, -50], [5, 1.6, -50], [5, -0.5, -50]]), np.array([[0, 0, 1.0]]))
    expected = [2, 2 * (1 - 0.36) ** 0.5, 0]
    np.testing.assert_allclose(path_lengths([rod], rays)["iron"], expected, atol=1e-12)


def test_mass_does_not_change_as_a_part_turns():
    scanner = Scanner(beam="parallel", size=(120, 120), pixel_mm=0.2)
    bodies = [
        Body(Box(8.0, 6.0, 4.0), "iron"),
        Body(Cylinder(1.0, 10.0), None, Pose(phi=90)),
        Body(Sphere(1.5), "iron", Pose(x=4.0, y=3.0)),
    ]
    masses = []
    for phi in (0, 33, 77, 251):
        rays = scanner.into_part(scanner.rays(samples=2), Pose(phi=phi, theta=9, psi=-7))
        masses.append(path_lengths(bodies, rays)["iron"].sum() * 0.1**2)
    assert np.ptp(masses) / np.mean(masses) < 1e-3


def test_a_part_without_material_is_refused():
    with pytest.raises(errors.DataError, match="body of some material"):
        path_lengths([Body(Sphere(1.0), None)], ALONG)


@pytest.mark.parametrize("height", [20.0, 50.0, 60.0])
def test_a_hole_may_be_longer_than_the_way_to_the_source(height):
    near = Scanner(size=(61, 61), pixel_mm=1.0, source_detector_mm=60.0, source_part_mm=25.0)
    bored = Assembly(
        [
            Body(Cylinder(8.0, 8.0), "iron"),
            Body(Cylinder(1.5, height), None, Pose(x=4.0)),
        ]
    )
    short = Assembly([bored.bodies[0], Body(Cylinder(1.5, 9.0), None, Pose(x=4.0))])
    found, expected = (part.path_lengths(near, Pose())["iron"] for part in (bored, short))
    np.testing.assert_allclose(found, expected, atol=1e-9)
