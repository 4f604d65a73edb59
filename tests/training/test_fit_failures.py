import errno
import os

import numpy as np
import pytest

from inspection_tf import errors
from inspection_tf.training import fit
from inspection_tf.training.runs import checkpoints
from inspection_tf.training.runs.run_folder import History


def fill(value):
    def action(model):
        for variable in model.trainable_variables:
            # Of both signs, so that overflows meet: infinity - infinity is not a number.
            signs = np.resize([1.0, -1.0, -1.0], variable.shape)
            variable.assign(signs * value)

    return action


@pytest.mark.parametrize(
    ("step", "value"),
    [(2, np.inf), (2, 3e38)],
    ids=["at the last step", "huge but finite at the last step"],
)
def test_weights_that_are_not_finite_end_the_run_and_are_never_saved(
    step, value, train, at, tune, tmp_path, checkpoint
):
    path = tmp_path / "run"
    # Weights that are only huge first show when they are validated.
    spec = {"watched": tune if np.isfinite(value) else None, "averaging": 0, "validate_every": 1}
    with pytest.raises(
        errors.DivergedError, match=r"epoch 2.*lower train\.learning_rate"
    ) as caught:
        train(path, extra=[at(1, step, fill(value))], **spec)
    assert caught.value.exit_code == 6
    for name in ("last", "best"):
        values, epoch = checkpoint(path, name)
        assert epoch == 1
        assert checkpoints.is_finite(values)
    assert [row["epoch"] for row in History(path / "history.csv").rows] == [1]


def test_the_model_goes_back_to_where_the_epoch_began(
    train, at, tmp_path, checkpoint, weights, assert_same
):
    models = []

    def keep_and_spoil(model):
        models.append(model)
        fill(np.nan)(model)

    path = tmp_path / "run"
    with pytest.raises(errors.DivergedError):
        train(path, epochs=2, watched=None, extra=[at(1, 0, keep_and_spoil)])
    values, _ = checkpoint(path)
    assert_same(checkpoints.capture(models[0]), values)
    # The same run again, without the fault, goes on from there.
    model, rows = train(path, resumed=True, epochs=2, watched=None)
    assert len(rows) == 2
    assert np.isfinite([value for row in rows for value in row.values()]).all()
    assert checkpoints.is_finite(weights(model))


def test_an_absurd_learning_rate_ends_with_6_and_leaves_the_first_weights(
    train, at, make_model, tmp_path, weights, assert_same
):
    models = []
    with pytest.raises(errors.DivergedError, match=r"now 1e\+38"):
        train(
            tmp_path / "run",
            watched=None,
            learning_rate=1e38,
            warmup_epochs=0,
            weight_decay=0,
            extra=[at(0, 0, models.append)],
        )
    assert not (tmp_path / "run" / "checkpoints" / "last.npz").exists()
    fit.seed_everything(7)
    assert_same(weights(models[0]), weights(make_model()))


def test_a_full_disk_ends_with_5_and_leaves_the_last_checkpoint(
    train, tmp_path, monkeypatch, checkpoint
):
    path, save = tmp_path / "run", checkpoints.save

    def full(*args):
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    def fill_the_disk(target, values, *, epoch):
        if epoch == 2:
            monkeypatch.setattr(os, "fsync", full)
        save(target, values, epoch=epoch)

    monkeypatch.setattr(checkpoints, "save", fill_the_disk)
    with pytest.raises(errors.StorageError, match="No space left on device"):
        train(path, watched=None, epochs=2)
    monkeypatch.undo()
    assert checkpoint(path)[1] == 1
