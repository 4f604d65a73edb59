"""Pictures that are pixels, not figures: outlines on an image and probability maps in colour.

Truth is sky blue and what was found is orange (Okabe and Ito's palette): apart for every kind of
colour vision, and neither is a grey.
"""

import functools
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from inspection_tf import errors, images

TRUTH_RGB = (86, 180, 233)
FOUND_RGB = (255, 140, 0)
BROKEN_RGB = (0, 255, 255)  # a probability that is not finite


def _canvas(image: NDArray[Any], zoom: int) -> NDArray[np.uint8]:
    picture = images.to_uint8(images.read(image))
    if picture.ndim == 2:
        picture = picture[..., None].repeat(3, axis=2)
    return np.array(picture.repeat(zoom, axis=0).repeat(zoom, axis=1))


def _outline(
    canvas: NDArray[np.uint8],
    mask: NDArray[np.bool_],
    zoom: int,
    colour: tuple[int, int, int],
    width: int,
) -> None:
    if (mask.shape[0] * zoom, mask.shape[1] * zoom) != canvas.shape[:2]:
        size = (canvas.shape[0] // zoom, canvas.shape[1] // zoom)
        raise errors.DataError(
            f"A mask must have the size of its image. Got {mask.shape} for {size}, height first. "
            "Map it to the source image."
        )
    enlarged = np.ascontiguousarray(mask.repeat(zoom, axis=0).repeat(zoom, axis=1), np.uint8)
    disc = cv2.getStructuringElement(cv2.MORPH_ELLIPSE, (2 * width + 1, 2 * width + 1))
    canvas[cv2.dilate(enlarged, disc) > enlarged] = colour


def overlay(
    image: NDArray[Any],
    mask_found: NDArray[np.bool_],
    mask_true: NDArray[np.bool_] | None = None,
    *,
    zoom: int = 1,
) -> NDArray[np.uint8]:
    """Return the image with outlines: what was found in orange, over the truth in sky blue.

    Lines lie around a mask, not on it, so that thin defects stay visible. The truth's line is twice
    as wide, so that it shows where both coincide.

    Args:
        image: (H, W) or (H, W, 3) RGB, uint8 or uint16 (shown over its full range).
        mask_found: (H, W), what was found.
        mask_true: (H, W), what is truly there, if that is known.
        zoom: whole number of times the picture is enlarged, for small images.

    Returns:
        (H * zoom, W * zoom, 3) RGB uint8; the image itself is not changed.

    Raises:
        errors.DataError: a mask has another size than the image.
        errors.ImageError: the image is none.
    """
    canvas = _canvas(image, zoom)
    width = max(1, round(max(canvas.shape[:2]) / 250))
    if mask_true is not None:
        _outline(canvas, np.asarray(mask_true, bool), zoom, TRUTH_RGB, 2 * width)
    _outline(canvas, np.asarray(mask_found, bool), zoom, FOUND_RGB, width)
    return canvas


@functools.lru_cache(maxsize=1)
def _palette() -> NDArray[np.uint8]:
    """Return (256, 3): matplotlib's magma, which rises evenly from black to pale yellow."""
    ramp = np.arange(256, dtype=np.uint8)[:, None]
    palette: NDArray[np.uint8] = cv2.applyColorMap(ramp, cv2.COLORMAP_MAGMA)[:, 0, ::-1]
    return palette


def probability_map(probability: NDArray[Any]) -> NDArray[np.uint8]:
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
