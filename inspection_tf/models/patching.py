# mypy: disallow-subclassing-any=False
"""Overlapping patches of an image inside the graph, and one answer from those of all of them.

A chip of the edge is 30 px of a photo of 1024: in an image that is scaled down to what a backbone
usually sees, it is gone. So the backbone sees patches in the image's own pixels, and what it says
of each of them is pooled.
"""

from typing import Literal

import keras
import numpy as np
import pydantic
from keras import layers, ops

from inspection_tf import config, errors
from inspection_tf.losses.keras_types import Config, Option, Shape, Tensor

Pooling = Literal["mean", "soft_maximum", "maximum"]
POOL = "patch_pool"


class PatchSpec(config.Section):
    """How an image is cut into patches, and how their logits become those of the image."""

    size_px: int | None = pydantic.Field(default=None, ge=8)
    """Side of a patch, divisible by the backbone's deepest stride; none: the backbone sees the
    whole image."""
    stride_px: int = pydantic.Field(default=64, ge=1)
    """From one patch to the next; the last one is moved inwards to end with the image."""
    pooling: Pooling = "soft_maximum"
    """mean: every patch counts the same; maximum: the highest logit of each class counts;
    soft_maximum: between them, by `sharpness`."""
    sharpness: float = pydantic.Field(default=4.0, gt=0)
    """soft_maximum: towards 0 it is the mean, towards infinity the maximum."""

    @pydantic.model_validator(mode="after")
    def _patches_leave_no_gap(self) -> "PatchSpec":
        if self.size_px is not None and self.stride_px > self.size_px:
            raise ValueError(f"stride_px must be at most size_px, {self.size_px}")
        return self


def offsets(length: int, spec: PatchSpec) -> tuple[int, ...]:
    """Return where patches begin along a side, px; 0 alone where there are none.

    Args:
        length: of the side, px.
        spec: of the patches.

    Raises:
        errors.ConfigError: a patch is longer than the side.
    """
    if spec.size_px is None:
        return (0,)
    if spec.size_px > length:
        raise errors.ConfigError(
            f"A patch must fit into the image. Got patches of {spec.size_px} px for a side of "
            f"{length} px. Use smaller patches, or larger images."
        )
    last = length - spec.size_px
    return (*range(0, last, spec.stride_px), last)


def cut(x: Tensor, spec: PatchSpec) -> Tensor:
    """Cut images into patches and join these along the batch.

    Args:
        x: (batch, height, width, channels).
        spec: of the patches.

    Returns:
        (patches * batch, size, size, channels): the first patch of every image, then the second of
        each, and so on, row by row. What came in where there are no patches.

    Raises:
        errors.ConfigError: a patch does not fit into the image.
    """
    _, height, width, _ = x.shape
    size = spec.size_px
    if size is None:
        return x
    pieces = [
        layers.Cropping2D(
            ((top, height - top - size), (left, width - left - size)),
            name=f"patch_{top}_{left}",
        )(x)
        for top in offsets(height, spec)
        for left in offsets(width, spec)
    ]
    return layers.Concatenate(axis=0, name="patches")(pieces) if len(pieces) > 1 else pieces[0]


@keras.saving.register_keras_serializable("inspection_tf")
class PoolPatches(layers.Layer):
    """Joins the logits of the patches of each image: `log(mean(exp(s z))) / s`, by class.

    With the sharpness s this lies between the mean (s = 0) and the maximum (s infinite). The logits
    of the image are divided by a temperature, 1 until it is set.
    """

    def __init__(
        self, *, rows: int, columns: int, pooling: Pooling, sharpness: float, **kwargs: Option
    ) -> None:
        """Set the grid of patches and how they are joined."""
        super().__init__(**kwargs)
        self.rows, self.columns = rows, columns
        self.pooling, self.sharpness = pooling, sharpness

    def build(self, input_shape: Shape) -> None:
        """Make room for the temperature."""
        self.temperature = self.add_weight(
            shape=(), initializer="ones", trainable=False, name="temperature"
        )

    def call(self, inputs: Tensor) -> Tensor:
        """Return (batch, classes) from (patches * batch, classes)."""
        stacked = ops.reshape(inputs, (self.rows * self.columns, -1, inputs.shape[-1]))
        if self.pooling == "mean":
            pooled = ops.mean(stacked, axis=0)
        elif self.pooling == "maximum":
            pooled = ops.max(stacked, axis=0)
        else:
            # The largest is taken out, so that no exponential overflows.
            highest = ops.max(stacked, axis=0, keepdims=True)
            powers = ops.exp(self.sharpness * (stacked - highest))
            pooled = highest[0] + ops.log(ops.mean(powers, axis=0)) / self.sharpness
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


@keras.saving.register_keras_serializable("inspection_tf")
class PatchGrid(layers.Layer):
    """Lays the logits of the patches out as they lie in the image, each a share of the whole."""

    def __init__(self, *, rows: int, columns: int, **kwargs: Option) -> None:
        """Set the grid of patches."""
        super().__init__(**kwargs)
        self.rows, self.columns = rows, columns

    def call(self, inputs: Tensor) -> Tensor:
        """Return (batch, rows, columns, classes), logits over the number of patches."""
        classes = inputs.shape[-1]
        laid = ops.reshape(inputs, (self.rows, self.columns, -1, classes))
        return ops.transpose(laid, (2, 0, 1, 3)) / (self.rows * self.columns)

    def compute_output_shape(self, input_shape: Shape) -> Shape:
        """Return (batch, rows, columns, classes)."""
        return None, self.rows, self.columns, input_shape[-1]

    def get_config(self) -> Config:
        """Return what rebuilds the layer."""
        return {**super().get_config(), "rows": self.rows, "columns": self.columns}


def pool(logits: Tensor, image_size: tuple[int, int], spec: PatchSpec) -> Tensor:
    """Return the logits of images from those of the patches of `cut`.

    Args:
        logits: (patches * batch, classes).
        image_size: (height, width) px of what was cut.
        spec: of the patches.
    """
    rows, columns = (len(offsets(side, spec)) for side in image_size)
    return PoolPatches(
        rows=rows, columns=columns, pooling=spec.pooling, sharpness=spec.sharpness, name=POOL
    )(logits)


def pool_of(model: keras.Model) -> PoolPatches | None:
    """Return what joins the patches of a classifier; None where it sees whole images."""
    return next((layer for layer in model.layers if layer.name == POOL), None)


def set_temperature(layer: PoolPatches, temperature: float) -> None:
    """Divide the logits of images by a temperature, beside the one that is set already."""
    layer.temperature.assign(np.float32(float(layer.temperature) * temperature))
