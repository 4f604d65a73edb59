import dataclasses

import numpy as np
import pytest
from scipy.spatial.transform import Rotation
from xray_parts import POSE, SETUP

from inspection_tf import errors
from inspection_tf.projection import Pose, motions
from inspection_tf.projection.blur import blurred


def test_a_motion_turns_about_the_scanners_axes_and_then_moves():
    pose = motions.moved(POSE, np.array([0.0, 0.0, 90.0, 1.0, 2.0, 3.0]))
    turn = Rotation.from_euler("z", 90, degrees=True).as_matrix()
    np.testing.assert_allclose(pose.rotation, turn @ POSE.rotation, atol=1e-12)
    np.testing.assert_allclose(pose.position, POSE.position + np.array([1.0, 2.0, 3.0]))


@pytest.mark.parametrize("pose", [POSE, Pose(), Pose(300, -60, 170)])
def test_angles_change_with_turns_as_they_say(pose):
    matrix = motions.angles_per_turn(pose)
    for axis in range(3):
        motion = np.zeros(6)
        motion[axis] = 1e-4
        there, back = motions.moved(pose, motion), motions.moved(pose, -motion)
        change = [
            ((a - b + 180) % 360 - 180) / 2e-4
            for a, b in ((there.phi, back.phi), (there.theta, back.theta), (there.psi, back.psi))
        ]
        np.testing.assert_allclose(change, matrix[:, axis], atol=1e-5)


def test_a_step_moves_what_is_seen_by_about_as_much():
    # 0.8 mm px, magnified 600 / 420: 0.56 mm at the part.
    steps = motions.steps(SETUP, px=1.0)
    np.testing.assert_allclose(steps[3:5], 0.56)
    arm = SETUP.part.reach * 0.7
    np.testing.assert_allclose(np.radians(steps[0]) * arm, 0.56)


def test_derivatives_predict_a_small_motion():
    changes = motions.derivatives(SETUP, POSE, samples=13)
    assert changes.shape == (6, 3, 96, 112)
    rest = SETUP.passed(POSE, samples=13)
    for index, step in enumerate(motions.steps(SETUP, px=0.4)):
        motion = np.zeros(6)
        motion[index] = step
        moved = blurred(SETUP.passed(motions.moved(POSE, motion), samples=13) - rest, 1.0)
        predicted = blurred(changes[index] * np.float32(step), 1.0)
        assert np.linalg.norm(moved - predicted) < 0.2 * np.linalg.norm(moved)


def test_a_parallel_beam_shows_no_depth():
    parallel = SETUP.scanner.model_copy(update={"beam": "parallel"})
    setup = dataclasses.replace(SETUP, scanner=parallel)
    assert motions.count(setup) == 5
    assert len(motions.derivatives(setup, POSE, samples=1)) == 5


def test_at_the_pole_two_angles_are_one():
    with pytest.raises(errors.DataError, match="theta = 90"):
        motions.angles_per_turn(Pose(30, 90, 0))
