"""Defect segmentation: from images to a bundle that decides OK or NG.

python -m pipelines.dagm_segmentation [--config FILE] [--out DIR] [--section.field VALUE ...]
"""

import functools
import sys
from pathlib import Path
from typing import Any

from inspection_tf import config, decision, images, thresholds
from inspection_tf.datasets import data_spec, records
from inspection_tf.datasets.loading import augment, loader
from inspection_tf.export import ship
from inspection_tf.models import unet
from inspection_tf.recipes import stages
from inspection_tf.training import distilling, fit, run_folder, run_inputs

NAME = "dagm_segmentation"


class Config(config.Section):
    """The whole experiment."""

    seed: int
    """Drives initialisation, split, order and augmentation."""
    data: data_spec.DataSpec
    preprocessing: images.Preprocessing
    loader: loader.LoaderSpec
    augment: augment.AugmentSpec
    model: unet.Options
    train: fit.TrainSpec
    distill: bool = False
    """Whether the model learns from a teacher's maps beside the masks."""
    teacher: distilling.Teacher = distilling.Teacher()
    """The larger network that teaches, if one does."""
    threshold: thresholds.ThresholdSpec
    rules: decision.Rules
    mm_per_px: float | None = None
    """Scale of the source images, mm per pixel; null where unknown."""


def train(cfg: Config, chosen: records.Records, tune: records.Records | None, run: Any) -> Any:
    """Fit a network on `chosen`, watching `tune`; returns the model."""
    fit.seed_everything(cfg.seed, deterministic=cfg.train.deterministic)
    held = loader.cache(chosen, cfg.preprocessing, spec=cfg.loader)
    watched = loader.cache(tune, cfg.preprocessing, spec=cfg.loader) if tune else None
    shape = stages.image_shape(held)
    model = unet.build(options=cfg.model, **shape)
    asked: Any = {"loading": cfg.loader, "augmentation": cfg.augment, "seed": cfg.seed}
    asked |= {"spec": cfg.train, "run": run}
    if cfg.distill:
        build = functools.partial(unet.build, **shape)
        distilling.train(model, build, cfg.teacher, held, watched, **asked)
    else:
        fit.fit(model, held, watched, **asked)
    return model


def run(cfg: Config, out: Path | None) -> dict[str, Any]:
    """Run the recipe; returns the report that `evaluation/metrics.json` holds."""
    folder = run_folder.open_run(out, cfg, name=NAME)
    with folder.guarded():
        found = run_inputs.read(cfg.data, cfg.preprocessing, run=folder, several_classes=False)
        terms = ship.Terms(cfg.preprocessing, cfg.threshold, cfg.rules, cfg.mm_per_px)
        divided = stages.divide(
            found,
            cfg.data,
            seed=cfg.seed,
            run=folder,
            train=lambda *part: ship.convert(train(cfg, *part)),
        )
        parts = divided.parts
        model = train(cfg, parts["train"], parts.get("tune"), folder)
        shipped = ship.ship(
            model,
            out=folder.path / "bundle",
            tuning=divided.tuning,
            measured=divided.measured,
            split=divided.split,
            terms=terms,
            provenance=stages.provenance(NAME, cfg, cfg.data, found, parts, seed=cfg.seed),
        )
        return stages.finish(folder, shipped)


if __name__ == "__main__":
    sys.exit(stages.launch(Config, run, __file__))
