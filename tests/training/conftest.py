"""A training that takes seconds: 16 x 16 px, a network of two levels, every kind of state."""

import shutil

import keras
import numpy as np
import pytest

from inspection_tf.datasets import augment, loader
from inspection_tf.models import unet
from inspection_tf.training import fit
from inspection_tf.training.run_folder import RunFolder

SIZE = (16, 16)


def make_cache(count, *, seed):
    rng = np.random.default_rng(seed)
    image = rng.integers(80, 120, (count, *SIZE, 1), dtype=np.uint8)
    mask = np.zeros((count, *SIZE, 1), np.uint8)
    for row in range(0, count, 2):  # every second one is defective
        top, left = rng.integers(2, 9, 2)
        mask[row, top : top + 5, left : left + 5] = 1
    image += 100 * mask
    ids = tuple(f"{seed}-{row}" for row in range(count))
    return loader.Cache(image, mask, mask.any(axis=(1, 2, 3)), ids)


@pytest.fixture(scope="session")
def teach():
    return make_cache(6, seed=0)


@pytest.fixture(scope="session")
def tune():
    return make_cache(3, seed=1)  # an odd number: the last batch is smaller


@pytest.fixture(scope="session")
def make_model():
    """Build a network that has every kind of state: weights, statistics, a random generator."""

    def make(**options):
        chosen = {"filters": (4, 8), "normalization": "batch", "dropout": 0.3, **options}
        return unet.build(image_size=SIZE, **chosen)

    return make


@pytest.fixture(scope="session")
def train(teach, tune, make_model):
    """Train in a folder; `process_seed` is what a new process starts with."""

    def run(path, *, resumed=False, process_seed=7, seed=7, extra=(), watched=tune, **spec):
        fit.seed_everything(process_seed)
        model = make_model()
        path.mkdir(exist_ok=True)
        values = {"epochs": 4, "validate_every": 3, "pictures": 0, "learning_rate": 0.01, **spec}
        rows = fit.fit(
            model,
            teach,
            watched,
            spec=fit.TrainSpec(**values),
            loading=loader.LoaderSpec(batch_size=2),
            augmentation=augment.AugmentSpec(),
            seed=seed,
            run=RunFolder(path, is_resumed=resumed),
            extra_callbacks=tuple(extra),
        )
        return model, rows

    return run


@pytest.fixture(scope="session")
def finished(train, tmp_path_factory):
    """An uninterrupted training: its folder, model and history. Copy the folder to change it."""
    path = tmp_path_factory.mktemp("training") / "run"
    model, rows = train(path, pictures=2)
    return path, model, rows


@pytest.fixture
def copied(finished, tmp_path):
    return shutil.copytree(finished[0], tmp_path / "run")


class At(keras.callbacks.Callback):
    """Does something once, at the end of a step."""

    def __init__(self, epoch, step, action):
        super().__init__()
        self.place, self.action, self.epoch = (epoch, step), action, 0

    def on_epoch_begin(self, epoch, logs=None):
        self.epoch = epoch

    def on_train_batch_end(self, batch, logs=None):
        if (self.epoch, batch) == self.place:
            self.action(self.model)


@pytest.fixture(scope="session")
def at():
    return At
