import keras
import numpy as np
import pytest

from inspection_tf import errors
from inspection_tf.projection import Pose
from inspection_tf.tasks.pose.learning import losses
from inspection_tf.tasks.pose.learning.metrics import AngleError


def truth(*numbers, symmetry=1):
    return np.array([[*numbers, *[0.0] * (6 - len(numbers)), symmetry]], np.float32)


def rows(*modes, spread=1.0):
    """(1, modes, 13) from (probability, phi, theta, ...)."""
    found = [[*mode, *[0.0] * (7 - len(mode)), *[spread] * 6] for mode in modes]
    return np.array([found], np.float32)


def value(loss, y_true, y_pred):
    return float(np.asarray(loss.call(y_true, y_pred))[0])


@pytest.mark.parametrize(
    ("first", "second", "period", "apart"),
    [(0.1, 359.9, 360, 0.2), (10, 12, 360, -2), (1, 89.5, 90, 1.5), (0, 180, 360, 360 / np.pi)],
)
def test_angles_are_apart_on_their_circle(first, second, period, apart):
    found = float(losses.phi_between(np.float32(first), np.float32(second), period))
    assert abs(found) == pytest.approx(abs(apart), rel=2e-3, abs=1e-4)


def test_the_right_class_and_pose_cost_least():
    # Four classes of 90 degrees: 45 is the middle of the first.
    right = rows((1, 45, 1, 2), (0, 135), (0, 225), (0, 315))
    wrong = rows((0, 45), (1, 135, 1, 2), (0, 225), (0, 315))
    loss = losses.PoseModes()
    assert value(loss, truth(45, 1, 2), right) == pytest.approx(0.0, abs=1e-5)
    assert value(loss, truth(45, 1, 2), wrong) > 10  # -log of next to nothing


def test_between_two_middles_both_classes_count():
    # 90 lies between those of the first two: half of each, so the cross-entropy is log 2.
    found = rows((0.5, 90), (0.5, 90), (0, 225), (0, 315))
    assert value(losses.PoseModes(), truth(90), found) == pytest.approx(np.log(2), abs=1e-4)
    # The last is beside the first.
    found = rows((0.5, 0), (0, 135), (0, 225), (0.5, 360))
    assert value(losses.PoseModes(), truth(0), found) == pytest.approx(np.log(2), abs=1e-4)


def test_errors_count_by_their_deviations():
    # |2| / 2 of theta, and six logarithms of 2.
    found = rows((1, 45, 2), (0, 135), (0, 225), (0, 315), spread=2.0)
    loss = losses.PoseModes(class_weight=0.0)
    assert value(loss, truth(45), found) == pytest.approx(1 + 6 * np.log(2), rel=1e-5)


def test_of_a_part_that_looks_alike_classes_go_around_once_in_its_period():
    # Two classes of 90 degrees in half a turn: 135 is the middle of the second.
    found = rows((0, 45), (1, 135))
    assert value(losses.PoseModes(), truth(135, symmetry=2), found) == pytest.approx(0, abs=1e-5)
    # Near the end of the period the class beyond it does not learn: its tilts are others.
    near_end = rows((0.4, 45, 7), (0.6, 174, 0))
    loss = losses.PoseModes(class_weight=0.0)
    assert value(loss, truth(174, symmetry=2), near_end) == pytest.approx(0, abs=1e-4)


def test_a_turn_costs_its_chord_and_a_move_its_mm():
    loss = losses.PoseTurn(turn_weight=1.0, place_weight=0.5)
    turned = rows((1, 60, 0, 0, 3, 0, 0))
    # Of rotations 60 degrees apart the squares add up to 8 sin(30)^2 = 2.
    assert value(loss, truth(0), turned) == pytest.approx(np.sqrt(2) + 0.5, rel=1e-5)


def test_a_turn_is_that_between_rotations_whatever_the_angles_are():
    rng = np.random.default_rng(0)
    for _ in range(5):
        one, other = (Pose(*rng.uniform(-80, 80, 3)) for _ in range(2))
        numbers = [(pose.phi, pose.theta, pose.psi) for pose in (one, other)]
        found = value(losses.PoseTurn(place_weight=0.0), truth(*numbers[0]), rows((1, *numbers[1])))
        chord = np.linalg.norm(one.rotation - other.rotation)
        assert found == pytest.approx(chord, rel=1e-4)


def test_the_metric_is_the_mean_of_three_angles_of_the_likeliest():
    metric = AngleError()
    metric.update_state(truth(0.5), rows((0.3, 90), (0.7, 359.5, 2, -3)))
    assert float(metric.result()) == pytest.approx((1 + 2 + 3) / 3, rel=1e-3)
    metric.reset_state()
    metric.update_state(truth(0.5, symmetry=4), rows((1, 89.5)))
    assert float(metric.result()) == pytest.approx(1 / 3, rel=1e-3)


@pytest.mark.parametrize("loss", losses.POSES.values())
def test_a_loss_is_rebuilt_as_it_was_and_hands_a_finite_slope_back(loss):
    import tensorflow as tf

    again = keras.saving.deserialize_keras_object(keras.saving.serialize_keras_object(loss()))
    assert again.get_config() == loss().get_config()
    found = tf.Variable(rows((0.5, 0, 0, 0), (0.5, 180, 1, 1)))
    with tf.GradientTape() as tape:
        cost = tf.reduce_sum(again.call(truth(0), found))
    assert np.isfinite(tape.gradient(cost, found)).all()


def test_options_out_of_range_are_refused():
    with pytest.raises(errors.ConfigError, match="class_weight"):
        losses.PoseModes(class_weight=-1)
    with pytest.raises(errors.ConfigError, match="turn_weight"):
        losses.PoseTurn(turn_weight=-1)
