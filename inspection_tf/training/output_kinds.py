"""What a training must know of the output it fits: target, losses, metrics, the picture."""

import dataclasses
from collections.abc import Callable

import keras
import numpy as np

from inspection_tf import errors, losses, metrics, plots
from inspection_tf.datasets.loading import loader
from inspection_tf.images import geometry
from inspection_tf.tasks.fields.learning import losses as field_losses
from inspection_tf.training import averaging
from inspection_tf.training.runs.run_folder import RunFolder

MAP, CLASS, CORNERS = "probability", "class_probability", "corners"
TAUGHT = "taught"
LOSSES: dict[str, dict[str, type[keras.losses.Loss]]] = {
    MAP: losses.SEGMENTATION,
    CLASS: losses.CLASSIFICATION,
    CORNERS: field_losses.LOCATION,
}
"""The losses that can teach an output, by the names that `train.loss` takes: the only list."""
# What a network returns besides, only while it trains, and what teaches it.
BESIDE = {**field_losses.BESIDE, TAUGHT: losses.Distillation}
_MAY_STAND_BESIDE = {MAP: {TAUGHT}, CLASS: set(), CORNERS: {"heatmap", "grid"}}


@dataclasses.dataclass(frozen=True, slots=True)
class Task:
    """The output of a model.

    Attributes:
        output: `probability`, a map for each defect class, `class_probability`, one value for each
            class of the image, or `corners`.
        classes: of the output.
        beside: names of the outputs that only help to train it.
        aspect: height over width of the network's input.
        teacher_share: of the loss, where a teacher's map is beside the output.
    """

    output: str
    classes: int
    beside: tuple[str, ...] = ()
    aspect: float = 1.0
    teacher_share: float = 0.0

    @property
    def target(self) -> loader.Target:
        """What the loader serves for it."""
        targets: dict[str, loader.Target] = {MAP: "mask", CLASS: "label", CORNERS: "corners"}
        return targets[self.output]

    @property
    def losses(self) -> dict[str, type[keras.losses.Loss]]:
        """The losses that can teach it, by name."""
        return LOSSES[self.output]

    @property
    def monitor(self) -> str:
        """The measurement on the tune split that tells the best epoch."""
        if self.output == CORNERS:
            return "val_corner_error"
        if self.output == CLASS:
            return "val_ok_ng_accuracy"
        return "val_dice_defective" if self.classes == 1 else "val_iou_class_mean"

    @property
    def outputs(self) -> tuple[str, ...]:
        """Names of all outputs; they learn from one target."""
        return self.output, *self.beside

    @property
    def loss_weights(self) -> dict[str, float] | None:
        """What the loss of each output counts; None: all the same."""
        if TAUGHT not in self.beside:
            return None
        return {self.output: 1 - self.teacher_share, TAUGHT: self.teacher_share}

    @property
    def is_lower_better(self) -> bool:
        """Whether that measurement is an error."""
        return self.output == CORNERS

    @property
    def prefix(self) -> str:
        """What Keras puts before the names of its metrics."""
        return f"{self.output}_" if self.beside else ""

    def metrics(self, *, ignored_id: int | None = None) -> list[keras.metrics.Metric]:
        """Return new metrics.

        Args:
            ignored_id: stands in masks for pixels that do not count; None: all count.
        """
        if self.output == CORNERS:
            return [metrics.CornerError(aspect=self.aspect), metrics.PresenceAccuracy()]
        if self.output == CLASS:
            return [metrics.OkNgAccuracy()]
        found: list[keras.metrics.Metric] = [metrics.DiceDefective(ignored_id=ignored_id)]
        if self.classes > 1:
            found.append(metrics.ClassIou(classes=self.classes, ignored_id=ignored_id))
        return found


def loss_names() -> tuple[str, ...]:
    """Return the names that `train.loss` takes, whatever the output is."""
    return tuple(name for by_name in LOSSES.values() for name in by_name)


def of(model: keras.Model) -> Task:
    """Return what a model's output is.

    Raises:
        errors.ConfigError: it has another one, or one beside it that nothing teaches.
    """
    output = model.output
    names = list(output) if isinstance(output, dict) else [type(output).__name__]
    first, *others = names
    if first not in _MAY_STAND_BESIDE or not set(others) <= _MAY_STAND_BESIDE[first]:
        raise errors.ConfigError(
            f"A model that is trained must return {{{MAP!r}: ...}}, {{{CLASS!r}: ...}} or "
            f"{{{CORNERS!r}: ...}}. Got {names}. Build it with inspection_tf.models."
        )
    height, width = model.inputs[0].shape[1:3]
    share = model.get_layer(TAUGHT).share if TAUGHT in others else 0.0
    return Task(first, int(output[first].shape[-1]), tuple(others), height / width, share)


def picture(
    task: Task, held: loader.Cache, run: RunFolder, count: int
) -> Callable[[keras.Model, int], None] | None:
    """Return a callback that draws the same images at each validation, most of them defective.

    None where there is nothing to draw: no map or corners, or no image.
    """
    if task.output == CORNERS:
        return _corner_picture(held, run, count)
    defective = np.flatnonzero(held.is_defect)[: max(1, count - count // 4)]
    good = np.flatnonzero(~held.is_defect)[: count - len(defective)]
    rows = np.concatenate([defective, good])
    inputs = {"image": held.image[rows]}
    if held.template is not None:
        inputs["template"] = held.template[rows]

    def draw(model: keras.Model, epoch: int) -> None:
        # What is decided about: any defect, whichever its class.
        found = model.predict_on_batch(inputs)[MAP].sum(axis=-1).clip(0, 1)
        if held.has_ignored:
            found[held.mask[rows, ..., 0] == held.ignored_id] = 0
        samples = [
            plots.Example(
                image=held.image[row],
                mask_true=held.marked(int(row)),
                probability=found[place],
                caption=held.ids[row],
            )
            for place, row in enumerate(rows)
        ]
        figure = plots.grid(samples, title=_title(model, epoch))
        plots.save(figure, run.path / "validation" / f"epoch_{epoch:04d}.png")

    return draw if count and len(rows) and task.output == MAP else None


def _title(model: keras.Model, epoch: int) -> str:
    """Return the heading of a picture: the epoch and, unless it is the average, whose it is."""
    if not averaging.lags(model):
        return f"epoch {epoch}"
    return f"epoch {epoch}: the weights that learn;\ntheir average, which is shipped, still lags"


def _corner_picture(
    held: loader.Cache, run: RunFolder, count: int
) -> Callable[[keras.Model, int], None] | None:
    rows = np.flatnonzero(held.label == 0)[:count]

    def draw(model: keras.Model, epoch: int) -> None:
        found = model.predict_on_batch({"image": held.image[rows]})[CORNERS]
        shown = [
            plots.Located(
                image=held.image[row].squeeze(),
                found_xy=geometry.from_shares(found[place, :-1].reshape(-1, 2), held.size),
                true_xy=None if held.corners_xy is None else held.corners_xy[row],
                caption=f"{held.ids[row]}, {found[place, -1]:.2f}",
            )
            for place, row in enumerate(rows)
        ]
        figure = plots.located(shown, title=_title(model, epoch))
        plots.save(figure, run.path / "validation" / f"epoch_{epoch:04d}.png")

    return draw if len(rows) else None
