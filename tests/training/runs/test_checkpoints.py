import errno
import io
import os
import signal
import subprocess
import sys
import time

import keras
import numpy as np
import pytest

from inspection_tf import errors
from inspection_tf.training import fit
from inspection_tf.training.runs import checkpoints


@pytest.fixture
def compiled(make_model):
    def make(*, seed=0, averaging=0.9, **options):
        keras.utils.set_random_seed(seed)
        model = make_model(**options)
        fit.compile_model(model, fit.TrainSpec(averaging=averaging), steps_per_epoch=2)
        model.run_eagerly = True  # one step is faster than its graph
        return model

    return make


def train_a_step(model):
    rng = np.random.default_rng(0)
    image = rng.integers(0, 256, (2, 16, 16, 1), dtype=np.uint8)
    model.train_on_batch({"image": image}, {"probability": (image > 200).astype(np.uint8)})


def equal(left, right):
    return left.keys() == right.keys() and all(
        np.array_equal(left[name], right[name]) for name in left
    )


def test_capture_holds_weights_statistics_random_states_and_the_optimizer(compiled):
    model = compiled()
    values = checkpoints.capture(model)
    # Two values for each of the weights (Adam), one more for the average, then 2 of the optimizer:
    # its iterations and its learning rate, which a schedule leaves out.
    trained = len(model.trainable_variables)
    of_optimizer = [name for name in values if name.startswith("optimizer/")]
    assert len(of_optimizer) == 3 * trained + 1
    # model.weights leaves out the state of the dropout's generator.
    assert len(values) - len(of_optimizer) == len(model.weights) + 1
    before = checkpoints.capture(model)
    train_a_step(model)
    after = checkpoints.capture(model)
    moved = [name for name in before if not np.array_equal(before[name], after[name])]
    assert f"model/{len(model.weights):04d}" in moved  # the generator: it is listed last
    assert len(moved) > 0.9 * len(before)


def test_what_is_captured_is_a_copy(compiled):
    model = compiled()
    values = checkpoints.capture(model)
    kept = {name: value.copy() for name, value in values.items()}
    train_a_step(model)
    assert equal(values, kept)


def test_restore_after_save_and_load_gives_every_value_back(compiled, tmp_path):
    model = compiled()
    train_a_step(model)
    values = checkpoints.capture(model)
    checkpoints.save(tmp_path / "a.npz", values, epoch=3)
    loaded, epoch = checkpoints.load(tmp_path / "a.npz")
    assert epoch == 3
    assert equal(loaded, values)
    other = compiled(seed=1)
    assert not equal(checkpoints.capture(other), values)
    checkpoints.restore(other, loaded)
    assert equal(checkpoints.capture(other), values)


def test_two_models_in_one_state_take_the_same_next_step(compiled):
    first, second = compiled(seed=0), compiled(seed=1)
    train_a_step(first)
    checkpoints.restore(second, checkpoints.capture(first))
    train_a_step(first)
    train_a_step(second)
    assert equal(checkpoints.capture(first), checkpoints.capture(second))


def test_without_the_optimizer_it_is_left_alone(compiled):
    model, other = compiled(), compiled(seed=1)
    train_a_step(model)
    before = checkpoints.capture(other)
    # From a checkpoint that holds one, or one that does not.
    for values in (checkpoints.capture(model), checkpoints.capture(model, optimizer=False)):
        checkpoints.restore(other, values, optimizer=False)
        after = checkpoints.capture(other)
        of_model = checkpoints.capture(model, optimizer=False)
        assert equal({name: after[name] for name in of_model}, of_model)
        assert all(
            np.array_equal(after[name], before[name])
            for name in after
            if name.startswith("optimizer/")
        )


@pytest.mark.parametrize(
    "options", [{"filters": (4, 12)}, {"filters": (4, 8, 8)}, {"normalization": "none"}]
)
@pytest.mark.parametrize("optimizer", [True, False])
def test_a_checkpoint_of_another_network_is_refused_either_way(compiled, options, optimizer):
    model, other = compiled(), compiled(**options)
    for source, target in ((model, other), (other, model)):
        before = checkpoints.capture(target)
        values = checkpoints.capture(source, optimizer=optimizer)
        with pytest.raises(errors.BundleError, match="every variable of the model and no other"):
            checkpoints.restore(target, values, optimizer=optimizer)
        assert equal(checkpoints.capture(target), before)


def test_a_checkpoint_without_optimizer_does_not_resume_a_training(compiled):
    model = compiled()
    with pytest.raises(errors.BundleError, match="Resume with the configuration of the run"):
        checkpoints.restore(model, checkpoints.capture(model, optimizer=False))


def damaged():
    whole = io.BytesIO()
    np.savez(whole, epoch=np.array(1), **{"model/0000": np.zeros(1000)})
    without_epoch, pickled = io.BytesIO(), io.BytesIO()
    np.savez(without_epoch, a=np.zeros(3))
    np.savez(pickled, epoch=np.array(1), a=np.array([{}], dtype=object))
    return {
        "absent": None,
        "empty": b"",
        "text": b"not a checkpoint",
        "cut off": whole.getvalue()[:-700],
        "without epoch": without_epoch.getvalue(),
        "pickled": pickled.getvalue(),
    }


@pytest.mark.parametrize("kind", damaged())
def test_what_is_no_checkpoint_is_refused(kind, tmp_path):
    path, data = tmp_path / "last.npz", damaged()[kind]
    if data is not None:
        path.write_bytes(data)
    with pytest.raises(errors.BundleError, match=r"last\.npz must be a checkpoint") as caught:
        checkpoints.load(path)
    assert caught.value.exit_code == 4


def test_is_finite_looks_at_every_float():
    values = {"a": np.zeros(3), "b": np.array(2**63, np.uint64)}
    assert checkpoints.is_finite(values)
    for bad in (np.nan, np.inf, -np.inf):
        assert not checkpoints.is_finite({**values, "c": np.array([0, bad], np.float32)})


@pytest.mark.parametrize("failing", ["fsync", "write"])
def test_a_full_disk_leaves_the_previous_checkpoint(failing, tmp_path, monkeypatch):
    path = tmp_path / "last.npz"
    checkpoints.save(path, {"model/0000": np.arange(5.0)}, epoch=1)

    def full(*args):
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    if failing == "fsync":
        monkeypatch.setattr(os, "fsync", full)
    else:
        opened = io.BytesIO()
        opened.write = full
        monkeypatch.setattr("pathlib.Path.open", lambda *args, **options: opened)
    with pytest.raises(errors.StorageError, match="No space left on device") as caught:
        checkpoints.save(path, {"model/0000": np.arange(9.0)}, epoch=2)
    monkeypatch.undo()
    assert caught.value.exit_code == 5
    values, epoch = checkpoints.load(path)
    assert (epoch, values["model/0000"].tolist()) == (1, [0, 1, 2, 3, 4])
    assert [item.name for item in tmp_path.iterdir()] == ["last.npz"]


WRITER = """
import itertools, sys
from inspection_tf import files
for number in itertools.count():
    files.write(sys.argv[1], bytes([number % 256]) * 3_000_000)
"""


@pytest.mark.skipif(os.name != "posix", reason="SIGKILL is POSIX")
def test_a_killed_process_leaves_a_whole_file(tmp_path):
    # What `checkpoints.save` writes with, killed at some place of its loop, five times.
    path = tmp_path / "last.npz"
    for kill_after_s in (0.0, 0.003, 0.007, 0.012, 0.02):
        process = subprocess.Popen([sys.executable, "-c", WRITER, str(path)])
        deadline = time.monotonic() + 60
        while not path.exists() and time.monotonic() < deadline:
            time.sleep(0.001)
        time.sleep(kill_after_s)
        process.send_signal(signal.SIGKILL)
        process.wait()
        data = path.read_bytes()
        assert len(data) == 3_000_000
        assert len(set(data)) == 1
        path.unlink()
