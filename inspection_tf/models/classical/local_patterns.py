# mypy: disallow-subclassing-any=False
"""Histograms of local binary patterns (LBP) as a layer; see `images.descriptors`."""

import math
from collections.abc import Iterator, Sequence

import keras
import numpy as np
from keras import layers, ops

from inspection_tf.images.descriptors import local_patterns
from inspection_tf.losses.keras_types import Config, Option, Shape, Tensor

_UNIFORM = 2  # changes around a circle, at most
_AS_BRIGHT = -1e-3  # grey values by which the rounding of an interpolation may miss


@keras.saving.register_keras_serializable("inspection_tf")
class LocalPatterns(layers.Layer):
    """Maps grey images to the shares of pixels of each uniform pattern, radius by radius.

    The numbers and their order are those of `images.descriptors`: ten for each radius. But here a
    neighbour is as bright as the pixel up to 0.001 grey values under it, so that no rounding
    divides equals; on an even slope scikit-image counts many as darker, by the fifth digit of where
    they lie.
    """

    def __init__(self, *, radii: Sequence[int], **kwargs: Option) -> None:
        """Set the radii of the circles, px."""
        super().__init__(**kwargs)
        self.radii = tuple(radii)

    def call(self, inputs: Tensor) -> Tensor:
        """Return (batch, 10 * radii) from (batch, height, width, 1)."""
        gray = ops.cast(inputs[..., 0], "float32")
        found = []
        for radius in self.radii:
            bits = list(_bright(gray, radius))
            count = sum(bits[1:], start=bits[0])
            changes = sum(
                (ops.abs(bits[k] - bits[k - 1]) for k in range(1, local_patterns.NEIGHBOURS)),
                start=ops.abs(bits[0] - bits[-1]),
            )
            pattern = ops.where(changes <= _UNIFORM, count, float(local_patterns.NEIGHBOURS + 1))
            for code in range(local_patterns.NEIGHBOURS + 2):
                is_code = ops.cast(ops.equal(pattern, float(code)), "float32")
                found.append(ops.mean(is_code, axis=(1, 2)))
        return ops.stack(found, axis=-1)

    def compute_output_shape(self, input_shape: Shape) -> Shape:
        """Return (batch, 10 * radii)."""
        return input_shape[0], (local_patterns.NEIGHBOURS + 2) * len(self.radii)

    def get_config(self) -> Config:
        """Return what rebuilds the layer."""
        return {**super().get_config(), "radii": list(self.radii)}


def _bright(gray: Tensor, radius: int) -> Iterator[Tensor]:
    """Yield, for each neighbour, whether it is as bright as the pixel: 1 or 0.

    Of what is interpolated between four pixels it is the differences to the one in the middle that
    are weighted: whole numbers, which are 0 where all are equal. Outside of the image it is black.
    """
    _, height, width = gray.shape
    rim = radius + 1
    padded = ops.pad(gray, ((0, 0), (rim, rim), (rim, rim)))
    for k in range(local_patterns.NEIGHBOURS):
        angle = 2 * math.pi * k / local_patterns.NEIGHBOURS
        # To the fifth digit, as scikit-image has it: so those on the axes are whole pixels.
        row, column = (round(x, 5) for x in (-radius * math.sin(angle), radius * math.cos(angle)))
        top, left = math.floor(row), math.floor(column)
        difference: Tensor = 0.0
        for down, right in np.ndindex(2, 2):
            share = (1 - abs(top + down - row)) * (1 - abs(left + right - column))
            if share > 0:
                y, x = rim + top + down, rim + left + right
                difference += share * (padded[:, y : y + height, x : x + width] - gray)
        yield ops.cast(difference >= _AS_BRIGHT, "float32")
