# mypy: disallow-subclassing-any=False
"""From the logits of places, patches or cells of a feature, to those of the image.

A defect shows in one place of many. A head on the mean of all places must tell it from their sum;
one whose answers are pooled place by place need only see it where it is. This is multiple-instance
learning, with the image as a bag of places.
"""

from typing import Literal

import keras
import numpy as np
from keras import layers, ops

from inspection_tf.losses.keras_types import Config, Option, Shape, Tensor

Pooling = Literal["mean", "soft_maximum", "maximum"]
NAME = "place_pool"


@keras.saving.register_keras_serializable("inspection_tf")
class PlacePool(layers.Layer):
    """Joins the logits of the places of each image: `log(mean(exp(s z))) / s`, by class.

    With the sharpness s this lies between the mean (s = 0) and the maximum (s infinite). The logits
    of the image are divided by a temperature, 1 until it is set. Source: Pinheiro and Collobert
    2015, "From image-level to pixel-level labeling with convolutional networks", eq. 6.
    """

    def __init__(
        self, *, rows: int, columns: int, pooling: Pooling, sharpness: float, **kwargs: Option
    ) -> None:
        """Set the grid of places and how they are joined."""
        super().__init__(**kwargs)
        self.rows, self.columns = rows, columns
        self.pooling, self.sharpness = pooling, sharpness

    def build(self, input_shape: Shape) -> None:
        """Make room for the temperature."""
        self.temperature = self.add_weight(
            shape=(), initializer="ones", trainable=False, name="temperature"
        )

    def call(self, inputs: Tensor) -> Tensor:
        """Return (batch, classes) from (batch, places, classes)."""
        if self.pooling == "mean":
            pooled = ops.mean(inputs, axis=1)
        elif self.pooling == "maximum":
            pooled = ops.max(inputs, axis=1)
        else:
            # The largest is taken out, so that no exponential overflows.
            highest = ops.max(inputs, axis=1, keepdims=True)
            powers = ops.exp(self.sharpness * (inputs - highest))
            pooled = ops.max(inputs, axis=1) + ops.log(ops.mean(powers, axis=1)) / self.sharpness
        return pooled / self.temperature

    def compute_output_shape(self, input_shape: Shape) -> Shape:
        """Return (batch, classes)."""
        return None, input_shape[-1]

    def get_config(self) -> Config:
        """Return what rebuilds the layer."""
        return {
            **super().get_config(),
            "rows": self.rows,
            "columns": self.columns,
            "pooling": self.pooling,
            "sharpness": self.sharpness,
        }


def of(model: keras.Model) -> PlacePool | None:
    """Return what joins the places of a classifier; None where its head sees the whole image."""
    return next((layer for layer in model.layers if layer.name == NAME), None)


def laid_out(pool: PlacePool) -> Tensor:
    """Return the logits of the places as they lie in the image, each a share of their mean.

    Returns:
        (batch, rows, columns, classes), logits over the number of places.
    """
    places = pool.rows * pool.columns
    grid = (pool.rows, pool.columns, pool.input.shape[-1])
    laid = layers.Reshape(grid, name="places_laid_out")(pool.input)
    return layers.Rescaling(1 / places, dtype="float32", name="shares_of_places")(laid)


def set_temperature(pool: PlacePool, temperature: float) -> None:
    """Divide the logits of images by a temperature, beside the one that is set already."""
    pool.temperature.assign(np.float32(float(pool.temperature) * temperature))
