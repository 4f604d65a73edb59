"""What a training must know of the output it fits: target, losses, metrics, the picture."""

import dataclasses
from collections.abc import Callable
from typing import Literal

import keras
import numpy as np

from inspection_tf import errors, losses, metrics, plots
from inspection_tf.datasets import loader
from inspection_tf.training.run_folder import RunFolder

MAP, CLASS = "probability", "class_probability"


@dataclasses.dataclass(frozen=True, slots=True)
class Task:
    """The output of a model.

    Attributes:
        output: `probability`, a map for each defect class, or `class_probability`, one value for
            each class of the image.
        classes: of the output.
    """

    output: str
    classes: int

    @property
    def target(self) -> Literal["mask", "label"]:
        """What the loader serves for it."""
        return "mask" if self.output == MAP else "label"

    @property
    def losses(self) -> dict[str, type[keras.losses.Loss]]:
        """The losses that can teach it, by name."""
        return losses.SEGMENTATION if self.output == MAP else losses.CLASSIFICATION

    @property
    def monitor(self) -> str:
        """The measurement on the tune split that tells the best epoch."""
        if self.output == CLASS:
            return "val_ok_ng_accuracy"
        return "val_dice_defective" if self.classes == 1 else "val_iou_class_mean"

    def metrics(self) -> list[keras.metrics.Metric]:
        """Return new metrics."""
        if self.output == CLASS:
            return [metrics.OkNgAccuracy()]
        of_classes = [metrics.ClassIou(classes=self.classes)] if self.classes > 1 else []
        return [metrics.DiceDefective(), *of_classes]


def of(model: keras.Model) -> Task:
    """Return what a model's output is.

    Raises:
        errors.ConfigError: it has several, or one of another name.
    """
    output = model.output
    names = list(output) if isinstance(output, dict) else [type(output).__name__]
    if names not in ([MAP], [CLASS]):
        raise errors.ConfigError(
            f"A model that is trained must return {{{MAP!r}: ...}} or {{{CLASS!r}: ...}}. "
            f"Got {names}. Build it with inspection_tf.models."
        )
    return Task(names[0], int(output[names[0]].shape[-1]))


def picture(
    task: Task, held: loader.Cache, run: RunFolder, count: int
) -> Callable[[keras.Model, int], None] | None:
    """Return a callback that draws the same images after each epoch, most of them defective.

    None where there is nothing to draw: no map, or no image.
    """
    defective = np.flatnonzero(held.is_defect)[: max(1, count - count // 4)]
    good = np.flatnonzero(~held.is_defect)[: count - len(defective)]
    rows = np.concatenate([defective, good])
    inputs = {"image": held.image[rows]}
    if held.template is not None:
        inputs["template"] = held.template[rows]

    def draw(model: keras.Model, epoch: int) -> None:
        # What is decided about: any defect, whichever its class.
        found = model.predict_on_batch(inputs)[MAP].sum(axis=-1).clip(0, 1)
        samples = [
            plots.Example(
                image=held.image[row],
                mask_true=held.mask[row, ..., 0] > 0,
                probability=found[place],
                caption=held.ids[row],
            )
            for place, row in enumerate(rows)
        ]
        figure = plots.grid(samples, title=f"epoch {epoch}")
        plots.save(figure, run.path / "validation" / f"epoch_{epoch:04d}.png")

    return draw if count and len(rows) and task.output == MAP else None
