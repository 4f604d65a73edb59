import dataclasses

import numpy as np
import pytest
from xray_parts import POSE, SETUP

from inspection_tf import errors
from inspection_tf.projection import Assembly, Body, Deviations, Pose, Setup, Sphere, pose_limit
from inspection_tf.projection.limits import covariance


def test_a_hundred_times_the_photons_show_ten_times_as_much():
    few, many = (pose_limit(SETUP, POSE, photons) for photons in (1e3, 1e5))
    for one, other in zip(dataclasses.astuple(few), dataclasses.astuple(many), strict=True):
        assert one == pytest.approx(10 * other, rel=1e-4)


def test_depth_is_known_worse_than_place():
    found = pose_limit(SETUP, POSE, 1e4)
    assert 0 < found.x < found.z / 3
    assert 0 < found.y < found.z / 3


def test_a_ball_shows_where_it_is_but_not_how_it_is_turned():
    ball = dataclasses.replace(SETUP, part=Assembly([Body(Sphere(12.0), "aluminium")]))
    found = pose_limit(ball, Pose(), 1e4)
    # Its turns change nothing but the last digits: no information, or next to none.
    assert found.phi > 10
    assert found.theta > 10


def test_a_parallel_beam_shows_no_depth():
    parallel = SETUP.scanner.model_copy(update={"beam": "parallel"})
    found = pose_limit(dataclasses.replace(SETUP, scanner=parallel), POSE, 1e4)
    assert found.z == np.inf
    assert np.isfinite([found.phi, found.theta, found.psi, found.x, found.y]).all()


def test_a_part_out_of_view_has_no_bound():
    found = pose_limit(SETUP, dataclasses.replace(POSE, x=500.0), 1e4)
    assert dataclasses.astuple(found) == (np.inf,) * 6


def test_the_bound_of_a_place_is_that_of_a_step():
    """A wide slab with one edge: each of the rows sees one pixel change."""
    from inspection_tf.projection import Box, Scanner, Spectrum

    slab = Assembly([Body(Box(40.0, 100.0, 10.0), "iron", Pose(x=-20.0))])
    scanner = Scanner(beam="parallel", size=(16, 33), pixel_mm=1.0)
    setup = Setup(slab, scanner, Spectrum(np.array([50.0]), np.ones(1)), {"iron": np.array([0.05])})
    found = pose_limit(setup, Pose(), 1e4, blur_px=0.0, samples=8)
    # The edge lies in the middle of one column, of which half is covered: with T = exp(-0.5) its
    # light is (1 + T) / 2 and changes by 1 - T a mm: 16 rows * 1e4 * (1 - T)^2 / light in all.
    # All that brightness and attenuation could explain of it is one pixel of 33: a few per cent.
    passed = np.exp(-0.5)
    expected = 1 / np.sqrt(16 * 1e4 * (1 - passed) ** 2 / ((1 + passed) / 2))
    assert found.x == pytest.approx(expected, rel=0.05)


def test_deviations_of_angles_follow_from_those_of_turns():
    # At theta = 60 the axis of psi is tilted: a turn about z of the scanner is 1 / cos(60) of psi.
    found = Deviations.of(Pose(theta=60.0), np.diag([0.0, 0.0, 1.0, 1.0, 1.0, 1.0]))
    assert found.psi == pytest.approx(2.0)
    assert (found.x, found.y, found.z) == (1.0, 1.0, 1.0)


def test_no_information_is_no_knowledge():
    nothing = np.diag([np.inf, np.inf])
    np.testing.assert_array_equal(covariance(np.zeros((2, 2))), nothing)
    # Of the sum of two numbers alone neither follows.
    np.testing.assert_array_equal(covariance(np.ones((2, 2))), nothing)
    both = covariance(np.array([[1.0, 1.0, 0.0], [1.0, 1.0, 0.0], [0.0, 0.0, 4.0]]))
    np.testing.assert_allclose(both, np.diag([np.inf, np.inf, 0.25]))
    np.testing.assert_allclose(covariance(np.diag([4.0, 1e-8])), np.diag([0.25, 1e8]))


@pytest.mark.parametrize("photons", [0, -1, np.nan, np.inf])
def test_a_bound_needs_photons(photons):
    with pytest.raises(errors.DataError, match="photons over 0"):
        pose_limit(SETUP, POSE, photons)
