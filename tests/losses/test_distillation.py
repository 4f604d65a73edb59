"""The loss between a student's map and its teacher's, on one image of 2 x 1 px."""

import math

import keras
import numpy as np
import pytest
from loss_checks import each, gradient

from inspection_tf import errors, losses

DEFECT = np.array([[[[1], [0]]]], np.uint8)
GOOD = np.zeros_like(DEFECT)


def both(student, teacher):
    """Join the maps of two pixels, of one class or more."""
    maps = [np.array(values, np.float32).reshape(1, 1, 2, -1) for values in (student, teacher)]
    return np.concatenate(maps, axis=-1)


def kl(student, teacher):
    return sum(t * math.log(t / s) for s, t in zip(student, teacher, strict=True) if t)


@pytest.mark.parametrize("mask", [DEFECT, GOOD])
@pytest.mark.parametrize("maps", [(0.8, 0.1), (1.0, 0.0), ((0.5, 0.3), (0.0, 0.1))])
def test_a_student_that_says_what_its_teacher_says_costs_nothing(mask, maps):
    assert each(losses.Distillation(), mask, both(maps, maps)) == pytest.approx([0], abs=1e-6)


def test_both_parts_by_hand():
    loss = losses.Distillation(kl_weight=2.0, dice_weight=3.0, smooth=0.5)
    found = each(loss, DEFECT, both((0.5, 0.25), (0.8, 0.1)))
    apart = (kl((0.5, 0.5), (0.8, 0.2)) + kl((0.25, 0.75), (0.1, 0.9))) / 2
    # Overlap 0.4 + 0.025, squares 0.64 + 0.01 and 0.25 + 0.0625.
    dice = 1 - (0.85 + 0.5) / (0.65 + 0.3125 + 0.5)
    assert found == pytest.approx([2 * apart + 3 * dice], rel=1e-5)


def test_dice_counts_where_the_mask_holds_a_defect_only():
    found = each(losses.Distillation(), GOOD, both((0.5, 0.25), (0.8, 0.1)))
    apart = (kl((0.5, 0.5), (0.8, 0.2)) + kl((0.25, 0.75), (0.1, 0.9))) / 2
    assert found == pytest.approx([apart], rel=1e-5)


def test_classes_are_told_apart_and_the_background_counts_once():
    loss = losses.Distillation(dice_weight=0)
    found = each(loss, DEFECT, both(((0.5, 0.25), (0.1, 0.1)), ((0.7, 0.1), (0.2, 0.3))))
    first = kl((0.5, 0.25, 0.25), (0.7, 0.1, 0.2))
    second = kl((0.1, 0.1, 0.8), (0.2, 0.3, 0.5))
    assert found == pytest.approx([(first + second) / 2], rel=1e-5)


def test_no_gradient_reaches_the_teacher():
    slope = gradient(losses.Distillation(), DEFECT, both((0.5, 0.25), (0.8, 0.1)))
    assert np.all(slope[..., 1] == 0)
    # Towards more where the teacher says more, and less where it says less.
    assert slope[0, 0, 0, 0] < 0 < slope[0, 0, 1, 0]


def test_it_is_rebuilt_from_its_configuration():
    loss = losses.Distillation(kl_weight=0.3, dice_weight=0.7, smooth=2.0)
    twin = keras.saving.deserialize_keras_object(keras.saving.serialize_keras_object(loss))
    assert twin.get_config() == loss.get_config()


@pytest.mark.parametrize("options", [{"kl_weight": -1}, {"dice_weight": -0.1}, {"smooth": 0}])
def test_options_out_of_range_are_refused(options):
    with pytest.raises(errors.ConfigError, match="must lie in"):
        losses.Distillation(**options)
