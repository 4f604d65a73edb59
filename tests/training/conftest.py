"""A training that takes seconds: 16 x 16 px, a network of two levels, every kind of state."""

import shutil

import keras
import pytest
from tiny_training import SIZE, assert_same_variables, make_cache

from inspection_tf.datasets.loading import augment, loader
from inspection_tf.models import unet
from inspection_tf.training import fit
from inspection_tf.training.runs import checkpoints
from inspection_tf.training.runs.run_folder import RunFolder


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
def make_tuned():
    """Build a network with a nested backbone: convolution, batch norm and dropout in each part."""

    def part(x, filters, name):
        x = keras.layers.Conv2D(filters, 3, padding="same", name=f"{name}_conv")(x)
        x = keras.layers.BatchNormalization(name=f"{name}_norm")(x)
        return keras.layers.SpatialDropout2D(0.3, name=f"{name}_dropout")(keras.ops.relu(x))

    def make():
        image = keras.Input((*SIZE, 1), dtype="uint8", name="image")
        features = keras.Input((*SIZE, 1))
        backbone = keras.Model(features, part(features, 4, "backbone"), name="backbone")
        x = backbone(keras.layers.Rescaling(1 / 64, -2, name="scaling")(image))
        x = part(x, 4, "head")
        probability = keras.layers.Conv2D(1, 1, activation="sigmoid", name="probability")(x)
        return keras.Model({"image": image}, {"probability": probability}, name="tuned")

    return make


@pytest.fixture(scope="session")
def train(teach, tune, make_model):
    """Train in a folder; `process_seed` is what a new process starts with."""

    def run(
        path,
        *,
        resumed=False,
        process_seed=7,
        seed=7,
        extra=(),
        watched=tune,
        shown=teach,
        build=make_model,
        fold=None,
        **spec,
    ):
        fit.seed_everything(process_seed)
        model = build()
        path.mkdir(exist_ok=True)
        values = {"epochs": 4, "validate_every": 3, "pictures": 0, "learning_rate": 0.01, **spec}
        rows = fit.fit(
            model,
            shown,
            watched,
            fit.Stage(
                spec=fit.TrainSpec(**values),
                loading=loader.LoaderSpec(batch_size=2),
                augmentation=augment.AugmentSpec(),
                seed=seed,
                folder=RunFolder(path, is_resumed=resumed, number=fold),
            ),
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


@pytest.fixture(scope="session")
def checkpoint():
    """Read a checkpoint of a run: its values and the epochs completed."""

    def read(path, name="last"):
        return checkpoints.load(path / "checkpoints" / f"{name}.npz")

    return read


@pytest.fixture(scope="session")
def weights():
    """Copy the variables of a model, without those of its optimizer."""

    def copy(model):
        return checkpoints.capture(model, optimizer=False)

    return copy


@pytest.fixture(scope="session")
def assert_same():
    return assert_same_variables


@pytest.fixture(scope="session")
def assert_same_training(checkpoint, assert_same):
    """Compare everything a training leaves: both checkpoints and the history, bit by bit."""

    def compare(path, other):
        for name in ("last", "best"):
            found, expected = checkpoint(path, name), checkpoint(other, name)
            assert found[1] == expected[1]
            assert_same(found[0], expected[0])
        found = (path / "history.csv").read_text()
        assert found == (other / "history.csv").read_text()

    return compare
