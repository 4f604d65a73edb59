"""Two-stage inspection: a classifier passes what is OK, a segmenter finds the defects of the rest.

python -m pipelines.two_stage_defects [--config FILE] [--out DIR] [--section.field VALUE ...]
"""

import functools
import sys
from pathlib import Path
from typing import Any

from inspection_tf import config, decision, images, thresholds
from inspection_tf.datasets import data_spec, records
from inspection_tf.datasets.loading import loader
from inspection_tf.export import ship
from inspection_tf.images import registration
from inspection_tf.models import classifier, segmenter
from inspection_tf.recipes import stages
from inspection_tf.training import run_folder, run_inputs

NAME = "two_stage_defects"


class Classifier(stages.Stage):
    """The first stage: OK or NG."""

    model: classifier.Options


class Segmenter(stages.Stage):
    """The second stage: where, and what."""

    model: segmenter.Options


class Config(config.Section):
    """The whole experiment."""

    seed: int
    """Drives initialisation, split, order and augmentation."""
    data: data_spec.DataSpec
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


def networks(cfg: Config, classes: int) -> dict[str, stages.Network]:
    """Return what builds each network and how it is trained, in their order."""
    first = functools.partial(classifier.build, classes=1 + classes), cfg.classifier
    second = functools.partial(segmenter.build, classes=classes), cfg.segmenter
    return {"segmenter": second, "classifier": first} if cfg.cascade else {"segmenter": second}


def train(cfg: Config, part: records.Records, tune: records.Records | None, run: Any) -> Any:
    """Fit the networks on `part`, watching `tune`; returns segmenter and classifier, or None."""
    asked: Any = {"spec": cfg.segmenter.loader, "alignment": cfg.alignment}
    held = loader.cache(part, cfg.preprocessing, **asked)
    watched = loader.cache(tune, cfg.preprocessing, **asked) if tune else None
    fitted: dict[str, Any] = {}
    for name, (build, stage) in networks(cfg, len(held.classes)).items():
        shaped = functools.partial(build, **stages.shape(held))
        own: Any = {"seed": cfg.seed, "run": run.within(name), "trained": fitted}
        fitted[name] = stages.fit_stage(shaped, stage, held, watched, **own)
    return fitted["segmenter"], fitted.get("classifier")


def run(cfg: Config, out: Path | None) -> dict[str, Any]:
    """Run the recipe; returns the report that `evaluation/metrics.json` holds."""
    stages.check_backbones(cfg.preprocessing.size, networks(cfg, classes=1))
    folder = run_folder.open_run(out, cfg, name=NAME)
    with folder.guarded():
        held = cfg.preprocessing, cfg.threshold, cfg.rules, cfg.mm_per_px, cfg.alignment
        found = run_inputs.read(cfg.data, cfg.preprocessing, run=folder)
        stages.check_models(cfg.preprocessing, found, networks(cfg, len(found.classes)))
        fold = lambda *part: ship.convert(*train(cfg, *part))  # noqa: E731
        divided = stages.divide(found, cfg.data, seed=cfg.seed, run=folder, train=fold)
        model, first = train(cfg, divided.parts["train"], divided.parts.get("tune"), folder)
        return stages.finish(folder, ship.ship(
            model, classifier=first, out=folder.path / "bundle", terms=ship.Terms(*held),
            tuning=divided.tuning, measured=divided.measured, split=divided.split,
            provenance=stages.provenance(NAME, cfg, cfg.data, found, divided.parts, seed=cfg.seed),
        ))  # fmt: skip


if __name__ == "__main__":
    sys.exit(stages.launch(Config, run, __file__))
