"""U-Net: an encoder and a decoder joined by skip connections at every level.

Source: Ronneberger et al. 2015; the preset `gtc2018` follows slide 13 of Liu and Shen, "Defect
inspection from scratch to production", GTC 2018.
"""

from typing import Literal

import keras
import pydantic
from keras import layers

from inspection_tf import config, errors
from inspection_tf.losses.keras_types import Option, Tensor
from inspection_tf.models import blocks, heads, input_layers

Preset = Literal["gtc2018", "compact", "edge"]


class Options(input_layers.Options):
    """What `build` takes beyond the images and the classes."""

    filters: tuple[int, ...] = (16, 32, 64, 128, 256)
    """Channels of each level, from the finest; the last is the bottom."""
    normalization: blocks.Normalization = "none"
    """After each convolution: none, batch or group."""
    activation: blocks.Activation = "relu"
    """After each convolution but the last: relu, leaky_relu, tanh, sigmoid or silu."""
    residual: bool = False
    """Adds each level's input to its output."""
    upsampling: blocks.Upsampling = "transposed"
    """Decoder: 2x2 transposed convolution, bilinear (aligned: at the corners) or nearest."""
    dropout: float = pydantic.Field(default=0.0, ge=0, lt=1)
    """Share of the bottom's channels that are dropped while training, 0..1."""
    working_stride: int = 1
    """Power of two: the network works on maps this much smaller than the image, px per cell."""
    defect_prior: float = pydantic.Field(default=0.5, ge=1e-4, le=1 - 1e-4)
    """Probability of a defect every pixel starts with: sets the last bias; 0.5 is a bias of 0."""


# Reads the fine texture once at full resolution, then works at an eighth of it.
_COMPACT = Options(
    filters=(32, 48, 64, 96),
    normalization="batch",
    working_stride=8,
    input_mean=76.5,
    input_scale=64.0,
    defect_prior=0.02,
)
PRESETS: dict[str, Options] = {
    "gtc2018": Options(),
    "compact": _COMPACT,
    # For processors without a GPU; best taught by a larger one.
    "edge": _COMPACT.model_copy(update={"filters": (16, 32, 48, 64)}),
}


def _check(image_size: tuple[int, int], options: Options, *, template: bool) -> None:
    stride = options.working_stride
    if stride < 1 or stride & (stride - 1):
        raise errors.ConfigError(
            f"working_stride must be a power of two. Got {stride}. Use 1, 2, 4 or 8."
        )
    if len(options.filters) < 2 or min(options.filters) < 1:
        raise errors.ConfigError(
            f"filters must name at least two levels of one channel or more. Got {options.filters}. "
            "The talk's network has (16, 32, 64, 128, 256)."
        )
    input_layers.check(options, template=template)
    input_layers.check_size(image_size, multiple=stride * 2 ** (len(options.filters) - 1))


def _choose(preset: str | None, options: Options | None, overrides: dict[str, object]) -> Options:
    if preset is not None and options is not None:
        raise errors.ConfigError(
            "unet.build takes a preset or options. Got both. Give single fields beside a preset."
        )
    if preset is not None and preset not in PRESETS:
        raise errors.ConfigError(
            f"preset must be one of {', '.join(PRESETS)}. Got {preset!r}. Choose one of them."
        )
    base = options or PRESETS[preset or "gtc2018"]
    return config.replace(base, overrides, origin="unet.build")


def build(
    *,
    image_size: tuple[int, int],
    channels: int = 1,
    classes: int = 1,
    template: bool = False,
    preset: Preset | None = None,
    options: Options | None = None,
    **overrides: Option,
) -> keras.Model:
    """Build a U-Net that maps a uint8 image to a probability for each pixel and defect class.

    Args:
        image_size: (height, width) in px, divisible by `working_stride * 2**(levels - 1)`.
        channels: 1 for grey, 3 for RGB.
        classes: of defects, without the background.
        template: takes a second image, of a part without defects, beside the first.
        preset: name in `PRESETS`; `gtc2018` is the talk's network to the layer.
        options: instead of a preset.
        **overrides: single fields of `Options`, on top of the preset or options.

    Returns:
        A model with input `image`, uint8 (batch, height, width, channels), with a template also
        `template` of the same shape, and output `{"probability": float32 (batch, height, width,
        classes)}`, in 0..1: one class of a sigmoid, more of a softmax without its background.

    Raises:
        errors.ConfigError: an option is unknown or out of range, or the size does not fit the
            depth.
    """
    chosen = _choose(preset, options, overrides)
    _check(image_size, chosen, template=template)
    inputs, x = input_layers.for_options(
        chosen, image_size=image_size, channels=channels, template=template
    )
    x = _stem(x, chosen)
    x = _decode(*_encode(x, chosen), chosen)
    probability = heads.segmentation_head(
        x, classes=classes, defect_prior=chosen.defect_prior, resize=chosen.working_stride
    )
    return keras.Model(inputs, {"probability": probability}, name="unet")


def _stem(x: Tensor, options: Options) -> Tensor:
    stride, level = options.working_stride, 1
    while stride > 1:
        # 5x5 sees every pixel of its 2x2 cell and the neighbours', so fine texture survives.
        x = blocks.conv(
            x,
            # The first runs at half the image's size, where channels are dear.
            options.filters[0] if level > 1 else max(8, options.filters[0] // 2),
            kernel_size=5 if level == 1 else 3,
            stride=2,
            normalization=options.normalization,
            activation=options.activation,
            initializer=options.kernel_initializer,
            name=f"stem{level}",
        )
        stride, level = stride // 2, level + 1
    return x


def _double_conv(x: Tensor, filters: int, options: Options, name: str) -> Tensor:
    return blocks.double_conv(
        x,
        filters,
        normalization=options.normalization,
        residual=options.residual,
        activation=options.activation,
        initializer=options.kernel_initializer,
        name=name,
    )


def _encode(x: Tensor, options: Options) -> tuple[Tensor, list[Tensor]]:
    skips = []
    for level, filters in enumerate(options.filters[:-1], start=1):
        x = _double_conv(x, filters, options, f"encoder{level}")
        skips.append(x)
        x = layers.MaxPooling2D(2, name=f"encoder{level}_pool")(x)
    x = _double_conv(x, options.filters[-1], options, "bottom")
    if options.dropout > 0:
        x = layers.SpatialDropout2D(options.dropout, name="bottom_dropout")(x)
    return x, skips


def _decode(x: Tensor, skips: list[Tensor], options: Options) -> Tensor:
    for level in range(len(skips), 0, -1):
        filters = options.filters[level - 1]
        x = blocks.upsample(
            x,
            filters,
            kind=options.upsampling,
            initializer=options.kernel_initializer,
            name=f"decoder{level}_up",
        )
        x = layers.Concatenate(name=f"decoder{level}_concat")([skips[level - 1], x])
        x = _double_conv(x, filters, options, f"decoder{level}")
    return x
