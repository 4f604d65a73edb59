"""Field location: from photos of documents to a bundle that finds one field's four corners.

python -m pipelines.certificate_corners [--config FILE] [--out DIR] [--section.field VALUE ...]
"""

import sys
from pathlib import Path
from typing import Any

from inspection_tf import config, images, thresholds
from inspection_tf.datasets import data_spec, records
from inspection_tf.export import onnx, ship
from inspection_tf.recipes import field_stages, ladder, stages
from inspection_tf.tasks.fields import rules
from inspection_tf.training import run_folder, run_inputs

NAME = "certificate_corners"


class Config(config.Section):
    """The whole experiment."""

    seed: int
    """Drives initialisation, split, order and augmentation."""
    data: data_spec.DataSpec
    preprocessing: images.Preprocessing
    refine: bool
    """False: the first look alone."""
    locator: field_stages.Locator
    refiner: field_stages.Refiner
    threshold: thresholds.ThresholdSpec
    field_rules: rules.FieldRules
    search: bool
    """Looks for the smallest locator that reaches `ladder.target` instead; writes no bundle."""
    ladder: ladder.LadderSpec


def train(cfg: Config, part: records.Records, tune: records.Records | None, run: Any) -> Any:
    """Fit the networks on `part`, watching `tune`; returns locator and refiner, or None."""
    return field_stages.train(
        part,
        tune,
        preprocessing=cfg.preprocessing,
        locator=cfg.locator,
        refiner=cfg.refiner if cfg.refine else None,
        seed=cfg.seed,
        run=run,
    )


def search(cfg: Config, found: records.Records, folder: Any) -> dict[str, Any]:
    """Climb the ladder; returns the steps that `search.json` holds."""
    parts = data_spec.split(found, cfg.data, seed=cfg.seed)
    shown: Any = {"preprocessing": cfg.preprocessing, "locator": cfg.locator, "seed": cfg.seed}
    asked: Any = {"measure": onnx.weigh, "run": folder, **shown}
    steps = field_stages.search(parts["train"], parts["tune"], cfg.ladder, **asked)
    return ladder.report(steps)


def run(cfg: Config, out: Path | None) -> dict[str, Any]:
    """Run the recipe; returns the report that `evaluation/metrics.json` holds."""
    folder = run_folder.open_run(out, cfg, name=NAME)
    with folder.guarded():
        close = cfg.refiner.closeups if cfg.refine else None
        terms = ship.Terms(
            cfg.preprocessing, cfg.threshold, field_rules=cfg.field_rules, closeups=close
        )
        found = run_inputs.read(cfg.data, cfg.preprocessing, run=folder)
        field_stages.check(cfg.preprocessing, cfg.locator, cfg.refiner if cfg.refine else None)
        if cfg.search:
            return search(cfg, found, folder)

        def fold(*part: Any) -> ship.Networks:
            model, second = train(cfg, *part)
            return ship.convert(model, refiner=second)

        divided = stages.divide(found, cfg.data, seed=cfg.seed, run=folder, train=fold)
        model, second = train(cfg, divided.parts["train"], divided.parts.get("tune"), folder)
        return stages.finish(folder, ship.ship(
            model, refiner=second, out=folder.path / "bundle", terms=terms,
            tuning=divided.tuning, measured=divided.measured, split=divided.split,
            provenance=stages.provenance(NAME, cfg, cfg.data, found, divided.parts, seed=cfg.seed),
        ))  # fmt: skip


if __name__ == "__main__":
    sys.exit(stages.launch(Config, run, __file__))
