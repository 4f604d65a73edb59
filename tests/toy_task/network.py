"""The network: it sees an image and returns one number."""

import keras
from keras import layers

from inspection_tf.models import input_layers


@keras.saving.register_keras_serializable("toy_task")
class SquareRoot(layers.Layer):
    """A layer that only this task has."""

    def call(self, inputs):
        return keras.ops.sqrt(inputs + 1.0)


def build(image_size):
    """Return a network from grey images to `brightness`, (batch, 1)."""
    inputs, x = input_layers.build_inputs(
        image_size=image_size, channels=1, input_mean=0.0, input_scale=255.0
    )
    x = layers.Conv2D(4, 3, strides=2, activation="relu", name="conv")(x)
    x = SquareRoot(name="root")(x)
    x = layers.GlobalAveragePooling2D(name="pool")(x)
    x = layers.Dense(1, name="brightness", dtype="float32")(x)
    return keras.Model(inputs, {"brightness": x}, name="photometer")
