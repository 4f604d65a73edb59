"""What `fit.compile_model` gives a model."""

import dataclasses
import sys
import types

import keras
import numpy as np
import pytest

from inspection_tf import config, errors, losses, tasks
from inspection_tf.training import fit, outputs


def compiled(make_model, steps_per_epoch=10, **values):
    keras.utils.set_random_seed(0)
    model = make_model()
    fit.compile_model(model, fit.TrainSpec(**values), steps_per_epoch=steps_per_epoch)
    return model


def rate_after(model, steps):
    model.optimizer.iterations.assign(steps)
    return float(model.optimizer.learning_rate)


def test_the_learning_rate_warms_up_and_falls_along_a_cosine(make_model):
    model = compiled(
        make_model,
        epochs=5,
        learning_rate=0.1,
        warmup_epochs=2,
        final_learning_rate_share=0.2,
    )
    # 20 steps up from a twentieth, then 30 down; half-way up 0.005 + 0.095 / 2.
    assert rate_after(model, 0) == pytest.approx(0.005)
    assert rate_after(model, 10) == pytest.approx(0.0525)
    assert rate_after(model, 20) == pytest.approx(0.1)
    # Half-way down the cosine is 0: (0.1 + 0.02) / 2.
    assert rate_after(model, 35) == pytest.approx(0.06)
    assert rate_after(model, 50) == pytest.approx(0.02)
    assert rate_after(model, 99) == pytest.approx(0.02)


def test_without_a_warm_up_it_starts_at_the_top(make_model):
    model = compiled(make_model, epochs=1, learning_rate=0.1, warmup_epochs=0)
    assert rate_after(model, 0) == pytest.approx(0.1)


def test_a_run_of_one_step_has_no_room_for_a_warm_up(make_model):
    model = compiled(make_model, steps_per_epoch=1, epochs=1, learning_rate=0.1)
    assert rate_after(model, 0) == pytest.approx(0.1)


def test_decay_pulls_kernels_and_nothing_else(make_model):
    model = compiled(make_model, learning_rate=0.1, warmup_epochs=0, weight_decay=0.5)
    for variable in model.trainable_variables:
        variable.assign(keras.ops.ones_like(variable))
    model.optimizer.apply([keras.ops.zeros_like(v) for v in model.trainable_variables])
    for variable in model.trainable_variables:
        # 1 - learning rate * decay = 1 - 0.1 * 0.5
        expected = 0.95 if variable.name == "kernel" else 1.0
        np.testing.assert_allclose(variable, np.full(variable.shape, expected), rtol=1e-6)


@pytest.mark.parametrize(
    ("averaging", "steps", "momentum"),
    [(0.99, 1000, 0.99), (0.99, 500, 0.99), (0.99, 20, 0.75), (0.99, 4, 0.0), (0.5, 500, 0.5)],
)
def test_the_average_forgets_the_beginning_of_a_short_run(averaging, steps, momentum, make_model):
    model = compiled(make_model, steps_per_epoch=steps, epochs=1, averaging=averaging)
    assert model.optimizer.ema_momentum == pytest.approx(momentum)  # 1 - 5 / 20 = 0.75
    assert model.optimizer.use_ema


def test_the_average_follows_its_formula(make_model):
    model = compiled(make_model, averaging=0.9, learning_rate=0.1, warmup_epochs=0)
    gradients = [keras.ops.ones_like(v) for v in model.trainable_variables]
    seen = []
    for _ in range(2):
        model.optimizer.apply(gradients)
        seen.append(np.array(model.trainable_variables[0]))
    # The first step starts it at the weights, the second adds a tenth of the new ones.
    average = np.asarray(model.optimizer._model_variables_moving_average[0])
    np.testing.assert_allclose(average, 0.9 * seen[0] + 0.1 * seen[1], rtol=1e-5, atol=1e-7)


def test_options_reach_the_loss(make_model):
    model = compiled(
        make_model, loss="bce_dice", loss_options={"positive_weight": 3, "dice_on_good": False}
    )
    loss = model.loss["probability"]
    assert loss.positive_weight == 3
    assert not loss.dice_on_good


@pytest.mark.parametrize(
    ("given", "expected"),
    [("1e-3", 0.001), (0, 0.0), (True, True), ([1, 2.5], (1.0, 2.5))],
)
def test_options_of_a_loss_are_numbers_truths_or_lists_of_numbers(given, expected):
    found = fit.TrainSpec.model_validate({"loss_options": {"a": given}}).loss_options["a"]
    assert found == expected
    assert type(found) is type(expected)


@pytest.mark.parametrize(
    ("loss", "options", "match"),
    [
        ("focal", {"smooth": 1.0}, "loss_options must fit the loss focal"),
        ("soft_dice", {"smooth": 0.0}, "smooth must lie in"),
        ("bce_dice", {"class_weights": 2.0}, "loss_options must fit the loss bce_dice"),
        ("bce_dice", {"smooth": (1.0, 2.0)}, "loss_options must fit the loss bce_dice"),
        ("cross_entropy", {}, "must fit the output probability. Got cross_entropy. Choose one of"),
    ],
)
def test_options_that_the_loss_does_not_take_are_refused(make_model, loss, options, match):
    with pytest.raises(errors.ConfigError, match=match):
        compiled(make_model, loss=loss, loss_options=options)


@pytest.mark.parametrize("field", ["epochs", "learning_rate", "validate_every"])
def test_a_training_of_nothing_is_refused(field):
    with pytest.raises(ValueError, match=field):
        fit.TrainSpec(**{field: 0})


def test_a_loss_that_no_output_has_is_answered_with_the_names():
    # As pydantic words a choice; the names are those of the registry, those of tasks among them.
    expected = "Input should be 'soft_dice', .* 'corner_mae', .*'pose_modes' or 'pose_turn'"
    for loss in ("dice", 3, ["bce_dice"]):
        with pytest.raises(errors.ConfigError, match=expected):
            config.validate(fit.TrainSpec, {"loss": loss}, origin="a.yaml")


def test_a_loss_that_a_task_adds_may_be_named(monkeypatch):
    added = dataclasses.replace(
        outputs.learnings()["probability"],
        output="brightness",
        losses={"brightness_mae": losses.SoftDice},
    )
    module = types.SimpleNamespace(LEARNING=added)
    monkeypatch.setitem(sys.modules, "brightness_learning", module)
    task = types.SimpleNamespace(learning=("brightness_learning",))
    monkeypatch.setitem(sys.modules, "brightness_task", types.SimpleNamespace(TASK=task))
    monkeypatch.setitem(tasks.TASKS, "brightness", "brightness_task")
    assert fit.TrainSpec(loss="brightness_mae").loss == "brightness_mae"
