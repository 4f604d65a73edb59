# mypy: disallow-subclassing-any=False
"""Overlapping patches of an image inside the graph.

A chip of the edge is 30 px of a photo of 1024: in an image that is scaled down to what a backbone
usually sees, it is gone. So the backbone sees patches in the image's own pixels; `place_pool` makes
one answer of what it says of each of them.
"""

import keras
import pydantic
from keras import layers, ops

from inspection_tf import config, errors
from inspection_tf.losses.keras_types import Config, Option, Shape, Tensor


class PatchSpec(config.Section):
    """How an image is cut into overlapping patches."""

    size_px: int | None = pydantic.Field(default=None, ge=8)
    """Side of a patch, divisible by the backbone's deepest stride; none: the backbone sees the
    whole image."""
    stride_px: int = pydantic.Field(default=64, ge=1)
    """From one patch to the next; the last one is moved inwards to end with the image."""

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
class ByImage(layers.Layer):
    """Brings the logits of patches, joined along the batch as by `cut`, to those of each image."""

    def __init__(self, *, patches: int, **kwargs: Option) -> None:
        """Set the number of patches of an image."""
        super().__init__(**kwargs)
        self.patches = patches

    def call(self, inputs: Tensor) -> Tensor:
        """Return (batch, patches, classes) from (patches * batch, classes)."""
        stacked = ops.reshape(inputs, (self.patches, -1, inputs.shape[-1]))
        return ops.transpose(stacked, (1, 0, 2))

    def compute_output_shape(self, input_shape: Shape) -> Shape:
        """Return (batch, patches, classes)."""
        return None, self.patches, input_shape[-1]

    def get_config(self) -> Config:
        """Return what rebuilds the layer."""
        return {**super().get_config(), "patches": self.patches}


def grid(image_size: tuple[int, int], spec: PatchSpec) -> tuple[int, int]:
    """Return how many patches lie below and beside each other.

    Args:
        image_size: (height, width) px of what is cut.
        spec: of the patches.
    """
    rows, columns = (len(offsets(side, spec)) for side in image_size)
    return rows, columns
