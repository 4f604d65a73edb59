"""Pictures that are pixels, not figures: outlines on an image and probability maps in colour.

Truth is sky blue and what was found is orange (Okabe and Ito's palette): apart for every kind of
colour vision, and neither is a grey. With several classes the colour tells the class, and dashes
tell the truth from what was found.
"""

import functools
from typing import TypeAlias

import cv2
import numpy as np
from numpy.typing import NDArray

from inspection_tf import errors, images
from inspection_tf.images import Image

Mask: TypeAlias = NDArray[np.generic]
"""(height, width): bool, or ids of classes with 0 for the background."""
Colour: TypeAlias = tuple[int, int, int]
"""Red, green and blue, 0 to 255."""

TRUTH_RGB = (86, 180, 233)
FOUND_RGB = (255, 140, 0)
BROKEN_RGB = (0, 255, 255)  # a probability that is not finite
# Okabe and Ito's seven colours; those that are faint on white or on black come last.
CLASS_RGB = (
    (230, 159, 0),
    (86, 180, 233),
    (0, 158, 115),
    (204, 121, 167),
    (213, 94, 0),
    (0, 114, 178),
    (240, 228, 66),
)
_DASH = 6  # length of a dash, in widths of the thin line


def class_rgb(class_id: int) -> Colour:
    """Return the colour of a class; from the eighth on they come again.

    Args:
        class_id: 1, 2, ...
    """
    return CLASS_RGB[(class_id - 1) % len(CLASS_RGB)]


def _canvas(image: Image, zoom: int) -> NDArray[np.uint8]:
    picture = images.to_uint8(images.read(image))
    if picture.ndim == 2:
        picture = picture[..., None].repeat(3, axis=2)
    return np.array(picture.repeat(zoom, axis=0).repeat(zoom, axis=1))


def _dashes(mask: NDArray[np.uint8], reach: int, dash: int) -> NDArray[np.bool_]:
    """Return the pixels within reach of every second piece of the outlines of a mask."""
    stencil = np.zeros_like(mask)
    outlines, _ = cv2.findContours(mask, cv2.RETR_LIST, cv2.CHAIN_APPROX_NONE)
    for outline in outlines:
        # Whole pairs of dash and gap, or the last dash would meet the first.
        pieces = np.array_split(outline, 2 * max(2, round(len(outline) / (2 * dash))))
        for piece in pieces[::2]:
            # A broad line goes on past its ends by half its width.
            cut = min(reach, (len(piece) - 1) // 2)
            if len(piece):
                cv2.polylines(stencil, [piece[cut : len(piece) - cut]], False, 1, 2 * reach + 1)
    return stencil > 0


def _outline(
    canvas: NDArray[np.uint8],
    mask: NDArray[np.bool_],
    zoom: int,
    colour: Colour,
    width: int,
    *,
    dash: int = 0,
) -> None:
    enlarged = np.ascontiguousarray(mask.repeat(zoom, axis=0).repeat(zoom, axis=1), np.uint8)
    disc = cv2.getStructuringElement(cv2.MORPH_ELLIPSE, (2 * width + 1, 2 * width + 1))
    wide = cv2.dilate(enlarged, disc)
    line = wide > enlarged
    if dash:
        line &= _dashes(wide, width, dash)
    canvas[line] = colour


def _require_size(mask: Mask, size: tuple[int, ...]) -> None:
    if mask.shape != size:
        raise errors.DataError(
            f"A mask must have the size of its image. Got {mask.shape} for {size}, height first. "
            "Map it to the source image."
        )


def overlay(
    image: Image,
    mask_found: Mask,
    mask_true: Mask | None = None,
    *,
    zoom: int = 1,
    by_class: bool = False,
) -> NDArray[np.uint8]:
    """Return the image with outlines: what was found in orange, over the truth in sky blue.

    Lines lie around a mask, not on it, so that thin defects stay visible. The truth's line is twice
    as wide, so that it shows where both coincide. By class, every class has its own colour
    (`class_rgb`), and the truth is dashed.

    Args:
        image: (H, W) or (H, W, 3) RGB, uint8 or uint16 (shown over its full range).
        mask_found: (H, W), what was found: bool, or class ids (0 is background).
        mask_true: (H, W), what is truly there, if that is known.
        zoom: whole number of times the picture is enlarged, for small images.
        by_class: the masks hold class ids, and colours tell them apart.

    Returns:
        (H * zoom, W * zoom, 3) RGB uint8; the image itself is not changed.

    Raises:
        errors.DataError: a mask has another size than the image.
        errors.ImageError: the image is none.
    """
    canvas = _canvas(image, zoom)
    width = max(1, round(max(canvas.shape[:2]) / 250))
    size = (canvas.shape[0] // zoom, canvas.shape[1] // zoom)
    for mask, rgb, line, dash in (
        (mask_true, TRUTH_RGB, 2 * width, _DASH * width),
        (mask_found, FOUND_RGB, width, 0),
    ):
        if mask is None:
            continue
        mask = np.asarray(mask)
        _require_size(mask, size)
        if not by_class:
            _outline(canvas, mask.astype(bool), zoom, rgb, line)
            continue
        ids = mask.astype(np.uint8)
        for number in np.unique(ids[ids > 0]):
            _outline(canvas, ids == number, zoom, class_rgb(int(number)), line, dash=dash)
    return canvas


def dimmed(image: Image) -> NDArray[np.uint8]:
    """Return the image in RGB at a third of its brightness, so that white text can be read."""
    return _canvas(image, 1) // 3


def beside(template: Image, picture: NDArray[np.uint8], *, zoom: int = 1) -> NDArray[np.uint8]:
    """Return a template left of a picture, with a white gap.

    Args:
        template: (H, W) or (H, W, 3) RGB.
        picture: (H * zoom, W * zoom, 3) RGB, such as an overlay.
        zoom: whole number of times the template is enlarged.
    """
    left = _canvas(template, zoom)
    gap = np.full((len(left), max(1, left.shape[1] // 40), 3), 255, np.uint8)
    return np.hstack([left, gap, picture])


def class_picture(ids: Mask) -> NDArray[np.uint8]:
    """Return class ids in colour: black is background.

    Args:
        ids: (H, W).

    Returns:
        (H, W, 3) RGB uint8.
    """
    ids = np.asarray(ids, np.uint8)
    palette = np.array([(0, 0, 0), *(class_rgb(number) for number in range(1, 256))], np.uint8)
    picture: NDArray[np.uint8] = palette[ids]
    return picture


@functools.lru_cache(maxsize=1)
def _palette() -> NDArray[np.uint8]:
    """Return (256, 3): matplotlib's magma, which rises evenly from black to pale yellow."""
    ramp = np.arange(256, dtype=np.uint8)[:, None]
    palette: NDArray[np.uint8] = cv2.applyColorMap(ramp, cv2.COLORMAP_MAGMA)[:, 0, ::-1]
    return palette


def probability_map(probability: NDArray[np.generic]) -> NDArray[np.uint8]:
    """Return a probability map in colour: black is 0, pale yellow 1, cyan a value that is neither.

    Args:
        probability: (H, W), clipped to 0..1.

    Returns:
        (H, W, 3) RGB uint8.
    """
    values = np.asarray(probability, np.float32)
    finite = np.isfinite(values)
    level = np.clip(np.where(finite, values, 0) * 255 + 0.5, 0, 255).astype(np.uint8)
    picture = _palette()[level]
    picture[~finite] = BROKEN_RGB
    return picture
