"""The shipped locator beside the talk's second attempt: same data, same training time, one bench.

python -m benchmarks.locators --run runs/certificate_corners/TIME --out DIR

How long a training of each network takes is measured here, on a few epochs, and the talk's network
then gets as many epochs as make up the time of both looks of the run. It sees colour at 300 x 400,
as in the talk; it cannot say that there is no field, so its thresholds mean nothing.
"""

import json
import sys
import tempfile
import time
from pathlib import Path
from typing import Any, Literal

import tyro

from inspection_tf import bench, bundle, config
from inspection_tf.datasets import data_spec, records
from inspection_tf.datasets.loading import loader
from inspection_tf.recipes import field_stages, stages
from inspection_tf.tasks import saved_networks
from inspection_tf.tasks.fields.learning import closeup_data, network
from inspection_tf.training.runs import run_folder
from pipelines import certificate_corners

PHOTOS = 320  # that are timed on
NAMES = (
    "corner_error_relative_mean",
    "corner_error_relative_median",
    "corner_error_relative_p95",
    "quad_iou_above_0.9",
)


def seconds_an_image(
    stage: field_stages.Locator | field_stages.Refiner, cached: loader.Cache, points: Literal[1, 4]
) -> float:
    """Return how long training takes for one image, after an epoch to warm up."""
    spec = stage.loader.model_copy(update={"images_per_epoch": len(cached)})
    times = []
    with tempfile.TemporaryDirectory() as folder:
        run = run_folder.open_run(Path(folder) / "run", stage, name="timing")
        for epochs in (1, 3):
            short = stage.train.model_copy(update={"epochs": epochs, "pictures": 0})
            shortened = stage.model_copy(update={"train": short, "loader": spec})
            trained = field_stages.network_of(shortened, points)
            started = time.perf_counter()
            stages.fit_stage(trained, cached, None, seed=1, folder=run.within(f"{epochs}"))
            times.append(time.perf_counter() - started)
    return (times[1] - times[0]) / (2 * len(cached))


def at_same_time(cfg: certificate_corners.Config, photos: records.Records) -> Any:
    """Return the settings of the talk's network, with epochs for the time of both looks."""
    few = data_spec.split(photos, cfg.data, seed=cfg.seed)["train"][:PHOTOS]
    cached = loader.cache(few, cfg.preprocessing)
    total = _images(cfg.locator) * seconds_an_image(cfg.locator, cached, 4)
    spec, sampling = cfg.refiner.closeups, cfg.refiner.sampling
    cached = closeup_data.cache(few, cfg.preprocessing, spec=spec, sampling=sampling)
    total += _images(cfg.refiner) * seconds_an_image(cfg.refiner, cached, 1)
    (height, width, _), options = network.PRESETS["attempt2"]
    coarse = cfg.preprocessing.model_copy(update={"size": (height, width), "channels": "rgb"})
    talk: field_stages.Locator = cfg.locator.model_copy(update={"model": options})
    each = seconds_an_image(talk, loader.cache(few, coarse), 4)
    epochs = max(1, round(total / each / (talk.loader.images_per_epoch or len(few))))
    print(f"both looks train for {total:.0f} s; that is {epochs} epochs of the talk's network")
    train = talk.train.model_copy(update={"epochs": epochs})
    changes = {"locator": talk.model_copy(update={"train": train}), "preprocessing": coarse}
    return cfg.model_copy(update={**changes, "refine": False})


def _images(stage: stages.StageSpec) -> int:
    return int(stage.train.epochs * stage.loader.images_per_epoch)


def line(name: str, root: Path) -> str:
    """Return a row of the table."""
    manifest = bundle.read(root / "bundle")
    report = json.loads((root / "evaluation" / "metrics.json").read_text())["metrics"]
    graphs = [root / "bundle" / graph.file for graph in manifest.graphs]
    networks = (root / "bundle" / "source").glob("*.keras")
    count = sum(saved_networks.load(path).count_params() for path in networks)
    size = sum(graph.stat().st_size for graph in graphs) / 1e6
    values = " ".join(f"{report[metric]['value']:>8.4f}" for metric in NAMES)
    return f"{name:10} {count:>10,} {size:>8.3f} {values}"


def main(run: Path, out: Path) -> int:
    """Train the talk's second attempt and print both.

    Args:
        run: finished, of `pipelines.certificate_corners`.
        out: run folder of the talk's network, new.
    """
    cfg = config.load(certificate_corners.Config, run / "config.yaml")
    certificate_corners.run(at_same_time(cfg, data_spec.read(cfg.data)), out)
    print(f"{'':10} {'parameters':>10} {'ONNX MB':>8}     mean   median      p95  IoU>0.9")
    print(line("shipped", run))
    print(line("attempt2", out))
    timings = bench.run(run / "bundle", with_keras=False, against=out / "bundle")
    for timing in timings:
        print(f"{timing.name}: p50 {timing.p50_ms:.2f} ms, {timing.images_per_s:.0f} images/s")
    print(f"the shipped one is {timings[1].p50_ms / timings[0].p50_ms:.2f} times as fast")
    return 0


if __name__ == "__main__":
    sys.exit(tyro.cli(main))
