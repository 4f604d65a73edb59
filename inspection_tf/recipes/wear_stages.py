"""The second bundle of a recipe on cutting edges: the wear land, its width, and the chipping."""

import dataclasses
import functools
from typing import Any

from inspection_tf import config, decision, errors, thresholds
from inspection_tf.datasets import data_spec
from inspection_tf.datasets.loading import loader
from inspection_tf.export import ship
from inspection_tf.models import segmenter
from inspection_tf.recipes import ending, experiment, folds, stages
from inspection_tf.tasks import segmentation
from inspection_tf.training.runs.run_folder import RunFolder

FOLDER = "wear"
"""Inside the run's folder: a run of its own, with checkpoints, evaluation and bundle."""


class Segmenter(stages.StageSpec):
    """The network that marks the wear land, and how it is trained."""

    model: segmenter.Options = segmenter.Options()


class Wear(config.Section):
    """The network that marks the wear land, and what is decided by its width."""

    segmenter: Segmenter
    rules: decision.Rules
    threshold: thresholds.ThresholdSpec


def marked(data: data_spec.DataSpec) -> data_spec.DataSpec:
    """Return the data section of the same images whose labels are their wear lands.

    Raises:
        errors.ConfigError: only the class of these images is known, or they are in folds.
    """
    if not isinstance(data, data_spec.InsertsSpec) or data.folds:
        raise errors.ConfigError(
            "measure_wear needs drawn inserts, whose wear lands are known, and no folds. Got "
            f"data.format {data.format} and data.folds {data.folds}. Set measure_wear: false."
        )
    return data.model_copy(update={"labels": "wear"})


def network(wear: Wear) -> stages.Network:
    """Return what builds the segmenter and how it is trained."""
    return stages.Network(functools.partial(segmenter.build, classes=1), wear.segmenter)


def _train(
    run: experiment.Run, wear: Wear, division: folds.Division, folder: RunFolder
) -> folds.Models:
    spec = run.settings.preprocessing
    cache = functools.partial(loader.cache, preprocessing=spec, spec=wear.segmenter.loader)
    tune = None if division.tune is None else cache(division.tune)
    model = stages.fit_stage(
        network(wear), cache(division.train), tune, seed=run.settings.seed, folder=folder
    )
    return {segmentation.SEGMENTER: model}


def finish(
    begun: experiment.Run, wear: Wear, division: folds.Division, *, mm_per_px: float | None
) -> dict[str, Any]:
    """Train the segmenter on the images of a run, split alike, and ship and measure it.

    Args:
        begun: the run, whose labels are classes; its folder gets `wear/`.
        wear: the network and what is decided by it.
        division: of the run's images.
        mm_per_px: scale of the source images.

    Returns:
        The report that `wear/evaluation/metrics.json` holds.

    Raises:
        errors.ConfigError: the wear lands of the images are not known.
    """
    data = marked(begun.settings.data)
    records = data_spec.read(data)
    parts = {name: records.select(part.ids) for name, part in division.parts.items()}
    split = folds.Division(parts, [(None, parts["tune"])], [(None, parts["test"])], "test")
    run = dataclasses.replace(
        begun,
        settings=begun.settings.model_copy(update={"data": data}),
        folder=begun.folder.within(FOLDER),
        records=records,
    )
    models = _train(run, wear, split, run.folder)
    spec = ship.BundleSpec(
        segmentation.NAME,
        run.settings.preprocessing,
        wear.threshold,
        segmentation.Settings(rules=wear.rules),
        mm_per_px,
    )
    return ending.finish(run, models, split, spec)
