"""Two-stage inspection: a classifier passes what is OK, a segmenter finds the defects of the rest.

python -m pipelines.two_stage_defects [--config FILE] [--out DIR] [--section.field VALUE ...]
"""

import functools
import sys
from pathlib import Path
from typing import Any

import keras

from inspection_tf import decision
from inspection_tf.datasets.loading import loader
from inspection_tf.datasets.records import Records
from inspection_tf.export import ship
from inspection_tf.images import registration
from inspection_tf.models import classifier, segmenter
from inspection_tf.models.additions import mirrors
from inspection_tf.recipes import command_line, ending, experiment, folds, stages
from inspection_tf.tasks import cascade, segmentation
from inspection_tf.training.runs.run_folder import RunFolder

NAME = "two_stage_defects"


class Classifier(stages.StageSpec):
    """The first stage: OK or NG."""

    model: classifier.Options


class Segmenter(stages.StageSpec):
    """The second stage: where, and what."""

    model: segmenter.Options
    averaged_flips: mirrors.Mirrors = "none"
    """Mirror images whose maps are averaged with that of the image, in the graph."""


class Config(experiment.Experiment):
    """The whole experiment."""

    alignment: registration.AlignSpec
    cascade: bool
    """False: the segmenter alone decides."""
    classifier: Classifier
    segmenter: Segmenter
    rules: decision.Rules
    mm_per_px: float | None = None
    """Scale of the source images, mm per pixel; null where unknown."""


def networks(cfg: Config, classes: int) -> dict[str, stages.Network]:
    """Return what builds each network and how it is trained, in their order."""
    build = functools.partial(segmenter.build, classes=classes)
    finder = {segmentation.SEGMENTER: stages.Network(build, cfg.segmenter)}
    if not cfg.cascade:
        return finder
    build = functools.partial(classifier.build, classes=1 + classes)
    return {**finder, cascade.CLASSIFIER: stages.Network(build, cfg.classifier)}


def train(cfg: Config, records: Records, tune: Records | None, folder: RunFolder) -> folds.Models:
    """Fit the networks on `records`, watching `tune`."""
    cache = functools.partial(loader.cache, spec=cfg.segmenter.loader, alignment=cfg.alignment)
    images = cache(records, cfg.preprocessing)
    tune_images = cache(tune, cfg.preprocessing) if tune else None
    models: dict[str, keras.Model] = {}
    for name, network in networks(cfg, len(images.classes)).items():
        models[name] = stages.fit_stage(
            network, images, tune_images, seed=cfg.seed, folder=folder.within(name), trained=models
        )
    finder = mirrors.attach(models[segmentation.SEGMENTER], cfg.segmenter.averaged_flips)
    return {**models, segmentation.SEGMENTER: finder}


def run(cfg: Config, out: Path | None) -> dict[str, Any]:
    """Run the recipe; returns the report that `evaluation/metrics.json` holds."""
    stages.check_backbones(cfg.preprocessing.size, networks(cfg, classes=1))
    with experiment.begin(NAME, cfg, out) as begun:
        records = begun.records
        stages.check_models(cfg.preprocessing, records, networks(cfg, len(records.classes)))
        task = cascade if cfg.cascade else segmentation
        settings = task.Settings(rules=cfg.rules)
        spec = ship.BundleSpec(
            task.NAME, cfg.preprocessing, cfg.threshold, settings, cfg.mm_per_px, cfg.alignment
        )
        division = folds.divide(begun, functools.partial(train, cfg))
        models = train(cfg, division.train, division.tune, begun.folder)
        return ending.finish(begun, models, division, spec)


if __name__ == "__main__":
    sys.exit(command_line.launch(Config, run, __file__))
