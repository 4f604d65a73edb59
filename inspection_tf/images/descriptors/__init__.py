"""Descriptors: an image as a vector of named numbers, without anything that was learned."""

from inspection_tf.images.descriptors.description import (
    Options,
    TextureOptions,
    describe,
    describe_all,
    names,
)

__all__ = ["Options", "TextureOptions", "describe", "describe_all", "names"]
