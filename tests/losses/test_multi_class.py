"""Two defect classes: every number is worked out on one image of 2 x 2 px.

A pixel of a prediction is (probability of class 1, of class 2); the rest is the background's.
"""

import math

import keras
import numpy as np
import pytest
from loss_checks import each, gradient

from inspection_tf import errors, losses

ALL = sorted(losses.SEGMENTATION)
WEIGHTED = ["bce_dice", "focal", "adaptive_bce_dice"]


def ids(*pixels, dtype="uint8"):
    return np.array(pixels, dtype).reshape(-1, 2, 2, 1)


def maps(*pixels):
    return np.array(pixels, "float32").reshape(-1, 2, 2, 2)


TRUE = ids(1, 0, 2, 0)
PRED = maps((0.5, 0.25), (0.25, 0.25), (0.1, 0.8), (0, 0))
NOTHING = maps((0, 0), (0, 0), (0, 0), (0, 0))
# Each pixel's own class or background: 0.5, 1 - 0.5, 0.8 and 1.
BCE = (2 * math.log(2) - math.log(0.8)) / 4
# Class 1: overlap 0.5, areas 1 + 0.85: 1 - 2 / 2.85. Class 2: 0.8, 1 + 1.3: 1 - 2.6 / 3.3.
DICE = (0.85 / 2.85, 0.7 / 3.3)


# By hand


def test_cross_entropy_is_that_of_the_true_class_or_of_the_background():
    found = each(losses.BceDice(dice_weight=0), TRUE, PRED)
    assert found == pytest.approx([BCE])


def test_weights_of_classes_weigh_their_pixels():
    # Class 1 three times, both twice; the background once.
    loss = losses.BceDice(dice_weight=0, positive_weight=2, class_weights=(3, 1))
    expected = (2 * 3 * math.log(2) + math.log(2) - 2 * math.log(0.8)) / 4
    assert each(loss, TRUE, PRED) == pytest.approx([expected])


def test_cross_entropy_agrees_with_keras_on_a_softmax():
    rng = np.random.default_rng(0)
    y_true = rng.integers(0, 4, (2, 5, 3, 1))
    softmax = rng.dirichlet(np.ones(4), (2, 5, 3)).astype("float32")
    found = float(losses.BceDice(dice_weight=0)(y_true, softmax[..., 1:]))
    reference = keras.losses.SparseCategoricalCrossentropy()
    assert found == pytest.approx(float(reference(y_true, softmax)), rel=1e-5)


def test_soft_dice_is_the_mean_of_the_classes():
    assert each(losses.SoftDice(), TRUE, PRED) == pytest.approx([sum(DICE) / 2])


def test_the_class_of_a_defect_pixel_is_paid_for_given_that_it_is_one():
    # Of class 1: 0.5 of 0.75; of class 2: 0.8 of 0.9.
    loss = losses.BceDice(bce_weight=0, dice_weight=0, kind_weight=2)
    expected = -2 * (math.log(0.5 / 0.75) + math.log(0.8 / 0.9)) / 2
    assert each(loss, TRUE, PRED) == pytest.approx([expected])
    # How sure the network is of a defect does not matter, nor what it says elsewhere.
    faint = maps((0.05, 0.025), (0.9, 0.1), (0.01, 0.08), (0, 1))
    assert each(loss, TRUE, faint) == pytest.approx([expected], rel=1e-5)
    assert each(loss, ids(0, 0, 0, 0), PRED) == pytest.approx([0])
    one = losses.BceDice(bce_weight=0, dice_weight=0, kind_weight=2)
    assert each(one, TRUE, PRED[..., :1]) == pytest.approx([0])


def test_a_class_that_is_surely_wrong_is_still_pulled_right():
    import tensorflow as tf

    # Logits of background and two classes: a defect for sure, and of the wrong class by e^10.
    logits = tf.constant([[[[0.0, 0.0, 10.0]]]])
    with tf.GradientTape() as tape:
        tape.watch(logits)
        probability = tf.nn.softmax(logits)[..., 1:]
        loss = losses.BceDice(bce_weight=0, dice_weight=0, kind_weight=1)
        value = loss.call(np.ones((1, 1, 1, 1), np.uint8), probability)
    # The slope of a cross-entropy: conditional probability less truth.
    found = np.asarray(tape.gradient(value, logits)).ravel()
    assert found == pytest.approx([0, -1, 1], abs=1e-3)


def test_bce_dice_adds_both():
    loss = losses.BceDice(bce_weight=0.8, dice_weight=0.2)
    assert each(loss, TRUE, PRED) == pytest.approx([0.8 * BCE + 0.2 * sum(DICE) / 2])


def test_without_dice_on_good_only_the_classes_of_the_image_count():
    loss = losses.BceDice(bce_weight=0, dice_on_good=False)
    y_true = np.concatenate([TRUE, ids(1, 0, 0, 0), ids(0, 0, 0, 0)])
    y_pred = np.concatenate([PRED, PRED, PRED])
    # Both classes; class 1 alone; none.
    assert each(loss, y_true, y_pred) == pytest.approx([sum(DICE) / 2, DICE[0], 0])


def test_focal_by_hand():
    # Class 1 at 0.5, class 2 at 0.8, background where all defects have 0.5, and where none has.
    of_classes = 3 * 0.25 * 0.5**2 * math.log(2), 0.25 * 0.2**2 * -math.log(0.8)
    expected = (sum(of_classes) + 0.75 * 0.5**2 * math.log(2)) / 4
    found = each(losses.Focal(class_weights=(3, 1)), TRUE, PRED)
    assert found == pytest.approx([expected], rel=1e-5)


def test_tversky_is_the_mean_of_the_classes():
    # Class 1: TP 0.5, FP 0.25 + 0.1, FN 0.5. Class 2: TP 0.8, FP 0.25 + 0.25, FN 0.2.
    first = 1 - 1.5 / (0.5 + 0.3 * 0.35 + 0.7 * 0.5 + 1)
    second = 1 - 1.8 / (0.8 + 0.3 * 0.5 + 0.7 * 0.2 + 1)
    assert each(losses.Tversky(), TRUE, PRED) == pytest.approx([(first + second) / 2])


def test_adaptive_switches_by_the_classes_that_the_batch_holds():
    # Class 1 is missed: Dice loss 1 - 1 / 2. Class 2, absent and not found, would halve it to 0.25.
    y_true, y_pred = ids(1, 0, 0, 0), NOTHING
    found = each(losses.AdaptiveBceDice(switch_at=0.3), y_true, y_pred)
    assert found == pytest.approx([-math.log(1e-7) / 4])
    found = each(losses.AdaptiveBceDice(switch_at=0.3, class_weights=(2, 1)), y_true, y_pred)
    assert found == pytest.approx([-2 * math.log(1e-7) / 4])
    assert each(losses.AdaptiveBceDice(switch_at=0.6), y_true, y_pred) == pytest.approx([0.5])


def test_adaptive_pools_each_class_over_the_batch():
    # Class 1 in the first image, class 2 in the second, each found at 0.5: 1 - 2 / 2.5.
    y_true = np.concatenate([ids(1, 0, 0, 0), ids(2, 0, 0, 0)])
    y_pred = np.concatenate([maps((0.5, 0), *[(0, 0)] * 3), maps((0, 0.5), *[(0, 0)] * 3)])
    assert each(losses.AdaptiveBceDice(), y_true, y_pred) == pytest.approx([0.2, 0.2])


# What holds for every loss


@pytest.mark.parametrize("name", ALL)
def test_nothing_found_where_nothing_is_costs_exactly_nothing(name):
    assert each(losses.SEGMENTATION[name](), ids(0, 0, 0, 0), NOTHING).tolist() == [0.0]


@pytest.mark.parametrize("name", ALL)
def test_a_perfect_prediction_costs_exactly_nothing(name):
    perfect = maps((1, 0), (0, 0), (0, 1), (0, 0))
    assert each(losses.SEGMENTATION[name](), TRUE, perfect).tolist() == [0.0]


@pytest.mark.parametrize("name", ALL)
def test_the_wrong_class_costs_more_than_the_right_one(name):
    right, wrong = maps((0.9, 0), *[(0, 0)] * 3), maps((0, 0.9), *[(0, 0)] * 3)
    loss, y_true = losses.SEGMENTATION[name](), ids(1, 0, 0, 0)
    assert each(loss, y_true, wrong) > each(loss, y_true, right)


@pytest.mark.parametrize("name", ALL)
def test_classes_that_change_places_cost_the_same(name):
    swapped = np.array([0, 2, 1], np.uint8)[TRUE]
    loss = losses.SEGMENTATION[name]()
    found = each(loss, swapped, PRED[..., ::-1])
    assert found == pytest.approx(each(loss, TRUE, PRED), rel=1e-6)


@pytest.mark.parametrize("name", ALL)
def test_false_pixels_of_every_class_are_pulled_down_on_a_defect_free_image(name):
    slope = gradient(losses.SEGMENTATION[name](), ids(0, 0, 0, 0), maps(*[(0.25, 0.125)] * 4))
    assert (slope > 0).all()


@pytest.mark.parametrize("name", ALL)
def test_value_and_gradient_stay_finite_at_certain_mistakes(name):
    loss, y_true = losses.SEGMENTATION[name](), ids(1, 2, 0, 0)
    y_pred = maps((0, 1), (0, 0), (1, 0), (0, 1))
    assert np.isfinite(each(loss, y_true, y_pred)).all()
    assert np.isfinite(gradient(loss, y_true, y_pred)).all()


@pytest.mark.parametrize("name", ALL)
@pytest.mark.parametrize("dtype", ["int32", "int64", "float32"])
def test_ids_of_any_dtype_count_alike(name, dtype):
    loss = losses.SEGMENTATION[name]()
    assert float(loss(TRUE.astype(dtype), PRED)) == float(loss(TRUE, PRED))


@pytest.mark.parametrize("name", WEIGHTED)
@pytest.mark.parametrize("given", [(1.0,), (1.0, 2.0, 3.0)])
def test_there_is_one_weight_for_each_class(name, given):
    loss = losses.SEGMENTATION[name](class_weights=given)
    with pytest.raises(errors.ConfigError, match="one weight for each of the 2 classes"):
        loss(TRUE, PRED)
