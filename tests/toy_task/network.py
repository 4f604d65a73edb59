"""The network: it sees an image and returns one number, and of each band of rows another."""

import keras
from keras import layers

from inspection_tf.models import input_layers


@keras.saving.register_keras_serializable("toy_task")
class SquareRoot(layers.Layer):
    """A layer that only this task has."""

    def call(self, inputs):
        return keras.ops.sqrt(inputs + 1.0)


def build(image_size):
    """Return a network that is trained: from grey images to `brightness`, (batch, 1)."""
    inputs, x = input_layers.build_inputs(
        image_size=image_size, channels=1, input_mean=0.0, input_scale=255.0
    )
    x = layers.Conv2D(4, 3, strides=2, activation="relu", name="conv")(x)
    x = SquareRoot(name="root")(x)
    rows, columns = x.shape[1:3]
    x = layers.AveragePooling2D((1, columns), name="pool")(x)
    x = layers.Dense(1, name="share", dtype="float32")(x)
    bands = layers.Reshape((rows,), name="bands", dtype="float32")(x)
    # Read from the other output: no optimiser may take that one away.
    x = layers.Reshape((rows, 1), name="column", dtype="float32")(bands)
    x = layers.GlobalAveragePooling1D(name="brightness", dtype="float32")(x)
    return keras.Model(inputs, {"brightness": x}, name="photometer")


def deployed(model):
    """Return the network of a bundle: also `bands`, (batch, rows), whose mean is `brightness`.

    By the alphabet it comes first, as TensorFlow and Keras sort names; it is the second output.
    """
    outputs = {"brightness": model.output["brightness"], "bands": model.get_layer("bands").output}
    return keras.Model(model.input, outputs, name=model.name)
