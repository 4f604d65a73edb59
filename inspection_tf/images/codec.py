"""The one image gate: every picture enters here, for training, command line and service alike.

One rule each, whatever the file format (known by its content, not by its suffix):

- Size and completeness are read from the file's structure before decoding; too large or cut off is
  refused.
- Gray stays (H, W); colour becomes (H, W, 3) RGB. Gray from colour is
  `(9798 R + 19235 G + 3735 B + 16384) >> 15`, at the image's own bit depth (BT.601 weights).
- Alpha is dropped; the stored colours stay as they are, without blending.
- Palettes are expanded to their colours (RGB). 1-, 2- and 4-bit gray is spread over 0..255.
- CMYK becomes RGB as `(255 - C)(255 - K) / 255`, within 2 counts. Colour profiles and
  gamma are ignored.
- 16 bit stays 16 bit until `preprocess` maps the window to 0..255. Signed and float are refused.
- EXIF (and TIFF) orientation is applied, or with `orientation="ignore"` not.
- Of a multi-page TIFF the first page is read, of an animated PNG its still picture; animated WebP
  is refused.
"""

import hashlib
import os
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from inspection_tf import errors, files
from inspection_tf.images import headers, pillow, sources, tiff
from inspection_tf.images.headers import Header
from inspection_tf.images.preprocessing import (
    MAX_PIXELS,
    Image,
    Orientation,
    as_image,
)
from inspection_tf.images.sources import Source

IMAGE_SUFFIXES = frozenset({".png", ".jpg", ".jpeg", ".bmp", ".tif", ".tiff", ".webp"})

# A refused file is reported once, by the error; cv2 4 and 5 name the switch differently.
if hasattr(cv2, "setLogLevel"):
    cv2.setLogLevel(0)
else:
    cv2.utils.logging.setLogLevel(cv2.utils.logging.LOG_LEVEL_SILENT)

# Without IMREAD_UNCHANGED cv2 drops alpha; it never sees an orientation, so that all formats agree.
_DECODE = cv2.IMREAD_ANYCOLOR | cv2.IMREAD_ANYDEPTH | cv2.IMREAD_IGNORE_ORIENTATION
_OUT_OF_MEMORY = -4  # cv::Error::StsNoMem


def read(
    source: Source, *, orientation: Orientation = "apply", max_pixels: int = MAX_PIXELS
) -> Image:
    """Read an image by the rules at the top of this module.

    Args:
        source: a path, a file's bytes, an open file (binary, read from where it stands), an image
            of Pillow (see `pillow`), or an array: gray (H, W), (H, W, 1), gray + alpha (H, W, 2),
            RGB (H, W, 3) or RGBA (H, W, 4), uint8 or uint16. An array is checked, not copied.
        orientation: whether EXIF orientation turns the image.
        max_pixels: larger files are refused before decoding (cv2's own limit of 2^30 px stays).

    Returns:
        (H, W) gray or (H, W, 3) RGB, uint8 or uint16.

    Raises:
        errors.ImageError: the source is missing, damaged, cut off, too large, no known format, or
            nothing that an image can be given by.
        errors.StorageError: memory does not suffice.
    """
    pixels = sources.pixels_of(source)
    if pixels is not None:
        return as_image(pixels)
    if pillow.is_image(source):
        pixels, turn = pillow.read(source, max_pixels=max_pixels)
        image = as_image(pixels)
    else:
        name, data = sources.load(source)
        parsed = headers.parse(data, name=name, max_pixels=max_pixels)
        image, turn = decode(data, parsed, name), parsed.header.orientation
    return _turn(image, turn) if orientation == "apply" else image


def snapshot(source: Source, *, orientation: Orientation = "apply") -> Source:
    """Return a source that stays as it is now, whatever its owner does with it later.

    A camera fills its buffer again, an open file is closed, a Pillow image goes to its next frame.
    Arrays are copied, open files and buffers are read, Pillow images are decoded; a path and bytes
    are returned as they are.

    Args:
        source: as in `read`.
        orientation: whether EXIF orientation turns an image of Pillow.

    Raises:
        errors.ImageError: as `read`, of all but files that are given by path or bytes.
        errors.StorageError: memory does not suffice.
    """
    pixels = sources.pixels_of(source)
    if pixels is not None:
        image = as_image(pixels)  # of the other byte order it is a copy already
        return image.copy() if np.may_share_memory(image, pixels) else image
    if pillow.is_image(source):
        return read(source, orientation=orientation)
    if isinstance(source, str | os.PathLike | bytes):
        return source
    return sources.load(source)[1]


def read_header(source: Source, *, max_pixels: int = MAX_PIXELS) -> Header:
    """Return format, stored size and orientation, and check completeness, without decoding.

    Args:
        source: a file, as in `read`.
        max_pixels: larger files are refused.

    Raises:
        errors.ImageError: as `read`.
    """
    name, data = sources.load(source)
    return headers.parse(data, name=name, max_pixels=max_pixels).header


def digest(image: NDArray[Any]) -> str:
    """Return the SHA-256 (hex) of an array's dtype, shape and pixels."""
    pixels = np.ascontiguousarray(image)
    pixels = pixels.astype(pixels.dtype.newbyteorder("<"), copy=False)
    hashed = hashlib.sha256(f"{pixels.dtype.name}{pixels.shape}".encode())
    hashed.update(pixels.data)
    return hashed.hexdigest()


def encode_png(array: NDArray[Any]) -> bytes:
    """Return a PNG of a gray (H, W), RGB (H, W, 3) or bool (H, W) array; bool becomes 0 and 255.

    Raises:
        errors.ImageError: another dtype or shape.
    """
    pixels = as_image(array.astype(np.uint8) * 255 if array.dtype == np.bool_ else array)
    if pixels.ndim == 3:
        pixels = cv2.cvtColor(pixels, cv2.COLOR_RGB2BGR)
    return bytes(cv2.imencode(".png", pixels)[1])


def encode_jpeg(array: NDArray[np.uint8], *, quality: int = 85) -> bytes:
    """Return a JPEG, for a screen and never for a network, of a gray or RGB array.

    Args:
        array: (H, W) or (H, W, 3).
        quality: 1 to 100.

    Raises:
        errors.ImageError: another dtype or shape.
    """
    pixels = as_image(array)
    if pixels.ndim == 3:
        pixels = cv2.cvtColor(pixels, cv2.COLOR_RGB2BGR)
    return bytes(cv2.imencode(".jpg", pixels, [cv2.IMWRITE_JPEG_QUALITY, quality])[1])


def to_8bit(image: Image) -> NDArray[np.uint8]:
    """Return an image as a screen shows it: of 16 bits the brightest pixel is white."""
    if image.dtype == np.uint8:
        return np.asarray(image, np.uint8)
    # Few 16-bit cameras use all 16 bits.
    return np.asarray(image * (255.0 / max(int(image.max()), 1)), np.uint8)


def write_png(path: str | os.PathLike[str], array: NDArray[Any]) -> None:
    """Write a PNG (see `encode_png`) whole or not at all.

    Raises:
        errors.ImageError: a dtype or shape that is no image.
        errors.StorageError: the disk is full or the folder cannot be written.
    """
    # Pictures by the thousand: whole files matter, surviving a power cut does not.
    files.write(path, encode_png(array), sync=False)


def _for_cv2(data: bytes, details: tiff.Details) -> bytes | bytearray:
    """Return a file so that cv2 decodes the stored samples of its still picture, nothing else."""
    if not details.patches and not details.cuts:
        return data
    changed = bytearray(data)
    for position, new in details.patches:
        changed[position : position + len(new)] = new
    for start, end in reversed(details.cuts):
        del changed[start:end]
    return changed


def decode(data: bytes, parsed: headers.Parsed, name: str, *, alpha: bool = False) -> NDArray[Any]:
    """Decode a file whose header was parsed; it is not turned.

    Args:
        data: the whole file.
        parsed: of `headers.parse`.
        name: what the message calls it.
        alpha: keep an alpha channel, as the last of four.

    Returns:
        (H, W) or (H, W, 3) RGB, uint8 or uint16; with alpha (H, W, 4) where there is one.

    Raises:
        errors.ImageError: the pixel data is damaged.
        errors.StorageError: memory does not suffice.
    """
    header, details = parsed.header, parsed.details
    try:
        stored = np.frombuffer(_for_cv2(data, details), np.uint8)
        image = cv2.imdecode(stored, cv2.IMREAD_UNCHANGED if alpha else _DECODE)
        if image is not None and image.ndim == 3:
            order = cv2.COLOR_BGRA2RGBA if image.shape[2] == 4 else cv2.COLOR_BGR2RGB
            image = cv2.cvtColor(image, order)
    except (MemoryError, cv2.error) as problem:
        if isinstance(problem, MemoryError) or problem.code == _OUT_OF_MEMORY:
            raise errors.StorageError(
                f"{name} must fit into memory. Got {header.width} x {header.height} px. "
                "Free memory or shrink it."
            ) from problem
        image = None
    if image is None or image.shape[:2] != (header.height, header.width):
        got = "pixel data that does not decode. Copy or export it again."
        if details.compression:
            got = (
                f"the compression {details.compression}, which does not decode here. "
                f"{tiff.OTHER_COMPRESSION}"
            )
        raise errors.ImageError(f"{name} must be a readable {header.format} file. Got {got}")
    if details.is_inverted:
        image = 65535 - image
    if alpha:
        return np.asarray(image)
    return as_image(image[:, :, 0] if details.is_gray and image.ndim == 3 else image)


def read_size(source: Source, *, orientation: Orientation) -> tuple[int, int]:
    """Return (height, width) of an image as `read` returns it, without decoding it.

    Raises:
        errors.ImageError: as `read`.
    """
    header = read_header(source)
    if orientation == "apply" and header.orientation >= 5:  # turned by a quarter
        return header.width, header.height
    return header.height, header.width


def stored_points(points_xy: NDArray[np.float64], header: Header) -> NDArray[np.float64]:
    """Return where points of an image lie in its file as stored, before its orientation turns it.

    Args:
        points_xy: (n, 2) px of the image as `read` returns it.
        header: of `read_header`.
    """
    x, y = points_xy.T
    turned = header.orientation >= 5
    width, height = (header.height, header.width) if turned else (header.width, header.height)
    # The steps of `_turn` backwards.
    if header.orientation in (2, 3, 6, 7):
        x = width - 1 - x
    if header.orientation in (3, 4, 7, 8):
        y = height - 1 - y
    return np.column_stack([y, x] if turned else [x, y])


def _turn(image: Image, orientation: int) -> Image:
    turned: NDArray[Any] = image.swapaxes(0, 1) if orientation >= 5 else image
    if orientation in (3, 4, 7, 8):
        turned = turned[::-1]
    if orientation in (2, 3, 6, 7):
        turned = turned[:, ::-1]
    return np.ascontiguousarray(turned)
