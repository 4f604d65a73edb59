"""Weights that a network starts from: those of a file, or of a backbone that was trained before."""

from collections.abc import Mapping
from pathlib import Path

import keras

from inspection_tf import errors
from inspection_tf.training import phases


def load_network(path: Path) -> keras.Model:
    """Return the network of a `.keras` file.

    Raises:
        errors.ConfigError: it is absent.
        errors.BundleError: it cannot be read.
    """
    if not path.is_file():
        raise errors.ConfigError(
            f"weights must be a .keras file. Got {str(path)!r}, which is absent. Check the path."
        )
    try:
        return keras.saving.load_model(path, compile=False)
    except Exception as problem:  # keras raises whatever its parsers stumble over
        first_line = (str(problem).splitlines() or [type(problem).__name__])[0]
        raise errors.BundleError(
            f"{path}: weights must be a network that Keras wrote. Got: {first_line}. "
            "Give source/model.keras of a bundle."
        ) from problem


def copy(model: keras.Model, source: keras.Model, *, origin: str) -> None:
    """Copy the weights of a network of the same layers."""
    given = {layer.name: layer for layer in source.layers}
    for layer in model.layers:
        shapes = [weight.shape for weight in layer.weights]
        other = given.get(layer.name)
        found = [] if other is None else [weight.shape for weight in other.weights]
        if shapes != found:
            raise errors.BundleError(
                f"{origin}: weights must be of the same network. Got another layer {layer.name}. "
                "Give both the same options and image size."
            )
        if shapes and other is not None:
            layer.set_weights(other.get_weights())


def pairs(
    own: keras.Model, name: str, others: Mapping[str, keras.Model]
) -> list[tuple[keras.Layer, keras.Layer]]:
    """Return each layer of a backbone that has weights, and its like in another backbone.

    Raises:
        errors.ConfigError: there is no such network, or its backbone is another.
    """
    if name not in others:
        raise errors.ConfigError(
            f"start must name a network that is trained before. Got {name!r} of "
            f"{sorted(others)}. Leave it out."
        )
    given = {layer.name: layer for layer in others[name].layers}
    found = []
    for layer in own.layers:
        shapes = [weight.shape for weight in layer.weights]
        other = given.get(layer.name)
        if shapes and (other is None or shapes != [weight.shape for weight in other.weights]):
            raise errors.ConfigError(
                f"A network starts from a backbone like its own. Got another {layer.name} in the "
                f"{name}. Give both the same backbone, or leave out start."
            )
        if shapes and other is not None:
            found.append((layer, other))
    return found


def start_from(model: keras.Model, name: str, trained: Mapping[str, keras.Model]) -> None:
    """Copy the weights of another network's backbone, layer by layer."""
    others = {key: other.get_layer(phases.BACKBONE) for key, other in trained.items() if other}
    for layer, other in pairs(model.get_layer(phases.BACKBONE), name, others):
        layer.set_weights(other.get_weights())
