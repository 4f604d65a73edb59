"""Backbones: networks that turn a normalised image into features of rising stride.

Six are the package's own, as in the talks; eight come from keras.applications, whose pretrained
weights are redefined for grey images, colour images and pairs. Nothing is ever downloaded.
"""

import math
import os
from pathlib import Path
from typing import Literal, get_args

import keras

from inspection_tf import config, errors
from inspection_tf.losses.keras_types import Option
from inspection_tf.models.backbones import keras_applications, own_networks, pretrained
from inspection_tf.models.blocks import Activation

Name = Literal[
    "vgg10",
    "vgg16_talk",
    "vgg16",
    "cnn",
    "resnet18",
    "mobilenet",
    "keras_vgg16",
    "keras_vgg19",
    "keras_resnet50",
    "keras_mobilenet",
    "keras_mobilenet_v2",
    "keras_efficientnet_b0",
    "keras_xception",
    "keras_inception_v3",
]
BACKBONES: dict[str, own_networks.Network | keras_applications.Network] = {
    **own_networks.NETWORKS,
    **keras_applications.NETWORKS,
}
_BLOCKS = (2, 2, 2, 2)
_SUFFIXES = (".h5", ".hdf5")


class Options(config.Section):
    """What `build` takes beyond the shape of the image."""

    name: Name = "vgg10"
    """Key of `BACKBONES`; those of keras.applications begin with keras_."""
    weights: Literal["imagenet"] | Path | None = None
    """Start from a .weights.h5 file, from Keras's ImageNet file in its cache, or at random."""
    strides: tuple[int, ...] | None = None
    """Features to return, px per cell, rising; all up to 16 (vgg10: 8) when left out."""
    blocks: tuple[int, int, int, int] = _BLOCKS
    """resnet18: residual blocks of conv2 to conv5; the talk keeps one of conv5: (2, 2, 2, 1)."""
    first_stride: Literal[1, 2] | None = None
    """resnet18 (2) and mobilenet (1): stride of the first convolution, px; 1 halves once less."""
    activation: Activation = "relu"
    """The package's own: relu, leaky_relu, tanh, sigmoid or silu."""


def available_strides(options: Options) -> tuple[int, ...]:
    """Return the strides whose features a backbone has, rising, px per cell."""
    network = BACKBONES[options.name]
    if isinstance(network, keras_applications.Network):
        return tuple(network.features)
    first = options.first_stride or network.first_stride
    return tuple(first * 2**step for step in range(network.count))


def chosen_strides(options: Options) -> tuple[int, ...]:
    """Return the strides of the features that `build` returns, rising, px per cell."""
    if options.strides is not None:
        return options.strides
    network = BACKBONES[options.name]
    deepest = network.deepest if isinstance(network, own_networks.Network) else 16
    return tuple(stride for stride in available_strides(options) if stride <= deepest)


def _check_options(options: Options) -> None:
    network = BACKBONES[options.name]
    own = network if isinstance(network, own_networks.Network) else None
    if options.blocks != _BLOCKS and not (own and own.has_blocks):
        raise errors.ConfigError(
            f"blocks belong to resnet18. Got {options.blocks} for {options.name}. Leave them out."
        )
    if min(options.blocks) < 1:
        raise errors.ConfigError(
            f"blocks must be 1 or more in each stage. Got {options.blocks}. "
            "Leave out conv5 with strides instead."
        )
    if options.first_stride is not None and not (own and own.has_first_stride):
        raise errors.ConfigError(
            f"first_stride belongs to resnet18 and mobilenet. Got {options.first_stride} for "
            f"{options.name}. Leave it out."
        )
    if options.activation != "relu" and not own:
        raise errors.ConfigError(
            f"activation belongs to {', '.join(own_networks.NETWORKS)}. "
            f"Got {options.activation} for {options.name}. Leave it out."
        )
    available, strides = available_strides(options), chosen_strides(options)
    if not strides or list(strides) != sorted(set(strides) & set(available)):
        raise errors.ConfigError(
            f"strides must be rising strides out of {available}, which {options.name} has. "
            f"Got {strides}. Choose among them."
        )


def _check_image(image_size: tuple[int, int], channels: int, options: Options) -> None:
    multiple = chosen_strides(options)[-1]
    if any(side % multiple or side < multiple for side in image_size):
        nearest = tuple(max(1, math.ceil(side / multiple)) * multiple for side in image_size)
        raise errors.ConfigError(
            f"image_size must be divisible by {multiple}. Got {tuple(image_size)}; "
            f"the nearest larger size is {nearest}."
        )
    if channels < 1:
        raise errors.ConfigError(
            f"channels must be 1 or more. Got {channels}. Grey has 1, RGB 3, a pair of either 2 "
            "or 6."
        )


def _cached_file(name: str) -> Path:
    network = BACKBONES[name]
    if not isinstance(network, keras_applications.Network):
        known = [key for key in get_args(Name) if key in keras_applications.NETWORKS]
        raise errors.ConfigError(
            f"weights='imagenet' exist for {', '.join(known)}. Got them for {name}. "
            "Choose one of those, or give a file."
        )
    folder = Path(os.environ.get("KERAS_HOME") or "~/.keras").expanduser() / "models"
    if not (folder / network.file).is_file():
        raise errors.ConfigError(
            f"weights='imagenet' must lie in the Keras cache, for nothing is downloaded. "
            f"Got no {network.file} in {folder}. Put it there, or give a file as weights."
        )
    return folder / network.file


def _weights_file(options: Options) -> Path | None:
    if options.weights is None:
        return None
    if options.weights == "imagenet":
        return _cached_file(options.name)
    file = Path(options.weights)
    if file.suffix not in _SUFFIXES:
        raise errors.ConfigError(
            f"weights must be a .weights.h5 or .h5 file. Got {str(file)!r}. "
            "Write one with save_weights."
        )
    if not file.is_file():
        raise errors.ConfigError(
            f"weights must be a file. Got {str(file)!r}, which is none. Check the path."
        )
    return file


def build(
    *,
    image_size: tuple[int, int],
    channels: int,
    differences: int = 0,
    options: Options | None = None,
    **overrides: Option,
) -> keras.Model:
    """Build a backbone that ends with its deepest feature.

    The first convolution is built for any number of channels. Pretrained kernels of three are
    redefined: summed for grey (1), shared between a pair of grey images (2) or of RGB (6). Kernels
    of keras.applications also take up the scaling between what they were pretrained on and a
    normalised image, exactly but for the pixels next to the border, which see other padding.

    InceptionV3 and Xception shrink their maps at the borders; here they are padded, so that every
    feature has the size of the image divided by its stride and lies centred on it.

    Args:
        image_size: (height, width) in px, divisible by the deepest stride.
        channels: 1 for grey, 3 for RGB, 2 or 6 for a pair of either, with its difference 3 or 9.
        differences: how many of them, the last, are differences; only pretrained weights care.
        options: the backbone, its weights and strides; `Options()` by default.
        **overrides: single fields of `Options`, on top of the options.

    Returns:
        A model named "backbone". Input `normalized`, float32 (batch, height, width, channels) of
        zero mean and unit standard deviation over the training data; output, finest first,
        `{"stride<s>": (batch, height / s, width / s, filters), ...}`.

    Raises:
        errors.ConfigError: an option is unknown or out of range, the size does not fit the
            strides, or the weights' file is absent.
        errors.BundleError: the weights are damaged or of another network.
    """
    chosen = config.replace(options or Options(), overrides, origin="backbones.build")
    _check_options(chosen)
    _check_image(image_size, channels, chosen)
    file = _weights_file(chosen)
    strides = chosen_strides(chosen)
    image = keras.Input((*image_size, channels), name=pretrained.INPUT)
    network = BACKBONES[chosen.name]
    if isinstance(network, keras_applications.Network):
        return keras_applications.build(
            network, image, strides=strides, file=file, differences=differences
        )
    features = {}
    found = network.features(
        image,
        blocks_per_stage=chosen.blocks,
        first_stride=chosen.first_stride or network.first_stride,
        activation=chosen.activation,
    )
    for stride, feature in zip(available_strides(chosen), found, strict=False):
        if stride in strides:
            features[f"stride{stride}"] = feature
        if stride == strides[-1]:
            break
    model = keras.Model(image, features, name="backbone")
    if file is not None:
        pretrained.load(model, file, differences=differences)
    return model
