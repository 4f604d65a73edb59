"""Weights that a network starts from: those of a file, or of a backbone that was trained before."""

from collections.abc import Mapping
from pathlib import Path

import keras

from inspection_tf import errors
from inspection_tf.models import saved
from inspection_tf.models.additions import mirrors
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
    return saved.load(
        path,
        requirement="{path}: weights must be a network that Keras wrote",
        way_out="Give source/model.keras of a bundle",
    )


def _alike(
    first: keras.Model, second: keras.Model
) -> tuple[list[tuple[keras.Layer, keras.Layer]], str | None]:
    """Return the layers with weights of two networks, by name, and the first that differs."""
    by_name = {layer.name: layer for layer in second.layers}
    twins: list[tuple[keras.Layer, keras.Layer]] = []
    for layer in first.layers:
        twin = by_name.get(layer.name)
        shapes = [weight.shape for weight in layer.weights]
        if shapes != ([] if twin is None else [weight.shape for weight in twin.weights]):
            return twins, layer.name
        if shapes:
            twins.append((layer, twin))
    return twins, None


def copy(model: keras.Model, source: keras.Model, *, origin: str) -> None:
    """Copy the weights of a network of the same layers, or of one that averages mirror images.

    Raises:
        errors.BundleError: a layer is another one.
    """
    twins, differing = _alike(model, mirrors.trained(source))
    if differing is not None:
        raise errors.BundleError(
            f"{origin}: weights must be of the same network. Got another layer {differing}. "
            "Give both the same options and image size."
        )
    for layer, twin in twins:
        layer.set_weights(twin.get_weights())


def pairs(
    backbone: keras.Model, name: str, others: Mapping[str, keras.Model]
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
    twins, differing = _alike(backbone, others[name])
    if differing is not None:
        raise errors.ConfigError(
            f"A network starts from a backbone like its own. Got another {differing} in the "
            f"{name}. Give both the same backbone, or leave out start."
        )
    return twins


def start_from(model: keras.Model, name: str, trained: Mapping[str, keras.Model]) -> None:
    """Copy the weights of another network's backbone, layer by layer."""
    others = {key: other.get_layer(phases.BACKBONE) for key, other in trained.items() if other}
    for layer, other in pairs(model.get_layer(phases.BACKBONE), name, others):
        layer.set_weights(other.get_weights())
