"""What a small network keeps of a large one's Dice, out of fold.

python -m benchmarks.distillation --run runs/dagm_segmentation/TIME [--against RUN ...]

Takes finished, cross-validated runs of `dagm_segmentation` on the same images and folds; the first
distils, so that each of its folds holds a teacher and a student. The networks are read from their
checkpoints (in a copy: the runs stay as they are), and each sees the images of its own fold. Dice
is that of a defective image, of the map at 0.5 and of the regions as a verdict draws them by the
rules of its run; differences are paired image by image.
"""

import shutil
import sys
import tempfile
from pathlib import Path
from typing import Any

import numpy as np
import rich.table
import scipy.stats
import tyro
from numpy.typing import NDArray

from inspection_tf import config, decision, errors, process, thresholds
from inspection_tf.datasets import data_spec
from inspection_tf.datasets.loading import loader
from inspection_tf.datasets.records import Records
from inspection_tf.models import unet
from inspection_tf.recipes import experiment, folds
from inspection_tf.tasks import segmentation
from inspection_tf.training import fit
from inspection_tf.training.runs import run_folder
from pipelines import dagm_segmentation as recipe

DicePerImage = dict[str, NDArray[np.float64]]  # image -> its Dice in each of `_KINDS`
_KINDS = ("map at 0.5", "as verdicts draw it")


def _dice(model: Any, cached: loader.Cache, cfg: recipe.Config) -> DicePerImage:
    dice: DicePerImage = {}
    point = thresholds.OperatingPoint(threshold=0.5)
    for row in np.flatnonzero(cached.is_defect):
        output = model.predict_on_batch({"image": cached.image[row : row + 1]})["probability"]
        probability = output[0, ..., 0]
        verdict = decision.decide(probability, point, cfg.rules, mm_per_px=cfg.mm_per_px)
        true = cached.marked(row)
        dice[cached.ids[row]] = np.array(
            [
                2 * (pixels & true).sum() / (pixels.sum() + true.sum())
                for pixels in (probability >= 0.5, verdict.mask())
            ]
        )
    return dice


def _measured(run: Path, *, name: str, teacher: str) -> dict[str, DicePerImage]:
    """Return the Dice of each image by network: the run's, and its teacher's if it distils."""
    cfg = config.load(recipe.Config, run / "config.yaml")
    finished = run_folder.RunFolder(run, is_resumed=True).status().get("state") == "finished"
    if not (cfg.data.folds and finished):
        raise errors.ConfigError(
            f"A run must be finished and cross-validated with data.folds. Got {run}. "
            "See pipelines/dagm_edge.yaml."
        )
    dice: dict[str, DicePerImage] = {name: {}}

    def restore(
        part: Records, tested: Records | None, folder: run_folder.RunFolder
    ) -> folds.Models:
        cached, judged = (
            loader.cache(some, cfg.preprocessing, spec=cfg.loader) for some in (part, tested)
        )
        models = recipe.train(cfg, part, tested, folder)
        dice[name].update(_dice(models[segmentation.SEGMENTER], judged, cfg))
        if cfg.distill and cfg.teacher.bundle is None:
            guide = unet.build(
                options=cfg.teacher.model,
                image_size=cached.size,
                channels=int(cached.image.shape[-1]),
            )
            stage = fit.Stage(
                cfg.teacher.train, cfg.loader, cfg.augment, cfg.seed, folder.within("teacher")
            )
            fit.fit(guide, cached, judged, stage)
            dice.setdefault(teacher, {}).update(_dice(guide, judged, cfg))
        return models

    with tempfile.TemporaryDirectory() as place:
        shutil.copytree(run / "folds", Path(place) / "folds")
        shutil.copy(run / "status.json", place)
        folder = run_folder.RunFolder(Path(place), is_resumed=True)
        begun = experiment.Run(recipe.NAME, cfg, folder, data_spec.read(cfg.data))
        folds.divide(begun, restore)
    return dice


def _interval(values: NDArray[np.float64]) -> str:
    """Return the mean and its interval over images drawn again."""
    # Percentiles: the default divides by the spread, which two equal networks have not.
    resampled = scipy.stats.bootstrap(
        (values,), np.mean, method="percentile", rng=np.random.default_rng(0)
    )
    low, high = resampled.confidence_interval
    return f"{values.mean():+.4f} ({low:+.4f} to {high:+.4f})"


def main(run: Path, *, against: tuple[Path, ...] = ()) -> int:
    """Compare the student with its teacher, and with the networks of other runs.

    Args:
        run: folder of a finished run with folds and distill.
        against: folders of finished runs with the same folds.
    """
    if not config.load(recipe.Config, run / "config.yaml").distill:
        raise errors.ConfigError(f"--run must be a run with distill. Got {run}. Give another run.")
    dice = _measured(run, name="student", teacher="teacher")
    for other in against:
        dice |= _measured(other, name=other.name, teacher=f"teacher of {other.name}")
    ids = sorted(dice["student"])
    if any(sorted(by_image) != ids for by_image in dice.values()):
        raise errors.DataError("All runs must have measured the same images. They have not.")
    columns = {name: np.array([by_image[key] for key in ids]) for name, by_image in dice.items()}
    table = rich.table.Table(title=f"mean Dice of {len(ids)} defective images, out of fold")
    table.add_column("network")
    for title in _KINDS:
        table.add_column(title)
        table.add_column("student minus this, 95 % interval")
    for name, values in columns.items():
        cells = [name]
        for kind in range(len(_KINDS)):
            difference = columns["student"][:, kind] - values[:, kind]
            cells += [
                f"{values[:, kind].mean():.4f}",
                "" if name == "student" else _interval(difference),
            ]
        table.add_row(*map(process.cell, cells))
    process.show_table(table)
    return 0


if __name__ == "__main__":
    sys.exit(tyro.cli(main))
