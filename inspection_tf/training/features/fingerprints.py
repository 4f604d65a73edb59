"""What a feature depends on: the pixels of its image, and the network that computes it."""

import hashlib
import importlib
import json

import keras
import numpy as np
from numpy.typing import NDArray

from inspection_tf.losses.keras_types import Config

_FORMAT = 1  # rises when features are computed or kept in another way
_IRRELEVANT = "trainable"  # freezing changes no feature


def of_image(pixels: NDArray[np.uint8]) -> bytes:
    """Return 32 bytes that tell an image from every other, by what a network sees of it.

    Another preprocessing gives other pixels, or the same features.

    Args:
        pixels: (height, width, channels) uint8, preprocessed.
    """
    digest = hashlib.sha256(repr((pixels.shape, pixels.dtype.str)).encode())
    digest.update(np.ascontiguousarray(pixels).data)
    return digest.digest()


def of_network(network: keras.Model) -> str:
    """Return 64 hex digits that tell a network from every other.

    They stand for its layers with their settings, scaling included, its weights, and the versions
    of what computes them: Keras and its backend.
    """
    told = {"format": _FORMAT, "versions": _versions(), "layers": _relevant(network.get_config())}
    digest = hashlib.sha256(json.dumps(told, sort_keys=True, default=str).encode())
    for variable in network.weights:
        value = np.ascontiguousarray(keras.ops.convert_to_numpy(variable))
        digest.update(repr((value.shape, value.dtype.str)).encode())
        digest.update(value.tobytes())
    return digest.hexdigest()


def _versions() -> dict[str, str]:
    backend = keras.backend.backend()
    # Loaded already; asked as a module, for TensorFlow is installed under several names.
    loaded = importlib.import_module(backend)
    return {"keras": keras.__version__, backend: loaded.__version__}


def _relevant(value: object) -> object:
    """Return a configuration without what changes no feature."""
    if isinstance(value, dict):
        found: Config = {
            str(name): _relevant(member) for name, member in value.items() if name != _IRRELEVANT
        }
        return found
    if isinstance(value, list | tuple):
        return [_relevant(member) for member in value]
    return value
