"""The moving average of the weights, which is validated and shipped."""

from typing import Any

import keras


class AveragedWeights:
    """Puts the optimizer's moving average of the weights into the model while a block runs."""

    def __init__(self, model: keras.Model) -> None:
        """Do nothing when the optimizer keeps no average."""
        self._model = model
        self._active = bool(getattr(model.optimizer, "use_ema", False))
        self._raw: list[Any] = []

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
