"""Cutting inserts: broken or not, how far worn, and where that is seen.

python -m pipelines.insert_wear [--config FILE] [--out DIR] [--section.field VALUE ...]

Two bundles come of it: `bundle` classifies, `wear/bundle` segments the wear land and measures its
width and the chipping of the edge.
"""

import dataclasses
import functools
import sys
from pathlib import Path
from typing import Any

from inspection_tf import config, decision, errors, thresholds
from inspection_tf.datasets import data_spec
from inspection_tf.datasets.drawn import sections
from inspection_tf.datasets.loading import loader
from inspection_tf.datasets.records import Records
from inspection_tf.export import ship
from inspection_tf.models import segmenter
from inspection_tf.recipes import command_line, ending, experiment, folds, stages, strategies
from inspection_tf.tasks import classification, segmentation
from inspection_tf.training.runs.run_folder import RunFolder

NAME = "insert_wear"


class Segmenter(stages.StageSpec):
    """The network that marks the wear land."""

    model: segmenter.Options


class Wear(config.Section):
    """The second bundle: the wear land, its width, and the chipping of the edge."""

    segmenter: Segmenter
    rules: decision.Rules
    threshold: thresholds.ThresholdSpec


class Config(experiment.Experiment):
    """The whole experiment."""

    classifier: strategies.ClassifierSpec
    rules: classification.Settings
    wear: Wear | None
    """None: the classifier alone, as for images whose labels are classes and no masks."""
    mm_per_px: float | None = None
    """Scale of the source images, mm per pixel; null where unknown."""


def classify(
    cfg: Config, records: Records, tune: Records | None, folder: RunFolder
) -> folds.Models:
    """Fit the classifier on `records`, watching `tune`."""
    cache = functools.partial(
        loader.cache, preprocessing=cfg.preprocessing, spec=cfg.classifier.loader
    )
    watched = cache(tune) if tune else None
    model = strategies.train(
        cfg.classifier,
        cache(records),
        watched,
        seed=cfg.seed,
        folder=folder.within(classification.CLASSIFIER),
    )
    return {classification.CLASSIFIER: model}


def segment(cfg: Config, wear: Wear, parts: dict[str, Records], folder: RunFolder) -> folds.Models:
    """Fit the segmenter on the training part, watching the tuning part."""
    cache = functools.partial(
        loader.cache, preprocessing=cfg.preprocessing, spec=wear.segmenter.loader
    )
    network = stages.Network(functools.partial(segmenter.build, classes=1), wear.segmenter)
    model = stages.fit_stage(
        network,
        cache(parts["train"]),
        cache(parts["tune"]),
        seed=cfg.seed,
        folder=folder.within(segmentation.SEGMENTER),
    )
    return {segmentation.SEGMENTER: model}


def measure_wear(cfg: Config, wear: Wear, begun: experiment.Run) -> dict[str, Any]:
    """Train and ship the second bundle on the same images, whose labels are now wear lands."""
    data = cfg.data
    if not isinstance(data, sections.InsertsSpec) or data.folds:
        raise errors.ConfigError(
            "wear needs drawn inserts, whose wear lands are known, and no folds. Got "
            f"data.format {data.format}, data.folds {data.folds}. Set wear: null."
        )
    marked = data.model_copy(update={"labels": "wear"})
    records = data_spec.read(marked)
    split = data_spec.split(begun.records, data, seed=cfg.seed)
    parts = {name: records.select(part.ids) for name, part in split.items()}
    run = dataclasses.replace(
        begun,
        settings=cfg.model_copy(update={"data": marked}),
        folder=begun.folder.within("wear"),
        records=records,
    )
    models = segment(cfg, wear, parts, run.folder)
    division = folds.Division(parts, [(None, parts["tune"])], [(None, parts["test"])], "test")
    settings = segmentation.Settings(rules=wear.rules)
    spec = ship.BundleSpec(
        segmentation.NAME, cfg.preprocessing, wear.threshold, settings, cfg.mm_per_px
    )
    return ending.finish(run, models, division, spec)


def run(cfg: Config, out: Path | None) -> dict[str, Any]:
    """Run the recipe; returns the report that `evaluation/metrics.json` holds."""
    strategies.require_weights(cfg.classifier)
    with experiment.begin(NAME, cfg, out) as begun:
        network = strategies.network(cfg.classifier, len(begun.records.classes))
        stages.check_models(cfg.preprocessing, begun.records, {classification.CLASSIFIER: network})
        division = folds.divide(begun, functools.partial(classify, cfg))
        models = classify(cfg, division.train, division.tune, begun.folder)
        spec = ship.BundleSpec(
            classification.NAME, cfg.preprocessing, cfg.threshold, cfg.rules, cfg.mm_per_px
        )
        report = ending.finish(begun, models, division, spec)
        if cfg.wear is not None:
            return {**report, "wear": measure_wear(cfg, cfg.wear, begun)}
        return report


if __name__ == "__main__":
    sys.exit(command_line.launch(Config, run, __file__))
