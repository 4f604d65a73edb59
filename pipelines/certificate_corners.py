"""Field location: from photos of documents to a bundle that finds one field's four corners.

python -m pipelines.certificate_corners [--config FILE] [--out DIR] [--section.field VALUE ...]
"""

import functools
import sys
from pathlib import Path
from typing import Any

from inspection_tf.datasets import data_spec
from inspection_tf.export import onnx, ship
from inspection_tf.recipes import command_line, ending, experiment, field_stages, folds, ladder
from inspection_tf.tasks import fields

NAME = "certificate_corners"


class Config(experiment.Experiment):
    """The whole experiment."""

    refine: bool
    """False: the locator alone."""
    locator: field_stages.Locator
    refiner: field_stages.Refiner
    field_rules: fields.FieldRules
    search: bool
    """Looks for the smallest locator that reaches `ladder.target` instead; writes no bundle."""
    ladder: ladder.LadderSpec


def search(
    cfg: Config, networks: field_stages.FieldNetworks, begun: experiment.Run
) -> dict[str, Any]:
    """Climb the ladder; returns the steps that `search.json` holds."""
    parts = data_spec.split(begun.records, cfg.data, seed=cfg.seed)
    photos, tune = parts["train"], parts["tune"]
    steps = field_stages.search(
        networks, photos, tune, cfg.ladder, measure=onnx.weigh, folder=begun.folder
    )
    return ladder.report(steps)


def run(cfg: Config, out: Path | None) -> dict[str, Any]:
    """Run the recipe; returns the report that `evaluation/metrics.json` holds."""
    refiner = cfg.refiner if cfg.refine else None
    networks = field_stages.FieldNetworks(cfg.preprocessing, cfg.locator, refiner, cfg.seed)
    with experiment.begin(NAME, cfg, out) as begun:
        networks.check()
        if cfg.search:
            return search(cfg, networks, begun)
        closeups = None if refiner is None else refiner.closeups
        settings = fields.Settings(rules=cfg.field_rules, closeups=closeups)
        spec = ship.BundleSpec(fields.NAME, cfg.preprocessing, cfg.threshold, settings)
        train = functools.partial(field_stages.train, networks)
        division = folds.divide(begun, train)
        models = train(division.train, division.tune, begun.folder)
        return ending.finish(begun, models, division, spec)


if __name__ == "__main__":
    sys.exit(command_line.launch(Config, run, __file__))
