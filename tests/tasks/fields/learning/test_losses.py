"""Losses and metrics of networks that locate a field: numbers worked out by hand."""

import math

import keras
import numpy as np
import pytest
from loss_checks import each, gradient

from inspection_tf import errors, metrics
from inspection_tf.tasks.fields.learning import losses

HERE = np.array([[0.1, 0.2, 0.5, 0.2, 0.5, 0.4, 0.1, 0.4, 1.0]], np.float32)
NOWHERE = HERE * [1, 1, 1, 1, 1, 1, 1, 1, 0]


def test_corner_mae_by_hand():
    found = HERE + np.float32([[0.08, 0, 0, 0, 0, 0, 0, -0.16, -0.5]])
    # |0.08| + |-0.16| over eight numbers is 0.03; a confidence of 0.5 costs log 2.
    expected = 10 * 0.03 + math.log(2)
    assert each(losses.CornerMae(), HERE, found) == pytest.approx([expected], rel=1e-4)
    halved = losses.CornerMae(corner_weight=5.0, presence_weight=2.0)
    assert each(halved, HERE, found) == pytest.approx([5 * 0.03 + 2 * math.log(2)], rel=1e-4)


def test_an_image_without_a_field_teaches_nothing_about_corners():
    found = np.full((1, 9), 0.7, np.float32)
    assert each(losses.CornerMae(), NOWHERE, found) == pytest.approx([-math.log(0.3)], rel=1e-4)
    pull = gradient(losses.CornerMae(), NOWHERE.astype(np.float32), found)
    assert (pull[:, :8] == 0).all()
    assert (pull[:, 8] != 0).all()


@pytest.mark.parametrize("place", [0.0, 0.3, 1.0])
def test_no_coordinate_is_special(place):
    truth = np.array([[place] * 8 + [1.0]], np.float32)
    off = each(losses.CornerMae(), truth, truth + np.float32([[0.01] * 8 + [0]]))
    assert off == pytest.approx([0.1], rel=1e-3)  # 10 x 0.01 wherever it is
    pull = gradient(losses.CornerMae(), truth, truth + np.float32([[0.01] * 8 + [-0.1]]))
    np.testing.assert_allclose(pull[:, :8], 10 / 8, rtol=1e-5)


def test_heatmap_cross_entropy_by_hand():
    # Two cells of half the width each, their centres at 0.25 and 0.75; the corner is at 0.25.
    truth = np.array([[0.25, 0.5, 1.0]], np.float32)
    logits = np.array([[[[1.0], [0.0]]]], np.float32)
    # One cell apart with a deviation of one cell: exp(-1 / 2) over 1 + exp(-1 / 2).
    far = math.exp(-0.5) / (1 + math.exp(-0.5))
    told = -math.log(1 + math.exp(-1.0))
    expected = -((1 - far) * told + far * (told - 1))
    loss = losses.HeatmapCrossEntropy(sigma_cells=1.0)
    assert each(loss, truth, logits) == pytest.approx([expected], rel=1e-5)
    assert each(loss, truth * [1, 1, 0], logits) == pytest.approx([0.0])


def test_heatmaps_are_best_where_they_are_gaussians_around_the_corner():
    truth = np.array([[0.3, 0.6, 1.0]], np.float32)
    y, x = (np.mgrid[:6, :8] + 0.5) / np.array([6, 8]).reshape(2, 1, 1)
    wanted = -(((x - 0.3) * 8) ** 2 + ((y - 0.6) * 6) ** 2) / (2 * 0.7**2)
    logits = wanted[None, ..., None].astype(np.float32)
    loss = losses.HeatmapCrossEntropy()
    assert abs(gradient(loss, truth, logits)).max() < 1e-6
    assert each(loss, truth, logits + np.roll(logits, 1, axis=2)) > each(loss, truth, logits)


def grid_of(rows, columns, **cells):
    found = np.zeros((1, rows, columns, 13), np.float32)
    for name, values in cells.items():
        row, column = (int(digit) for digit in name[1:].split("_"))
        found[0, row, column] = values
    return found


def test_grid_loss_by_hand():
    # A field from (0.1, 0.2) to (0.5, 0.4) in 2 x 4 cells: its centre (0.3, 0.3) is (1.2, 0.6)
    # cells, so the cell in row 0 and column 1, whose centre is (1.5, 0.5), owns it.
    box = [1.2 - 1.5, 0.6 - 0.5, 1.6, 0.4]
    places = [0.4 - 1.5, 0.4 - 0.5, 2 - 1.5, -0.1, 2 - 1.5, 0.8 - 0.5, 0.4 - 1.5, 0.8 - 0.5]
    right = grid_of(2, 4, r0_1=[0.0, *box, *places])
    # All logits are 0: log 2 from the owner and, together, log 2 from the seven others.
    assert each(losses.GridLoss(), HERE, right) == pytest.approx([2 * math.log(2)], rel=1e-5)
    wrong = right.copy()
    wrong[0, 0, 1, 5] += 1.3
    expected = 2 * math.log(2) + 0.5 * 1.3 / 12
    assert each(losses.GridLoss(), HERE, wrong) == pytest.approx([expected], rel=1e-5)
    # No cell owns a field that is not there, whatever coordinates say.
    expected = 8 * math.log(2) / 7
    assert each(losses.GridLoss(), NOWHERE, wrong) == pytest.approx([expected], rel=1e-5)


def test_a_field_on_the_last_border_is_owned_by_the_last_cell():
    at_end = np.array([[1.0] * 8 + [1.0]], np.float32)
    pull = gradient(losses.GridLoss(), at_end, grid_of(2, 3))
    assert pull[0, 1, 2, 0] < 0  # its objectness must rise
    assert (pull[0, ..., 0].ravel()[:-1] > 0).all()


@pytest.mark.parametrize("head", ["grid", "heatmap"])
def test_what_a_head_returns_is_what_its_loss_wants(head):
    # The decoder reads from an ideal output the very corners that the loss was given.
    if head == "grid":
        box = [1.2 - 1.5, 0.6 - 0.5, 1.6, 0.4]
        places = [0.4 - 1.5, 0.4 - 0.5, 2 - 1.5, -0.1, 2 - 1.5, 0.8 - 0.5, 0.4 - 1.5, 0.8 - 0.5]
        from inspection_tf.tasks.fields.learning import heads

        ideal = grid_of(2, 4, r0_1=[4.0, *box, *places])
        found = np.asarray(heads.GridDecoder()(ideal))
        np.testing.assert_allclose(found[0, :8], HERE[0, :8], atol=1e-6)
        assert found[0, 8] == pytest.approx(1 / (1 + math.exp(-4)), rel=1e-5)
        return
    from inspection_tf.tasks.fields.learning import heads

    logits = np.full((1, 3, 4, 4), -20.0, np.float32)
    offsets = np.zeros((1, 3, 4, 8), np.float32)
    for corner, (x, y) in enumerate(HERE[0, :8].reshape(4, 2)):
        row, column = int(y * 3), int(x * 4)
        logits[0, row, column, corner] = 20.0
        offsets[0, row, column, 2 * corner] = x * 4 - column - 0.5
        offsets[0, row, column, 2 * corner + 1] = y * 3 - row - 0.5
    found = np.asarray(heads.HeatmapDecoder()([logits, offsets]))
    np.testing.assert_allclose(found, HERE[:, :8], atol=1e-6)


def test_corner_error_is_the_mean_distance_in_widths():
    metric = metrics.CornerError(aspect=0.5)
    found = HERE.copy()
    found[0, 0] += 0.3  # one corner off by (0.3, 0.8 x 0.5) of the width: 0.5
    found[0, 1] += 0.8
    metric.update_state(np.concatenate([HERE, NOWHERE]), np.concatenate([found, found]))
    assert float(metric.result()) == pytest.approx(0.5 / 4, rel=1e-5)


def test_presence_accuracy_counts_images():
    metric = metrics.PresenceAccuracy()
    said = np.concatenate([HERE, HERE, HERE])
    said[:, 8] = [0.9, 0.4, 0.2]
    metric.update_state(np.concatenate([HERE, HERE, NOWHERE]), said)
    assert float(metric.result()) == pytest.approx(2 / 3)


@pytest.mark.parametrize("build", [losses.CornerMae, losses.HeatmapCrossEntropy, losses.GridLoss])
def test_losses_come_back_from_their_configuration(build):
    loss = build()
    again = keras.saving.deserialize_keras_object(keras.saving.serialize_keras_object(loss))
    assert again.get_config() == loss.get_config()


@pytest.mark.parametrize(
    ("build", "option"),
    [
        (losses.CornerMae, {"corner_weight": -1.0}),
        (losses.HeatmapCrossEntropy, {"sigma_cells": 0.0}),
        (losses.GridLoss, {"coordinate_weight": -0.1}),
    ],
)
def test_an_option_out_of_its_range_is_refused(build, option):
    with pytest.raises(errors.ConfigError, match=next(iter(option))):
        build(**option)
