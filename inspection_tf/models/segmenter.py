"""Segmentation with any backbone as encoder: a probability for each pixel and defect class.

Source: the talk on classifying OK/NG and then segmenting NG: U-Net with VGG10, VGG16, ResNet18 or
MobileNet as backbone, image and template joined, decoder initialised by Kaiming normal.
"""

import keras
import pydantic
from keras import layers

from inspection_tf import config, errors
from inspection_tf.losses.keras_types import Option, Tensor
from inspection_tf.models import backbones, blocks, heads, input_layers


class Options(input_layers.Options):
    """What `build` takes beyond the images and the classes."""

    backbone: backbones.Options = backbones.Options()
    """The encoder, its pretrained weights and the strides it returns."""
    decoder_filters: tuple[int, ...] = (16, 32, 64, 128, 256)
    """Channels of the decoder at strides 1, 2, 4, ...; the strides it has not are left aside."""
    output_stride: int = 1
    """Stride of the decoder's finest level, px per cell; its logits are interpolated to the image.

    Power of two.
    """
    project_skips: bool = False
    """A 1x1 convolution brings each feature of the backbone to the decoder's width before they
    are joined: cheaper where a backbone has many channels."""
    upsampling: blocks.Upsampling = "transposed"
    """Decoder: 2x2 transposed convolution, bilinear (aligned: at the corners) or nearest."""
    normalization: blocks.Normalization = "batch"
    """After each convolution of the decoder: none, batch or group."""
    activation: blocks.Activation = "relu"
    """After each 3x3 convolution of the decoder: relu, leaky_relu, tanh, sigmoid or silu."""
    context: bool = False
    """Adds the mean over the whole image to the bottom, for defects that show only against it."""
    dropout: float = pydantic.Field(default=0.0, ge=0, lt=1)
    """Share of the bottom's channels that are dropped while training, 0..1."""
    defect_prior: float = pydantic.Field(default=0.02, ge=1e-4, le=1 - 1e-4)
    """Probability of a defect every pixel starts with: sets the last bias."""
    # A backbone expects the training data at zero mean and unit standard deviation.
    input_mean: float = 127.5
    """Grey value (0..255) that is subtracted inside the graph: the training data's mean."""
    input_scale: float = pydantic.Field(default=64.0, gt=0)
    """Grey values that make one unit inside the graph: their standard deviation."""


def _check_decoder(options: Options, deepest: int) -> None:
    stride = options.output_stride
    if stride < 1 or stride & (stride - 1) or stride > deepest:
        raise errors.ConfigError(
            f"output_stride must be a power of two up to the backbone's deepest stride, {deepest}. "
            f"Got {stride}. Use 1, 2 or 4."
        )
    filters = options.decoder_filters
    # Strides 1, 2, ... deepest / 2 are as many as deepest has bits behind its first.
    if len(filters) < deepest.bit_length() - 1 or min(filters, default=1) < 1:
        raise errors.ConfigError(
            f"decoder_filters must name channels for each stride from 1 to {deepest // 2}. "
            f"Got {filters}. The default is (16, 32, 64, 128, 256)."
        )


def build(
    *,
    image_size: tuple[int, int],
    channels: int = 1,
    classes: int = 1,
    template: bool = False,
    options: Options | None = None,
    **overrides: Option,
) -> keras.Model:
    """Build a network that maps a uint8 image to a probability for each pixel and defect class.

    The backbone is one layer, `model.get_layer("backbone")`, that can be frozen as a whole.

    Args:
        image_size: (height, width) in px, divisible by the backbone's deepest stride.
        channels: 1 for grey, 3 for RGB.
        classes: of defects, without the background.
        template: takes a second image, of a part without defects, beside the first.
        options: the backbone and the decoder; `Options()` by default.
        **overrides: single fields of `Options`, on top of the options.

    Returns:
        A model with input `image`, uint8 (batch, height, width, channels), with a template also
        `template` of the same shape, and output `{"probability": float32 (batch, height, width,
        classes)}`, in 0..1: one class of a sigmoid, more of a softmax without its background.

    Raises:
        errors.ConfigError: an option is unknown or out of range, or the size does not fit the
            backbone.
        errors.BundleError: the backbone's weights are damaged or of another network.
    """
    chosen = config.replace(options or Options(), overrides, origin="segmenter.build")
    input_layers.check(chosen, template=template)
    inputs, x = input_layers.for_options(
        chosen, image_size=image_size, channels=channels, template=template
    )
    backbone = backbones.build(
        image_size=image_size,
        channels=x.shape[-1],
        differences=input_layers.differences(chosen, channels=channels, template=template),
        options=chosen.backbone,
    )
    features = {int(name.removeprefix("stride")): value for name, value in backbone(x).items()}
    _check_decoder(chosen, max(features))
    probability = heads.segmentation_head(
        _decode(features, chosen),
        classes=classes,
        defect_prior=chosen.defect_prior,
        resize=chosen.output_stride,
    )
    return keras.Model(inputs, {"probability": probability}, name="segmenter")


def _add_context(x: Tensor, options: Options) -> Tensor:
    """Add a projection of the mean over the image to every cell."""
    context = layers.GlobalAveragePooling2D(keepdims=True, name="context_pool")(x)
    # Linear: the decoder's convolutions compare it with each cell.
    context = layers.Conv2D(
        x.shape[-1], 1, kernel_initializer=options.kernel_initializer, name="context"
    )(context)
    return layers.Add(name="context_add")([x, context])


def _decode(features: dict[int, Tensor], options: Options) -> Tensor:
    """Double the deepest feature up to the output stride, joining the features on the way.

    Args:
        features: stride in px -> (batch, height / stride, width / stride, channels).
        options: of the decoder.

    Returns:
        (batch, height / output_stride, width / output_stride, channels).
    """
    stride = max(features)
    x = features[stride]
    if options.context:
        x = _add_context(x, options)
    if options.dropout > 0:
        x = layers.SpatialDropout2D(options.dropout, name="bottom_dropout")(x)
    while stride > options.output_stride:
        stride //= 2
        filters = options.decoder_filters[stride.bit_length() - 1]
        name = f"decoder{stride}"
        x = blocks.upsample(
            x,
            filters,
            kind=options.upsampling,
            initializer=options.kernel_initializer,
            name=f"{name}_up",
        )
        if stride in features:
            skip = features[stride]
            if options.project_skips:
                skip = layers.Conv2D(
                    filters, 1, kernel_initializer=options.kernel_initializer, name=f"{name}_skip"
                )(skip)
            x = layers.Concatenate(name=f"{name}_concat")([skip, x])
        x = blocks.double_conv(
            x,
            filters,
            normalization=options.normalization,
            residual=False,
            activation=options.activation,
            initializer=options.kernel_initializer,
            name=name,
        )
    return x
