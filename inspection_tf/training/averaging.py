"""The moving average of the weights, which is validated and shipped.

It lags behind the weights that learn: while the first ones still count in it, it finds less than
they do, and the statistics of batch norms, which are not averaged, do not fit it. At the end of a
run, or of a phase, the first weights have ceased to count (see `fit.TrainSpec.averaging`).
"""

import keras

from inspection_tf.losses.keras_types import Tensor

_NEGLIGIBLE = 0.01  # share of the first weights in the average


def share_of_the_first(model: keras.Model) -> float:
    """Return what the weights after the first step still count in the average, 0 to 1.

    It is `momentum ** (steps - 1)`; 0 before the first step and without an average.
    """
    optimizer = model.optimizer
    momentum = optimizer.ema_momentum if optimizer.use_ema else 0.0
    steps = int(optimizer.iterations.numpy())
    return float(momentum ** (steps - 1)) if momentum > 0 and steps > 0 else 0.0


def lags(model: keras.Model) -> bool:
    """Return whether the first weights still count in the average: more than a hundredth."""
    return share_of_the_first(model) > _NEGLIGIBLE


class AveragedWeights:
    """Puts the optimizer's moving average of the weights into the model while a block runs."""

    def __init__(self, model: keras.Model) -> None:
        """Do nothing when the optimizer keeps no average."""
        self._model = model
        self._active = bool(getattr(model.optimizer, "use_ema", False))
        self._raw: list[Tensor] = []

    def __enter__(self) -> None:
        """Swap the average in."""
        if self._active:
            variables = self._model.trainable_variables
            self._raw = [keras.ops.copy(variable.value) for variable in variables]
            self._model.optimizer.finalize_variable_values(variables)

    def __exit__(self, *exception: object) -> None:
        """Swap the raw weights back."""
        for variable, value in zip(self._model.trainable_variables, self._raw, strict=False):
            variable.assign(value)
