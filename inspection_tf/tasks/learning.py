"""The half of a task that needs Keras: what a training must know of an output that it fits.

A module that a task names in `Task.learning` has one as its `LEARNING`.
"""

import dataclasses
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Protocol

import keras
import numpy as np
import tensorflow as tf
from numpy.typing import NDArray

from inspection_tf.datasets.loading import augment, loader

if TYPE_CHECKING:
    from matplotlib.figure import Figure


@dataclasses.dataclass(frozen=True, slots=True)
class Fitted:
    """An output as a model has it.

    Attributes:
        classes: length of its last axis.
        aspect: height over width of the network's input.
        ignored_id: stands in masks for pixels that do not count; None: all count.
    """

    classes: int
    aspect: float = 1.0
    ignored_id: int | None = None


class ServeTraining(Protocol):
    """Serves the batches of some epochs."""

    def __call__(
        self,
        cached: loader.Cache,
        /,
        *,
        spec: loader.LoaderSpec,
        augmentation: augment.AugmentSpec,
        seed: int,
        epochs: int,
        first_epoch: int = 0,
        first_step: int = 0,
    ) -> tf.data.Dataset:
        """Serve epochs `first_epoch` to `epochs - 1`; see `loader.for_training`."""
        ...


class ServeEvaluation(Protocol):
    """Serves every image once."""

    def __call__(self, cached: loader.Cache, /, *, batch_size: int) -> tf.data.Dataset:
        """Serve every image once, in order, unchanged; see `loader.for_evaluation`."""
        ...


Rows = NDArray[np.intp]
"""Places of images in a cache."""


@dataclasses.dataclass(frozen=True)
class Learning:
    """How a network learns one kind of output.

    Attributes:
        output: its name.
        losses: that can teach it, by the names that `train.loss` takes.
        beside: losses of outputs that only help to train it, by the names of these.
        for_training: serves batches that teach.
        for_evaluation: serves batches that measure.
        monitor: name of the measurement on the tune split that tells the best epoch, from the
            number of classes.
        is_lower_better: whether that measurement is an error.
        metrics: makes new metrics.
        has_pixels: whether its losses take `ignored_id`, for pixels that do not count.
        pictured: rows of a cache that are drawn at each validation, from their wanted number; None:
            there is nothing to draw.
        figure: draws them, from the cache, the rows, what the network says of them, and a title.
    """

    output: str
    losses: Mapping[str, type[keras.losses.Loss]]
    for_training: ServeTraining
    for_evaluation: ServeEvaluation
    monitor: Callable[[int], str]
    metrics: Callable[[Fitted], list[keras.metrics.Metric]]
    beside: Mapping[str, type[keras.losses.Loss]] = dataclasses.field(default_factory=dict)
    is_lower_better: bool = False
    has_pixels: bool = False
    pictured: Callable[[loader.Cache, int], Rows] | None = None
    figure: "Callable[[loader.Cache, Rows, NDArray[np.float32], str], Figure] | None" = None
