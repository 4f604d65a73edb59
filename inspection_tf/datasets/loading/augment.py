"""Augmentation: parameters drawn in NumPy from (seed, epoch, position), applied in one batch.

Geometry moves image and label in a single resampling; light and noise follow and leave the label
alone. A template moves and is lit as its image, but for a small misalignment and noise of its own.
Corners go through the very transform that the pixels go through. Nothing keeps a state, so any
epoch can start in its middle.
"""

from typing import Literal

import numpy as np
import pydantic
import tensorflow as tf
from numpy.typing import NDArray

from inspection_tf import config

# Columns of a parameter row: eight of the projective transform, then these.
TRANSFORM, BRIGHTNESS, CONTRAST, BLUR, NOISE, NOISE_SEED = slice(0, 8), 8, 9, 10, 11, 12
GAMMA, MISALIGNMENT, WIDTH = 13, slice(14, 16), 16
_MIRRORED = (1, 0, 3, 2)  # top right, top left, bottom left, bottom right

Flips = bool | Literal["horizontal", "vertical", "both", "none"]
# Along x (left becomes right) and along y. Older configurations say true or false.
_FLIPPED_XY: dict[Flips, tuple[bool, bool]] = {
    "horizontal": (True, False),
    "vertical": (False, True),
    "both": (True, True),
    "none": (False, False),
    True: (True, True),
    False: (False, False),
}


class AugmentSpec(config.Section):
    """How training images vary. Every range is symmetric around "unchanged"."""

    flips: Flips = True
    """Mirrors half of the images: horizontal is left-right, vertical top-bottom, both is each of
    them, independently, none is neither. true means both, false none. Right angles turn what was
    mirrored, so that with them horizontal gives top-bottom as well."""
    right_angles: bool = True
    """Turns by 0, 90, 180 or 270 degrees (0 or 180 where the image is not square)."""
    resampled_share: float = pydantic.Field(default=0.5, ge=0, le=1)
    """Share of images that rotation, scale and aspect apply to. The others keep their pixels:
    interpolation softens texture, and a network that only sees softened texture misjudges sharp
    one at inspection."""
    rotation_deg: float = pydantic.Field(default=15.0, ge=0, le=180)
    """Largest rotation beyond the right angles, degrees."""
    scale: float = pydantic.Field(default=0.1, ge=0, lt=1)
    """Largest relative change of size."""
    aspect: float = pydantic.Field(default=0.05, ge=0, lt=1)
    """Largest relative change of width against height."""
    shift: float = pydantic.Field(default=0.1, ge=0, lt=1)
    """Largest shift, share of the side; whole pixels; the uncovered rim is mirrored."""
    brightness: float = pydantic.Field(default=0.05, ge=0, le=1)
    """Largest offset, share of the full scale of 255."""
    contrast: float = pydantic.Field(default=0.2, ge=0, lt=1)
    """Largest relative change of contrast around the image's mean."""
    blur: float = pydantic.Field(default=0.0, ge=0, le=1)
    """Largest weight of a 3x3 binomial blur mixed in, 0..1."""
    noise: float = pydantic.Field(default=2.0, ge=0)
    """Largest standard deviation of Gaussian noise, grey values."""
    gamma: float = pydantic.Field(default=0.0, ge=0)
    """Largest relative change of the exponent of the grey values: another exposure."""
    misalignment_px: float = pydantic.Field(default=0.0, ge=0)
    """Largest shift of the template against its image along each axis, px; whole pixels where the
    image is not resampled."""
    perspective: float = pydantic.Field(default=0.0, ge=0, le=0.5)
    """Largest change of scale from the centre to a border, share; only where rotation applies."""
    transplanted_share: float = pydantic.Field(default=0.0, ge=0, le=1)
    """Share of defective images whose defects are copied onto a good image instead."""

    @pydantic.field_validator("flips", mode="wrap")
    @classmethod
    def _flips_are_known(cls, value: object, check: pydantic.ValidatorFunctionWrapHandler) -> Flips:
        try:
            checked: Flips = check(value)
        except pydantic.ValidationError:
            names = [name for name in _FLIPPED_XY if isinstance(name, str)]
            raise ValueError(f"it is one of {', '.join(names)}, or true or false") from None
        return checked


NONE = AugmentSpec(
    flips=False,
    right_angles=False,
    resampled_share=0,
    rotation_deg=0,
    scale=0,
    aspect=0,
    shift=0,
    brightness=0,
    contrast=0,
    blur=0,
    noise=0,
)


def _to_input(
    matrix: NDArray[np.float64],
    shift_xy: NDArray[np.float64],
    tilt_xy: NDArray[np.float64],
    size: tuple[int, int],
) -> NDArray[np.float64]:
    """Return the eight numbers that map output pixels to input pixels, about the centre."""
    centre = np.array([(size[1] - 1) / 2, (size[0] - 1) / 2])
    offset = centre - matrix @ centre + shift_xy
    whole = np.eye(3)
    whole[:2, :2], whole[:2, 2] = matrix, offset
    if tilt_xy.any():
        tilted, back, there = np.eye(3), np.eye(3), np.eye(3)
        tilted[2, :2] = tilt_xy / (np.array([size[1], size[0]]) / 2)
        back[:2, 2], there[:2, 2] = centre, -centre
        whole = whole @ back @ tilted @ there
        whole /= whole[2, 2]
    return whole.ravel()[:8]


def draw(
    spec: AugmentSpec, *, seed: int, epoch: int, position: int, size: tuple[int, int]
) -> NDArray[np.float32]:
    """Draw the parameters of one image.

    Args:
        spec: the ranges.
        seed: of the run.
        epoch: from 0.
        position: place of the image in the epoch, from 0.
        size: (height, width), px.

    Returns:
        (16,): eight numbers of the transform from output to input pixels, then brightness (grey
        values), contrast factor, blur weight, noise (grey values), the noise's seed, the exponent
        of the grey values and the template's shift (x, y), px.
    """
    rng = np.random.default_rng([seed, epoch, position])
    # Always the same number of draws: switching one range off leaves the others' values alone.
    unit = rng.uniform(-1, 1, size=8)
    flip = np.where(rng.random(2) < 0.5, -1.0, 1.0)
    quarter = int(rng.integers(4))
    flip = np.where(_FLIPPED_XY[spec.flips], flip, 1.0)
    if not spec.right_angles:
        quarter = 0
    if size[0] != size[1]:
        quarter -= quarter % 2
    resampled = float(rng.random() < spec.resampled_share)
    angle = np.deg2rad(spec.rotation_deg * unit[0] * resampled)
    zoom = np.exp(np.log1p(spec.scale) * unit[1] * resampled)
    aspect = np.exp(np.log1p(spec.aspect) * unit[2] * resampled / 2)
    turn = np.array([[1, 0], [0, 1], [-1, 0], [0, -1]])[quarter]  # exact cosine and sine
    right = np.array([[turn[0], -turn[1]], [turn[1], turn[0]]], dtype=np.float64)
    rotation = np.array([[np.cos(angle), -np.sin(angle)], [np.sin(angle), np.cos(angle)]])
    matrix = right @ rotation @ np.diag([aspect, 1 / aspect]) @ np.diag(flip) / zoom
    shift_xy = np.round(spec.shift * unit[3:5] * np.array([size[1], size[0]]))
    row = np.empty(WIDTH, dtype=np.float32)
    row[BRIGHTNESS] = 255 * spec.brightness * unit[5]
    row[CONTRAST] = np.exp(np.log1p(spec.contrast) * unit[6])
    row[BLUR] = spec.blur * abs(unit[7])
    row[NOISE] = spec.noise * rng.random()
    row[NOISE_SEED] = rng.integers(2**23)  # exact in float32
    last = rng.uniform(-1, 1, size=3)
    row[GAMMA] = np.exp(np.log1p(spec.gamma) * last[0])
    misaligned = spec.misalignment_px * last[1:]
    row[MISALIGNMENT] = misaligned if resampled else np.round(misaligned)
    tilt_xy = spec.perspective * rng.uniform(-1, 1, size=2) * resampled
    row[TRANSFORM] = _to_input(matrix, shift_xy, tilt_xy, size)
    return row


def _move(layers: tf.Tensor, transforms: tf.Tensor, *, fill: str = "REFLECT") -> tf.Tensor:
    moved = tf.raw_ops.ImageProjectiveTransformV3(
        images=layers,
        transforms=transforms,
        output_shape=tf.shape(layers)[1:3],
        interpolation="BILINEAR",
        fill_mode=fill,
        fill_value=0.0,
    )
    return tf.ensure_shape(moved, layers.shape)


def geometric(
    image: tf.Tensor,
    mask: tf.Tensor,
    parameters: tf.Tensor,
    *,
    classes: int = 1,
    ignored_id: int | None = None,
) -> tuple[tf.Tensor, tf.Tensor]:
    """Move image and label in one bilinear resampling; the rim is mirrored.

    Args:
        image: (batch, height, width, channels), any dtype.
        mask: (batch, height, width, 1), class ids from 0 to `classes`.
        parameters: (batch, 16), see `draw`.
        classes: number of defect classes.
        ignored_id: stands in the mask for pixels that do not count; None: all count.

    Returns:
        The image as float32 and the mask as uint8: where defects cover at least half a pixel, the
        class that covers most of it. What does not count moves as another class.
    """
    number = image.shape[-1]
    ids = tf.range(1, classes + 1, dtype=tf.int32)
    if ignored_id is not None:  # without it the graph is as it always was
        ids = tf.concat([ids, [ignored_id]], axis=0)
    covered = tf.cast(tf.cast(mask, tf.int32) == ids, tf.float32)
    both = tf.concat([tf.cast(image, tf.float32), covered], axis=-1)
    moved = _move(both, parameters[:, TRANSFORM])
    share = moved[..., number:]
    # Where classes touch, neither may cover half a pixel, but together they do.
    is_defect = tf.reduce_sum(share, axis=-1, keepdims=True) >= 0.5
    is_largest = share >= tf.reduce_max(share, axis=-1, keepdims=True)
    # Two classes that cover the same share of a pixel: the higher id has it.
    chosen = tf.reduce_max(tf.where(is_defect & is_largest, ids, 0), axis=-1, keepdims=True)
    return moved[..., :number], tf.cast(chosen, tf.uint8)


def move_template(template: tf.Tensor, parameters: tf.Tensor) -> tf.Tensor:
    """Move a template as its image, plus the misalignment of each row.

    Args:
        template: (batch, height, width, channels), any dtype.
        parameters: (batch, 16), see `draw`.

    Returns:
        float32, in its shape.
    """
    eight = parameters[:, TRANSFORM]
    shift = parameters[:, MISALIGNMENT]
    zero = tf.zeros_like(shift[:, :1])
    # The third and the sixth number are the offsets of x and y.
    columns = [zero, zero, shift[:, :1], zero, zero, shift[:, 1:], zero, zero]
    return _move(tf.cast(template, tf.float32), eight + tf.concat(columns, axis=1))


def move_corners(
    corners_xy: tf.Tensor, parameters: tf.Tensor, *, size: tuple[int, int]
) -> tuple[tf.Tensor, tf.Tensor]:
    """Move corners with the pixels of their images.

    Corners keep their meaning: of a mirrored image the top left one is what was the top right, as
    it would be of a page that reads so. A field of which an image does not show all is not shown.

    Args:
        corners_xy: (batch, n, 2), float32 px: top left, top right, bottom right, bottom left; or
            one, with transforms that do not mirror.
        parameters: (batch, 16), see `draw`.
        size: (height, width), px.

    Returns:
        (batch, n, 2) float32 px, and (batch,) bool, whether all lie inside the image.
    """
    last = tf.ones_like(parameters[:, :1])
    to_input = tf.reshape(tf.concat([parameters[:, TRANSFORM], last], axis=1), (-1, 3, 3))
    to_output = tf.linalg.inv(to_input)
    points = tf.concat([corners_xy, tf.ones_like(corners_xy[..., :1])], axis=-1)
    moved = tf.matmul(points, to_output, transpose_b=True)
    moved = moved[..., :2] / moved[..., 2:]
    if moved.shape[1] == 4:
        mirrored = (tf.linalg.det(to_input) < 0)[:, None, None]
        moved = tf.where(mirrored, tf.gather(moved, _MIRRORED, axis=1), moved)
    # The border of an image lies half a pixel outside the centres of its last pixels.
    border = tf.constant([size[1] - 0.5, size[0] - 0.5], tf.float32)
    return moved, tf.reduce_all((moved >= -0.5) & (moved <= border), axis=(1, 2))


def _binomial_blur(image: tf.Tensor) -> tf.Tensor:
    padded = tf.pad(image, [[0, 0], [1, 1], [1, 1], [0, 0]], mode="REFLECT")
    rows = (padded[:, :-2] + 2 * padded[:, 1:-1] + padded[:, 2:]) / 4
    return (rows[:, :, :-2] + 2 * rows[:, :, 1:-1] + rows[:, :, 2:]) / 4


def photometric(
    image: tf.Tensor, parameters: tf.Tensor, spec: AugmentSpec, *, stream: int = 0
) -> tf.Tensor:
    """Change exposure, contrast, brightness and sharpness, and add noise.

    The noise is one draw a batch, seeded by the batch's first image.

    Args:
        image: (batch, height, width, channels), grey values 0..255.
        parameters: (batch, 16), see `draw`.
        spec: steps with a range of 0 are left out of the graph.
        stream: of the noise: image and template of a pair draw from different ones.

    Returns:
        uint8, rounded and clipped.
    """
    image = tf.cast(image, tf.float32)

    def column(index: int) -> tf.Tensor:
        return parameters[:, index][:, None, None, None]

    if spec.blur > 0:
        image += column(BLUR) * (_binomial_blur(image) - image)
    if spec.gamma > 0:
        image = 255 * tf.pow(tf.clip_by_value(image / 255, 0, 1), column(GAMMA))
    if spec.contrast > 0:
        mean = tf.reduce_mean(image, axis=(1, 2, 3), keepdims=True)
        image = mean + column(CONTRAST) * (image - mean)
    if spec.brightness > 0:
        image += column(BRIGHTNESS)
    if spec.noise > 0:
        seed = tf.stack([tf.cast(parameters[0, NOISE_SEED], tf.int32), stream])
        image += column(NOISE) * tf.random.stateless_normal(tf.shape(image), seed=seed)
    return tf.cast(tf.clip_by_value(tf.round(image), 0, 255), tf.uint8)


def apply(
    image: tf.Tensor,
    mask: tf.Tensor,
    parameters: tf.Tensor,
    spec: AugmentSpec,
    *,
    classes: int = 1,
    ignored_id: int | None = None,
) -> tuple[tf.Tensor, tf.Tensor]:
    """Augment a batch, eagerly or inside `Dataset.map`.

    Args:
        image: (batch, height, width, channels), uint8.
        mask: (batch, height, width, 1), uint8 class ids from 0 to `classes`.
        parameters: (batch, 16), one row of `draw` an image.
        spec: the ranges the rows were drawn from.
        classes: number of defect classes.
        ignored_id: stands in the mask for pixels that do not count; None: all count.

    Returns:
        Image and mask, both uint8, in their shapes.
    """
    image, mask = geometric(image, mask, parameters, classes=classes, ignored_id=ignored_id)
    return photometric(image, parameters, spec), mask


def apply_to_corners(
    image: tf.Tensor,
    corners_xy: tf.Tensor,
    has_field: tf.Tensor,
    parameters: tf.Tensor,
    spec: AugmentSpec,
) -> tuple[tf.Tensor, tf.Tensor]:
    """Augment a batch whose labels are corners, eagerly or inside `Dataset.map`.

    What comes into an image from outside repeats its rim: a mirrored rim could show a second field.

    Args:
        image: (batch, height, width, channels), uint8.
        corners_xy: (batch, n, 2), float32 px.
        has_field: (batch,), bool.
        parameters: (batch, 16), one row of `draw` an image.
        spec: the ranges the rows were drawn from.

    Returns:
        The image, uint8 in its shape, and the target: see `corner_target`.
    """
    size = (int(image.shape[1]), int(image.shape[2]))
    moved = _move(tf.cast(image, tf.float32), parameters[:, TRANSFORM], fill="NEAREST")
    corners, is_inside = move_corners(corners_xy, parameters, size=size)
    target = corner_target(corners, tf.logical_and(has_field, is_inside), size=size)
    return photometric(moved, parameters, spec), target


def corner_target(
    corners_xy: tf.Tensor, has_field: tf.Tensor, *, size: tuple[int, int]
) -> tf.Tensor:
    """Return what a network that locates a field learns.

    No coordinate is special, 0 neither: whether there is a field is told by the last number alone.

    Args:
        corners_xy: (batch, n, 2), float32 px.
        has_field: (batch,), bool.
        size: (height, width), px.

    Returns:
        (batch, 2 n + 1), float32: x and y of the corners as shares of width and height, 0 on the
        left or upper border of the image, 1 on the other, then 1 where there is a field, else 0.
    """
    shares = (corners_xy + 0.5) / tf.constant([size[1], size[0]], tf.float32)
    flat = tf.reshape(shares, (-1, 2 * corners_xy.shape[1]))
    return tf.concat([flat, tf.cast(has_field, tf.float32)[:, None]], axis=1)


def apply_to_template(template: tf.Tensor, parameters: tf.Tensor, spec: AugmentSpec) -> tf.Tensor:
    """Augment the templates of a batch as their images, slightly misaligned.

    Args:
        template: (batch, height, width, channels), uint8.
        parameters: (batch, 16), the rows of the images.
        spec: the ranges the rows were drawn from.

    Returns:
        uint8, in its shape.
    """
    return photometric(move_template(template, parameters), parameters, spec, stream=1)
