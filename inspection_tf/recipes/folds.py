"""Which images train, which choose the thresholds, and which measure: one split, or folds."""

import dataclasses
from collections.abc import Callable, Mapping

import keras

from inspection_tf import errors
from inspection_tf.datasets import data_spec
from inspection_tf.datasets.records import Records
from inspection_tf.export import ship
from inspection_tf.recipes.experiment import Run
from inspection_tf.training.runs.run_folder import RunFolder

Models = Mapping[str, keras.Model]
"""Trained networks by their names in the bundle; the task says which file each one becomes."""
Train = Callable[[Records, Records | None, RunFolder], Models]
"""Trains the networks of a recipe on the first records, watching the second, into a folder."""


@dataclasses.dataclass(frozen=True)
class Division:
    """Which images train what is shipped, and which ones choose thresholds and measure.

    Attributes:
        parts: train, and without folds tune and test.
        tuning: networks and images they were not trained on; None: the networks that are shipped.
        measured: likewise.
        split: what the measured images are called.
    """

    parts: dict[str, Records]
    tuning: ship.Tuning
    measured: ship.Tuning
    split: str

    @property
    def train(self) -> Records:
        """Images that train the networks that are shipped."""
        return self.parts["train"]

    @property
    def tune(self) -> Records | None:
        """Images that are measured while these train; None after a cross-validation."""
        return self.parts.get("tune")


def divide(run: Run, train: Train) -> Division:
    """Split the records, or cross-validate: train a network for each fold on all other images.

    Args:
        run: whose folder gets one inside for each fold.
        train: trains the networks of a fold, watching its test images.

    Raises:
        errors.DataError: without folds, the tune or the test split is empty.
    """
    spec, seed = run.settings.data, run.settings.seed
    if not spec.folds:
        parts = data_spec.split(run.records, spec, seed=seed)
        for name, needs in (("tune", "The thresholds"), ("test", "The metrics")):
            if not len(parts[name]):
                raise errors.DataError(
                    f"{needs} need images that no network has learned from. Got no {name} split. "
                    f"Give data.{name} a share, or cross-validate with data.folds."
                )
        return Division(parts, [(None, parts["tune"])], [(None, parts["test"])], "test")
    tested = [
        (ship.convert(train(fold["train"], fold["test"], run.folder.fold(number))), fold["test"])
        for number, fold in enumerate(data_spec.folds(run.records, spec, seed=seed), start=1)
    ]
    whole = {"train": data_spec.for_training(run.records, spec)}
    return Division(whole, tested, tested, "out_of_fold")
