# mypy: disallow-subclassing-any=False
"""Histograms of the directions of gradients (HOG) as a layer; see `images.descriptors`."""

import keras
import numpy as np
from keras import layers, ops

from inspection_tf import errors
from inspection_tf.images.descriptors import gradients
from inspection_tf.losses.keras_types import Config, Option, Shape, Tensor

_CUT = 0.2
_SMALL = 1e-5


@keras.saving.register_keras_serializable("inspection_tf")
class GradientHistograms(layers.Layer):
    """Maps grey images to the histograms of blocks of 2 x 2 cells, normalised twice.

    The numbers and their order are those of `images.descriptors`: `(cells - 1)^2 * 4 * directions`.
    """

    def __init__(self, *, cells: int, directions: int, **kwargs: Option) -> None:
        """Set the cells along each side and the directions of a histogram."""
        super().__init__(**kwargs)
        self.cells, self.directions = cells, directions

    def build(self, input_shape: Shape) -> None:
        """Refuse images with fewer pixels along a side than there are cells.

        Raises:
            errors.ConfigError: they have.
        """
        if min(input_shape[1:3]) < max(self.cells, 3):
            raise errors.ConfigError(
                f"hog_cells needs images of {max(self.cells, 3)} px a side or more. "
                f"Got {input_shape[1]} x {input_shape[2]}. Choose fewer cells or a larger size."
            )

    def call(self, inputs: Tensor) -> Tensor:
        """Return (batch, numbers) from (batch, height, width, 1)."""
        _, height, width, _ = inputs.shape
        gray = ops.cast(inputs[..., 0], "float32")
        # At the border nothing is known of one side, and so nothing changes there.
        down = ops.pad(gray[:, 2:] - gray[:, :-2], ((0, 0), (1, 1), (0, 0)))
        right = ops.pad(gray[:, :, 2:] - gray[:, :, :-2], ((0, 0), (0, 0), (1, 1)))
        # In -1..1: the squares of whole grey values pass the largest number of float16.
        down, right = down / 255, right / 255
        size = ops.sqrt(down * down + right * right)
        # A direction and its opposite are one: all are turned to 0 <= angle < 180 degrees.
        is_up = ops.logical_or(down < 0, ops.logical_and(ops.equal(down, 0), right < 0))
        sign = ops.where(is_up, -1.0, 1.0)
        down, right = (ops.expand_dims(sign * part, -1) for part in (down, right))
        angles = np.pi * np.arange(self.directions) / self.directions
        cosine, sine = (f(angles).astype(np.float32) for f in (np.cos, np.sin))
        # Turned on from an angle, by the sign of the cross product.
        reached = ops.cast(down * cosine - right * sine >= 0, "float32")
        passed = ops.concatenate([reached[..., 1:], ops.zeros_like(reached[..., :1])], axis=-1)
        weighted = ops.expand_dims(size, -1) * (reached - passed)
        rows, columns = height // self.cells, width // self.cells
        kept = weighted[:, : rows * self.cells, : columns * self.cells]
        cell = ops.average_pool(kept, (rows, columns), strides=(rows, columns))
        blocks = self.cells - gradients.BLOCK + 1
        block = ops.stack(
            [
                cell[:, i : i + blocks, j : j + blocks]
                for i in range(gradients.BLOCK)
                for j in range(gradients.BLOCK)
            ],
            axis=3,
        )
        numbers = gradients.BLOCK * gradients.BLOCK * self.directions
        block = ops.reshape(block, (-1, blocks, blocks, numbers))
        block = ops.minimum(_normalised(block, _SMALL / 255), _CUT)
        block = _normalised(block, _SMALL)
        return ops.reshape(block, (-1, blocks * blocks * numbers))

    def compute_output_shape(self, input_shape: Shape) -> Shape:
        """Return (batch, numbers)."""
        blocks = self.cells - gradients.BLOCK + 1
        return input_shape[0], blocks * blocks * gradients.BLOCK * gradients.BLOCK * self.directions

    def get_config(self) -> Config:
        """Return what rebuilds the layer."""
        return {**super().get_config(), "cells": self.cells, "directions": self.directions}


def _normalised(block: Tensor, small: float) -> Tensor:
    """Divide by the norm; what is even stays 0."""
    squares = ops.sum(block * block, axis=-1, keepdims=True)
    return block / ops.sqrt(squares + small * small)
