"""Images of Pillow, by the rules that `codec` states for files; Pillow itself is not imported.

Gray stays gray, palettes become their colours, alpha is dropped, CMYK becomes RGB by the same
formula. Mode I is taken as 16 bit where all its values are, since that is how Pillow before
version 11 opens 16-bit gray files; float and negative values are refused. Of several frames the
current one counts. What Pillow has done by itself stays done: it brings 16-bit colour to 8 bit, and
turns a TIFF by its orientation.
"""

import io
import sys
from typing import TYPE_CHECKING, Any, TypeGuard

import numpy as np
from numpy.typing import NDArray

from inspection_tf import errors

if TYPE_CHECKING:
    from PIL.Image import Image

_ORIENTATION = 0x0112
_AS_THEY_ARE = ("L", "LA", "RGB", "RGBA", "RGBX", "I;16", "I;16L", "I;16B", "I;16N")
_AS = {"P": "RGB", "PA": "RGB", "YCbCr": "RGB", "HSV": "RGB", "La": "LA", "RGBa": "RGBA"}
_OF_PNG = ("1", "L", "LA", "P", "RGB", "RGBA", "I;16")
LOSSY = ("JPEG", "MPO", "WEBP")
"""Formats whose files may have changed the values that were saved."""
_MODES = ("1", *_AS_THEY_ARE, *_AS, "CMYK", "I")


def is_image(source: object) -> "TypeGuard[Image]":
    """Return whether a source is an image of Pillow; without Pillow nothing can be one."""
    kind = getattr(sys.modules.get("PIL.Image"), "Image", None)
    return isinstance(kind, type) and isinstance(source, kind)


def read(image: "Image", *, max_pixels: int) -> tuple[NDArray[Any], int]:
    """Return the pixels of an image in memory of their own, and the EXIF orientation 1..8.

    Args:
        image: of Pillow; it is loaded if it is not.
        max_pixels: larger images are refused before they are decoded.

    Returns:
        (H, W) gray, (H, W, 2) gray + alpha, (H, W, 3) RGB or (H, W, 4) with alpha, uint8 or uint16,
        not turned.

    Raises:
        errors.ImageError: it is too large, cannot be decoded, or is of a mode that is no image.
        errors.StorageError: memory does not suffice.
    """
    width, height = image.size
    if width * height > max_pixels:
        raise errors.ImageError(
            f"The image must have at most {max_pixels} pixels. Got {width} x {height} = "
            f"{width * height}. Crop or shrink it, or raise max_pixels."
        )
    try:
        image.load()
        turn = image.getexif().get(_ORIENTATION, 1)
        pixels = _pixels(image)
    except errors.InspectionError:
        raise
    except MemoryError as problem:
        raise errors.StorageError(
            f"The image must fit into memory. Got {width} x {height} px. Free memory or shrink it."
        ) from problem
    except Exception as problem:  # decoders, and what stands behind an open file
        raise errors.ImageError(
            "The image must be one that Pillow can load. "
            f"Got: {str(problem) or type(problem).__name__}. Open it again, or give its path."
        ) from problem
    return pixels, turn if turn in range(1, 9) else 1


def _pixels(image: "Image") -> NDArray[Any]:
    mode = image.mode
    if mode not in _MODES:
        raise errors.ImageError(
            f"An image of Pillow must be of mode {', '.join(_MODES)}. Got {mode}. "
            "Scale it to counts and convert it."
        )
    values = np.array(image.convert(_AS[mode]) if mode in _AS else image)
    if mode == "1":
        return values.astype(np.uint8) * 255
    if mode == "CMYK":
        ink = 255 - values.astype(np.uint16)
        return ((ink[..., :3] * ink[..., 3:] + 127) // 255).astype(np.uint8)
    if mode == "I":
        if values.size and (values.min() < 0 or values.max() > 65535):
            raise errors.ImageError(
                "An image of Pillow of mode I must hold counts from 0 to 65535. "
                f"Got {values.min()} to {values.max()}. Scale it to counts."
            )
        return values.astype(np.uint16)
    return values


def as_png(image: "Image") -> bytes | None:
    """Return an image as a PNG of the same values, palette and alpha; None where there is none.

    Args:
        image: of Pillow, loaded.
    """
    if image.mode not in _OF_PNG:
        return None
    stream = io.BytesIO()
    image.save(stream, "PNG")
    return stream.getvalue()
