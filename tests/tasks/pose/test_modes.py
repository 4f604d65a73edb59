import numpy as np
import pytest

from inspection_tf.projection import Pose
from inspection_tf.tasks.pose import modes


def rows(*given):
    """(modes, 13) from (probability, phi, theta)."""
    found = [[*mode, *[0.0] * (7 - len(mode)), *[0.1] * 6] for mode in given]
    return np.array(found, np.float32)


def test_classes_beside_one_another_are_one_pose_and_share_their_probability():
    found = modes.likeliest(rows((0.3, 10), (0.2, 20), (0.35, 190), (0.16, 200)), 3, apart_deg=15)
    assert [round(mode.pose.phi) for mode in found] == [190, 10]
    assert [mode.probability for mode in found] == pytest.approx([0.51, 0.5])


def test_poses_are_near_across_the_end_of_a_turn():
    found = modes.likeliest(rows((0.6, 358), (0.4, 3)), 3, apart_deg=15)
    assert len(found) == 1
    assert found[0].pose.phi == pytest.approx(358)
    # Of a part that looks alike four times theta and psi differ there: both are starts.
    apart = modes.likeliest(rows((0.6, 88), (0.4, 3)), 3, apart_deg=10, symmetry=4)
    assert [mode.pose.phi for mode in apart] == pytest.approx([88, 3])


def test_sides_are_as_far_apart_as_their_likeliest_from_the_nearest_of_the_other():
    def told(*given):
        return modes.likeliest(rows(*given), 3, apart_deg=15)

    one, other = told((0.6, 10), (0.4, 190)), told((0.4, 10.5), (0.6, 191))
    assert modes.apart(one, other) == pytest.approx(1.0, rel=1e-3)  # 190 and 191: a twin is ahead
    assert modes.apart(one, told((1, 100))) == pytest.approx(90, rel=1e-3)
    assert modes.apart(one, []) == np.inf
    assert modes.apart([], []) == 0


def test_only_as_many_as_asked_for_are_given():
    found = modes.likeliest(rows((0.5, 0), (0.3, 90), (0.2, 180)), 2, apart_deg=15)
    assert [mode.pose.phi for mode in found] == [0, 90]
    assert found[0].deviations == pytest.approx((0.1 * 2**0.5,) * 6)


def test_numbers_that_are_not_finite_are_no_poses():
    assert modes.likeliest(rows((0.5, 0), (0.5, np.nan)), 2, apart_deg=15) == []


def test_phi_is_told_within_a_turn():
    (found,) = modes.likeliest(rows((1, -3)), 2, apart_deg=15)
    assert found.pose.phi == pytest.approx(357)


def test_starts_that_differ_by_the_rounding_of_a_network_are_the_same():
    one = modes.likeliest(rows((1, 10.01, 1.02)), 1, apart_deg=15)
    other = modes.likeliest(rows((1, 10.01 + 1e-5, 1.02 - 1e-6)), 1, apart_deg=15)
    assert modes.starts(one, 3) == modes.starts(other, 3) == [Pose(10.0, 1.0)]


def test_unlikely_poses_are_no_starts_and_a_parallel_beam_shows_no_depth():
    found = modes.likeliest(
        rows((0.02, 0, 0, 0, 0, 0, 4), (0.01, 90), (0.97, 180, 0, 0, 1, 0, 3)), 3, apart_deg=15
    )
    assert [pose.phi for pose in modes.starts(found, 3, least=0.015)] == [180, 0]
    assert len(modes.starts(found, 1)) == 1
    assert modes.starts(found, 3, sees_depth=False)[0] == Pose(180.0, x=1.0)
