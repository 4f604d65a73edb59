import io

import keras
import numpy as np
import pytest

from inspection_tf.training import averaging, callbacks, fit
from inspection_tf.training.runs import checkpoints
from inspection_tf.training.runs.run_folder import History, RunFolder


@pytest.fixture
def model():
    """One weight `w`; the prediction is `w` times the image."""
    keras.utils.set_random_seed(0)
    image = keras.Input((2, 2, 1), name="image")
    probability = keras.layers.Conv2D(1, 1, use_bias=False, name="probability")(image)
    built = keras.Model({"image": image}, {"probability": probability})
    fit.compile_model(built, fit.TrainSpec(averaging=0.5), steps_per_epoch=50)
    return built


@pytest.fixture
def run(tmp_path):
    return RunFolder(tmp_path, is_resumed=False)


def weight(model):
    return float(np.asarray(model.trainable_variables[0]).item())


def set_weight(model, value):
    model.trainable_variables[0].assign(np.full((1, 1, 1, 1), value))


def set_average(model, value):
    model.optimizer._model_variables_moving_average[0].assign(np.full((1, 1, 1, 1), value))


def attach(callback, model):
    callback.set_model(model)
    return callback


# The guard


def test_the_guard_stops_at_the_first_loss_that_is_not_finite(model):
    guard = attach(callbacks.FiniteGuard(), model)
    set_weight(model, 1)
    model.stop_training = False
    guard.on_epoch_begin(4)
    guard.on_train_batch_end(0, {"loss": 0.5})
    assert not model.stop_training
    set_weight(model, 2)
    guard.on_train_batch_end(1, {"loss": np.nan})
    assert model.stop_training
    assert guard.diverged_at == 4
    guard.on_epoch_end(4, {"loss": np.nan})
    assert weight(model) == 1


def test_the_guard_looks_at_the_weights_after_each_epoch(model):
    guard = attach(callbacks.FiniteGuard(), model)
    set_weight(model, 1)
    guard.on_epoch_begin(0)
    set_weight(model, 2)
    guard.on_epoch_end(0, {"loss": 0.5})
    assert (guard.diverged_at, weight(model)) == (None, 2)
    guard.on_epoch_begin(1)
    set_weight(model, np.inf)
    guard.on_epoch_end(1, {"loss": 0.5})
    assert (guard.diverged_at, weight(model)) == (1, 2)


# The averaged weights


def test_averaged_weights_are_in_the_model_while_the_block_runs(model):
    set_weight(model, 1)
    set_average(model, 3)
    with callbacks.AveragedWeights(model):
        assert weight(model) == 3
    assert weight(model) == 1


def test_the_raw_weights_come_back_when_the_block_raises(model):
    set_weight(model, 1)
    set_average(model, 3)
    with pytest.raises(KeyboardInterrupt), callbacks.AveragedWeights(model):
        raise KeyboardInterrupt
    assert weight(model) == 1


def test_without_an_average_nothing_is_swapped(model):
    fit.compile_model(model, fit.TrainSpec(averaging=0), steps_per_epoch=1)
    set_weight(model, 1)
    with callbacks.AveragedWeights(model):
        assert weight(model) == 1
        set_weight(model, 2)
    assert weight(model) == 2


@pytest.mark.parametrize(
    ("momentum", "steps", "share"),
    [
        (0.9, 0, 0.0),  # there is no average yet
        (0.9, 1, 1.0),  # it begins as the weights of the first step
        (0.9, 3, 0.81),  # of which 0.9 * 0.9 are left two steps later
        (0.9, 44, 0.9**43),  # 1.08 %
        (0.9, 45, 0.9**44),  # 0.97 %
        (0.0, 44, 0.0),  # none is kept
    ],
)
def test_the_average_lags_while_its_first_weights_count_a_hundredth(momentum, steps, share, model):
    fit.compile_model(model, fit.TrainSpec(averaging=momentum), steps_per_epoch=50)
    model.optimizer.iterations.assign(steps)
    assert averaging.share_of_the_first(model) == pytest.approx(share)
    assert averaging.lags(model) == (share > 0.01)


@pytest.mark.parametrize("steps", [1, 4, 5, 6, 11, 40, 720])
def test_at_the_end_of_a_run_the_average_does_not_lag(steps, model):
    fit.compile_model(model, fit.TrainSpec(epochs=1, averaging=0.999), steps_per_epoch=steps)
    model.optimizer.iterations.assign(steps)
    assert not averaging.lags(model)


# Validation


def validate(model, run, *, epochs=9, every=1, guard=None, values=(), pictures=None, ends=()):
    """Return a `Validate` whose measurements are `values`, one after the other."""
    guard = guard or attach(callbacks.FiniteGuard(), model)
    measured = iter(values)
    model.evaluate = lambda *args, **options: {"dice": next(measured)}
    callback = callbacks.Validate(
        object(),
        monitor="val_dice",
        every=every,
        epochs=epochs,
        run=run,
        guard=guard,
        picture=None if pictures is None else lambda _, epoch: pictures.append(epoch),
        phase_ends=ends,
    )
    return attach(callback, model)


def test_validation_keeps_the_best_and_on_a_tie_the_later(model, run):
    callback = validate(model, run, values=[0.1, 0.5, 0.5, 0.3])
    logs = {}
    for epoch in range(4):
        logs = {"loss": 1.0}
        set_average(model, epoch)
        callback.on_epoch_end(epoch, logs)
    assert logs == {"loss": 1.0, "val_dice": 0.3}
    assert callback.best_value == 0.5
    values, epoch = checkpoints.load(run.path / "checkpoints" / "best.npz")
    assert epoch == 3
    assert values["model/0000"].item() == 2  # the average of epoch 3, not the raw weight
    assert not any(name.startswith("optimizer/") for name in values)


def test_validation_comes_every_so_often_and_after_the_last_epoch(model, run):
    pictures = []
    callback = validate(model, run, epochs=5, every=2, values=[0.1] * 5, pictures=pictures)
    for epoch in range(5):
        callback.on_epoch_end(epoch, {"loss": 1.0})
    assert pictures == [2, 4, 5]


def test_the_last_epoch_of_a_phase_is_measured_in_any_case(model, run):
    pictures = []
    options = {"values": [0.1] * 5, "pictures": pictures, "ends": (1, 5)}
    callback = validate(model, run, epochs=5, every=3, **options)
    for epoch in range(5):
        callback.on_epoch_end(epoch, {"loss": 1.0})
    assert pictures == [1, 3, 5]


@pytest.mark.parametrize(("done", "expected"), [(0, -np.inf), (1, -np.inf), (2, 0.5), (4, 0.5)])
def test_the_best_epoch_so_far_is_read_from_the_folder(done, expected, model, run):
    callback = validate(model, run, values=[0.1, 0.5])
    history = History(run.path / "history.csv")
    for epoch in range(2):
        logs = {"loss": 1.0}
        callback.on_epoch_end(epoch, logs)
        history.add({"epoch": epoch + 1.0, **logs})
    other = validate(model, run)
    other.resume(done)
    assert other.best_value == expected
    assert (other.best is None) == (expected < 0)


def test_a_validation_that_is_not_finite_ends_the_run(model, run):
    guard = attach(callbacks.FiniteGuard(), model)
    set_weight(model, 1)
    guard.on_epoch_begin(2)
    set_weight(model, 2)
    pictures = []
    callback = validate(model, run, guard=guard, values=[np.nan], pictures=pictures)
    callback.on_epoch_end(2, {"loss": 1.0})
    assert guard.diverged_at == 2
    assert weight(model) == 1
    assert model.stop_training
    assert pictures == []
    assert not (run.path / "checkpoints" / "best.npz").exists()
    callback.on_epoch_end(2, {"loss": 1.0})  # and nothing is measured after that


@pytest.mark.parametrize(
    ("steps", "drawn"),
    [
        (3, [1.0]),  # 0.5 ** 2 of the average are of the first step
        (8, [3.0]),  # 0.5 ** 7 are under a hundredth
    ],
)
def test_the_picture_shows_the_weights_that_learn_while_their_average_lags(
    steps, drawn, model, run
):
    callback = validate(model, run, values=[0.1])
    shown = []
    callback.picture = lambda model, epoch: shown.append(weight(model))
    set_weight(model, 1)
    set_average(model, 3)
    model.optimizer.iterations.assign(steps)
    callback.on_epoch_end(0, {"loss": 1.0})
    assert shown == drawn
    assert weight(model) == 1
    # What is measured and kept is the average, whatever is drawn.
    assert checkpoints.load(run.path / "checkpoints" / "best.npz")[0]["model/0000"].item() == 3


def test_the_log_says_that_the_average_lags(model, run, caplog):
    callback = validate(model, run, values=[0.1, 0.1])
    with caplog.at_level("INFO", logger="inspection_tf"):
        model.optimizer.iterations.assign(3)
        callback.on_epoch_end(0, {"loss": 1.0})
        model.optimizer.iterations.assign(30)
        callback.on_epoch_end(1, {"loss": 1.0})
    (line,) = [record.getMessage() for record in caplog.records if "val_" in record.getMessage()]
    assert "to 25 % still those of the first step" in line


# The record


def test_the_record_forecasts_the_end_from_all_epochs_but_the_first(model, run, monkeypatch):
    clock = iter([0.0, 10.0, 10.0, 12.0, 12.0, 18.0])  # epochs of 10, 2 and 6 s
    monkeypatch.setattr(callbacks.time, "perf_counter", lambda: next(clock))
    guard = attach(callbacks.FiniteGuard(), model)
    history = History(run.path / "history.csv")
    record = attach(callbacks.Record(run, history, epochs=10, guard=guard), model)
    # Nine epochs of 10 s left; then eight of 2; then seven of (2 + 6) / 2.
    for epoch, expected in enumerate([90, 16, 28]):
        record.on_epoch_begin(epoch)
        record.on_epoch_end(epoch, {"loss": 0.5})
        found = run.status()
        assert (found["epoch"], found["seconds_left"]) == (epoch + 1, expected)
    assert [row["epoch"] for row in History(run.path / "history.csv").rows] == [1, 2, 3]
    assert checkpoints.load(run.path / "checkpoints" / "last.npz")[1] == 3


def test_the_record_forecasts_each_phase_by_its_own_epochs(model, run, monkeypatch):
    clock = iter([0.0, 1.0, 1.0, 2.0, 2.0, 9.0, 9.0, 14.0])  # epochs of 1, 1, 7 and 5 s
    monkeypatch.setattr(callbacks.time, "perf_counter", lambda: next(clock))
    guard = attach(callbacks.FiniteGuard(), model)
    history = History(run.path / "history.csv")
    record = callbacks.Record(run, history, epochs=5, guard=guard, phase_ends=(2, 5))
    attach(record, model)
    # Four and three epochs of 1 s left; then two of 7, then one of 5: the first one traces.
    for epoch, expected in enumerate([4, 3, 14, 5]):
        if epoch in (0, 2):
            record.on_train_begin()
        record.on_epoch_begin(epoch)
        record.on_epoch_end(epoch, {"loss": 0.5})
        assert run.status()["seconds_left"] == expected
    assert [row["phase"] for row in history.rows] == [1, 1, 2, 2]


def test_the_record_of_a_fold_says_which(model, run):
    fold = run.fold(3)
    guard = attach(callbacks.FiniteGuard(), model)
    history = History(fold.path / "history.csv")
    record = attach(callbacks.Record(fold, history, epochs=2, guard=guard), model)
    record.on_epoch_begin(0)
    record.on_epoch_end(0, {"loss": 0.5})
    assert (run.status()["fold"], run.status()["epoch"]) == (3, 1)
    assert (fold.path / "checkpoints" / "last.npz").is_file()


def test_a_diverged_epoch_is_not_recorded(model, run):
    guard = attach(callbacks.FiniteGuard(), model)
    guard.on_epoch_begin(0)
    guard.stop()
    history = History(run.path / "history.csv")
    record = attach(callbacks.Record(run, history, epochs=2, guard=guard), model)
    record.on_epoch_begin(0)
    record.on_epoch_end(0, {"loss": np.nan})
    assert history.rows == []
    assert not (run.path / "checkpoints" / "last.npz").exists()


# The progress bar


@pytest.mark.parametrize("is_terminal", [True, False])
def test_the_progress_bar_shows_on_a_terminal_only(is_terminal, monkeypatch):
    stream = io.StringIO()
    stream.isatty = lambda: is_terminal
    monkeypatch.setattr("sys.stderr", stream)
    bar = callbacks.ProgressBar(first_epoch=1, epochs=3, steps=2)
    bar.on_train_begin()
    for step in range(4):
        bar.on_train_batch_end(step % 2, {"loss": 0.25})
    bar.on_train_end()
    shown = stream.getvalue()
    if is_terminal:
        assert "training: 100%" in shown
        assert "4/4" in shown  # two epochs of two steps
        assert "loss=0.2500" in shown
    else:
        assert shown == ""
