"""Features of images by a frozen network, computed once.

Source: the talk on cutting inserts, "Feature extraction I": the convolutional base runs once over
all images, and what is trained afterwards sees its output alone.
"""

import math
from collections.abc import Iterable
from pathlib import Path

import keras
import numpy as np
from keras import layers
from numpy.typing import NDArray

from inspection_tf import errors, process
from inspection_tf.models import input_layers
from inspection_tf.training.features import fingerprints, store
from inspection_tf.training.vector_classifiers import linear

_ROWS_PER_FILE = 512  # what an interrupted extraction loses at most


def of_classifier(model: keras.Model) -> keras.Model:
    """Return the part of a classifier that computes what its last layer reads.

    Args:
        model: whose layer `class_logits` reads a vector, or is a convolution over single cells. The
            mean over the cells of a linear function is that function of the cells' mean, so
            features of cells are averaged.

    Returns:
        A model with the same input, which shares the layers, and output (batch, features).

    Raises:
        errors.ConfigError: there is no such layer.
    """
    last = linear.last_layer(model)
    if last is None or len(last.input.shape) != 2:
        last = linear.logits_layer(model)
    x = last.input
    if len(x.shape) == 4:
        x = layers.GlobalAveragePooling2D(name="cells_mean")(x)
    return keras.Model(model.input, x, name="features")


def of_backbone(
    backbone: keras.Model, *, input_mean: float, input_scale: float, max_pooling: bool = False
) -> keras.Model:
    """Return a network that computes the pooled features of a backbone from a uint8 image.

    Args:
        backbone: of `models.backbones`; its deepest feature is pooled over the cells.
        input_mean: grey value (0..255) that becomes 0.
        input_scale: grey values that make one unit.
        max_pooling: joins the maximum over the cells to their mean.

    Returns:
        A model with input `image`, uint8 (batch, height, width, channels), and output (batch,
        features).
    """
    *size, channels = backbone.input.shape[1:]
    inputs, x = input_layers.build_inputs(
        image_size=tuple(size),
        channels=channels,
        input_mean=input_mean,
        input_scale=input_scale,
    )
    *_, deepest = backbone(x).values()
    x = layers.GlobalAveragePooling2D(name="average_pool")(deepest)
    if max_pooling:
        highest = layers.GlobalMaxPooling2D(name="max_pool")(deepest)
        x = layers.Concatenate(name="pooled")([x, highest])
    return keras.Model(inputs, x, name="features")


def compute(
    network: keras.Model,
    images: NDArray[np.uint8],
    *,
    folder: str | Path,
    batch_size: int = 32,
) -> NDArray[np.float32]:
    """Return the features of images, from disk where they were computed before.

    They are computed anew for an image of other pixels, another network, other weights or scaling,
    and other versions of Keras and its backend. Equal images are computed once. Every batch has as
    many images, so that features do not depend on how many images are new.

    Args:
        network: of `of_classifier` or `of_backbone`. It runs as at inference, whether frozen or
            not.
        images: (n, height, width, channels) uint8, preprocessed; may be a map of a file.
        folder: where features of any network are kept, such as `features` in a run folder, or one
            that several runs share.
        batch_size: images that the network sees at once.

    Returns:
        (n, features) float32.

    Raises:
        errors.ConfigError: the network does not take such images or returns no vectors.
        errors.BundleError: a feature is not finite.
        errors.StorageError: they cannot be written.
    """
    width = _checked_width(network, images)
    kept = store.FeatureStore(Path(folder) / fingerprints.of_network(network)[:32], width)
    keys = [fingerprints.of_image(image) for image in images]
    rows = kept.read(set(keys))
    first = {key: row for row, key in reversed(list(enumerate(keys))) if key not in rows}
    missing = sorted(first.items(), key=lambda item: item[1])
    with process.bar("features") as progress:
        for start in range(0, len(missing), _ROWS_PER_FILE):
            part = dict(missing[start : start + _ROWS_PER_FILE])
            features = _predict(network, images, list(part.values()), batch_size)
            new = dict(zip(part, features, strict=True))
            kept.write(new)
            rows |= new
            progress(start + len(part), len(missing))
    found = np.empty((len(keys), width), np.float32)
    for row, key in enumerate(keys):
        found[row] = rows[key]
    return found


def _checked_width(network: keras.Model, images: NDArray[np.uint8]) -> int:
    tensors = keras.tree.flatten(network.input)
    output: tuple[int | None, ...] = getattr(network.output, "shape", ())
    if len(tensors) != 1 or len(output) != 2 or not output[1]:
        raise errors.ConfigError(
            "A network of features must have one image as its input and one vector as its output. "
            f"Got inputs {[tuple(tensor.shape) for tensor in tensors]} and output {output}. "
            "Make it with features.of_classifier or features.of_backbone."
        )
    shape = tensors[0].shape[1:]
    if images.dtype != np.uint8 or not _fits(images.shape[1:], shape):
        raise errors.ConfigError(
            f"images must be uint8 of shape (n, {', '.join(map(str, shape))}). "
            f"Got {images.dtype} of shape {images.shape}. Preprocess them for the network."
        )
    return int(output[1])


def _fits(found: tuple[int, ...], expected: Iterable[int | None]) -> bool:
    sides = tuple(expected)
    return len(found) == len(sides) and all(
        side in (None, size) for size, side in zip(found, sides, strict=True)
    )


def _predict(
    network: keras.Model, images: NDArray[np.uint8], rows: list[int], batch_size: int
) -> NDArray[np.float32]:
    """Return the features of some of the images, (rows, features)."""
    features = []
    is_named = isinstance(network.input, dict)
    for start in range(0, len(rows), batch_size):
        chosen = rows[start : start + batch_size]
        # The last batch is filled up: kernels round in another order for another size.
        filled = chosen + [chosen[-1]] * (batch_size - len(chosen))
        batch = np.stack([images[row] for row in filled])
        given = {name: batch for name in network.input} if is_named else batch
        features.append(np.asarray(network.predict_on_batch(given))[: len(chosen)])
    found = np.concatenate(features).astype(np.float32, copy=False)
    if not math.isfinite(float(found.sum(dtype=np.float64))):
        raise errors.BundleError(
            "Features must be finite. Got NaN or infinity from the network. "
            "Check its weights and its scaling."
        )
    return found
