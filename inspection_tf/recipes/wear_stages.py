"""The second bundle of a recipe on cutting edges: the wear land, its width, and the chipping."""

import dataclasses
import functools
from typing import Any

from inspection_tf import config, decision, errors, thresholds
from inspection_tf.datasets import data_spec
from inspection_tf.datasets.divisions import sealed
from inspection_tf.datasets.drawn import inserts
from inspection_tf.datasets.loading import loader
from inspection_tf.export import ship
from inspection_tf.models import segmenter
from inspection_tf.recipes import ending, experiment, folds, stages
from inspection_tf.tasks import segmentation

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


@dataclasses.dataclass(frozen=True, slots=True)
class Marked:
    """The images of a run, whose labels are now what is worn and what is chipped away.

    Attributes:
        run: with a folder of its own inside that of the whole run.
        division: the images of the whole run's, divided alike.
    """

    run: experiment.Run
    division: folds.Division


def require_marks(data: data_spec.DataSpec) -> data_spec.InsertsSpec:
    """Return the data section, of images whose wear land is known.

    Raises:
        errors.ConfigError: only the class of these images is known, or they are in folds.
    """
    if not isinstance(data, data_spec.InsertsSpec) or data.folds:
        raise errors.ConfigError(
            "measure_wear needs drawn inserts, whose wear lands are known, and no folds. Got "
            f"data.format {data.format} and data.folds {data.folds}. Set measure_wear: false."
        )
    return data


def network(wear: Wear) -> stages.Network:
    """Return what builds the segmenter and how it is trained."""
    classes = len(inserts.CLASSES["damage"])
    return stages.Network(functools.partial(segmenter.build, classes=classes), wear.segmenter)


def marked(begun: experiment.Run, division: folds.Division) -> Marked:
    """Return the images of a run with other labels.

    Args:
        begun: the run, whose labels are classes; its folder gets `wear/`.
        division: of its images.

    Raises:
        errors.ConfigError: the wear lands of the images are not known.
    """
    data = require_marks(begun.settings.data).model_copy(update={"labels": "damage"})
    # Their labels are others, and would deal others to be sealed.
    whole = data_spec.read(data.model_copy(update={"sealed": 0.0}))
    records = sealed.seal(whole, sealed.only(begun.records).ids)
    parts = {name: records.select(part.ids) for name, part in division.parts.items()}
    run = dataclasses.replace(
        begun,
        settings=begun.settings.model_copy(update={"data": data}),
        folder=begun.folder.within(FOLDER),
        records=records,
    )
    tuning, measured = [(None, parts["tune"])], [(None, parts["test"])]
    return Marked(run, folds.Division(parts, tuning, measured, "test"))


def train(images: Marked, wear: Wear) -> folds.Models:
    """Fit the segmenter on the images that train, watching those that tune."""
    settings, division = images.run.settings, images.division
    cache = functools.partial(
        loader.cache, preprocessing=settings.preprocessing, spec=wear.segmenter.loader
    )
    model = stages.fit_stage(
        network(wear),
        cache(division.train),
        None if division.tune is None else cache(division.tune),
        seed=settings.seed,
        folder=images.run.folder,
    )
    return {segmentation.SEGMENTER: model}


def finish(
    images: Marked, models: folds.Models, wear: Wear, *, mm_per_px: float | None
) -> dict[str, Any]:
    """Ship and measure the segmenter; returns what `wear/evaluation/metrics.json` holds.

    Args:
        images: that choose the threshold and measure.
        models: of `train`.
        wear: what is decided by the wear land.
        mm_per_px: scale of the source images.
    """
    spec = ship.BundleSpec(
        segmentation.NAME,
        images.run.settings.preprocessing,
        wear.threshold,
        segmentation.Settings(rules=wear.rules),
        mm_per_px,
    )
    return ending.finish(images.run, models, images.division, spec)
