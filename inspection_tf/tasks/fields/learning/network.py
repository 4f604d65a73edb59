"""Small networks that locate a field on a photo by its four corners, and say whether it is there.

- `dense`    the talk's regressor: blocks of 5x5 convolution of stride 2, batch norm, ReLU and 2x2
             max-pool, then flatten, ReLU and a dense layer of eight numbers. `PRESETS` has its two
             attempts.
- `grid`     one cell, the one with the field's centre, is responsible: objectness, an upright box
             and the corners from there. Inspired by YOLO.
- `heatmap`  a heatmap for each corner, read by a soft-argmax, finer than its cells.

All return `corners`: x and y of the four corners as shares of width and height of the input, 0 on
its left or upper border and 1 on the other, then the confidence that there is a field. While they
train they also return what their own loss teaches; `deployed` leaves that out. A refiner, which has
a second and closer look at each corner (see `closeups`), is a network for one corner.

Source: the talk on field location on documents; see the layers for the others.
"""

from typing import Any, Literal

import keras
import pydantic
from keras import layers

from inspection_tf import config, errors
from inspection_tf.models import blocks, input_layers
from inspection_tf.tasks.fields.learning import heads

CORNERS, GRID, HEATMAP = "corners", "grid", "heatmap"


class Options(config.Section):
    """What `build` takes beyond the images."""

    head: Literal["dense", "grid", "heatmap"] = "heatmap"
    """How the corners are found."""
    filters: tuple[int, ...] = (12, 24, 32, 48)
    """dense: of each block, which makes an image four times smaller. Else: of each halving."""
    depth: int = pydantic.Field(default=1, ge=0)
    """grid, heatmap: 3x3 convolutions after each halving but the first."""
    raised: int = pydantic.Field(default=1, ge=0)
    """grid, heatmap: doublings, each joined with the features of its size, before the head."""
    dense_units: tuple[int, ...] = ()
    """dense: widths of layers before the last."""
    padding: Literal["same", "valid"] = "same"
    """dense: of its convolutions; valid adds no border, as Keras does by default."""
    presence: bool = True
    """Learns whether there is a field; false, as in the talk: it is always sure."""
    sharpness: float = pydantic.Field(default=3.0, gt=0)
    """heatmap: by what the logits are multiplied before the soft-argmax."""
    kernel_initializer: str = "he_normal"
    """Keras name."""
    input_mean: float = 127.5
    """Grey value (0..255) that is subtracted inside the graph."""
    input_scale: float = pydantic.Field(default=64.0, gt=0)
    """Grey values that make one unit inside the graph."""


PRESETS: dict[str, tuple[tuple[int, int, int], Options]] = {
    # Of the first attempt the talk gives the count alone, 52 M, and by "4 px are 0.5 %" the width:
    # twice the filters and twice the sides of the second, and one layer as wide as makes it so.
    # Of the second it shows the code, whose convolutions have Keras's default padding.
    "attempt1": (
        (600, 800, 3),
        Options(head="dense", filters=(64, 128, 256), dense_units=(1856,), presence=False),
    ),
    "attempt2": (
        (300, 400, 3),
        Options(head="dense", filters=(32, 32, 64), padding="valid", presence=False),
    ),
}
"""The talk's networks: (height, width, channels) of their input, and their options."""


def build(
    *,
    image_size: tuple[int, int],
    channels: int = 1,
    points: Literal[1, 4] = 4,
    options: Options | None = None,
    **overrides: Any,
) -> keras.Model:
    """Build a network that maps a uint8 image to four corners, or to one, and a confidence.

    Args:
        image_size: (height, width) in px; for a grid or heatmaps divisible by 2 as often as the
            network halves it.
        channels: 1 for grey, 3 for RGB.
        points: n, corners of the field: 4, or 1 for a refiner, which has no grid.
        options: of the network; `Options()` by default.
        **overrides: single fields of `Options`, on top of the options.

    Returns:
        A model with input `image`, uint8 (batch, height, width, channels), and outputs
        `{"corners": float32 (batch, 2 n + 1)}`; with heatmaps also `"heatmap"`, float32 (batch,
        rows, columns, n), logits; with a grid also `"grid"`, float32 (batch, rows, columns, 13).

    Raises:
        errors.ConfigError: an option is unknown or out of range, or the size does not fit.
    """
    chosen = config.replace(options or Options(), overrides, origin="corners.build")
    _check(image_size, chosen, points)
    inputs, x = input_layers.build_inputs(
        image_size=image_size,
        channels=channels,
        input_mean=chosen.input_mean,
        input_scale=chosen.input_scale,
    )
    head = {"dense": _dense, "grid": _grid, "heatmap": _heatmap}[chosen.head]
    name = "locator" if points == 4 else "refiner"
    return keras.Model(inputs, head(x, chosen, points), name=name)


def deployed(model: keras.Model) -> keras.Model:
    """Return the part of a locator that is shipped: the corners, without what taught them.

    It shares the layers and weights of the model.
    """
    return keras.Model(model.input, {CORNERS: model.output[CORNERS]}, name=model.name)


def _check(image_size: tuple[int, int], options: Options, points: int) -> None:
    if points not in ((4,) if options.head == "grid" else (1, 4)):
        raise errors.ConfigError(
            f"points must be 4 or, with another head than a grid, 1. Got {points}. Use 4."
        )
    if not options.filters or min((*options.filters, *options.dense_units)) < 1:
        raise errors.ConfigError(
            "filters and dense_units must be one or more each, and filters not be empty. "
            f"Got {options.filters} and {options.dense_units}. The talk has (32, 32, 64)."
        )
    input_layers.check(
        input_layers.Options(kernel_initializer=options.kernel_initializer), template=False
    )
    halvings = len(options.filters)
    if options.head == "dense":
        smallest = 1
        for _ in options.filters:  # a kernel of 5 without a border takes another 3 px
            smallest = 4 * smallest + 3 * (options.padding == "valid")
        if min(image_size) < smallest:
            raise errors.ConfigError(
                f"{halvings} blocks need an image of {smallest} px or more each side. "
                f"Got {tuple(image_size)}. Use fewer filters, or a larger image."
            )
        return
    if options.raised >= halvings:
        raise errors.ConfigError(
            f"raised must be less than the number of filters, {halvings}. Got {options.raised}. "
            "Use 1."
        )
    input_layers.check_size(image_size, multiple=2**halvings)


def _joined(corners: Any, confidence: Any) -> Any:
    # The name `corners` must reach the exported graph, where it is the output's name.
    return layers.Concatenate(name=CORNERS, dtype="float32")([corners, confidence])


def _sureness(features: list[Any], options: Options) -> Any:
    """Return (batch, 1), the confidence, from (batch, n) features."""
    if not options.presence:
        return heads.AlwaysSure(name="confidence", dtype="float32")(features[0])
    x = features[0] if len(features) == 1 else layers.Concatenate(name="evidence")(features)
    return layers.Dense(1, activation="sigmoid", name="confidence", dtype="float32")(x)


def _dense(x: Any, options: Options, points: int) -> dict[str, Any]:
    for index, filters in enumerate(options.filters, start=1):
        x = layers.Conv2D(
            filters,
            5,
            strides=2,
            padding=options.padding,
            kernel_initializer=options.kernel_initializer,
            name=f"block{index}_conv",
        )(x)
        x = blocks.normalize(x, kind="batch", name=f"block{index}")
        x = layers.ReLU(name=f"block{index}_relu")(x)
        x = layers.MaxPooling2D(2, name=f"block{index}_pool")(x)
    x = layers.Flatten(name="flatten")(x)
    x = layers.ReLU(name="flatten_relu")(x)
    for index, units in enumerate(options.dense_units, start=1):
        x = layers.Dense(
            units, kernel_initializer=options.kernel_initializer, name=f"dense{index}"
        )(x)
        x = layers.ReLU(name=f"dense{index}_relu")(x)
    # It begins in the middle of the image, not in its corner.
    middle = keras.initializers.Constant(0.5)
    corners = layers.Dense(
        2 * points, bias_initializer=middle, name="coordinates", dtype="float32"
    )(x)
    return {CORNERS: _joined(corners, _sureness([x], options))}


def _features(x: Any, options: Options) -> tuple[Any, Any]:
    """Return the features that a head reads, and the deepest ones."""

    def conv(x: Any, filters: int, name: str, **given: Any) -> Any:
        return blocks.conv(
            x,
            filters,
            normalization="batch",
            initializer=options.kernel_initializer,
            name=name,
            **given,
        )

    first, *others = options.filters
    x = conv(x, first, "stem", kernel_size=5, stride=2)
    levels = [x]
    for level, filters in enumerate(others, start=2):
        x = conv(x, filters, f"level{level}_down", stride=2)
        for index in range(1, options.depth + 1):
            x = conv(x, filters, f"level{level}_conv{index}")
        levels.append(x)
    # What is far away tells which of many corners is meant.
    whole = layers.GlobalAveragePooling2D(keepdims=True, name="context_pool")(x)
    whole = layers.Conv2D(x.shape[-1], 1, name="context")(whole)
    x = deepest = layers.ReLU(name="context_relu")(layers.Add(name="context_add")([x, whole]))
    for level in range(len(levels) - 1, len(levels) - 1 - options.raised, -1):
        lateral = levels[level - 1]
        x = conv(x, lateral.shape[-1], f"up{level}", kernel_size=1)
        x = layers.UpSampling2D(2, interpolation="bilinear", name=f"up{level}_resize")(x)
        x = layers.Add(name=f"up{level}_add")([x, lateral])
        x = conv(x, lateral.shape[-1], f"up{level}_conv")
    return x, deepest


def _grid(x: Any, options: Options, points: int) -> dict[str, Any]:
    x, _ = _features(x, options)
    grid = layers.Conv2D(13, 1, name=GRID, dtype="float32")(x)
    corners = heads.GridDecoder(name=CORNERS, dtype="float32")(grid)
    return {CORNERS: corners, GRID: grid}


def _heatmap(x: Any, options: Options, points: int) -> dict[str, Any]:
    x, deepest = _features(x, options)
    heat = layers.Conv2D(points, 1, name=HEATMAP, dtype="float32")(x)
    offsets = layers.Conv2D(
        2 * points, 1, kernel_initializer="zeros", name="offsets", dtype="float32"
    )(x)
    decoder = heads.HeatmapDecoder(options.sharpness, name="place", dtype="float32")
    evidence = [
        layers.GlobalAveragePooling2D(name="average_pool")(deepest),
        layers.GlobalMaxPooling2D(name="max_pool")(deepest),
    ]
    corners = _joined(decoder([heat, offsets]), _sureness(evidence, options))
    return {CORNERS: corners, HEATMAP: heat}
