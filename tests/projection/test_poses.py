import numpy as np
import pytest
from scipy.spatial.transform import Rotation

from inspection_tf import errors
from inspection_tf.projection import Pose

ANGLES = [
    (0, 0, 0), (359.9, 10, -10), (180, -10, 10), (90, 0, 45), (270, 89.9, 179), (12.3, -45.6, -79),
]  # fmt: skip


@pytest.mark.parametrize("angles", ANGLES)
def test_the_rotation_is_that_of_scipy(angles):
    expected = Rotation.from_euler("YXZ", angles, degrees=True).as_matrix()
    np.testing.assert_allclose(Pose(*angles).rotation, expected, atol=1e-14)


@pytest.mark.parametrize("angles", ANGLES)
def test_a_pose_is_found_again_from_its_rotation(angles):
    found = Pose.of(Pose(*angles).rotation, (1.0, 2.0, 3.0))
    assert (found.phi, found.theta, found.psi) == pytest.approx(angles, abs=1e-9)
    assert found.position.tolist() == [1, 2, 3]


def test_phi_turns_what_is_on_the_right_away_from_the_source():
    # About y, which points down: x goes to -z, towards the source; and z to x.
    np.testing.assert_allclose(Pose(phi=90).rotation @ [1, 0, 0], [0, 0, -1], atol=1e-15)
    np.testing.assert_allclose(Pose(theta=90).rotation @ [0, 1, 0], [0, 0, 1], atol=1e-15)
    np.testing.assert_allclose(Pose(psi=90).rotation @ [1, 0, 0], [0, 1, 0], atol=1e-15)


@pytest.mark.parametrize("theta", [90, -90])
def test_where_two_axes_are_one_the_rotation_is_still_that(theta):
    pose = Pose(phi=30, theta=theta, psi=20)
    found = Pose.of(pose.rotation)
    assert found.psi == 0
    np.testing.assert_allclose(found.rotation, pose.rotation, atol=1e-9)


def test_a_full_turn_is_none():
    assert Pose.of(Pose(phi=-1e-16).rotation).phi < 360


@pytest.mark.parametrize(
    ("rotation", "position", "match"),
    [
        (np.diag([1, 1, -1]), (0, 0, 0), "determinant 1"),
        (2 * np.eye(3), (0, 0, 0), "determinant 1"),
        (np.full((3, 3), np.nan), (0, 0, 0), "determinant 1"),
        (np.eye(2), (0, 0, 0), r"Got \(2, 2\)"),
        (np.eye(3), (0, np.inf, 0), "finite position"),
    ],
)
def test_what_is_no_pose_is_refused(rotation, position, match):
    with pytest.raises(errors.DataError, match=match):
        Pose.of(rotation, position)


def test_the_turn_between_poses_is_the_least_that_leads_from_one_to_the_other():
    assert Pose(phi=359.9).turn_to(Pose(phi=0.1)) == pytest.approx(0.2)
    assert Pose(phi=10).turn_to(Pose(phi=190)) == pytest.approx(180)
    assert Pose(20, 5, 7).turn_to(Pose(20, 5, 7, x=9)) == 0
    one, two = Pose(30, 8, -2), Pose(75, -4, 9)
    turn = Rotation.from_matrix(one.rotation.T @ two.rotation).magnitude()
    assert one.turn_to(two) == pytest.approx(np.degrees(turn))


# Poses that look alike, and errors on a circle


def test_359_9_and_0_1_are_0_2_apart():
    off = Pose(phi=359.9).off_from(Pose(phi=0.1))
    assert off == pytest.approx([-0.2, 0, 0, 0, 0, 0], abs=1e-9)
    assert Pose(phi=0.1).off_from(Pose(phi=359.9))[0] == pytest.approx(0.2)
    assert abs(Pose(phi=10.0).off_from(Pose(phi=190.0))[0]) == 180


def test_a_part_without_symmetry_looks_like_itself_alone():
    pose = Pose(200.0, 4.0, -3.0, 1.0, 2.0, 3.0)
    assert pose.alike(1) == [pose]
    assert pose.first_alike(1) == pose


def test_upright_poses_that_look_alike_differ_in_phi_alone():
    found = [pose.phi for pose in Pose(phi=200.0).alike(4)]
    assert found == pytest.approx([200.0, 290.0, 20.0, 110.0])
    assert Pose(phi=200.0).first_alike(4).phi == pytest.approx(20.0)


def test_tilted_poses_look_alike_by_turns_of_the_part_about_its_own_axis():
    pose = Pose(310.0, 8.0, -5.0, 1.0, 2.0, 3.0)
    for number, other in enumerate(pose.alike(4)):
        turn = Pose(phi=90.0 * number).rotation
        np.testing.assert_allclose(other.rotation, pose.rotation @ turn, atol=1e-12)
        np.testing.assert_array_equal(other.position, pose.position)
    # A tilt about x is one about z for a part that was turned by a quarter before.
    quarter = Pose(0.0, 8.0, 0.0).alike(4)[1]
    assert (quarter.phi, quarter.theta, quarter.psi) == pytest.approx((90.0, 0.0, 8.0))


def test_the_nearest_of_those_that_look_alike_is_found():
    pose, other = Pose(3.0, 2.0, 1.0), Pose(182.0, -1.0, 2.0)
    assert pose.turn_to(other) > 170
    assert pose.nearest_alike(other, 2).turn_to(other) < 10
