"""How a network learns a map: the probability of each class of defect for every pixel."""

import functools
from typing import TYPE_CHECKING

import keras
import numpy as np
from numpy.typing import NDArray

from inspection_tf import losses, metrics, plots
from inspection_tf.datasets.loading import loader
from inspection_tf.tasks.learning import Fitted, Learning, Rows

if TYPE_CHECKING:
    from matplotlib.figure import Figure


def _metrics(fitted: Fitted) -> list[keras.metrics.Metric]:
    found: list[keras.metrics.Metric] = [metrics.DiceDefective(ignored_id=fitted.ignored_id)]
    if fitted.classes > 1:
        found.append(metrics.ClassIou(classes=fitted.classes, ignored_id=fitted.ignored_id))
    return found


def _pictured(cached: loader.Cache, count: int) -> Rows:
    """Return places of images, most of them defective."""
    if not count:
        return np.array([], np.intp)
    defective = np.flatnonzero(cached.is_defect)[: max(1, count - count // 4)]
    good = np.flatnonzero(~cached.is_defect)[: count - len(defective)]
    return np.concatenate([defective, good])


def _figure(cached: loader.Cache, rows: Rows, output: NDArray[np.float32], title: str) -> "Figure":
    # What is decided about: any defect, whichever its class.
    probability = output.sum(axis=-1).clip(0, 1)
    if cached.has_ignored:
        probability[cached.mask[rows, ..., 0] == cached.ignored_id] = 0
    samples = [
        plots.Example(
            image=cached.image[row],
            mask_true=cached.marked(int(row)),
            probability=probability[place],
            caption=cached.ids[row],
        )
        for place, row in enumerate(rows)
    ]
    return plots.grid(samples, title=title)


LEARNING = Learning(
    output="probability",
    losses=losses.SEGMENTATION,
    beside={"taught": losses.Distillation},
    for_training=functools.partial(loader.for_training, target="mask"),
    for_evaluation=functools.partial(loader.for_evaluation, target="mask"),
    monitor=lambda classes: "val_dice_defective" if classes == 1 else "val_iou_class_mean",
    metrics=_metrics,
    has_pixels=True,
    pictured=_pictured,
    figure=_figure,
)
