"""Layers that turn what a network says of each cell of a grid into four corners."""

from typing import Any

import keras
import numpy as np
from keras import ops


def _centres(rows: int, columns: int) -> Any:
    """Return (rows * columns, 2): the centres of the cells, shares of width and height."""
    x = (ops.arange(columns, dtype="float32") + 0.5) / columns
    y = (ops.arange(rows, dtype="float32") + 0.5) / rows
    across, down = ops.meshgrid(x, y)
    return ops.stack([ops.reshape(across, (-1,)), ops.reshape(down, (-1,))], axis=-1)


@keras.saving.register_keras_serializable("inspection_tf")
class HeatmapDecoder(keras.layers.Layer):
    """Soft-argmax: the mean place of the cells, weighted by a corner's heatmap.

    `sum(w (centre + offset))` with `w = softmax(sharpness * logits)` over all cells. The offsets,
    one for each cell and corner, reach beyond the centres of the outermost cells, so that a corner
    on the very border of an image is a place like any other. What little a softmax leaves to
    cells far away would pull the mean: the sharpness takes it from them.

    Source: Nibali et al. 2018, "Numerical coordinate regression with convolutional neural
    networks", for the soft-argmax; the offsets as in Papandreou et al. 2017.
    """

    def __init__(self, sharpness: float = 3.0, **kwargs: Any) -> None:
        """Set by what the logits are multiplied."""
        super().__init__(**kwargs)
        self.sharpness = sharpness

    def compute_output_shape(self, input_shape: Any) -> Any:
        """Return (batch, 2 n)."""
        return input_shape[1][0], input_shape[1][-1]

    def call(self, inputs: Any) -> Any:
        """Return (batch, 2 n), x and y of n corners, shares of width and height.

        Args:
            inputs: (batch, rows, columns, n) logits and (batch, rows, columns, 2 n) offsets, cells.
        """
        logits, offsets = inputs
        rows, columns, points = logits.shape[1:]
        cells = rows * columns
        weight = ops.softmax(self.sharpness * ops.reshape(logits, (-1, cells, points)), axis=1)
        weight = ops.transpose(weight, (0, 2, 1))
        dtype = offsets.dtype
        centre = ops.matmul(weight, ops.cast(_centres(rows, columns), dtype))
        # Products of each corner's weights with the offsets of all: of those, its own. Engines are
        # many times faster at this than at a product of each with each.
        every = ops.matmul(weight, ops.reshape(offsets, (-1, cells, 2 * points)))
        own = ops.convert_to_tensor(np.kron(np.eye(points), np.ones(2)), dtype=dtype)
        step = ops.convert_to_tensor([1 / columns, 1 / rows] * points, dtype=dtype)
        return ops.reshape(centre, (-1, 2 * points)) + ops.sum(every * own, axis=1) * step

    def get_config(self) -> dict[str, Any]:
        """Return what rebuilds the layer."""
        return {**super().get_config(), "sharpness": self.sharpness}


@keras.saving.register_keras_serializable("inspection_tf")
class GridDecoder(keras.layers.Layer):
    """The corners that the surest cell of a grid gives, and how sure it is.

    Source: Redmon et al. 2016, for one object: no boxes to choose among, so no suppression.
    """

    def compute_output_shape(self, input_shape: Any) -> Any:
        """Return (batch, 9)."""
        return input_shape[0], 9

    def call(self, inputs: Any) -> Any:
        """Return (batch, 9), corners as shares of width and height, and the confidence.

        Args:
            inputs: (batch, rows, columns, 13): logit of objectness, box, corners; in cells, from
                the centre of the cell.
        """
        rows, columns = inputs.shape[1:3]
        cells = rows * columns
        logits = ops.reshape(inputs[..., 0], (-1, cells))
        highest = ops.max(logits, axis=1, keepdims=True)
        # Not argmax, for which converters have no operator; of equal cells it is the mean.
        chosen = ops.cast(logits >= highest, inputs.dtype)
        chosen = chosen / ops.sum(chosen, axis=1, keepdims=True)
        offsets = ops.reshape(inputs[..., 5:], (-1, cells, 8))
        offset = ops.reshape(ops.sum(chosen[..., None] * offsets, axis=1), (-1, 4, 2))
        centre = ops.matmul(chosen, ops.cast(_centres(rows, columns), inputs.dtype))
        step = ops.convert_to_tensor([1 / columns, 1 / rows], dtype=inputs.dtype)
        place = centre[:, None] + offset * step
        confidence = ops.sigmoid(highest)
        return ops.concatenate([ops.reshape(place, (-1, 8)), confidence], axis=1)


@keras.saving.register_keras_serializable("inspection_tf")
class AlwaysSure(keras.layers.Layer):
    """Confidence 1 of a network that cannot say that there is no field."""

    def compute_output_shape(self, input_shape: Any) -> Any:
        """Return (batch, 1)."""
        return input_shape[0], 1

    def call(self, inputs: Any) -> Any:
        """Return (batch, 1), all 1, for (batch, n)."""
        return ops.zeros_like(inputs[:, :1]) + 1
