"""Networks that say in which poses a part may lie.

A backbone, then pooling, dense layers and dropout, then one of three heads:

- `classes`  phi as a class and an offset, and all else for each class: for parts that look nearly
             alike from two sides, as most do that are turned by half a turn.
- `circle`   phi as a point on a circle, and one pose.
- `free`     any orientation, by six numbers of its rotation, and one pose.

Source: the talk on X-ray pose: a ResNet50 without its head, then a head of its own; see `heads`.
"""

from typing import Any, Literal

import keras
import pydantic
from keras import layers

from inspection_tf import config, errors
from inspection_tf.models import backbones, input_layers
from inspection_tf.tasks.pose.learning import heads

OUTPUT = "pose_modes"
"""What the networks call their output."""


class Options(config.Section):
    """What `build` takes beyond the images."""

    backbone: backbones.Options = backbones.Options(name="cnn", strides=(16,))
    """What finds features, and its pretrained weights; the deepest feature is read."""
    head: Literal["classes", "circle", "free"] = "classes"
    """How phi, theta and psi are told: see above."""
    phi_classes: int = pydantic.Field(default=36, ge=2, le=720)
    """classes: of phi, in a turn, or in what of it looks different."""
    pooling: Literal["cells", "average"] = "cells"
    """cells: every cell of the feature is read, which says where the part lies; average: their
    mean, as in the talk."""
    cell_channels: int = pydantic.Field(default=32, ge=1)
    """cells: numbers that are kept of each."""
    dense_units: tuple[int, ...] = (256,)
    """Widths of the dense layers before the last."""
    dropout: float = pydantic.Field(default=0.0, ge=0, lt=1)
    """Share of a dense layer's outputs that are dropped while training, 0..1."""
    input_shrink: int = pydantic.Field(default=1, ge=1)
    """Pixels along each side whose mean makes one pixel of what the backbone sees."""
    tilts_deg: tuple[float, float] = (10.0, 10.0)
    """Largest theta and psi, to either side; a recipe sets those of its data."""
    field_mm: float = pydantic.Field(default=50.0, gt=0)
    """Half the width of the field of view; a recipe sets that of its data."""
    symmetry: int = pydantic.Field(default=1, ge=1)
    """How often the part looks alike in a turn; a recipe sets that of its part."""
    input_mean: float = 127.5
    """Grey value (0..255) that is subtracted inside the graph: the training data's mean."""
    input_scale: float = pydantic.Field(default=64.0, gt=0)
    """Grey values that make one unit inside the graph: their standard deviation."""


TALK2019 = Options(
    backbone=backbones.Options(name="keras_resnet50", strides=(32,)),
    head="circle",
    pooling="average",
    dense_units=(1024,),
    dropout=0.5,
)
"""The talk's network, of which it shows the backbone and that the head is its own; the head's
layers are ours. Its two phases are in `pipelines/xray_pose_talk.yaml`."""


def build(
    *,
    image_size: tuple[int, int],
    channels: int = 1,
    template: bool = False,
    options: Options | None = None,
    **overrides: Any,
) -> keras.Model:
    """Build a network that maps a uint8 image to the poses that it may show.

    The backbone is one layer, `model.get_layer("backbone")`, that can be frozen as a whole.

    Args:
        image_size: (height, width) in px, divisible by `input_shrink` times the backbone's deepest
            stride.
        channels: 1 for grey, 3 for RGB.
        template: must be False: an X-ray has none.
        options: the backbone and the head; `Options()` by default.
        **overrides: single fields of `Options`, on top of the options.

    Returns:
        A model with input `image`, uint8 (batch, height, width, channels), and output
        `{"pose_modes": float32 (batch, modes, 13)}`: see `heads`.

    Raises:
        errors.ConfigError: an option is unknown or out of range, the size does not fit the
            backbone, or there is a template.
        errors.BundleError: the backbone's weights are damaged or of another network.
    """
    chosen = config.replace(options or Options(), overrides, origin="network.build")
    _check(image_size, chosen, template=template)
    inputs, x = input_layers.build_inputs(
        image_size=image_size,
        channels=channels,
        input_mean=chosen.input_mean,
        input_scale=chosen.input_scale,
    )
    shrink = chosen.input_shrink
    if shrink > 1:
        x = layers.AveragePooling2D(shrink, name="shrink")(x)
    backbone = backbones.build(
        image_size=(image_size[0] // shrink, image_size[1] // shrink),
        channels=channels,
        options=chosen.backbone,
    )
    *_, deepest = backbone(x).values()
    x = _pooled(deepest, chosen)
    for index, units in enumerate(chosen.dense_units, start=1):
        x = layers.Dense(units, kernel_initializer="he_normal", name=f"dense{index}")(x)
        x = layers.ReLU(name=f"dense{index}_relu")(x)
        if chosen.dropout > 0:
            x = layers.Dropout(chosen.dropout, name=f"dense{index}_dropout")(x)
    head = {"classes": _classes, "circle": _circle, "free": _free}[chosen.head]
    return keras.Model(inputs, {OUTPUT: head(x, chosen)}, name="pose_finder")


def _check(image_size: tuple[int, int], options: Options, *, template: bool) -> None:
    if template:
        raise errors.ConfigError(
            "A network that finds a pose sees one image. Got a template too. Leave it out."
        )
    if min(options.dense_units, default=1) < 1:
        raise errors.ConfigError(
            f"dense_units must be one unit or more each. Got {options.dense_units}. Use (256,)."
        )
    deepest = max(backbones.chosen_strides(options.backbone), default=1)
    input_layers.check_size(image_size, multiple=options.input_shrink * deepest)


def _pooled(deepest: Any, options: Options) -> Any:
    if options.pooling == "average":
        return layers.GlobalAveragePooling2D(name="average_pool")(deepest)
    x = layers.Conv2D(options.cell_channels, 1, kernel_initializer="he_normal", name="cells")(
        deepest
    )
    return layers.Flatten(name="flatten")(layers.ReLU(name="cells_relu")(x))


def _numbers(x: Any, count: int, name: str, **options: Any) -> Any:
    return layers.Dense(count, name=name, dtype="float32", **options)(x)


def _spreads(x: Any) -> Any:
    # From 1, in units of the range, whatever the features are at first.
    return _numbers(x, 6, "spreads", kernel_initializer="zeros")


def _classes(x: Any, options: Options) -> Any:
    count = options.phi_classes
    # What all classes share is learned from every image, what is their own from few.
    own = _numbers(x, 6 * count, "own_values", kernel_initializer="zeros")
    shared = layers.Concatenate(name="shared_values")([_numbers(x, 6, "values")] * count)
    decoder = heads.PoseDecoder(
        step_deg=360 / options.symmetry / count,
        tilts_deg=options.tilts_deg,
        field_mm=options.field_mm,
        name=OUTPUT,
        dtype="float32",
    )
    values = layers.Add(name="all_values")([shared, own])
    return decoder([_numbers(x, count, "phi_logits"), values, _spreads(x)])


def _circle(x: Any, options: Options) -> Any:
    decoder = heads.CircleDecoder(
        symmetry=options.symmetry,
        tilts_deg=options.tilts_deg,
        field_mm=options.field_mm,
        name=OUTPUT,
        dtype="float32",
    )
    return decoder([_numbers(x, 7, "values"), _spreads(x)])


def _free(x: Any, options: Options) -> Any:
    decoder = heads.FreeDecoder(field_mm=options.field_mm, name=OUTPUT, dtype="float32")
    return decoder([_numbers(x, 9, "values"), _spreads(x)])
