"""Outputs of a network, by their names."""

import keras
from keras import layers

from inspection_tf.losses.keras_types import Tensor


def with_output(model: keras.Model, name: str, tensor: Tensor) -> keras.Model:
    """Return a network with one more output, which shares its layers.

    Args:
        model: whose outputs have names.
        name: of the new output, also in the exported graph.
        tensor: of the model's graph.
    """
    return keras.Model(model.input, {**model.output, name: named(tensor, name)}, name=model.name)


def named(tensor: Tensor, name: str) -> Tensor:
    """Return a tensor under a name that reaches the exported graph, as that of an output."""
    return layers.Activation("linear", dtype="float32", name=name)(tensor)
