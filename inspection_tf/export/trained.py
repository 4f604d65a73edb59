"""Trained networks on their way into a bundle: run as engines run them, and converted."""

from collections.abc import Mapping
from typing import TypeAlias

import keras
import numpy as np
from numpy.typing import NDArray

from inspection_tf import tasks
from inspection_tf.engines.network import Network, named_inputs
from inspection_tf.export import onnx

Trained: TypeAlias = Mapping[str, keras.Model]
"""Trained models by the names of their graphs."""


class KerasNetwork(Network):
    """A trained model, run as an engine runs its export, in float32 whatever it trained in."""

    def __init__(self, model: keras.Model) -> None:
        """Wrap a model; one of mixed precision is rebuilt in float32, the precision shipped."""
        self.model = model if onnx.is_float32(model) else onnx.rebuild_float32(model)

    def run_all(
        self, batch: NDArray[np.uint8], template: NDArray[np.uint8] | None = None
    ) -> tuple[NDArray[np.float32], ...]:
        """Return the model's outputs for a batch, in the order of its export."""
        # Compiled: called layer by layer a model takes five times as long.
        found = self.model.predict_on_batch(named_inputs(batch, template))
        names = tasks.outputs_in_order(found)
        return tuple(np.asarray(found[name], dtype=np.float32) for name in names)


def convert(models: Trained) -> dict[str, bytes]:
    """Convert trained models to ONNX.

    Raises:
        errors.BundleError: a model cannot be exported.
    """
    return {name: onnx.convert(model) for name, model in models.items()}
