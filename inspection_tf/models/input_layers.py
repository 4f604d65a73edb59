"""What every model begins with: one or two uint8 images, scaled inside the graph and joined."""

import math

import keras
import pydantic
from keras import layers

from inspection_tf import config, errors
from inspection_tf.losses.keras_types import Tensor


class Options(config.Section):
    """How a model reads its image or images; the sections of the models extend it."""

    input_mean: float = 0.0
    """Grey value (0..255) that is subtracted inside the graph."""
    input_scale: float = pydantic.Field(default=255.0, gt=0)
    """Grey values that make one unit inside the graph."""
    template_difference: bool = False
    """With a template: joins image minus template as further channels."""
    template_mix: int = pydantic.Field(default=0, ge=0)
    """With a template: channels of a 1x1 convolution over the joined pair; 0: none."""
    kernel_initializer: str = "he_normal"
    """Keras name; `glorot_uniform` (Keras's default) collapsed to background on DAGM."""


def check(options: Options, *, template: bool) -> None:
    """Refuse options that do not fit each other or that Keras does not know.

    Raises:
        errors.ConfigError: see above.
    """
    try:
        keras.initializers.get(options.kernel_initializer)
    except ValueError as problem:
        raise errors.ConfigError(
            f"kernel_initializer must be the name of a Keras initializer. "
            f"Got {options.kernel_initializer!r}. The usual ones are he_normal and glorot_uniform."
        ) from problem
    if not template and (options.template_difference or options.template_mix):
        raise errors.ConfigError(
            "template_difference and template_mix need a model with a template. Got none. "
            "Leave them at their defaults, or build with template=True."
        )


def check_size(image_size: tuple[int, int], *, multiple: int) -> None:
    """Refuse an image whose sides a model cannot halve as often as it has to.

    Args:
        image_size: (height, width), px.
        multiple: what both must be divisible by, px.

    Raises:
        errors.ConfigError: they are not; the nearest larger size is named.
    """
    if any(side % multiple or side < multiple for side in image_size):
        nearest = tuple(max(1, math.ceil(side / multiple)) * multiple for side in image_size)
        raise errors.ConfigError(
            f"image_size must be divisible by {multiple}. Got {tuple(image_size)}; "
            f"the nearest larger size is {nearest}."
        )


def scaling_layer(name: str) -> str:
    """Return what the layer is called that scales an input, `image` or `template`."""
    return "scaling" if name == "image" else f"{name}_scaling"


def build_inputs(
    *,
    image_size: tuple[int, int],
    channels: int,
    template: bool = False,
    input_mean: float,
    input_scale: float,
    difference: bool = False,
    mix_filters: int = 0,
) -> tuple[dict[str, Tensor], Tensor]:
    """Build the inputs of a model and the tensor that its first layer reads.

    Args:
        image_size: (height, width), px.
        channels: of one image: 1 for grey, 3 for RGB.
        template: takes a second image, of a part without defects, beside the first.
        input_mean: grey value (0..255) that becomes 0.
        input_scale: grey values that make one unit.
        difference: joins image minus template as further channels.
        mix_filters: channels of a 1x1 convolution over the joined pair; 0: none.

    Returns:
        `{"image": uint8 (batch, height, width, channels)}`, with `template` beside it in the same
        shape, and the scaled float tensor (batch, height, width, channels of the pair): image,
        template and difference in this order.
    """
    names = ("image", "template") if template else ("image",)
    inputs = {
        name: keras.Input((*image_size, channels), dtype="uint8", name=name) for name in names
    }
    # One layer for each input: TensorRT wants a uint8 input to feed a cast and nothing else.
    scaled = [
        layers.Rescaling(
            1 / input_scale,
            -input_mean / input_scale,
            name=scaling_layer(name),
        )(tensor)
        for name, tensor in inputs.items()
    ]
    if not template:
        return inputs, scaled[0]
    if difference:
        # Of the floats: in uint8 a template one grey value brighter would give 255.
        scaled.append(layers.Subtract(name="difference")(scaled))
    x = layers.Concatenate(name="pair")(scaled)
    if mix_filters:
        # Linear, and of a kernel that keeps the variance: a backbone expects normalised input.
        x = layers.Conv2D(mix_filters, 1, kernel_initializer="lecun_normal", name="mix")(x)
    return inputs, x


def for_options(
    options: Options, *, image_size: tuple[int, int], channels: int, template: bool
) -> tuple[dict[str, Tensor], Tensor]:
    """Build the inputs as the options say; see `build_inputs`."""
    return build_inputs(
        image_size=image_size,
        channels=channels,
        template=template,
        input_mean=options.input_mean,
        input_scale=options.input_scale,
        difference=options.template_difference,
        mix_filters=options.template_mix,
    )


def differences(options: Options, *, channels: int, template: bool) -> int:
    """Return how many of the channels that `for_options` joins, the last, are differences."""
    return channels if template and options.template_difference and not options.template_mix else 0
