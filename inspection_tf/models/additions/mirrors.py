# mypy: disallow-subclassing-any=False
"""The mean of what a segmenter says of an image and of its mirror images, in one graph.

A network that was taught with flips gives an image and its mirror image nearly the same map; where
the two differ, it is not sure. Their mean is right more often than either. It costs one more run of
the network for each mirror image, in whichever engine.

Source: averaging over flips at test time, as in Krizhevsky et al. 2012, section 4.1.
"""

from typing import Literal

import keras
import numpy as np
from keras import layers, ops

from inspection_tf import errors
from inspection_tf.losses.keras_types import Config, Option, Shape, Tensor
from inspection_tf.models import input_layers
from inspection_tf.models.additions import joining

Mirrors = Literal["none", "horizontal", "both"]
"""Which mirror images count beside the image: none, left and right exchanged, or that, top and
bottom exchanged, and both at once."""
_ROWS, _COLUMNS = 1, 2
_AXES: dict[Mirrors, tuple[tuple[int, ...], ...]] = {
    "horizontal": ((), (_COLUMNS,)),
    "both": ((), (_COLUMNS,), (_ROWS,), (_ROWS, _COLUMNS)),
}
_NAME = "mirrored_network"  # the network that was trained, in the one that averages


@keras.saving.register_keras_serializable("inspection_tf")
class Mirror(layers.Layer):
    """Exchanges first and last along axes of (batch, height, width, channels)."""

    def __init__(self, *, axes: tuple[int, ...], **kwargs: Option) -> None:
        """Set the axes: 1 for top and bottom, 2 for left and right."""
        super().__init__(**kwargs)
        self.axes = tuple(axes)

    def call(self, inputs: Tensor) -> Tensor:
        """Return the mirror image."""
        for axis in self.axes:
            # Rows and columns are gathered: a slice that runs backwards is not for every engine.
            inputs = ops.take(inputs, np.arange(inputs.shape[axis])[::-1].copy(), axis=axis)
        return inputs

    def compute_output_shape(self, input_shape: Shape) -> Shape:
        """Return the shape that came in."""
        return input_shape

    def get_config(self) -> Config:
        """Return the axes beside what every layer has."""
        return {**super().get_config(), "axes": self.axes}


def attach(model: keras.Model, mirrors: Mirrors) -> keras.Model:
    """Return a trained segmenter that answers with the mean over an image and its mirror images.

    Args:
        model: whose inputs are scaled by a layer each, and whose outputs are maps, (batch, height,
            width, classes), of the size of the image; it is not changed, and shares its weights.
        mirrors: which count; with `none` the model itself is returned.

    Returns:
        A model with the same inputs and outputs.

    Raises:
        errors.ConfigError: an input is scaled by no layer of its own.
    """
    if mirrors == "none":
        return model
    scaled = [_scaled(model, name) for name in model.input]
    network = keras.Model(scaled, model.output, name=_NAME)
    answers = [_answer(network, scaled, axes) for axes in _AXES[mirrors]]
    outputs = {}
    for name in model.output:
        mean = layers.Average(dtype="float32", name=f"{name}_mean")
        outputs[name] = joining.named(mean([one[name] for one in answers]), name)
    return keras.Model(model.input, outputs, name=model.name)


def _answer(network: keras.Model, scaled: list[Tensor], axes: tuple[int, ...]) -> dict[str, Tensor]:
    """Return what a network says of images that are mirrored, mirrored back."""
    if not axes:
        return dict(network(scaled))
    tag = "_".join(map(str, axes))
    seen = [
        Mirror(axes=axes, name=f"input{number}_mirror_{tag}")(tensor)
        for number, tensor in enumerate(scaled)
    ]
    return {
        name: Mirror(axes=axes, dtype="float32", name=f"{name}_back_{tag}")(value)
        for name, value in network(seen).items()
    }


def _scaled(model: keras.Model, name: str) -> Tensor:
    """Return an input as the rest of the network reads it."""
    wanted = input_layers.scaling_layer(name)
    if all(layer.name != wanted for layer in model.layers):
        raise errors.ConfigError(
            f"Mirror images need a network whose inputs are scaled by a layer each. Got none that "
            f"is called {wanted}. Build it with inspection_tf.models, or set averaged_flips: none."
        )
    return model.get_layer(wanted).output


def trained(model: keras.Model) -> keras.Model:
    """Return the network that was trained: the one inside, or the model where it averages nothing.

    Args:
        model: of `attach`, or another one.
    """
    return next((layer for layer in model.layers if layer.name == _NAME), model)
