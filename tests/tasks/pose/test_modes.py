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
    apart = modes.likeliest(rows((0.6, 88), (0.4, 3)), 3, apart_deg=10, symmetry=4)
    assert len(apart) == 1


def test_only_as_many_as_asked_for_are_given():
    found = modes.likeliest(rows((0.5, 0), (0.3, 90), (0.2, 180)), 2, apart_deg=15)
    assert [mode.pose.phi for mode in found] == [0, 90]
    assert found[0].deviations == pytest.approx((0.1,) * 6)


def test_numbers_that_are_not_finite_are_no_poses():
    assert modes.likeliest(rows((0.5, 0), (0.5, np.nan)), 2, apart_deg=15) == []


def test_phi_is_told_within_a_turn():
    (found,) = modes.likeliest(rows((1, -3)), 2, apart_deg=15)
    assert found.pose.phi == pytest.approx(357)


def test_starts_that_differ_by_the_rounding_of_a_network_are_the_same():
    one = modes.likeliest(rows((1, 10.01, 1.02)), 1, apart_deg=15)
    other = modes.likeliest(rows((1, 10.01 + 1e-5, 1.02 - 1e-6)), 1, apart_deg=15)
    assert modes.starts(one) == modes.starts(other) == [Pose(10.0, 1.0)]
