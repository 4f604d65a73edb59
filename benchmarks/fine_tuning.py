"""What transfer learning, two phases and good images are worth: arms of one budget, several seeds.

python -m benchmarks.fine_tuning --root DIR/magnetic_tile --weights FILE --out DIR
    [--seeds 1 2 3] [--epochs 10] [--images-per-epoch 240] [--size 224]

Every arm trains the segmenter of `pipelines/magnetic_tile.yaml` alone (no classifier) and shows the
same number of images. A seed draws split, initialisation and order, the same for every arm, so arms
are compared seed by seed: the second table is the difference from the first arm, with its interval
over the seeds. A run that is there already is not repeated. Writes tables and a picture into --out.
"""

import csv
import json
import sys
from pathlib import Path
from typing import Any

import numpy as np
import rich.table
import tyro

from inspection_tf import config, evaluation, plots, process
from inspection_tf.datasets.readers import magnetic_tile
from inspection_tf.tasks.segmentation.measures import MEASURES
from pipelines import two_stage_defects as recipe

RECIPE = Path(recipe.__file__).with_name("magnetic_tile.yaml")
METRICS = ("ok_ng_accuracy", "image_auroc", "iou_pooled_defective", "iou_class_mean")
FROZEN = {"backbone": "frozen", "batch_norm": "inference"}
TUNED = {"backbone": "trained", "batch_norm": "inference"}


def phases(epochs: int, rate: float) -> list[dict[str, Any]]:
    """Return the two phases of the talk within a budget."""
    first = max(1, round(0.2 * epochs))
    return [
        {"epochs": first, "learning_rate": 1e-3, **FROZEN},
        {"epochs": epochs - first, "learning_rate": rate, **TUNED},
    ]


def arms(weights: Path, epochs: int, rate: float) -> dict[str, dict[str, Any]]:
    """Return what each arm changes: weights, phases, share of NG images (None: as they come)."""
    two = phases(epochs, rate)
    every = [{"epochs": epochs, "learning_rate": rate, **TUNED}]
    trained = [{"epochs": epochs, "learning_rate": 1e-3, "backbone": "trained",
                "batch_norm": "trained"}]  # fmt: skip
    return {
        "pretrained, two phases": {"weights": weights, "phases": two, "share": 0.6},
        "random, all layers": {"weights": None, "phases": trained, "share": 0.6},
        "pretrained, all layers": {"weights": weights, "phases": every, "share": 0.6},
        "pretrained, two phases, NG only": {"weights": weights, "phases": two, "share": 1.0},
        "pretrained, two phases, as they come": {"weights": weights, "phases": two, "share": None},
    }


def settings(
    arm: dict[str, Any], *, root: Path, seed: int, size: int, epochs: int, images: int
) -> recipe.Config:
    """Return the configuration of one run."""
    values = config.load(recipe.Config, RECIPE).model_dump(mode="json")
    values["seed"], values["cascade"] = seed, False
    # One split a run, and no good image but those an arm is shown.
    values["data"] |= {"root": str(root), "folds": 0, "tune": 0.15, "test": 0.25}
    values["segmenter"]["augment"]["transplanted_share"] = 0.0
    values["preprocessing"]["size"] = [size, size]
    stage = values["segmenter"]
    stage["loader"] |= {"images_per_epoch": images, "defective_share": arm["share"]}
    stage["model"]["backbone"]["weights"] = str(arm["weights"]) if arm["weights"] else None
    stage["train"] |= {"epochs": epochs, "phases": arm["phases"], "validate_every": epochs}
    return config.validate(recipe.Config, values, origin="benchmark")


def _measured(out: Path, cfg: recipe.Config) -> dict[str, Any]:
    """Return the metrics of a run: of one that finished with these very settings, or of a new one.

    Raises:
        errors.ConfigError: the folder holds a run with other settings.
    """
    done, settings_file = out / "evaluation" / "metrics.json", out / "config.yaml"
    status = out / "status.json"
    is_finished = status.is_file() and json.loads(status.read_bytes())["state"] == "finished"
    same = config.with_absolute_paths(cfg)
    if not is_finished or config.load(recipe.Config, settings_file) != same:
        recipe.run(cfg, out)
    return dict(json.loads(done.read_text(encoding="utf-8"))["metrics"])


def _over_seeds(values: list[float]) -> tuple[float, float, float]:
    """Return the mean over the seeds and its 95 % interval (Student's t)."""
    import scipy.stats

    mean = float(np.mean(values))
    if len(values) < 2:
        return mean, float("nan"), float("nan")
    half = scipy.stats.t.ppf(0.975, len(values) - 1) * np.std(values, ddof=1) / len(values) ** 0.5
    return mean, mean - float(half), mean + float(half)


def main(
    *,
    root: Path,
    weights: Path,
    out: Path,
    seeds: tuple[int, ...] = (1, 2, 3),
    epochs: int = 10,
    images_per_epoch: int = 240,
    size: int = 224,
    learning_rate: float = 1.5e-4,
) -> int:
    """Run every arm with every seed and compare them.

    Args:
        root: the magnetic tiles.
        weights: of MobileNetV2.
        out: folder of the runs and the results.
        seeds: of the runs.
        epochs: of each run.
        images_per_epoch: shown in each.
        size: of the network's input, px.
        learning_rate: of pretrained layers.
    """
    runs_of_arm: dict[str, list[dict[str, Any]]] = {}
    for name, arm in arms(weights, epochs, learning_rate).items():
        for seed in seeds:
            path = out / name.replace(", ", "_").replace(" ", "-") / str(seed)
            cfg = settings(
                arm, root=root, seed=seed, size=size, epochs=epochs, images=images_per_epoch
            )
            runs_of_arm.setdefault(name, []).append(_measured(path, cfg))
    values = rich.table.Table("arm", *METRICS, title="mean over seeds", box=None)
    differences = rich.table.Table("arm", *METRICS, title="difference from the first", box=None)
    rows: list[dict[str, Any]] = []
    base = next(iter(runs_of_arm))
    for name, runs in runs_of_arm.items():
        cells: dict[str, list[str]] = {"value": [], "difference": []}
        for metric in METRICS:
            of_arm = np.array([run[metric]["value"] for run in runs])
            of_base = np.array([run[metric]["value"] for run in runs_of_arm[base]])
            for kind, numbers in (("value", of_arm), ("difference", of_arm - of_base)):
                mean, low, high = _over_seeds(numbers.tolist())
                cells[kind].append(f"{mean:+.3f} ({low:+.3f} to {high:+.3f})")
                rows.append(
                    {"arm": name, "metric": metric, "kind": kind}
                    | {"value": mean, "low": low, "high": high}
                )
        values.add_row(name, *cells["value"])
        if name != base:
            differences.add_row(name, *cells["difference"])
    process.show_table(values)
    process.show_table(differences)
    with (out / "comparison.csv").open("w", encoding="utf-8", newline="") as stream:
        writer = csv.DictWriter(stream, rows[0])
        writer.writeheader()
        writer.writerows(rows)
    compared: dict[str, dict[str, Any]] = {name: {} for name in runs_of_arm}
    for row in rows:
        if row["kind"] == "value":
            compared[row["arm"]][row["metric"]] = row
    meanings = evaluation.meanings(MEASURES, magnetic_tile.CLASSES)
    plots.save(plots.comparison(compared, meanings=meanings), out / "comparison.png")
    return 0


if __name__ == "__main__":
    sys.exit(tyro.cli(main))
