# mypy: disallow-subclassing-any=False
"""Texture by the co-occurrence of grey values (GLCM) as a layer; see `images.descriptors`."""

import math
from collections.abc import Sequence

import keras
import numpy as np
from keras import layers, ops

from inspection_tf import errors
from inspection_tf.images.descriptors import co_occurrence
from inspection_tf.losses.keras_types import Config, Option, Shape, Tensor

_CONSTANT = 1e-12  # variance of levels under which an image has one


@keras.saving.register_keras_serializable("inspection_tf")
class CoOccurrence(layers.Layer):
    """Maps grey images to contrast, homogeneity, energy and correlation of pairs of pixels.

    The numbers and their order are those of `images.descriptors`: property by property, distance by
    distance, and for each the pairs at 0, 45, 90 and 135 degrees.
    """

    def __init__(self, *, distances: Sequence[int], levels: int, **kwargs: Option) -> None:
        """Set the distances of pairs, px, and to how many levels grey values are rounded down."""
        super().__init__(**kwargs)
        self.distances, self.levels = tuple(distances), levels

    def build(self, input_shape: Shape) -> None:
        """Refuse images in which no pair is that far apart.

        Raises:
            errors.ConfigError: there is none.
        """
        if min(input_shape[1:3]) <= max(self.distances):
            raise errors.ConfigError(
                f"glcm_distances need images of more than {max(self.distances)} px a side. "
                f"Got {input_shape[1]} x {input_shape[2]}. Choose smaller distances."
            )

    def call(self, inputs: Tensor) -> Tensor:
        """Return (batch, 4 * distances * 4) from (batch, height, width, 1)."""
        gray = ops.cast(inputs[..., 0], "float32")
        level = ops.floor(gray * (self.levels / 256))
        numbers = np.arange(self.levels, dtype=np.float32)
        has_level = ops.cast(ops.equal(ops.expand_dims(level, -1), numbers), "float32")
        pairs = [
            self._shares(has_level, distance, degrees)
            for distance in self.distances
            for degrees in co_occurrence.DEGREES
        ]
        share = ops.stack(pairs, axis=1)  # (batch, pairs, levels, levels)
        apart = (numbers[:, None] - numbers) ** 2
        contrast = ops.sum(share * apart, axis=(2, 3))
        homogeneity = ops.sum(share / (1 + apart), axis=(2, 3))
        energy = ops.sqrt(ops.sum(share * share, axis=(2, 3)))
        of_one = ops.sum(share, axis=3)  # both of a pair alike: the matrix is symmetrical
        from_mean = numbers - ops.sum(of_one * numbers, axis=2, keepdims=True)
        variance = ops.sum(of_one * from_mean * from_mean, axis=2)
        products = ops.expand_dims(from_mean, 3) * ops.expand_dims(from_mean, 2)
        together = ops.sum(share * products, axis=(2, 3))
        correlation = ops.where(
            variance < _CONSTANT, 1.0, together / ops.maximum(variance, _CONSTANT)
        )
        return ops.concatenate([contrast, homogeneity, energy, correlation], axis=-1)

    def _shares(self, has_level: Tensor, distance: int, degrees: int) -> Tensor:
        """Return (batch, levels, levels): the share of pairs with two levels, in either order."""
        _, height, width, _ = has_level.shape
        down = round(distance * math.sin(math.radians(degrees)))
        right = round(distance * math.cos(math.radians(degrees)))
        rows, columns = height - down, width - abs(right)
        left, other = max(0, -right), max(0, right)
        first = has_level[:, :rows, left : left + columns]
        second = has_level[:, down:, other : other + columns]
        pairs = rows * columns
        first, second = (ops.reshape(part, (-1, pairs, self.levels)) for part in (first, second))
        # Of zeros and ones, and so exact in float32 up to 2^24 pairs, in whatever order.
        count = ops.matmul(ops.transpose(first, (0, 2, 1)), second)
        return (count + ops.transpose(count, (0, 2, 1))) / (2 * pairs)

    def compute_output_shape(self, input_shape: Shape) -> Shape:
        """Return (batch, 4 * distances * 4)."""
        return input_shape[0], len(co_occurrence.PROPERTIES) * len(self.distances) * len(
            co_occurrence.DEGREES
        )

    def get_config(self) -> Config:
        """Return what rebuilds the layer."""
        own = {"distances": list(self.distances), "levels": self.levels}
        return {**super().get_config(), **own}
