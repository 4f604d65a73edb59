"""Cutting inserts: broken or not, how far worn, and where that is seen.

python -m pipelines.insert_wear [--config FILE] [--out DIR] [--section.field VALUE ...]

Two bundles come of it: `bundle` says which class an edge is of, `wear/bundle` marks the wear land
and measures its width and the chipping of the edge.
"""

import functools
import sys
from pathlib import Path
from typing import Any

from inspection_tf.datasets.loading import loader
from inspection_tf.datasets.records import Records
from inspection_tf.export import ship
from inspection_tf.recipes import (
    command_line,
    ending,
    experiment,
    folds,
    stages,
    strategies,
    wear_stages,
)
from inspection_tf.tasks import classification, segmentation
from inspection_tf.training.runs.run_folder import RunFolder

NAME = "insert_wear"


class Config(experiment.Experiment):
    """The whole experiment."""

    classifier: strategies.ClassifierSpec
    rules: classification.Settings
    measure_wear: bool
    """False: the classifier alone, as for images whose labels are classes and no masks."""
    wear: wear_stages.Wear
    mm_per_px: float | None = None
    """Scale of the source images, mm per pixel; null where unknown."""


def train(
    cfg: Config,
    records: Records,
    tune: Records | None,
    folder: RunFolder,
    trained: folds.Models | None = None,
) -> folds.Models:
    """Fit the classifier on `records`, watching `tune`, after networks that it may start from."""
    spec = cfg.classifier
    cache = functools.partial(loader.cache, preprocessing=cfg.preprocessing, spec=spec.loader)
    images, within = cache(records), folder.within(classification.CLASSIFIER)
    model = strategies.train(
        spec,
        images,
        cache(tune) if tune else None,
        groups=records.groups,
        seed=cfg.seed,
        folder=within,
        trained=trained,
    )
    model = strategies.with_additions(
        model, spec, cfg.rules, images, groups=records.groups, folder=within
    )
    return {classification.CLASSIFIER: model}


def run(cfg: Config, out: Path | None) -> dict[str, Any]:
    """Run the recipe; returns the report that `evaluation/metrics.json` holds."""
    strategies.check(cfg.classifier, cfg.rules)
    if cfg.measure_wear:
        wear_stages.require_marks(cfg.data)
    finders = {segmentation.SEGMENTER: wear_stages.network(cfg.wear)} if cfg.measure_wear else {}
    with experiment.begin(NAME, cfg, out) as begun:
        network = strategies.network(cfg.classifier, begun.records.classes, cfg.rules.ok_name)
        networks = {**finders, classification.CLASSIFIER: network}
        stages.check_models(cfg.preprocessing, begun.records, networks)
        division = folds.divide(begun, functools.partial(train, cfg))
        marked = wear_stages.marked(begun, division) if cfg.measure_wear else None
        finder = wear_stages.train(marked, cfg.wear) if marked else {}
        models = train(cfg, division.train, division.tune, begun.folder, finder)
        spec = ship.BundleSpec(
            classification.NAME, cfg.preprocessing, cfg.threshold, cfg.rules, cfg.mm_per_px
        )
        report = ending.finish(begun, models, division, spec)
        if marked is None:
            return report
        worn = wear_stages.finish(marked, finder, cfg.wear, mm_per_px=cfg.mm_per_px)
        return {**report, wear_stages.FOLDER: worn}


if __name__ == "__main__":
    sys.exit(command_line.launch(Config, run, __file__))
