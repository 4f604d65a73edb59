"""The one image gate: every picture enters here, for training, command line and service alike.

One rule each, whatever the file format (told by content, not by suffix):

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
from pathlib import Path
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from inspection_tf import errors, files
from inspection_tf.images import headers
from inspection_tf.images.headers import Header
from inspection_tf.images.preprocessing import (
    MAX_PIXELS,
    Image,
    Orientation,
    as_image,
    require_size,
)

Source = str | os.PathLike[str] | bytes | NDArray[Any]

IMAGE_SUFFIXES = frozenset({".png", ".jpg", ".jpeg", ".bmp", ".tif", ".tiff", ".webp"})
MAX_BYTES = 2**30

# A refused file is told once, by the error; cv2 4 and 5 name the switch differently.
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
        source: a path, a file's bytes, or an array: gray (H, W), (H, W, 1), gray + alpha (H, W, 2),
            RGB (H, W, 3) or RGBA (H, W, 4), uint8 or uint16. An array is checked, not copied.
        orientation: whether EXIF orientation turns the image.
        max_pixels: larger files are refused before decoding (cv2's own limit of 2^30 px stays).

    Returns:
        (H, W) gray or (H, W, 3) RGB, uint8 or uint16.

    Raises:
        errors.ImageError: the source is missing, damaged, cut off, too large, or no known format.
        errors.StorageError: memory does not suffice.
    """
    if isinstance(source, np.ndarray):
        return as_image(source)
    name, data = _load(source)
    parsed = headers.parse(data, name=name, max_pixels=max_pixels)
    image = _decode(data, parsed, name)
    return _turn(image, parsed.header.orientation) if orientation == "apply" else image


def read_header(source: str | os.PathLike[str] | bytes, *, max_pixels: int = MAX_PIXELS) -> Header:
    """Return format, stored size and orientation, and check completeness, without decoding.

    Raises:
        errors.ImageError: as `read`.
    """
    name, data = _load(source)
    return headers.parse(data, name=name, max_pixels=max_pixels).header


def read_mask(source: Source, *, size: tuple[int, int] | None = None) -> NDArray[np.bool_]:
    """Read a mask: True at 128 or more (16 bit: 32768) in the brightest channel.

    A mask of zeros and ones counts its ones. One whose values lie between is refused, since its
    defects would vanish. Masks are never turned by EXIF: they must lie as the image that is read.

    Args:
        source: as in `read`; a bool array (H, W) is taken as it is.
        size: (height, width) px the mask must have.

    Returns:
        (H, W) bool.

    Raises:
        errors.ImageError: as `read`; another size; or values that are neither 0/1 nor 0/full.
    """
    name = _name(source, "The mask")
    if isinstance(source, np.ndarray) and source.dtype == np.bool_ and source.ndim == 2:
        mask = source
    else:
        values: NDArray[Any] = read(source, orientation="ignore")
        values = values.max(axis=2) if values.ndim == 3 else values
        full, peak = int(np.iinfo(values.dtype).max), int(values.max())
        if 1 < peak <= full // 2:
            raise errors.ImageError(
                f"{name} must hold 0 and {full}, or 0 and 1. Got values up to {peak}. "
                f"Save the defect pixels as {full}."
            )
        mask = values >= (1 if peak <= 1 else full // 2 + 1)
    if size is not None:
        require_size(name, mask, size)
    return mask


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


def write_png(path: str | os.PathLike[str], array: NDArray[Any]) -> None:
    """Write a PNG (see `encode_png`) whole or not at all.

    Raises:
        errors.ImageError: a dtype or shape that is no image.
        errors.StorageError: the disk is full or the folder cannot be written.
    """
    # Pictures by the thousand: whole files matter, surviving a power cut does not.
    files.write(path, encode_png(array), sync=False)


def _name(source: Any, otherwise: str) -> str:
    return os.fspath(source) if isinstance(source, str | os.PathLike) else otherwise


def _load(source: str | os.PathLike[str] | bytes) -> tuple[str, bytes]:
    name = _name(source, "The image")
    try:
        length = len(source) if isinstance(source, bytes) else Path(source).stat().st_size
        if length > MAX_BYTES:
            raise errors.ImageError(
                f"{name} must have at most {MAX_BYTES} bytes. Got {length}. Crop or compress it."
            )
        return name, source if isinstance(source, bytes) else Path(source).read_bytes()
    except OSError as problem:
        raise errors.ImageError(
            f"{name} must be a readable file. Got: {problem.strerror}. Check the path."
        ) from problem


def _decode(data: bytes, parsed: headers.Parsed, name: str) -> Image:
    header = parsed.header
    patched = bytearray(data) if parsed.patches else data
    for position, new in parsed.patches:
        patched[position : position + len(new)] = new  # type: ignore[index]
    try:
        image = cv2.imdecode(np.frombuffer(patched, np.uint8), _DECODE)
        if image is not None and image.ndim == 3:
            image = cv2.cvtColor(image, cv2.COLOR_BGR2RGB)
    except (MemoryError, cv2.error) as problem:
        if isinstance(problem, MemoryError) or problem.code == _OUT_OF_MEMORY:
            raise errors.StorageError(
                f"{name} must fit into memory. Got {header.width} x {header.height} px. "
                "Free memory or shrink it."
            ) from problem
        image = None
    if image is None or image.shape[:2] != (header.height, header.width):
        raise errors.ImageError(
            f"{name} must be a readable {header.format} file. Got pixel data that does not decode. "
            "Copy or export it again."
        )
    return as_image(65535 - image if parsed.is_inverted else image)


def read_size(source: str | os.PathLike[str], *, orientation: Orientation) -> tuple[int, int]:
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
