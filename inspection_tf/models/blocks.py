"""Building blocks shared by the models: convolution with normalisation, up-sampling."""

from typing import Any, Literal

from keras import layers

from inspection_tf import errors

Normalization = Literal["none", "batch", "group"]
Upsampling = Literal["transposed", "bilinear", "nearest"]


def normalize(x: Any, *, kind: Normalization, name: str) -> Any:
    """Apply a normalisation layer, or none.

    Args:
        x: (batch, height, width, channels).
        kind: "group" uses 8 groups, or as many as divide the channels.
        name: prefix of the layer's name.
    """
    if kind == "batch":
        # 0.9 instead of Keras's 0.99: inspection sets give few hundred steps to settle in.
        return layers.BatchNormalization(momentum=0.9, name=f"{name}_norm")(x)
    if kind == "group":
        channels = x.shape[-1]
        groups = next(count for count in (8, 4, 2, 1) if channels % count == 0)
        return layers.GroupNormalization(groups=groups, name=f"{name}_norm")(x)
    return x


def conv(
    x: Any,
    filters: int,
    *,
    kernel_size: int = 3,
    stride: int = 1,
    normalization: Normalization = "none",
    activation: bool = True,
    initializer: str = "he_normal",
    name: str,
) -> Any:
    """Apply convolution, normalisation and ReLU.

    Args:
        x: (batch, height, width, channels).
        filters: output channels.
        kernel_size: px.
        stride: px.
        normalization: see `normalize`; the bias is left out where a norm follows.
        activation: False leaves the ReLU out.
        initializer: of the kernel.
        name: of the convolution; the layers after it append `_norm` and `_relu`.
    """
    x = layers.Conv2D(
        filters,
        kernel_size,
        strides=stride,
        padding="same",
        use_bias=normalization == "none",
        kernel_initializer=initializer,
        name=name,
    )(x)
    x = normalize(x, kind=normalization, name=name)
    return layers.ReLU(name=f"{name}_relu")(x) if activation else x


def double_conv(
    x: Any,
    filters: int,
    *,
    normalization: Normalization,
    residual: bool,
    initializer: str,
    name: str,
) -> Any:
    """Apply two 3x3 convolutions, with a shortcut around them when `residual`.

    Args:
        x: (batch, height, width, channels).
        filters: output channels.
        normalization: see `normalize`.
        residual: adds the input (through a 1x1 convolution where the channels differ).
        initializer: of the kernels.
        name: prefix of the layers' names.
    """
    shortcut = x
    x = conv(x, filters, normalization=normalization, initializer=initializer, name=f"{name}_conv1")
    x = conv(
        x,
        filters,
        normalization=normalization,
        activation=not residual,
        initializer=initializer,
        name=f"{name}_conv2",
    )
    if not residual:
        return x
    if shortcut.shape[-1] != filters:
        shortcut = layers.Conv2D(
            filters, 1, kernel_initializer=initializer, name=f"{name}_shortcut"
        )(shortcut)
    return layers.ReLU(name=f"{name}_relu")(layers.Add(name=f"{name}_add")([shortcut, x]))


def upsample(x: Any, filters: int, *, kind: Upsampling, initializer: str, name: str) -> Any:
    """Double height and width and set the channels.

    Args:
        x: (batch, height, width, channels).
        filters: output channels.
        kind: "transposed" is a 2x2 transposed convolution of stride 2, as in the talk; the
            others interpolate and convolve 1x1.
        initializer: of the kernel.
        name: of the layer that sets the channels.

    Raises:
        errors.ConfigError: the kind is unknown.
    """
    if kind == "transposed":
        return layers.Conv2DTranspose(
            filters, 2, strides=2, kernel_initializer=initializer, name=name
        )(x)
    if kind not in ("bilinear", "nearest"):
        raise errors.ConfigError(
            f"upsampling must be transposed, bilinear or nearest. Got {kind!r}. Choose one of them."
        )
    x = layers.Conv2D(filters, 1, kernel_initializer=initializer, name=name)(x)
    return layers.UpSampling2D(2, interpolation=kind, name=f"{name}_resize")(x)
