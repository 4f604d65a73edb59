"""What a training must know of the output it fits: its task says it."""

import dataclasses
import importlib
from collections.abc import Callable

import keras

from inspection_tf import errors, plots, tasks
from inspection_tf.datasets.loading import loader
from inspection_tf.tasks.learning import Fitted, Learning
from inspection_tf.training import averaging
from inspection_tf.training.runs.run_folder import RunFolder

MAP, TAUGHT = "probability", "taught"


def learnings() -> dict[str, Learning]:
    """Return how every kind of output is learned, by its name; those of all tasks."""
    modules = dict.fromkeys(name for task in tasks.TASKS for name in tasks.get(task).learning)
    known: list[Learning] = [importlib.import_module(name).LEARNING for name in modules]
    return {learning.output: learning for learning in known}


@dataclasses.dataclass(frozen=True, slots=True)
class TrainedOutput:
    """The output of a model that is trained.

    Attributes:
        learning: how it is learned.
        classes: length of its last axis.
        beside: names of the outputs that only help to train it.
        aspect: height over width of the network's input.
        teacher_share: of the loss, where a teacher's map is beside the output.
    """

    learning: Learning
    classes: int
    beside: tuple[str, ...] = ()
    aspect: float = 1.0
    teacher_share: float = 0.0

    @property
    def output(self) -> str:
        """Its name."""
        return self.learning.output

    @property
    def monitor(self) -> str:
        """The measurement on the tune split that tells the best epoch."""
        return self.learning.monitor(self.classes)

    @property
    def names(self) -> tuple[str, ...]:
        """Names of all outputs; they learn from one target."""
        return self.output, *self.beside

    @property
    def loss_weights(self) -> dict[str, float] | None:
        """What the loss of each output counts; None: all the same."""
        if TAUGHT not in self.beside:
            return None
        return {self.output: 1 - self.teacher_share, TAUGHT: self.teacher_share}

    @property
    def prefix(self) -> str:
        """What Keras puts before the names of its metrics."""
        return f"{self.output}_" if self.beside else ""

    def metrics(self, *, ignored_id: int | None = None) -> list[keras.metrics.Metric]:
        """Return new metrics.

        Args:
            ignored_id: stands in masks for pixels that do not count; None: all count.
        """
        return self.learning.metrics(Fitted(self.classes, self.aspect, ignored_id))


def loss_names() -> tuple[str, ...]:
    """Return the names that `train.loss` takes, whatever the output is."""
    return tuple(name for learning in learnings().values() for name in learning.losses)


def of(model: keras.Model) -> TrainedOutput:
    """Return what a model's output is.

    Raises:
        errors.ConfigError: it has another one, or one beside it that nothing teaches.
    """
    known, output = learnings(), model.output
    names = list(output) if isinstance(output, dict) else [type(output).__name__]
    first, *others = names
    if first not in known or not set(others) <= set(known[first].beside):
        *most, last = (f"{{{name!r}: ...}}" for name in known)
        raise errors.ConfigError(
            f"A model that is trained must return {', '.join(most)} or {last}. Got {names}. "
            "Build it with inspection_tf.models."
        )
    height, width = model.inputs[0].shape[1:3]
    share = model.get_layer(TAUGHT).share if TAUGHT in others else 0.0
    classes = int(output[first].shape[-1])
    return TrainedOutput(known[first], classes, tuple(others), height / width, share)


def picture(
    output: TrainedOutput, cached: loader.Cache, run: RunFolder, count: int
) -> Callable[[keras.Model, int], None] | None:
    """Return a callback that draws the same images at each validation.

    None where there is nothing to draw: its task draws nothing, or there is no image.
    """
    learning = output.learning
    if learning.pictured is None or learning.figure is None:
        return None
    figure, rows = learning.figure, learning.pictured(cached, count)
    inputs = {"image": cached.image[rows]}
    if cached.template is not None:
        inputs["template"] = cached.template[rows]

    def draw(model: keras.Model, epoch: int) -> None:
        predicted = model.predict_on_batch(inputs)[learning.output]
        drawn = figure(cached, rows, predicted, _title(model, epoch))
        plots.save(drawn, run.path / "validation" / f"epoch_{epoch:04d}.png")

    return draw if len(rows) else None


def _title(model: keras.Model, epoch: int) -> str:
    """Return the heading of a picture: the epoch and, unless it is the average, whose it is."""
    if not averaging.lags(model):
        return f"epoch {epoch}"
    return f"epoch {epoch}: the weights that learn;\ntheir average, which is shipped, still lags"
