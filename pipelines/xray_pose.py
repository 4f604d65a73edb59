"""X-ray pose: from a part's model to a bundle that measures how the part lies, and what is wrong.

python -m pipelines.xray_pose [--part FILE.stl --unit mm] [--out DIR] [--section.field VALUE ...]
"""

import dataclasses
import functools
import sys
from pathlib import Path
from typing import Any, Literal

from inspection_tf.recipes import command_line, ending, experiment, folds, pose_stages, stages
from inspection_tf.tasks import pose

NAME = "xray_pose"


class Config(experiment.Experiment):
    """The whole experiment."""

    part: Path | None = None
    """STL of your own part, closed, instead of the bracket."""
    unit: Literal["mm", "in"] | None = None
    """Of the numbers in that file, which does not say it."""
    setup: Path | None = None
    """Of recorded images: part.npz with the part before its scanner; none: beside the images."""
    finder: pose_stages.Finder
    rules: pose.Settings


def run(cfg: Config, out: Path | None) -> dict[str, Any]:
    """Run the recipe; returns the report that `evaluation/metrics.json` holds."""
    data = pose_stages.with_part(cfg.data, cfg.part, cfg.unit)
    cfg = cfg.model_copy(update={"data": data})
    plan = pose_stages.plan(cfg, cfg.finder, cfg.rules, setup=cfg.setup)
    with experiment.begin(NAME, cfg, out) as begun:
        stages.check_models(cfg.preprocessing, begun.records, {pose.FINDER: plan.network})
        division = folds.divide(begun, functools.partial(pose_stages.train, plan))
        models = pose_stages.train(plan, division.train, division.tune, begun.folder)
        with pose_stages.poses_measured_once(plan, models, division):
            rules = pose_stages.calibrated(plan, models, division)
            spec = pose_stages.bundle_spec(dataclasses.replace(plan, rules=rules), cfg)
            return ending.finish(begun, models, division, spec)


if __name__ == "__main__":
    sys.exit(command_line.launch(Config, run, __file__))
