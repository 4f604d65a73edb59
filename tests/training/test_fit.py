import os
import signal
import subprocess
import sys
import textwrap
import time
from pathlib import Path

import numpy as np
import pytest

from inspection_tf import images
from inspection_tf.datasets import records
from inspection_tf.datasets.loading import augment, loader
from inspection_tf.training import doctor, fit
from inspection_tf.training.runs import checkpoints
from inspection_tf.training.runs.run_folder import History, RunFolder

ROOT = Path(__file__).parents[2]
SUPPORT = ROOT / "tests" / "support"


def interrupt(model):
    raise KeyboardInterrupt


# What a training leaves


def test_history_has_a_row_an_epoch_and_values_where_they_were_measured(finished):
    path, _, rows = finished
    assert [row["epoch"] for row in rows] == [1, 2, 3, 4]
    # Every third epoch is validated, and the last.
    assert ["val_loss" in row for row in rows] == [False, False, True, True]
    assert set(rows[-1]) == {"epoch", "loss", "dice_defective", "val_loss", "val_dice_defective"}
    assert History(path / "history.csv").rows == rows


def test_a_picture_is_drawn_for_each_validated_epoch_and_the_curves_at_the_end(finished):
    path = finished[0]
    names = sorted(item.name for item in (path / "validation").iterdir())
    assert names == ["epoch_0003.png", "epoch_0004.png"]
    for picture in [path / "validation" / name for name in names]:
        assert images.read(picture).ndim == 3
    assert images.read(path / "evaluation" / "curves.png").ndim == 3


def test_neither_pictures_nor_how_often_is_validated_change_a_weight(
    train, finished, tmp_path, checkpoint, assert_same
):
    # The one of the fixture validated twice and drew, first the raw weights, then the average.
    _, rows = train(tmp_path / "run", validate_every=1, pictures=0)
    assert_same(checkpoint(tmp_path / "run")[0], checkpoint(finished[0])[0])
    for row, other in zip(rows, finished[2], strict=True):
        assert {name: row[name] for name in other} == other


def test_one_sentence_says_what_the_curves_say(finished):
    path = finished[0]
    said = (path / "evaluation" / "diagnosis.txt").read_text()
    assert said == f"{doctor.diagnose(History(path / 'history.csv').rows)}\n"


def test_tensorboard_gets_losses_of_training_and_validation(finished):
    for part, name in (("train", b"epoch_learning_rate"), ("validation", b"epoch_loss")):
        (events,) = (finished[0] / "tensorboard" / part).glob("events.out.tfevents.*")
        assert name in events.read_bytes()


def test_status_tells_epoch_metrics_and_the_remaining_time(finished):
    found = RunFolder(finished[0], is_resumed=True).status()
    assert (found["state"], found["epoch"], found["epochs"]) == ("running", 4, 4)
    assert found["seconds_left"] == 0
    assert found["metrics"] == finished[2][-1]


def test_the_model_ends_with_the_averaged_weights(finished, checkpoint):
    path, model, _ = finished
    values, epoch = checkpoint(path)
    assert epoch == 4
    raw = values["model/0000"]
    average = np.asarray(model.optimizer._model_variables_moving_average[0])
    np.testing.assert_array_equal(model.weights[0], average)
    assert not np.array_equal(raw, average)  # the checkpoint holds the raw ones


def test_it_learns(finished):
    _, _, rows = finished
    assert rows[-1]["loss"] < rows[0]["loss"]


# The same seed, the same weights


def test_two_runs_with_one_seed_are_equal_bit_by_bit(
    train, finished, tmp_path, weights, assert_same, assert_same_training
):
    model, _ = train(tmp_path / "run", pictures=2)
    assert_same_training(tmp_path / "run", finished[0])
    assert_same(weights(model), weights(finished[1]))


def test_another_seed_gives_other_weights(train, finished, tmp_path):
    model, _ = train(tmp_path / "run", seed=8, epochs=1, watched=None)
    assert not np.array_equal(model.weights[0], finished[1].weights[0])


def test_files_in_another_order_teach_the_same():
    class Source:
        def __init__(self, seed):
            self.seed = seed

        def read_image(self, *, orientation="apply"):
            return np.random.default_rng(self.seed).integers(0, 256, (16, 16), dtype=np.uint8)

        def read_mask(self, *, orientation="apply"):
            return self.read_image() > 200

        def identity(self):
            return bytes([self.seed])

    listed = [records.Record(f"{n}", True, Source(n)) for n in range(6)]
    spec = images.Preprocessing(size=(16, 16))
    first = loader.cache(records.Records.of(listed), spec)
    second = loader.cache(records.Records.of(listed[::-1]), spec)
    # Training sees nothing of the files but this.
    np.testing.assert_array_equal(first.image, second.image)
    np.testing.assert_array_equal(first.mask, second.mask)
    assert first.ids == second.ids


@pytest.mark.parametrize(("epoch", "step"), [pytest.param(0, 1, marks=pytest.mark.slow), (2, 1)])
def test_a_run_that_was_interrupted_ends_as_if_it_never_was(
    epoch, step, train, at, finished, tmp_path, weights, assert_same, assert_same_training
):
    path = tmp_path / "run"
    with pytest.raises(KeyboardInterrupt):
        train(path, pictures=2, extra=[at(epoch, step, interrupt)])
    assert (path / "checkpoints" / "last.npz").is_file() == (epoch > 0)
    # A new process starts with other weights and generators unless all of them come back.
    process_seed = 7 if epoch == 0 else 99
    model, rows = train(path, resumed=True, process_seed=process_seed, pictures=2)
    assert_same_training(path, finished[0])
    assert_same(weights(model), weights(finished[1]))
    assert rows == finished[2]


@pytest.mark.slow
def test_a_run_killed_between_two_files_of_an_epoch_ends_as_if_it_never_was(
    train, finished, tmp_path, monkeypatch, checkpoint, assert_same_training
):
    path, save = tmp_path / "run", checkpoints.save

    def killed(target, values, *, epoch):
        # Epoch 3 has its best checkpoint and its row of the history, but not its last checkpoint.
        if target.name == "last.npz" and epoch == 3:
            raise KeyboardInterrupt
        save(target, values, epoch=epoch)

    monkeypatch.setattr(checkpoints, "save", killed)
    with pytest.raises(KeyboardInterrupt):
        train(path)
    monkeypatch.undo()
    assert (checkpoint(path)[1], checkpoint(path, "best")[1]) == (2, 3)
    assert len(History(path / "history.csv").rows) == 3
    train(path, resumed=True, process_seed=99)
    assert_same_training(path, finished[0])


def test_epochs_may_start_in_their_middle(teach, make_model, assert_same):
    loading, augmentation = loader.LoaderSpec(batch_size=2), augment.AugmentSpec()
    spec = fit.TrainSpec(epochs=2)

    def fresh(seed):
        fit.seed_everything(seed)
        model = make_model()
        fit.compile_model(model, spec, steps_per_epoch=3)
        return model

    def batches(**start):
        return loader.for_training(
            teach, spec=loading, augmentation=augmentation, seed=7, epochs=2, **start
        )

    model = fresh(1)
    states = []
    for inputs, labels in batches():  # six steps: two epochs of three
        model.train_on_batch(inputs, labels)
        states.append(checkpoints.capture(model))
    other = fresh(2)
    checkpoints.restore(other, states[3])  # one step into the second epoch
    for inputs, labels in batches(first_epoch=1, first_step=1):
        other.train_on_batch(inputs, labels)
    assert_same(checkpoints.capture(other), states[-1])


CHILD = """
import sys
sys.path.insert(0, {folder!r})
from pathlib import Path
import tiny_training
from inspection_tf.datasets.loading import augment, loader
from inspection_tf.models import unet
from inspection_tf.training import fit
from inspection_tf.training.runs.run_folder import RunFolder
fit.seed_everything(7)
model = unet.build(image_size=(16, 16), filters=(4, 8), normalization="batch", dropout=0.3)
spec = fit.TrainSpec(epochs=4, validate_every=3, pictures=2, learning_rate=0.01)
stage = fit.Stage(spec, loader.LoaderSpec(batch_size=2), augment.AugmentSpec(), seed=7,
                  folder=RunFolder(Path({path!r}), is_resumed={resumed}))
fit.fit(model, tiny_training.make_cache(6, seed=0), tiny_training.make_cache(3, seed=1), stage)
"""


@pytest.mark.slow
@pytest.mark.skipif(os.name != "posix", reason="SIGKILL is POSIX")
def test_a_process_that_was_killed_is_resumed_by_another_bit_by_bit(
    finished, tmp_path, checkpoint, assert_same_training
):
    path = tmp_path / "run"
    path.mkdir()

    def start(*, resumed):
        code = CHILD.format(folder=str(SUPPORT), path=str(path), resumed=resumed)
        return subprocess.Popen(
            [sys.executable, "-c", textwrap.dedent(code)], cwd=ROOT, stderr=subprocess.DEVNULL
        )

    child = start(resumed=False)
    deadline = time.monotonic() + 300
    while not (path / "checkpoints" / "last.npz").is_file() and time.monotonic() < deadline:
        time.sleep(0.002)
    child.send_signal(signal.SIGKILL)
    child.wait()
    assert 1 <= checkpoint(path)[1] < 4
    assert start(resumed=True).wait(300) == 0
    assert_same_training(path, finished[0])


def test_a_run_that_was_trained_to_the_end_is_not_trained_again(
    train, finished, copied, weights, assert_same, assert_same_training
):
    model, rows = train(copied, resumed=True, process_seed=99)
    assert_same(weights(model), weights(finished[1]))
    assert rows == finished[2]
    assert_same_training(copied, finished[0])


# Which weights are shipped


def test_select_best_takes_the_best_validated_weights_and_last_the_last(
    train, finished, copied, checkpoint, weights, assert_same
):
    values, _ = checkpoint(copied, "best")
    marked = {name: value + np.ones_like(value) for name, value in values.items()}
    checkpoints.save(copied / "checkpoints" / "best.npz", marked, epoch=3)
    best, _ = train(copied, resumed=True, select="best")
    assert_same(weights(best), marked)
    last, _ = train(copied, resumed=True, select="last")
    assert_same(weights(last), weights(finished[1]))
    # In a fold the images that are watched are those that judge it.
    judged, _ = train(copied, resumed=True, select="best", fold=2)
    assert_same(weights(judged), weights(finished[1]))


def test_the_best_checkpoint_holds_the_weights_that_were_measured(
    train, tune, finished, copied, checkpoint
):
    _, epoch = checkpoint(copied, "best")
    model, rows = train(copied, resumed=True, select="best")
    measured = model.evaluate(
        loader.for_evaluation(tune, batch_size=2), verbose=0, return_dict=True
    )
    assert measured["loss"] == rows[epoch - 1]["val_loss"]
    best = max(row.get("val_dice_defective", -1) for row in rows)
    assert measured["dice_defective"] == rows[epoch - 1]["val_dice_defective"] == best


def test_without_a_tune_split_nothing_is_validated_and_the_last_is_best(
    train, tmp_path, checkpoint, weights, assert_same
):
    model, rows = train(tmp_path / "run", watched=None, epochs=2, averaging=0, pictures=1)
    assert not any(name.startswith("val_") for name in rows[-1])
    assert checkpoint(tmp_path / "run", "best")[1] == 2
    values, _ = checkpoint(tmp_path / "run")
    assert_same(weights(model), {k: v for k, v in values.items() if k.startswith("model/")})
    assert (tmp_path / "run" / "validation" / "epoch_0002.png").is_file()
