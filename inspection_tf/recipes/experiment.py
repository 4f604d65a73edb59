"""How every recipe begins: its folder, the configuration in it, and the records it learns from."""

import contextlib
import dataclasses
from collections.abc import Iterator
from pathlib import Path

import pydantic

from inspection_tf import config, images, thresholds
from inspection_tf.datasets import data_spec
from inspection_tf.datasets.records import Records
from inspection_tf.training.runs import run_folder, run_inputs


class Experiment(config.Section):
    """What the configuration of every recipe holds; each adds its networks and rules."""

    seed: int = pydantic.Field(ge=0)
    """Drives initialisation, split, order and augmentation."""
    data: data_spec.DataSpec
    preprocessing: images.Preprocessing
    threshold: thresholds.ThresholdSpec


@dataclasses.dataclass(frozen=True, slots=True)
class Run:
    """A run that has begun.

    Attributes:
        recipe: its name.
        settings: the whole configuration.
        folder: receives everything.
        records: all that were read, those among them sealed that the data section seals.
    """

    recipe: str
    settings: Experiment
    folder: run_folder.RunFolder
    records: Records


@contextlib.contextmanager
def begin(
    recipe: str, settings: Experiment, out: Path | None, *, several_classes: bool = True
) -> Iterator[Run]:
    """Open a run folder, save the configuration and read the records; or resume an unfinished run.

    How the block ends is written to `status.json`, whatever it raises.

    Args:
        recipe: its name.
        settings: the whole configuration.
        out: the run folder; None: `runs/RECIPE/<UTC time>`.
        several_classes: False for a recipe whose network knows one class of defects.

    Raises:
        errors.ConfigError: the folder holds something else, or a root is missing.
        errors.DataError: the data are not fit for use, or not those that the run was begun with.
        errors.StorageError: the folder cannot be written.
    """
    folder = run_folder.open_run(out, settings, name=recipe)
    with folder.guarded():
        records = run_inputs.read(
            settings.data, settings.preprocessing, run=folder, several_classes=several_classes
        )
        yield Run(recipe, settings, folder, records)
