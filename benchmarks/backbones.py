"""The talk's table, redone: one segmenter on each backbone, the same data, the same budget.

python benchmarks/backbones.py [--quick] [--out DIR] [--names vgg10 mobilenet ...]
    [--root DIR/magnetic_tile] [--size 192] [--epochs 8] [--images-per-epoch 240]

Parameters and multiply-adds (MACs) are those of the whole segmenter, for one image. Peak memory is
that of the process which trains. IoU is pooled over the pixels of the defective images, at a
probability of 0.5, after equal numbers of images shown: it says what a backbone learns within the
budget, not what it could learn. Speeds are images a second at batch 8 (Keras) and batch 1 (ONNX).
"""

import concurrent.futures
import dataclasses
import json
import multiprocessing
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any, get_args

import numpy as np
import rich.table
import tyro

from inspection_tf import process
from inspection_tf.models import backbones
from inspection_tf.process import memory

SHORT = ("vgg10", "mobilenet")
LONG = tuple(get_args(backbones.Name))


@dataclasses.dataclass(frozen=True)
class Budget:
    """What every backbone gets."""

    root: Path | None = None
    """Magnetic tiles; synthetic surfaces without it."""
    size: int = 192
    """Height and width of the network's input, px."""
    images: int = 400
    """Synthetic images, 1 NG to 3.4 OK."""
    epochs: int = 8
    images_per_epoch: int = 240
    batch_size: int = 8
    seed: int = 1


def _records(budget: Budget) -> Any:
    from inspection_tf.datasets import data_spec

    values: dict[str, Any] = {"count": budget.images, "defective_share": 1 / 4.4}
    values["surface"] = {"size": (budget.size, budget.size), "textures": ("moire", "weave"),
                         "defects": ("fade", "blotch", "line")}  # fmt: skip
    if budget.root:
        values = {"format": "magnetic_tile", "root": budget.root, "empty_masks": "accept"}
    spec = data_spec.DataSpec(tune=0.0, test=0.3, **values)
    return data_spec.split(data_spec.read(spec), spec, seed=budget.seed)


def _rate(call: Callable[[], Any], images: int, *, repeats: int = 8) -> float:
    """Return images a second, the median over repeats after two that do not count."""
    spent = []
    for _ in range(repeats + 2):
        started = time.perf_counter()
        call()
        spent.append(time.perf_counter() - started)
    return float(images / np.median(spent[2:]))


def measure(name: str, budget: Budget) -> dict[str, Any]:
    """Train and time one backbone in this process."""
    import keras

    from inspection_tf import images, losses, metrics, runtime
    from inspection_tf.datasets.loading import augment, loader
    from inspection_tf.export import onnx
    from inspection_tf.models import complexity, segmenter
    from inspection_tf.training import fit

    parts = _records(budget)
    shape = images.Preprocessing(
        size=(budget.size, budget.size), fit="letterbox" if budget.root else "exact"
    )
    cached = {split: loader.cache(parts[split], shape) for split in ("train", "test")}
    mean, deviation = cached["train"].statistics()
    fit.seed_everything(budget.seed, deterministic=False)
    model = segmenter.build(
        image_size=shape.size, backbone={"name": name}, output_stride=2, upsampling="bilinear",
        input_mean=mean, input_scale=deviation,
    )  # fmt: skip
    model.compile(
        keras.optimizers.AdamW(1e-3, weight_decay=1e-3, global_clipnorm=1.0),
        {"probability": losses.BceDice(bce_weight=0.8, dice_weight=0.2)},
    )
    loading = loader.LoaderSpec(
        batch_size=budget.batch_size, images_per_epoch=budget.images_per_epoch
    )
    served = loader.for_training(
        cached["train"], spec=loading, augmentation=augment.AugmentSpec(), seed=budget.seed,
        epochs=budget.epochs,
    )  # fmt: skip
    # At the beginnings and ends of epochs: what comes after the last is none of the training.
    times: list[float] = []
    clock = keras.callbacks.LambdaCallback(
        on_epoch_begin=lambda *_: times.append(time.perf_counter()),
        on_epoch_end=lambda *_: times.append(time.perf_counter()),
    )
    steps = loader.steps_per_epoch(cached["train"], loading)
    model.fit(
        served, epochs=budget.epochs, steps_per_epoch=steps, shuffle=False, verbose=0,
        callbacks=[clock],
    )  # fmt: skip
    seconds = np.diff(times)[::2].tolist()
    peak = memory.peak_bytes() / 2**30
    iou = {}
    for split, split_cache in cached.items():
        rows = np.flatnonzero(split_cache.is_defect)
        counted = metrics.IouPooled()
        for first in range(0, len(rows), 8):
            part = rows[first : first + 8]
            probability = model.predict_on_batch({"image": split_cache.image[part]})["probability"]
            counted.update_state(split_cache.mask[part] > 0, probability)
        iou[split] = float(counted.result())
    batch = cached["test"].image[:8]
    engine = runtime.Engine(onnx.convert(model))
    cost = complexity.count(model)
    return {
        "backbone": name,
        "parameters_m": cost.parameters / 1e6,
        "macs_m": cost.macs / 1e6,
        "peak_memory_gib": peak,
        "train_iou": iou["train"],
        "test_iou": iou["test"],
        "seconds_an_epoch": float(np.median(seconds[1:] or seconds)),
        "keras_images_per_s": _rate(lambda: model.predict_on_batch({"image": batch}), len(batch)),
        "onnx_images_per_s": _rate(lambda: engine.run(batch[:1]), 1),
    }


def _in_process_of_its_own(name: str, budget: Budget) -> dict[str, Any]:
    """Memory is counted per process, and what one backbone leaves behind must not slow the next."""
    fresh = multiprocessing.get_context("spawn")
    with concurrent.futures.ProcessPoolExecutor(1, mp_context=fresh) as pool:
        return pool.submit(measure, name, budget).result()


def main(
    *,
    budget: tyro.conf.OmitArgPrefixes[Budget] = Budget(),
    names: tuple[str, ...] = LONG,
    quick: bool = False,
    out: Path | None = None,
) -> int:
    """Train every backbone and print the table.

    Args:
        budget: what every backbone gets.
        names: of the backbones.
        quick: two backbones at toy size.
        out: folder for backbones.json and a table in Markdown.
    """
    if quick:
        names = SHORT
        budget = dataclasses.replace(budget, size=64, images=40, epochs=1, images_per_epoch=16)
    rows = [_in_process_of_its_own(name, budget) for name in names]
    table = rich.table.Table(*rows[0], box=None)
    lines = [" | ".join(rows[0]), " | ".join("---" for _ in rows[0])]
    for row in rows:
        texts = [value if isinstance(value, str) else f"{value:.3g}" for value in row.values()]
        table.add_row(*texts)
        lines.append(" | ".join(texts))
    process.show_table(table)
    if out is not None:
        out.mkdir(parents=True, exist_ok=True)
        (out / "backbones.json").write_text(json.dumps(rows, indent=2) + "\n", encoding="utf-8")
        text = "".join(f"| {line} |\n" for line in lines)
        (out / "backbones.md").write_text(text, encoding="utf-8")
    return 0


if __name__ == "__main__":
    sys.exit(tyro.cli(main))
