"""Perturbations that cover a part of the image: occlusion, and clutter in the background."""

import math

import cv2
import numpy as np
from numpy.typing import NDArray

from inspection_tf.evaluation.robustness import levels
from inspection_tf.images import Image

COVERED = 0.25  # of the area
RIM = 0.12  # of the shorter side
_ASPECT = (0.5, 2.0)  # height over width of a patch, the image being square
_SHAPES = 16
_SUBPIXEL_BITS = 4


def occlusion(image: Image, strength: float, rng: np.random.Generator) -> Image:
    """Cover a rectangle of the image by one colour: at strength 1 `COVERED` of its area.

    It may hide a defect: the part is NG all the same, and an inspector that does not see it should
    at least not be sure.

    Args:
        image: (H, W) or (H, W, 3), uint8 or uint16.
        strength: over 0 to 1.
        rng: of place, shape and colour.
    """
    height, width = image.shape[:2]
    aspect = math.exp(rng.uniform(*np.log(_ASPECT)))
    where = rng.random(2)
    colour = rng.random(3 if image.ndim == 3 else 1)
    rows, columns = (
        min(side, max(1, round(side * math.sqrt(COVERED * strength * share))))
        for side, share in ((height, aspect), (width, 1 / aspect))
    )
    top, left = (
        int(place * (side - size + 1))
        for place, side, size in zip(where, (height, width), (rows, columns), strict=True)
    )
    covered = image.copy()
    patch = np.rint(colour * levels.full_scale(image)).astype(image.dtype)
    covered[top : top + rows, left : left + columns] = patch if image.ndim == 3 else patch[0]
    return covered


def clutter(image: Image, strength: float, rng: np.random.Generator) -> Image:
    """Lay textured shapes around the border, over what is taken for background.

    Where the object lies is not known, so that it is taken to fill the middle: `_SHAPES` polygons
    with stripes and noise are centred on the border of the image and reach, at strength 1, up to
    `RIM` of the shorter side into it. What lies farther in is untouched.

    Args:
        image: (H, W) or (H, W, 3), uint8 or uint16.
        strength: over 0 to 1.
        rng: of places, shapes and textures.
    """
    height, width = image.shape[:2]
    farthest = RIM * min(height, width)
    shares = levels.to_shares(image)
    first = rng.random()
    for number in range(_SHAPES):
        centre = _on_border((first + number + rng.uniform(-0.3, 0.3)) / _SHAPES, width, height)
        outline = _polygon(rng, farthest * strength * rng.uniform(0.6, 1.0))
        # As large as at strength 1, so that a texture does not depend on the strength.
        texture = _texture(rng, 2 * math.ceil(farthest) + 3, shares.shape[2:])
        _lay(shares, texture, outline, np.rint(centre).astype(np.int64))
    return levels.from_shares(shares, image)


def _lay(
    shares: NDArray[np.float32],
    texture: NDArray[np.float32],
    outline: NDArray[np.float64],
    centre: NDArray[np.int64],
) -> None:
    """Draw a polygon of a texture onto an image, as far as it is inside.

    Args:
        shares: (H, W) or (H, W, 3), written to.
        texture: (side, side) or (side, side, 3).
        outline: (corners, 2) px from the middle of the texture, inside of it.
        centre: (2,) px, where that middle lies in the image.
    """
    side = len(texture)
    mask = np.zeros((side, side), np.uint8)
    points = np.rint((outline + side // 2) * 2**_SUBPIXEL_BITS).astype(np.int32)
    cv2.fillPoly(mask, [points], 1, shift=_SUBPIXEL_BITS)
    left, top = (int(place) - side // 2 for place in centre)
    inside = np.s_[max(top, 0) : max(top + side, 0), max(left, 0) : max(left + side, 0)]
    window = shares[inside]
    rows, columns = max(-top, 0), max(-left, 0)
    cut = np.s_[rows : rows + window.shape[0], columns : columns + window.shape[1]]
    covered = mask[cut] > 0
    window[covered] = texture[cut][covered]


def _on_border(place: float, width: int, height: int) -> NDArray[np.float64]:
    """Return (2,) px on the border of an image, at a share of the way around it."""
    along = (place % 1) * 2 * (width + height)
    if along < width:
        return np.array([along, 0.0]) - 0.5
    if along < width + height:
        return np.array([width, along - width]) - 0.5
    if along < 2 * width + height:
        return np.array([2 * width + height - along, height]) - 0.5
    return np.array([0.0, 2 * (width + height) - along]) - 0.5


def _polygon(rng: np.random.Generator, radius: float) -> NDArray[np.float64]:
    """Return (corners, 2) px: 3 to 8 corners around 0, not farther from it than a radius."""
    corners = int(rng.integers(3, 9))
    angles = 2 * math.pi * (np.arange(corners) + rng.uniform(-0.3, 0.3, corners)) / corners
    # One pixel is what rounding and the drawing of outlines may add.
    away = max(radius - 1, 0.0) * rng.uniform(0.7, 1.0, corners)
    turned = angles + rng.uniform(0, 2 * math.pi)
    return np.asarray(away[:, None] * np.column_stack([np.cos(turned), np.sin(turned)]))


def _texture(rng: np.random.Generator, side: int, channels: tuple[int, ...]) -> NDArray[np.float32]:
    """Return stripes between two colours, with noise: (side, side, *channels), shares."""
    period = rng.uniform(3, 24)  # px
    direction = rng.uniform(0, math.pi)
    colours = rng.random((2, *channels)).astype(np.float32)
    noise = 0.08 * rng.standard_normal((side, side), np.float32)
    y, x = np.mgrid[:side, :side].astype(np.float32)
    phase = (x * math.cos(direction) + y * math.sin(direction)) * (2 * math.pi / period)
    mix = (0.5 + 0.5 * np.sin(phase)).astype(np.float32)
    if channels:
        mix, noise = mix[..., None], noise[..., None]
    return np.asarray(colours[0] * mix + colours[1] * (1 - mix) + noise, np.float32)
