"""Defect segmentation: from images to a bundle that decides OK or NG.

python -m pipelines.dagm_segmentation [--config FILE] [--out DIR] [--section.field VALUE ...]
"""

import functools
import sys
from pathlib import Path
from typing import Any

from inspection_tf import decision
from inspection_tf.datasets.loading import augment, loader
from inspection_tf.datasets.records import Records
from inspection_tf.export import ship
from inspection_tf.models import unet
from inspection_tf.models.additions import mirrors
from inspection_tf.recipes import command_line, ending, experiment, folds
from inspection_tf.tasks import segmentation
from inspection_tf.training import distilling, fit
from inspection_tf.training.runs.run_folder import RunFolder

NAME = "dagm_segmentation"


class Config(experiment.Experiment):
    """The whole experiment."""

    loader: loader.LoaderSpec
    augment: augment.AugmentSpec
    model: unet.Options
    averaged_flips: mirrors.Mirrors = "none"
    """Mirror images whose maps are averaged with that of the image, in the graph."""
    train: fit.TrainSpec
    distill: bool = False
    """Whether the model learns from a teacher's maps beside the masks."""
    teacher: distilling.Teacher = distilling.Teacher()
    """The larger network that teaches, if one does."""
    rules: decision.Rules
    mm_per_px: float | None = None
    """Scale of the source images, mm per pixel; null where unknown."""


def train(cfg: Config, records: Records, tune: Records | None, folder: RunFolder) -> folds.Models:
    """Fit a network on `records`, watching `tune`."""
    fit.seed_everything(cfg.seed, deterministic=cfg.train.deterministic)
    images = loader.cache(records, cfg.preprocessing, spec=cfg.loader)
    tune_images = loader.cache(tune, cfg.preprocessing, spec=cfg.loader) if tune else None
    channels = int(images.image.shape[-1])
    build = functools.partial(unet.build, image_size=images.size, channels=channels)
    model = build(options=cfg.model)
    stage = fit.Stage(cfg.train, cfg.loader, cfg.augment, cfg.seed, folder)
    if cfg.distill:
        distilling.train(model, build, cfg.teacher, images, tune_images, stage)
    else:
        fit.fit(model, images, tune_images, stage)
    return {segmentation.SEGMENTER: mirrors.attach(model, cfg.averaged_flips)}


def run(cfg: Config, out: Path | None) -> dict[str, Any]:
    """Run the recipe; returns the report that `evaluation/metrics.json` holds."""
    with experiment.begin(NAME, cfg, out, several_classes=False) as begun:
        settings = segmentation.Settings(rules=cfg.rules)
        spec = ship.BundleSpec(
            segmentation.NAME, cfg.preprocessing, cfg.threshold, settings, cfg.mm_per_px
        )
        division = folds.divide(begun, functools.partial(train, cfg))
        models = train(cfg, division.train, division.tune, begun.folder)
        return ending.finish(begun, models, division, spec)


if __name__ == "__main__":
    sys.exit(command_line.launch(Config, run, __file__))
