"""Parts of a backbone by their names: its layers, and the blocks that these form."""

import re
from collections.abc import Sequence

import keras

from inspection_tf import errors
from inspection_tf.losses.keras_types import Layer
from inspection_tf.models.backbones import pretrained

# A name up to its first number: block_13 of block_13_expand_BN, conv4 of conv4_block1_out.
_BLOCK = re.compile(r"[A-Za-z_]*?\d+[a-z]?(?=_|$)")


def block_names(backbone: keras.Model) -> tuple[str, ...]:
    """Return the blocks of a backbone, from the image on.

    A block is named by what its layers' names have in common up to their first number. A layer
    without a number is a block of its own; layers that have no names of their own are left out.
    """
    names = []
    for layer in backbone.layers:
        if not isinstance(layer, keras.layers.InputLayer) and not pretrained.is_unnamed(layer.name):
            match = _BLOCK.match(layer.name)
            names.append(match[0] if match else layer.name)
    return tuple(dict.fromkeys(names))


def layers_before(backbone: keras.Model, name: str) -> list[Layer]:
    """Return the layers of a backbone that lie before a layer or a block.

    Keras holds layers in the order of a graph: what a layer reads lies before it, a shortcut beside
    the path around which it leads.

    Args:
        backbone: of `backbones.build`.
        name: of a layer, or what the names of a block's layers begin with. The whole number has to
            be given: block_1 is not the beginning of block_10_expand.

    Returns:
        All before the layer, or before the first one of the block.

    Raises:
        errors.ConfigError: no layer has the name, or layers of several blocks have it in common.
    """
    layers = list(backbone.layers)
    found = [place for place, layer in enumerate(layers) if _begins(layer.name, name)]
    exact = [place for place, layer in enumerate(layers) if layer.name == name]
    if not exact and (not found or _is_interrupted(layers, found)):
        raise errors.ConfigError(
            "A part of the backbone must be the name of a layer, or what the names of the layers "
            f"of one block begin with. Got {name!r}. "
            f"Choose one of {', '.join(block_names(backbone))}, or one layer."
        )
    return layers[: min(exact or found)]


def _begins(name: str, beginning: str) -> bool:
    rest = name.removeprefix(beginning)
    return bool(beginning) and rest != name and not rest[:1].isdigit()


def _is_interrupted(layers: Sequence[Layer], found: Sequence[int]) -> bool:
    """Return whether layers of other blocks lie between those that were found.

    Layers without names of their own are of any block; where only such were found, they are of all.
    """
    if all(pretrained.is_unnamed(layers[place].name) for place in found):
        return True
    return any(
        layers[place].weights
        and place not in found
        and not pretrained.is_unnamed(layers[place].name)
        for place in range(found[0], found[-1])
    )
