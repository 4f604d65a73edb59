"""What a template that was cut from elsewhere does: regions found with templates shifted.

python -m benchmarks.template_shift --run runs/two_stage_defects/TIME [--pixels 3]

Takes a finished, cross-validated run on images with templates. The networks of its folds are read
from their checkpoints (in a copy: the run stays as it is); each inspects its own images as they are
and with every template shifted to the right, left, down and up.
"""

import dataclasses
import functools
import shutil
import sys
import tempfile
from pathlib import Path
from typing import Any

import numpy as np
import tyro
from numpy.typing import NDArray

from inspection_tf import bundle, config, errors, evaluation
from inspection_tf.datasets import data_spec, records
from inspection_tf.export import networks
from inspection_tf.images import alignment
from inspection_tf.recipes import experiment, folds
from inspection_tf.training.runs import run_folder
from pipelines import two_stage_defects as recipe


@dataclasses.dataclass(frozen=True)
class Shifted:
    """A source whose template lies (x, y) px off; beyond its border the border is repeated."""

    source: Any
    xy: tuple[int, int]

    def __getattr__(self, name: str) -> Any:
        """Return all else as the source has it."""
        return getattr(self.source, name)

    def read_template(self, *, orientation: Any = "apply") -> NDArray[Any] | None:
        """Return the shifted template."""
        template = self.source.read_template(orientation=orientation)
        if template is None:
            return None
        matrix = np.eye(3)
        matrix[:2, 2] = self.xy
        return alignment.warp(template, matrix)


def _shifted(chosen: records.Records, xy: tuple[int, int]) -> list[records.Record]:
    return [dataclasses.replace(r, source=Shifted(r.source, xy)) for r in chosen]


def main(run: Path, *, pixels: int = 3) -> int:
    """Compare the metrics of regions with templates as they are and shifted.

    Args:
        run: folder of a finished run with folds.
        pixels: of the shift.
    """
    cfg = config.load(recipe.Config, run / "config.yaml")
    is_paired = isinstance(cfg.data, data_spec.PairedSpec) and cfg.data.templates
    if not (cfg.data.folds and is_paired and (run / "bundle").is_dir()):
        raise errors.ConfigError(
            f"--run must be a finished run with data.folds and data.templates. Got {run}. "
            "See pipelines/deeppcb.yaml."
        )
    manifest = bundle.read(run / "bundle")
    boards = data_spec.read(cfg.data)
    shifts = [(0, 0), (pixels, 0), (-pixels, 0), (0, pixels), (0, -pixels)]
    rows: dict[tuple[int, int], list[Any]] = {xy: [] for xy in shifts}
    with tempfile.TemporaryDirectory() as place:
        shutil.copytree(run / "folds", Path(place) / "folds")
        shutil.copy(run / "status.json", place)
        folder = run_folder.RunFolder(Path(place), is_resumed=True)
        begun = experiment.Run(recipe.NAME, cfg, folder, boards)
        divided = folds.divide(begun, functools.partial(recipe.train, cfg))
        for models, chosen in divided.measured:
            inspector = networks.inspector(models or {}, manifest)
            for xy in shifts:
                rows[xy] += evaluation.measure(inspector, _shifted(chosen, xy))
    for xy, measured in rows.items():
        summary = evaluation.summarize(measured, classes=manifest.classes)
        values = ", ".join(
            f"{name} {summary[name].value:.4f}" for name in ("region_f1", "iou_pooled")
        )
        print(f"template shifted by {xy} px: {values}")
    return 0


if __name__ == "__main__":
    sys.exit(tyro.cli(main))
