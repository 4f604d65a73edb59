"""Weights of backbones: reading them, and redefining the first convolution for other channels.

A backbone reads n, an image normalised over the training data. A network of keras.applications was
pretrained on e = scale * grey + offset. Let n mean the same as it would on ImageNet, so that
grey = deviation * n + mean; then, for each channel c, e_c = sigma_c * n_c + mu_c and

    sum_c w_c * e_c  =  sum_c (w_c * sigma_c) * n_c  +  sum_c w_c * mu_c.

The kernel takes up the first part. The second is a constant of the inner pixels, where no tap
falls on the padding; it goes into the bias, or out of the mean of the batch norm that follows.
"""

import contextlib
import dataclasses
import re
import warnings
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

import h5py  # type: ignore[import-untyped]
import keras
import numpy as np
from keras import layers
from numpy.typing import NDArray

from inspection_tf import errors
from inspection_tf.losses.keras_types import Layer

INPUT = "normalized"
"""Name of a backbone's input, by which its weights are told from those of other networks."""
# Of ImageNet's pixels in 0..255, as torchvision and Keras state them.
RGB_MEAN = 255 * np.array((0.485, 0.456, 0.406))
RGB_DEVIATION = 255 * np.array((0.229, 0.224, 0.225))

_UNNAMED = re.compile(
    r"(activation|add|average_pooling2d|batch_normalization|concatenate|conv2d|max_pooling2d)"
    r"(?:_(\d+))?"
)
_Floats = NDArray[np.float64]


@dataclasses.dataclass(frozen=True, slots=True)
class Feed:
    """What a first convolution was fed: `scale * grey + offset`, grey in 0..255."""

    scale: _Floats
    """(3,), per channel in the convolution's order."""
    offset: _Floats
    """(3,)."""
    channels: tuple[int, int, int] = (0, 1, 2)
    """Which of R, G, B each of the convolution's channels is."""


def adapt(kernel: NDArray[Any], channels: int, *, differences: int = 0) -> NDArray[Any]:
    """Redefine a kernel for another number of input channels.

    Colour images and pairs of them (3, 6, ... channels) keep the kernel of each colour, shared
    between the images: an image beside its copy gives what the image alone gives. All others
    count as grey: the kernel is summed over its channels and shared between the new ones.

    Differences have the kernel of an image of their own, unshared: they are 0 where a pair agrees,
    and there the pair gives what it gives without them.

    Args:
        kernel: (height, width, channels before, filters).
        channels: to return.
        differences: how many of them, the last, are differences of the images before.

    Returns:
        (height, width, channels, filters).
    """
    height, width, before, filters = kernel.shape
    if differences:
        parts = adapt(kernel, channels - differences), adapt(kernel, differences)
        return np.concatenate(parts, axis=2)
    if before == channels:
        return kernel
    kept = 3 if before % 3 == 0 and channels % 3 == 0 else 1
    total = kernel.reshape(height, width, before // kept, kept, filters).sum(axis=2)
    return np.tile(total, (1, 1, channels // kept, 1)) * (kept / channels)


def first_convolution(model: keras.Model) -> Layer:
    """Return the layer that reads the image."""
    return next(layer for layer in model.layers if isinstance(layer, layers.Conv2D))


def _first_norm(model: keras.Model) -> Layer:
    return next(layer for layer in model.layers if isinstance(layer, layers.BatchNormalization))


def redefine(
    model: keras.Model, reference: keras.Model, feed: Feed, *, differences: int = 0
) -> None:
    """Set the first convolution so that the model reads normalised images.

    Args:
        model: reads n, (batch, height, width, any channels); its other weights are set.
        reference: the pretrained network, of three channels.
        feed: what the reference reads.
        differences: how many of the model's channels, the last, are differences.
    """
    first = first_convolution(reference)
    weights = np.asarray(first.get_weights()[0], np.float64)
    order = np.array(feed.channels)
    sigma = feed.scale * RGB_DEVIATION[order]
    mu = feed.scale * RGB_MEAN[order] + feed.offset
    kernel = np.empty_like(weights)
    kernel[:, :, order] = weights * sigma[:, None]
    constant = np.einsum("hwcf,c->f", weights, mu)
    target = first_convolution(model)
    target.kernel.assign(adapt(kernel, target.kernel.shape[2], differences=differences))
    if target.use_bias:
        target.bias.assign(first.get_weights()[1] + constant)
    else:
        mean = np.asarray(_first_norm(reference).moving_mean, np.float64)
        _first_norm(model).moving_mean.assign(mean - constant)


def is_unnamed(name: str) -> bool:
    """Return whether a layer has no name but its kind and a number, such as conv2d_4."""
    return _UNNAMED.fullmatch(name) is not None


def stable_names(names: Iterable[str]) -> dict[str, str]:
    """Return each layer's name in a session -> a name that is the same in every session.

    Args:
        names: of all layers of a network of keras.applications, which leaves some unnamed; Keras
            numbers those through the whole session, here they are numbered from 1.
    """
    names = list(names)
    stable = {name: name for name in names}
    unnamed: dict[str, list[tuple[int, str]]] = {}
    for name in names:
        match = _UNNAMED.fullmatch(name)
        if match:
            unnamed.setdefault(match[1], []).append((int(match[2] or 0), name))
    for kind, found in unnamed.items():
        stable |= {name: f"{kind}_{rank}" for rank, (_, name) in enumerate(sorted(found), start=1)}
    return stable


def _text(name: str | bytes) -> str:
    return name.decode() if isinstance(name, bytes) else str(name)


def _saved(file: h5py.File) -> dict[str, list[h5py.Dataset]]:
    """Return the arrays of each layer by its name, of the backbone where the file holds one."""
    root = file.get("model_weights", file)
    if "layer_names" in root.attrs:  # written before Keras 3, or by `model.save("NAME.h5")`
        groups = {_text(name): root[name] for name in root.attrs["layer_names"]}
        return {
            name: [group[weight] for weight in group.attrs["weight_names"]]
            for name, group in groups.items()
        }
    names: dict[str, str] = {}

    def note(path: str, entry: Any) -> None:
        if path.endswith("/vars") and "name" in entry.attrs:
            names[path] = _text(entry.attrs["name"])

    file.visititems(note)
    # A network saved whole holds its backbone further down.
    inputs = [path for path, name in names.items() if name == INPUT]
    parent = inputs[0].rsplit("/", 2)[0] if inputs else "layers"
    return {
        name: [file[path][str(index)] for index in range(len(file[path]))]
        for path, name in names.items()
        if path.rsplit("/", 2)[0] == parent
    }


@contextlib.contextmanager
def _layers(file: Path) -> Iterator[dict[str, list[h5py.Dataset]]]:
    """Open a file for as long as its arrays are read."""
    try:
        with h5py.File(file, "r") as opened:
            yield _saved(opened)
    except (OSError, KeyError, TypeError, AttributeError) as problem:
        raise errors.BundleError(
            f"{file} must be an HDF5 file of weights. Got a file that cannot be read: {problem}. "
            "Write it again with save_weights."
        ) from problem


def is_backbone(file: Path) -> bool:
    """Tell whether a file holds weights of a backbone of this package.

    Raises:
        errors.BundleError: it is not an HDF5 file of weights.
    """
    with _layers(file) as saved:
        return INPUT in saved


_Shapes = dict[str, list[tuple[int, ...]]]


def _difference(expected: _Shapes, found: _Shapes) -> str:
    """Say the first thing in which the file differs; empty where nothing does."""
    for name, shapes in expected.items():
        if name not in found:
            return f"it holds no layer {name!r}"
        if found[name] != shapes:
            return f"its layer {name!r} holds arrays {found[name]} instead of {shapes}"
    return ""


def _foreign(file: Path, what: str) -> errors.BundleError:
    return errors.BundleError(
        f"{file} must hold the weights of the backbone that is built. Got another network's: "
        f"{what}. Name the backbone it was saved from, or give another file."
    )


def load(model: keras.Model, file: Path, *, differences: int = 0) -> None:
    """Load weights of a backbone of this package, of as many channels or of others.

    The layers are found by name: deeper ones that the model lacks are left aside.

    Args:
        model: a backbone.
        file: written by `save_weights` of a backbone or of a model that holds one.
        differences: how many of the model's channels, the last, are differences. A kernel of as
            many channels as the model's is taken as it is.

    Raises:
        errors.BundleError: the file is damaged, lacks a layer, or a layer has other shapes.
    """
    first = first_convolution(model)
    with _layers(file) as saved:
        found = {name: [array.shape for array in arrays] for name, arrays in saved.items()}
        expected = {
            layer.name: [tuple(weight.shape) for weight in layer.weights]
            for layer in model.layers
            if layer.weights
        }
        kernel = expected[first.name][0]
        for shape in found.get(first.name, [])[:1]:
            if len(shape) == 4:  # any number of channels will do
                expected[first.name][0] = (*kernel[:2], shape[2], kernel[3])
        what = _difference(expected, found)
        if INPUT not in saved or what:
            raise _foreign(file, what or f"it holds no input {INPUT!r}")
        for name in expected:
            values = [np.asarray(array) for array in saved[name]]
            if name == first.name and values[0].shape[2] != kernel[2]:
                values[0] = adapt(values[0], kernel[2], differences=differences)
            model.get_layer(name).set_weights(values)


def load_reference(reference: keras.Model, file: Path) -> None:
    """Load weights of a network of keras.applications.

    Args:
        reference: the network without its top.
        file: written by `save_weights`, or in the older format of the Keras cache.

    Raises:
        errors.BundleError: the file is of another network.
    """
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # what is left unloaded is an error below
            reference.load_weights(file)
    except Exception as problem:  # Keras, h5py and NumPy each raise their own
        with _layers(file) as saved:
            names = stable_names(saved)
            found = {names[name]: [item.shape for item in items] for name, items in saved.items()}
        names = stable_names(layer.name for layer in reference.layers)
        expected = {
            names[layer.name]: [tuple(weight.shape) for weight in layer.weights]
            for layer in reference.layers
            if layer.weights
        }
        more = sorted(name for name, shapes in found.items() if shapes and name not in expected)
        what = _difference(expected, found) or (more and f"it holds a further layer {more[0]!r}")
        first_line = (str(problem).strip() or type(problem).__name__).splitlines()[0]
        raise _foreign(file, what or first_line.rstrip(".:")) from problem
