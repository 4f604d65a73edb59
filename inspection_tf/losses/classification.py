# mypy: disallow-subclassing-any=False, disallow-untyped-decorators=False
"""Losses of whole images: one class each.

Every loss takes `y_true`: (batch, 1) or (batch,), class ids, 0 for OK, and `y_pred`: (batch,
classes), probabilities that add up to 1. `call` returns (batch,); Keras averages it.
"""

import keras
from keras import ops

from inspection_tf.losses.arithmetic import TINY, check_range, check_weights, weigh
from inspection_tf.losses.keras_types import Config, Option, Tensor


def _true_class(y_true: Tensor, y_pred: Tensor) -> tuple[Tensor, Tensor]:
    """Return truth as 0 or 1, and prediction, both (batch, classes), from ids (batch[, 1])."""
    y_pred = ops.convert_to_tensor(y_pred)
    ids = ops.reshape(ops.cast(y_true, "int32"), (-1,))
    return ops.one_hot(ids, y_pred.shape[-1], dtype=y_pred.dtype), y_pred


@keras.saving.register_keras_serializable("inspection_tf")
class CrossEntropy(keras.losses.Loss):
    """Cross-entropy of the class of an image: `-w sum(t log p)`, the sum over the classes.

    `t` is `1 - s + s / K` for the true one of K classes and `s / K` for the others, with the
    smoothing `s`; `w` is the weight of the true class, 1 by default. Without smoothing a sure and
    right prediction costs 0, and with it at least its entropy. Smoothing: Szegedy et al. 2016.
    """

    def __init__(
        self,
        *,
        label_smoothing: float = 0.0,
        class_weights: tuple[float, ...] | None = None,
        name: str = "cross_entropy",
        **kwargs: Option,
    ) -> None:
        """Set the smoothing (0..1) and a weight for each class, OK first."""
        super().__init__(name=name, **kwargs)
        check_range("label_smoothing", label_smoothing, high=1.0)
        self.label_smoothing = label_smoothing
        self.class_weights = check_weights(class_weights)

    def call(self, y_true: Tensor, y_pred: Tensor) -> Tensor:
        """Return (batch,) losses."""
        truth, y_pred = _true_class(y_true, y_pred)
        share = self.label_smoothing / truth.shape[-1]
        wanted = truth * (1 - self.label_smoothing) + share
        costs = -ops.sum(wanted * ops.log(ops.maximum(y_pred, TINY)), axis=-1)
        return costs * ops.sum(weigh(truth, self.class_weights), axis=-1)

    def get_config(self) -> Config:
        """Return what rebuilds the loss."""
        return {
            **super().get_config(),
            "label_smoothing": self.label_smoothing,
            "class_weights": self.class_weights,
        }


@keras.saving.register_keras_serializable("inspection_tf")
class ClassFocal(keras.losses.Loss):
    """Focal loss of the class of an image: `-w (1 - p)^g log p`, `p` that of the true class.

    Images that are sure count little; `w` is the weight of the true class, 1 by default. A sure and
    right prediction costs 0. Source: Lin et al. 2017, eq. 5, with `w` for its alpha.
    """

    def __init__(
        self,
        *,
        gamma: float = 2.0,
        class_weights: tuple[float, ...] | None = None,
        name: str = "class_focal",
        **kwargs: Option,
    ) -> None:
        """Set the focus `gamma` (0: none) and a weight for each class, OK first."""
        super().__init__(name=name, **kwargs)
        check_range("gamma", gamma)
        self.gamma = gamma
        self.class_weights = check_weights(class_weights)

    def call(self, y_true: Tensor, y_pred: Tensor) -> Tensor:
        """Return (batch,) losses."""
        truth, y_pred = _true_class(y_true, y_pred)
        hit = ops.sum(truth * y_pred, axis=-1)
        costs = -ops.power(ops.maximum(1 - hit, TINY), self.gamma) * ops.log(ops.maximum(hit, TINY))
        return costs * ops.sum(weigh(truth, self.class_weights), axis=-1)

    def get_config(self) -> Config:
        """Return what rebuilds the loss."""
        return {**super().get_config(), "gamma": self.gamma, "class_weights": self.class_weights}


CLASSIFICATION: dict[str, type[keras.losses.Loss]] = {
    "cross_entropy": CrossEntropy,
    "class_focal": ClassFocal,
}
"""By the names that `train.loss` takes."""
