"""Pixels that count for nothing, in losses and metrics: as if they were not there.

Every number is worked out on an image of 1 x 3 px, the last of which is ignored.
"""

import math

import keras
import numpy as np
import pytest
from loss_checks import each, gradient

from inspection_tf import losses, metrics

IGNORED = 255
ALL = sorted(losses.SEGMENTATION)


def image(*pixels, dtype="float32"):
    return np.array(pixels, dtype).reshape(1, 1, len(pixels), -1)


TRUE, PRED = image(1, 0, IGNORED, dtype="uint8"), image(0.5, 0.25, 0.9)
BOTH = math.log(2) - math.log(0.75)  # -ln 0.5 on the defect, -ln (1 - 0.25) beside it


@pytest.mark.parametrize(
    ("loss", "expected"),
    [
        # 1 - (2 * 0.5 + 1) / (1 + 0.5 + 0.25 + 1)
        (losses.SoftDice(ignored_id=IGNORED), 0.75 / 2.75),
        # The mean over two pixels, not three; and the Dice from above.
        (losses.BceDice(ignored_id=IGNORED), BOTH / 2 + 0.75 / 2.75),
        # 0.25 * 0.5^2 * ln 2 on the defect, 0.75 * 0.25^2 * -ln 0.75 beside it, over two pixels
        (
            losses.Focal(ignored_id=IGNORED),
            (0.0625 * math.log(2) - 0.75 * 0.0625 * math.log(0.75)) / 2,
        ),
        # TP 0.5, FP 0.25, FN 0.5: 1 - 1.5 / (0.5 + 0.3 * 0.25 + 0.7 * 0.5 + 1)
        (losses.Tversky(ignored_id=IGNORED), 1 - 1.5 / 1.925),
        # The Dice loss, 0.27, is under 0.3; over 0.2 it is the cross-entropy.
        (losses.AdaptiveBceDice(ignored_id=IGNORED), 0.75 / 2.75),
        (losses.AdaptiveBceDice(ignored_id=IGNORED, switch_at=0.2), BOTH / 2),
    ],
    ids=lambda value: getattr(value, "name", ""),
)
def test_losses_by_hand(loss, expected):
    assert each(loss, TRUE, PRED) == pytest.approx([expected], rel=1e-5)


@pytest.mark.parametrize("name", ALL)
def test_an_ignored_pixel_costs_as_if_the_image_ended_before_it(name):
    loss = losses.SEGMENTATION[name](ignored_id=IGNORED)
    shorter = losses.SEGMENTATION[name]()
    for guess in (0.0, 0.3, 1.0):
        found = each(loss, TRUE, image(0.5, 0.25, guess))
        assert found == pytest.approx(each(shorter, TRUE[:, :, :2], PRED[:, :, :2]), rel=1e-5)


@pytest.mark.parametrize("name", ALL)
def test_an_ignored_pixel_pulls_at_nothing(name):
    slope = gradient(losses.SEGMENTATION[name](ignored_id=IGNORED), TRUE, PRED)
    assert slope[0, 0, 2, 0] == 0
    assert slope[0, 0, 0, 0] < 0 < slope[0, 0, 1, 0]


@pytest.mark.parametrize("name", ALL)
def test_of_classes_an_ignored_pixel_is_none(name):
    truth = image(1, 2, IGNORED, dtype="uint8")
    guess = image((0.5, 0.25), (0.125, 0.5), (0.4, 0.6))
    loss = losses.SEGMENTATION[name](ignored_id=IGNORED)
    shorter = each(losses.SEGMENTATION[name](), truth[:, :, :2], guess[:, :, :2])
    assert each(loss, truth, guess) == pytest.approx(shorter, rel=1e-5)
    assert not gradient(loss, truth, guess)[0, 0, 2].any()


@pytest.mark.parametrize("name", ALL)
def test_an_image_of_which_nothing_counts_costs_nothing(name):
    truth = np.full((1, 1, 3, 1), IGNORED, np.uint8)
    assert each(losses.SEGMENTATION[name](ignored_id=IGNORED), truth, PRED) == pytest.approx([0])


@pytest.mark.parametrize("name", ALL)
def test_without_the_option_255_is_a_defect_as_ever(name):
    loss = losses.SEGMENTATION[name]()
    assert "ignored_id" not in loss.get_config()
    full = each(loss, image(255, 0, 255), PRED)
    np.testing.assert_array_equal(full, each(loss, image(1, 0, 1), PRED))


def test_the_kind_of_a_defect_is_not_asked_of_an_ignored_pixel():
    loss = losses.BceDice(kind_weight=1, bce_weight=0, dice_weight=0, ignored_id=IGNORED)
    found = each(loss, image(1, IGNORED), image((0.6, 0.2), (0.1, 0.9)))
    assert found == pytest.approx([-math.log(0.6 / 0.8)], rel=1e-5)


def test_distillation_leaves_ignored_pixels_out_too():
    maps = image((0.5, 0.8), (0.25, 0.1), (0.9, 0.1))  # student, teacher
    loss = losses.Distillation(ignored_id=IGNORED)
    shorter = each(losses.Distillation(), TRUE[:, :, :2], maps[:, :, :2])
    assert each(loss, TRUE, maps) == pytest.approx(shorter, rel=1e-5)
    assert not gradient(loss, TRUE, maps)[0, 0, 2].any()


@pytest.mark.parametrize("name", [*ALL, "distillation"])
def test_a_loss_with_ignored_pixels_is_saved_and_loaded(name):
    kinds = {**losses.SEGMENTATION, "distillation": losses.Distillation}
    loss = kinds[name](ignored_id=IGNORED)
    again = keras.losses.deserialize(keras.losses.serialize(loss))
    assert again.ignored_id == IGNORED


@pytest.mark.parametrize(
    ("metric", "expected"),
    [
        # Found at 0.5: the first, the second and the ignored one. Overlap 1 of areas 1 and 2.
        (metrics.DiceDefective, 2 / 3),
        (metrics.DiceAllImages, 2 / 3),
        (metrics.IouPooled, 1 / 2),
    ],
)
def test_metrics_by_hand(metric, expected):
    measured = metric(ignored_id=IGNORED)
    measured.update_state(TRUE, image(0.9, 0.6, 0.9))
    assert float(measured.result()) == pytest.approx(expected, rel=1e-6)
    again = keras.metrics.deserialize(keras.metrics.serialize(measured))
    assert again.ignored_id == IGNORED
    assert "ignored_id" not in metric().get_config()


def test_an_image_whose_only_finding_is_ignored_is_clean():
    measured = metrics.DiceAllImages(ignored_id=IGNORED)
    measured.update_state(image(0, 0, IGNORED), image(0.1, 0.1, 0.9))
    assert float(measured.result()) == 1
    defective = metrics.DiceDefective(ignored_id=IGNORED)
    defective.update_state(image(0, 0, IGNORED), image(0.1, 0.1, 0.9))
    assert float(defective.below) == 0  # not a defective image


def test_the_iou_of_classes_by_hand():
    measured = metrics.ClassIou(classes=2, average=False, ignored_id=IGNORED)
    truth = image(1, 2, 0, IGNORED, IGNORED)
    guess = image((0.9, 0), (0.9, 0), (0, 0.9), (0.9, 0), (0, 0.9))
    measured.update_state(truth, guess)
    # Class 1: overlap 1, union 2. Class 2: overlap 0, union 2, one missed and one false.
    assert np.asarray(measured.result()).tolist() == [0.5, 0]
    again = keras.metrics.deserialize(keras.metrics.serialize(measured))
    assert again.ignored_id == IGNORED
    assert "ignored_id" not in metrics.ClassIou(classes=2).get_config()
