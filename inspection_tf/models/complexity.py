"""How much a model computes: parameters and multiply-adds for one image."""

import dataclasses
import math
from collections.abc import Iterator

import keras
from keras import layers

from inspection_tf import errors
from inspection_tf.losses.keras_types import Layer, Shape


@dataclasses.dataclass(frozen=True, slots=True)
class Complexity:
    """Size and work of a model."""

    parameters: int
    """Trained and running ones; a shared layer counts once."""
    macs: int
    """Multiply-adds of convolutions and dense layers for one image; a shared layer counts each
    time it is applied. Norms, activations, pools and biases are left out, as is usual."""


def _calls(model: keras.Model) -> Iterator[tuple[Layer, Shape]]:
    """Yield each application of a layer: the layer and the shape it is applied to."""
    if isinstance(model, keras.Sequential):  # its configuration does not list the calls
        shape = tuple(model.input_shape)
        for layer in model.layers:
            yield layer, shape
            shape = layer.compute_output_shape(shape)
        return
    for entry in model.get_config()["layers"]:
        for node in entry["inbound_nodes"]:
            yield model.get_layer(entry["name"]), _shape(node["args"])


def _shape(arguments: Shape) -> tuple[int | None, ...] | None:
    """Return the shape of the first argument; None where it is not a single tensor."""
    first = arguments[0] if arguments else None
    if not isinstance(first, dict) or first.get("class_name") != "__keras_tensor__":
        return None
    return tuple(first["config"]["shape"])


def _work(layer: Layer, shape: Shape) -> int:
    """Return multiply-adds of one application: elements of the kernels times positions."""
    if isinstance(layer, layers.SeparableConv2D):
        kernels = [layer.depthwise_kernel, layer.pointwise_kernel]
    elif isinstance(
        layer, layers.Conv2D | layers.DepthwiseConv2D | layers.Conv2DTranspose | layers.Dense
    ):
        kernels = [layer.kernel]
    else:
        return 0
    # A transposed kernel is applied at each position of its input, the others of their output.
    transposed = isinstance(layer, layers.Conv2DTranspose)
    positions = (shape if transposed else layer.compute_output_shape(shape))[1:-1]
    if None in positions:
        raise errors.ConfigError(
            f"Multiply-adds need a model of one image size. Got {layer.name!r} on {shape}. "
            "Build it with a fixed image_size."
        )
    taps = sum(math.prod(kernel.shape) for kernel in kernels)
    return int(taps * math.prod(positions))


def _macs(model: keras.Model) -> int:
    return sum(
        _macs(layer) if isinstance(layer, keras.Model) else _work(layer, shape)
        for layer, shape in _calls(model)
    )


def count(model: keras.Model) -> Complexity:
    """Count the parameters of a model and its multiply-adds for one image.

    Args:
        model: functional or sequential, with models nested in it at their own image size;
            channels last.

    Raises:
        errors.ConfigError: the model leaves the size of its image open.
    """
    return Complexity(model.count_params(), _macs(model))
