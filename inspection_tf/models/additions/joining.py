"""One more output of a network."""

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
    # The name must reach the exported graph, where it is the output's name.
    found = layers.Activation("linear", dtype="float32", name=name)(tensor)
    return keras.Model(model.input, {**model.output, name: found}, name=model.name)
