"""What is measured while a network that finds poses learns."""

from typing import Any

import keras
from keras import ops

from inspection_tf.losses.keras_types import Tensor
from inspection_tf.tasks.pose.learning.losses import phi_between


@keras.saving.register_keras_serializable("inspection_tf")
class AngleError(keras.metrics.Mean):
    """Mean error of phi, theta and psi of the likeliest pose, degrees; of phi it is the chord."""

    def __init__(self, *, name: str = "angle_error", **kwargs: Any) -> None:
        """Set a name."""
        super().__init__(name=name, **kwargs)

    def update_state(self, y_true: Tensor, y_pred: Tensor, sample_weight: Any = None) -> Any:
        """Add a batch.

        Args:
            y_true: (batch, 7).
            y_pred: (batch, rows, 13).
            sample_weight: of each image; None: all count the same.
        """
        found = ops.cast(ops.convert_to_tensor(y_pred), "float32")
        truth = ops.cast(y_true, "float32")
        share = found[..., 0]
        # Not argmax, to stay with what differs in float alone; of equal rows it is the mean.
        chosen = ops.cast(share >= ops.max(share, axis=1, keepdims=True), "float32")
        chosen = chosen / ops.sum(chosen, axis=1, keepdims=True)
        period = 360 / truth[:, 6:]
        phi = ops.abs(phi_between(truth[:, None, 0], found[..., 1], period))
        tilts = ops.abs(truth[:, None, 1:3] - found[..., 2:4])
        every = (phi + ops.sum(tilts, axis=-1)) / 3
        return super().update_state(ops.sum(chosen * every, axis=1), sample_weight)
