"""Two-stage inspection: a classifier passes what is OK, a segmenter finds the defects of the rest.

python -m pipelines.two_stage_defects [--config FILE] [--out DIR] [--section.field VALUE ...]
"""

import functools
import sys
from pathlib import Path
from typing import Any

from inspection_tf import config, decision, images, registration, thresholds
from inspection_tf.datasets import loader, records, sources
from inspection_tf.export import ship
from inspection_tf.models import classifier, segmenter
from inspection_tf.training import recipe, run_folder

NAME = "two_stage_defects"


class Classifier(recipe.Stage):
    """The first stage: OK or NG."""

    model: classifier.Options


class Segmenter(recipe.Stage):
    """The second stage: where, and what."""

    model: segmenter.Options


class Config(config.Section):
    """The whole experiment."""

    seed: int
    """Drives initialisation, split, order and augmentation."""
    data: sources.DataSpec
    preprocessing: images.Preprocessing
    alignment: registration.AlignSpec
    cascade: bool
    """False: the segmenter alone decides."""
    classifier: Classifier
    segmenter: Segmenter
    threshold: thresholds.ThresholdSpec
    rules: decision.Rules
    mm_per_px: float | None = None
    """Scale of the source images, mm per pixel; null where unknown."""


def train(cfg: Config, part: records.Records, tune: records.Records | None, run: Any) -> Any:
    """Fit the networks on `part`, watching `tune`; returns segmenter and classifier, or None."""
    asked: Any = {"spec": cfg.segmenter.loader, "alignment": cfg.alignment}
    held = loader.cache(part, cfg.preprocessing, **asked)
    watched = loader.cache(tune, cfg.preprocessing, **asked) if tune else None
    shape = recipe.shape(held)
    stages: Any = {"segmenter": (segmenter, cfg.segmenter, len(held.classes))}
    if cfg.cascade:
        stages["classifier"] = (classifier, cfg.classifier, 1 + len(held.classes))
    fitted: dict[str, Any] = {}
    for name, (models, stage, classes) in stages.items():
        fitted[name] = recipe.fit_stage(
            functools.partial(models.build, classes=classes, **shape),
            stage, held, watched, seed=cfg.seed, run=run.within(name), trained=fitted,
        )  # fmt: skip
    return fitted["segmenter"], fitted.get("classifier")


def run(cfg: Config, out: Path | None) -> dict[str, Any]:
    """Run the recipe; returns the report that `evaluation/metrics.json` holds."""
    more: dict[str, Any] = {"classifier": cfg.classifier} if cfg.cascade else {}
    recipe.check_backbones(cfg.preprocessing.size, segmenter=cfg.segmenter, **more)
    folder = run_folder.open_run(out, cfg, name=NAME)
    with folder.guarded():
        held = cfg.preprocessing, cfg.threshold, cfg.rules, cfg.mm_per_px, cfg.alignment
        found = sources.read(cfg.data)
        sources.check(found, cfg.data, cfg.preprocessing)
        fold = lambda *part: ship.convert(*train(cfg, *part))  # noqa: E731
        divided = recipe.divide(found, cfg.data, seed=cfg.seed, run=folder, train=fold)
        model, first = train(cfg, divided.parts["train"], divided.parts.get("tune"), folder)
        shipped = ship.ship(
            model, classifier=first, out=folder.path / "bundle",
            tuning=divided.tuning, measured=divided.measured, split=divided.split,
            terms=ship.Terms(*held),
            provenance=recipe.provenance(NAME, cfg, cfg.data, found, divided.parts, seed=cfg.seed),
        )  # fmt: skip
        return recipe.finish(folder, shipped)


if __name__ == "__main__":
    sys.exit(recipe.launch(Config, run, __file__))
