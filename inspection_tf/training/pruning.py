"""A narrow network that starts as the strongest channels of a wide one of the same layers.

How strong a channel is: the size of its norm's scale (Liu et al. 2017, "Learning efficient
convolutional networks through network slimming") times the sum of the absolute weights that read it
(Li et al. 2017, "Pruning filters for efficient ConvNets").
"""

import itertools
from collections import defaultdict
from typing import Any, NamedTuple

import keras
import numpy as np
import scipy.cluster.hierarchy
from keras import layers
from numpy.typing import NDArray

from inspection_tf import errors
from inspection_tf.losses.keras_types import Layer, Tensor

_Channel = tuple[str, int]  # the layer that makes it, and its place there
_CONVOLUTIONS = (layers.Conv2D, layers.Conv2DTranspose)
_NORMS = (layers.BatchNormalization, layers.GroupNormalization)


class _Wiring(NamedTuple):
    """What flows where in a network.

    Attributes:
        read: channels that a layer with weights reads, by its name.
        tied: layers whose channels are added up, and so stay or go together.
    """

    read: dict[str, list[_Channel]]
    tied: scipy.cluster.hierarchy.DisjointSet


def start_from(student: keras.Model, teacher: keras.Model) -> None:
    """Give a student the weights of its teacher's strongest channels.

    Args:
        student: has the teacher's layers, each with as many channels or fewer.
        teacher: made of 2-D convolutions, batch or group norms, and layers without weights.

    Raises:
        errors.ConfigError: it has other layers, or channels that the teacher lacks.
    """
    pairs = _pairs(student, teacher)
    wiring = _follow(teacher)
    strength = _strengths(teacher, wiring)
    chosen: dict[str, NDArray[np.intp]] = {}
    for narrow, wide in pairs:
        weights = wide.get_weights()
        if isinstance(wide, _CONVOLUTIONS):
            root = wiring.tied[wide.name]
            if root not in chosen:  # in their order, so that what is added or joined still fits
                chosen[root] = np.sort(np.argsort(-strength[root], kind="stable")[: narrow.filters])
        reads = [
            place
            for place, (maker, index) in enumerate(wiring.read[wide.name])
            if maker not in chosen or index in chosen[maker]
        ]
        if isinstance(wide, _CONVOLUTIONS):
            kernel = _readable(wide, weights[0])[:, :, reads][..., chosen[root]]
            weights = [_readable(wide, kernel), *(value[chosen[root]] for value in weights[1:])]
        else:
            weights = [value[reads] for value in weights]
        if [value.shape for value in weights] != [tuple(value.shape) for value in narrow.weights]:
            raise _misfit(f"{narrow.name} of another kernel or other inputs")
        narrow.set_weights(weights)


def _readable(layer: Layer, kernel: NDArray[Any]) -> NDArray[Any]:
    """Return a kernel as (height, width, channels read, channels made), and back."""
    return kernel.swapaxes(2, 3) if isinstance(layer, layers.Conv2DTranspose) else kernel


def _misfit(got: str) -> errors.ConfigError:
    return errors.ConfigError(
        "A student that starts from its teacher's channels must have its layers, as wide or "
        f"narrower. Got {got}. Choose another teacher, or give teacher.start random."
    )


def _pairs(student: keras.Model, teacher: keras.Model) -> list[tuple[Layer, Layer]]:
    """Return the layers with weights of both, in the order of the teacher."""
    own, other = (
        {layer.name: layer for layer in model.layers if layer.weights}
        for model in (student, teacher)
    )
    apart = sorted(own.keys() ^ other.keys())
    if apart:
        raise _misfit(f"{apart[0]} in one of them alone")
    for name, layer in other.items():
        if type(layer) is not type(own[name]):
            raise _misfit(f"{name} of another kind")
        if isinstance(layer, _CONVOLUTIONS):
            if getattr(layer, "groups", 1) > 1:
                raise _misfit(f"{name} in groups of channels")
            if own[name].filters > layer.filters:
                raise _misfit(f"{name} with {own[name].filters} channels for {layer.filters}")
        elif not isinstance(layer, _NORMS):
            raise _misfit(f"{name}, a {type(layer).__name__}")
    return [(own[name], layer) for name, layer in other.items()]


def _follow(model: keras.Model) -> _Wiring:
    """Follow each channel from the layer that makes it to those that read it."""
    carried: dict[int, list[_Channel]] = {}
    wiring = _Wiring({}, scipy.cluster.hierarchy.DisjointSet())
    for layer in model.layers:
        is_start = isinstance(layer, layers.InputLayer)
        arriving = [] if is_start else [carried[id(tensor)] for tensor in _listed(layer.input)]
        if is_start or isinstance(layer, _CONVOLUTIONS):
            wiring.tied.add(layer.name)
            made = [(layer.name, index) for index in range(layer.output.shape[-1])]
        elif isinstance(layer, layers.Concatenate):
            made = list(itertools.chain(*arriving))
        else:
            made = arriving[0]
            for other in arriving[1:]:
                if [index for _, index in made] != [index for _, index in other]:
                    raise _misfit(f"{layer.name}, which mixes channels")
                for (maker, _), (again, _) in zip(made, other, strict=True):
                    wiring.tied.merge(maker, again)
        if layer.weights:
            wiring.read[layer.name] = arriving[0]
        carried[id(layer.output)] = made
    roots = {
        name: [(wiring.tied[maker], index) for maker, index in channels]
        for name, channels in wiring.read.items()
    }
    return _Wiring(roots, wiring.tied)


def _listed(tensors: Tensor) -> list[Tensor]:
    return list(tensors) if isinstance(tensors, list | tuple) else [tensors]


def _strengths(model: keras.Model, wiring: _Wiring) -> dict[str, NDArray[np.float64]]:
    """Return how strong each channel is, by the layer that makes it."""
    readers: dict[_Channel, float] = defaultdict(float)
    scale: dict[_Channel, float] = defaultdict(lambda: 1.0)
    width: dict[str, int] = {}
    for name, channels in wiring.read.items():
        layer = model.get_layer(name)
        first = np.abs(layer.get_weights()[0])
        if isinstance(layer, _CONVOLUTIONS):
            width[wiring.tied[name]] = layer.filters
            weighed = _readable(layer, first).sum((0, 1, 3))
            for channel, value in zip(channels, weighed, strict=True):
                readers[channel] += float(value)
        else:
            for channel, value in zip(channels, first, strict=True):
                scale[channel] *= float(value)
    return {
        maker: np.array([readers[maker, i] * scale[maker, i] for i in range(count)])
        for maker, count in width.items()
    }
