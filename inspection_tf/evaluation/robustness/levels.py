"""Grey levels of images of 8 and 16 bits as numbers from 0 to 1, and back."""

import numpy as np
from numpy.typing import NDArray

from inspection_tf.images import Image


def full_scale(image: Image) -> float:
    """Return the level at which an image is white.

    255 of uint8. Few 16-bit cameras use all 16 bits: of uint16 it is the highest level that occurs.
    """
    return 255.0 if image.dtype == np.uint8 else float(max(int(image.max(initial=0)), 1))


def to_shares(image: Image) -> NDArray[np.float32]:
    """Return an image with 1 for white, (H, W) or (H, W, 3)."""
    return np.asarray(image, np.float32) / np.float32(full_scale(image))


def from_shares(shares: NDArray[np.floating], like: Image) -> Image:
    """Return shares as an image of the type and full scale of another one; clipped, rounded."""
    return typed(np.rint(np.clip(shares, 0, 1) * full_scale(like)), like)


def typed(values: NDArray[np.generic], like: Image) -> Image:
    """Return levels in the type of an image, which can hold them."""
    if like.dtype == np.uint8:
        return values.astype(np.uint8, copy=False)
    return values.astype(np.uint16, copy=False)


def coloured(grey: NDArray[np.floating], image: Image) -> NDArray[np.floating]:
    """Return (H, W) so that it combines with an image, (H, W) or (H, W, 3)."""
    return grey if image.ndim == 2 else grey[..., None]
