"""Field location: from photos of documents to a bundle that finds one field's four corners.

python -m pipelines.certificate_corners [--config FILE] [--out DIR] [--section.field VALUE ...]
"""

import functools
import sys
from pathlib import Path
from typing import Any

from inspection_tf import closeups, config, decision, images, thresholds
from inspection_tf.datasets import closeup, loader, records, sources
from inspection_tf.export import ship
from inspection_tf.models import corners
from inspection_tf.training import recipe, run_folder

NAME = "certificate_corners"
POINTS: dict[str, Any] = {"locator": 4, "refiner": 1}


class Locator(recipe.Stage):
    """The first look: the whole photo."""

    model: corners.Options


class Refiner(recipe.Stage):
    """The second look: a close-up of each corner."""

    model: corners.Options
    closeups: closeups.CloseupSpec
    sampling: closeup.SamplingSpec


class Config(config.Section):
    """The whole experiment."""

    seed: int
    """Drives initialisation, split, order and augmentation."""
    data: sources.DataSpec
    preprocessing: images.Preprocessing
    refine: bool
    """False: the first look alone."""
    locator: Locator
    refiner: Refiner
    threshold: thresholds.ThresholdSpec
    field_rules: decision.FieldRules


def train(cfg: Config, part: records.Records, tune: records.Records | None, run: Any) -> Any:
    """Fit the networks on `part`, watching `tune`; returns locator and refiner, or None."""
    shown: Any = {"preprocessing": cfg.preprocessing}
    second: Any = {"spec": cfg.refiner.closeups, "sampling": cfg.refiner.sampling}
    looks: dict[str, Any]
    looks = {"locator": functools.partial(loader.cache, spec=cfg.locator.loader, **shown)}
    if cfg.refine:
        looks["refiner"] = functools.partial(closeup.cache, **second, **shown)
    fitted: dict[str, Any] = {}
    for name, look in looks.items():
        held, watched = look(part), look(tune) if tune else None
        build = functools.partial(corners.build, points=POINTS[name], **recipe.shape(held))
        own: Any = {"seed": cfg.seed, "run": run.within(name)}
        model = recipe.fit_stage(build, getattr(cfg, name), held, watched, **own)
        fitted[name] = corners.deployed(model)
    return fitted["locator"], fitted.get("refiner")


def run(cfg: Config, out: Path | None) -> dict[str, Any]:
    """Run the recipe; returns the report that `evaluation/metrics.json` holds."""
    folder = run_folder.open_run(out, cfg, name=NAME)
    with folder.guarded():
        close = cfg.refiner.closeups if cfg.refine else None
        terms = ship.Terms(
            cfg.preprocessing, cfg.threshold, field_rules=cfg.field_rules, closeups=close
        )
        found = sources.read(cfg.data)
        sources.check(found, cfg.data, cfg.preprocessing)
        recipe.check_locator(cfg.preprocessing, cfg.locator, cfg.refiner, close)
        fold = lambda *part: ship.convert_locator(*train(cfg, *part))  # noqa: E731
        divided = recipe.divide(found, cfg.data, seed=cfg.seed, run=folder, train=fold)
        model, second = train(cfg, divided.parts["train"], divided.parts.get("tune"), folder)
        return recipe.finish(folder, ship.ship(
            model, refiner=second, out=folder.path / "bundle", terms=terms,
            tuning=divided.tuning, measured=divided.measured, split=divided.split,
            provenance=recipe.provenance(NAME, cfg, cfg.data, found, divided.parts, seed=cfg.seed),
        ))  # fmt: skip


if __name__ == "__main__":
    sys.exit(recipe.launch(Config, run, __file__))
