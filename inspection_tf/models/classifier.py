"""Classification of whole images, OK or NG or kinds of defects, with any backbone.

Source: the talk on classifying OK/NG and then segmenting NG, its class VGGnet and its decision.
"""

import math
from typing import Literal

import keras
import pydantic
from keras import layers

from inspection_tf import config, errors
from inspection_tf.losses.keras_types import Option, Tensor
from inspection_tf.models import backbones, input_layers, patching, place_pool

LOGITS = "class_logits"
"""Name of a classifier's last layer with weights."""


class Options(input_layers.Options):
    """What `build` takes beyond the images and the classes."""

    backbone: backbones.Options = backbones.Options(name="vgg16_talk", strides=(32,))
    """What finds features, and its pretrained weights; the deepest feature is classified."""
    head: Literal["vgg", "pooled", "cells"] = "pooled"
    """vgg: dense layers over all cells, as in the talk; pooled: one over the mean of the cells;
    cells: one over each cell, whose answers are pooled: for defects that are small."""
    max_pooling: bool = True
    """pooled: joins the maximum over the cells; the mean alone drowns a small defect."""
    dense_units: tuple[int, ...] = (1024, 512)
    """vgg: widths of the dense layers before the last."""
    dropout: float = pydantic.Field(default=0.5, ge=0, lt=1)
    """Share of a dense layer's inputs that are dropped while training, 0..1."""
    pooling: place_pool.Pooling = "soft_maximum"
    """cells, and patches: how the logits of all become those of the image. mean: each counts the
    same; maximum: the highest of each class counts; soft_maximum: between them, by `sharpness`."""
    sharpness: float = pydantic.Field(default=4.0, gt=0)
    """soft_maximum: towards 0 it is the mean, towards infinity the maximum."""
    patches: patching.PatchSpec = patching.PatchSpec()
    """Overlapping patches, each of which the backbone sees in the image's own pixels."""
    input_shrink: int = pydantic.Field(default=1, ge=1)
    """Pixels along each side whose mean makes one pixel of what the backbone sees."""
    # A backbone expects the training data at zero mean and unit standard deviation.
    input_mean: float = 127.5
    """Grey value (0..255) that is subtracted inside the graph: the training data's mean."""
    input_scale: float = pydantic.Field(default=64.0, gt=0)
    """Grey values that make one unit inside the graph: their standard deviation."""


def _check(image_size: tuple[int, int], classes: int, options: Options, *, template: bool) -> None:
    if classes < 2:
        raise errors.ConfigError(
            f"classes must count OK and one more or several. Got {classes}. Use 2 for OK and NG."
        )
    if min(options.dense_units, default=1) < 1:
        raise errors.ConfigError(
            f"dense_units must be one unit or more each. Got {options.dense_units}. "
            "The talk's head has (1024, 512)."
        )
    input_layers.check(options, template=template)
    deepest = max(backbones.chosen_strides(options.backbone), default=1)
    side = options.patches.size_px
    if side is None:
        input_layers.check_size(image_size, multiple=options.input_shrink * deepest)
        return
    input_layers.check_size(image_size, multiple=options.input_shrink)
    for length in image_size:
        patching.offsets(length // options.input_shrink, options.patches)
    if side % deepest:
        raise errors.ConfigError(
            f"patches.size_px must be divisible by {deepest}, the backbone's deepest stride. "
            f"Got {side}; the nearest larger size is {math.ceil(side / deepest) * deepest}."
        )


def build(
    *,
    image_size: tuple[int, int],
    channels: int = 1,
    classes: int = 2,
    template: bool = False,
    options: Options | None = None,
    **overrides: Option,
) -> keras.Model:
    """Build a network that maps a uint8 image to a probability for each class.

    The backbone is one layer, `model.get_layer("backbone")`, that can be frozen as a whole.

    Args:
        image_size: (height, width) in px, divisible by `input_shrink` times the backbone's deepest
            stride.
        channels: 1 for grey, 3 for RGB.
        classes: with OK, which is the first.
        template: takes a second image, of a part without defects, beside the first.
        options: the backbone and the head; `Options()` by default.
        **overrides: single fields of `Options`, on top of the options.

    Returns:
        A model with input `image`, uint8 (batch, height, width, channels), with a template also
        `template` of the same shape, and output `{"class_probability": float32 (batch, classes)}`,
        in 0..1, each row adding up to 1.

    Raises:
        errors.ConfigError: an option is unknown or out of range, or the size does not fit the
            backbone.
        errors.BundleError: the backbone's weights are damaged or of another network.
    """
    chosen = config.replace(options or Options(), overrides, origin="classifier.build")
    _check(image_size, classes, chosen, template=template)
    inputs, x = input_layers.for_options(
        chosen, image_size=image_size, channels=channels, template=template
    )
    shrink = chosen.input_shrink
    if shrink > 1:
        x = layers.AveragePooling2D(shrink, name="shrink")(x)
    height, width = image_size
    seen = whole = (height // shrink, width // shrink)
    if chosen.patches.size_px is not None:
        x = patching.cut(x, chosen.patches)
        seen = (chosen.patches.size_px, chosen.patches.size_px)
    backbone = backbones.build(
        image_size=seen,
        channels=x.shape[-1],
        differences=input_layers.differences(chosen, channels=channels, template=template),
        options=chosen.backbone,
    )
    *_, deepest = backbone(x).values()
    x = _logits(deepest, classes, chosen)
    if chosen.patches.size_px is not None:
        rows, columns = patching.grid(whole, chosen.patches)
        x = patching.ByImage(patches=rows * columns, name="by_image")(x)
        x = _joined(x, chosen, grid=(rows, columns), name=place_pool.NAME)
    # The name `class_probability` must reach the exported graph, where it is the output's name.
    probability = layers.Activation("softmax", dtype="float32", name="class_probability")(x)
    return keras.Model(inputs, {"class_probability": probability}, name="classifier")


def _logits(deepest: Tensor, classes: int, options: Options) -> Tensor:
    """Return the logits of what the backbone saw: an image, or each of its patches."""
    if options.head != "cells":
        x = _dense(deepest, options) if options.head == "vgg" else _pool(deepest, options)
        return layers.Dense(classes, kernel_initializer="glorot_uniform", name=LOGITS)(x)
    _, rows, columns, _ = deepest.shape
    x = _drop(deepest, options, name="cells_dropout")
    x = layers.Conv2D(classes, 1, kernel_initializer="glorot_uniform", name=LOGITS)(x)
    x = layers.Reshape((rows * columns, classes), name="by_cell")(x)
    # Of patches the outer pool, whose temperature is set, joins those.
    outer = options.patches.size_px is None
    name = place_pool.NAME if outer else "cell_pool"
    return _joined(x, options, grid=(rows, columns), name=name)


def _joined(x: Tensor, options: Options, *, grid: tuple[int, int], name: str) -> Tensor:
    rows, columns = grid
    return place_pool.PlacePool(
        rows=rows, columns=columns, pooling=options.pooling, sharpness=options.sharpness, name=name
    )(x)


def _drop(x: Tensor, options: Options, *, name: str) -> Tensor:
    return layers.Dropout(options.dropout, name=name)(x) if options.dropout > 0 else x


def _dense(x: Tensor, options: Options) -> Tensor:
    x = layers.Flatten(name="flatten")(x)
    for index, units in enumerate(options.dense_units, start=1):
        x = layers.Dense(
            units, kernel_initializer=options.kernel_initializer, name=f"dense{index}"
        )(x)
        x = layers.ReLU(name=f"dense{index}_relu")(x)
        x = _drop(x, options, name=f"dense{index}_dropout")
    return x


def _pool(x: Tensor, options: Options) -> Tensor:
    pooled = layers.GlobalAveragePooling2D(name="average_pool")(x)
    if options.max_pooling:
        highest = layers.GlobalMaxPooling2D(name="max_pool")(x)
        pooled = layers.Concatenate(name="pooled")([pooled, highest])
    # Maxima are large and many: without a norm a usual learning rate throws the logits about.
    pooled = layers.BatchNormalization(momentum=0.9, name="pooled_norm")(pooled)
    return _drop(pooled, options, name="pooled_dropout")
