"""Backbones: networks that turn an image into features of several strides."""

from inspection_tf.models.backbones.encoder import (
    BACKBONES,
    Name,
    Options,
    available_strides,
    build,
    chosen_strides,
)

__all__ = [
    "BACKBONES",
    "Name",
    "Options",
    "available_strides",
    "build",
    "chosen_strides",
]
