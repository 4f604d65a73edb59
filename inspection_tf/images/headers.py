"""Sizes, orientation and completeness of image files, read from their structure before any decoder.

Decoders differ in what they forgive: some return a picture whose lower half is grey. So each
format is walked here to its own end mark, and a file that stops before it is refused.
"""

import re
import struct
import zlib
from collections.abc import Callable, Iterator
from dataclasses import dataclass

from inspection_tf import errors
from inspection_tf.images import tiff

_JPEG_MARKER = re.compile(rb"\xff[^\x00\xff\xd0-\xd7]", re.DOTALL)  # not stuffing, fill or restart
_JPEG_FRAMES = frozenset(range(0xC0, 0xD0)) - {0xC4, 0xC8, 0xCC}


@dataclass(frozen=True, slots=True)
class Header:
    """What a file says about its picture.

    `width` and `height` are px as stored; `orientation` is the EXIF value 1..8, 1 when there is
    none. 5 to 8 swap width and height when applied. `is_lossy` says that its compression changes
    pixels.
    """

    format: str
    width: int
    height: int
    orientation: int = 1
    is_lossy: bool = False


@dataclass(frozen=True, slots=True)
class Parsed:
    """A header and what must be done so that cv2 decodes the stored samples, nothing else."""

    header: Header
    details: tiff.Details


def parse(data: bytes, *, name: str, max_pixels: int) -> Parsed:
    """Read size, orientation and completeness without decoding.

    Args:
        data: the whole file.
        name: what the message calls it.
        max_pixels: largest accepted width * height; checked before all else in the file.

    Raises:
        errors.ImageError: no known format, too large, damaged, or cut off.
    """
    if not data:
        raise errors.ImageError(
            f"{name} must hold an image. Got 0 bytes. Copy or export the file again."
        )
    kind = _kind(data)
    if kind is None:
        raise errors.ImageError(
            f"{name} must be a PNG, JPEG, BMP, TIFF or WebP image. Got a file that starts with "
            f"{data[:8]!r}. Convert it to one of these, or leave it out."
        )
    read_size, read_details = _READERS[kind]
    try:
        width, height = read_size(data)
        if width < 1 or height < 1:
            raise tiff.RefusedError(f"a size of {width} x {height} px. Export it again.")
        if width * height > max_pixels:
            raise errors.ImageError(
                f"{name} must have at most {max_pixels} pixels. Got {width} x {height} = "
                f"{width * height}. Crop or shrink it, or raise max_pixels."
            )
        details = read_details(data)
    except tiff.RefusedError as refusal:
        raise errors.ImageError(f"{name} must be a readable {kind} file. Got {refusal}") from None
    except (tiff.IncompleteError, struct.error, IndexError):
        raise errors.ImageError(
            f"{name} must be a complete {kind} file. Got one that is cut off (truncated), "
            f"{len(data)} bytes long. Copy or export it again."
        ) from None
    header = Header(kind, width, height, details.orientation, details.is_lossy)
    return Parsed(header, details)


def _kind(data: bytes) -> str | None:
    if data[:8] == b"\x89PNG\r\n\x1a\n":
        return "PNG"
    if data[:3] == b"\xff\xd8\xff":
        return "JPEG"
    if data[:4] in (b"II*\0", b"MM\0*", *tiff.BIG):
        return "TIFF"
    if data[:4] == b"RIFF" and data[8:12] == b"WEBP":
        return "WebP"
    return "BMP" if data[:2] == b"BM" else None


# --- PNG: chunks of (length, type, data, CRC) up to IEND


def _png_size(data: bytes) -> tuple[int, int]:
    width, height = struct.unpack_from(">4xII", data, 12)[:2]
    if data[12:16] != b"IHDR":
        raise tiff.RefusedError("a first chunk that is not IHDR. Export it again.")
    return width, height


# Of an animation. Where the still picture is no frame of it, a decoder that plays it shows another.
_PNG_FRAMES = frozenset({b"acTL", b"fcTL", b"fdAT"})
_PNG_GRAY_ALPHA, _PNG_RGB_ALPHA = 4, 6


def _png_details(data: bytes) -> tiff.Details:
    orientation, cuts, has_alpha = 1, [], data[25] in (_PNG_GRAY_ALPHA, _PNG_RGB_ALPHA)
    position, view = 8, memoryview(data)
    while True:
        length, kind = struct.unpack_from(">I4s", data, position)
        end = position + 8 + length
        (checksum,) = struct.unpack_from(">I", data, end)
        # An upper-case first letter marks a chunk that the picture depends on.
        if kind[:1].isupper() and zlib.crc32(view[position + 4 : end]) != checksum:
            raise tiff.RefusedError(f"a damaged {kind.decode('latin1')} chunk. Copy it again.")
        if kind == b"eXIf":
            orientation = tiff.exif_orientation(data[position + 8 : end])
        has_alpha = has_alpha or kind == b"tRNS"
        if kind in _PNG_FRAMES:
            cuts.append((position, end + 4))
        if kind == b"IEND":
            return tiff.Details(
                orientation,
                cuts=tuple(cuts),
                is_gray=data[25] == _PNG_GRAY_ALPHA,
                may_have_alpha=has_alpha,
            )
        position = end + 4


# --- JPEG: marker segments, entropy-coded data between them, up to EOI


def _jpeg_segments(data: bytes) -> Iterator[tuple[int, bytes]]:
    position, has_scan = 2, False
    while match := _JPEG_MARKER.search(data, position):
        marker, position = data[match.end() - 1], match.end()
        if marker == 0xD9 and has_scan:
            return
        if marker in (0x01, 0xD8, 0xD9):  # markers without a length
            continue
        (length,) = struct.unpack_from(">H", data, position)
        has_scan = has_scan or marker == 0xDA
        yield marker, data[position + 2 : position + length]
        position += length
    raise tiff.IncompleteError


def _jpeg_size(data: bytes) -> tuple[int, int]:
    for marker, segment in _jpeg_segments(data):
        if marker in _JPEG_FRAMES:
            bits, height, width = struct.unpack_from(">BHH", segment)
            if bits != 8:
                raise tiff.RefusedError(f"{bits} bits per sample. Save it with 8.")
            return width, height
        if marker == 0xDA:
            break
    raise tiff.RefusedError("a scan before any frame header. Export it again.")


def _jpeg_details(data: bytes) -> tiff.Details:
    orientation = None
    for marker, segment in _jpeg_segments(data):
        if marker == 0xE1 and segment[:6] == b"Exif\0\0" and orientation is None:
            orientation = tiff.exif_orientation(segment)
    return tiff.Details(orientation or 1, is_lossy=True)


# --- BMP: two headers, then rows padded to 4 bytes


def _bmp_fields(data: bytes) -> tuple[int, int, int, int]:
    (header_size,) = struct.unpack_from("<I", data, 14)
    if header_size == 12:
        width, height, _, bits = struct.unpack_from("<HHHH", data, 18)
        return width, height, bits, 0
    width, height, _, bits, compression = struct.unpack_from("<iiHHI", data, 18)
    return width, abs(height), bits, compression  # a negative height means: top row first


def _bmp_size(data: bytes) -> tuple[int, int]:
    return _bmp_fields(data)[:2]


def _bmp_details(data: bytes) -> tiff.Details:
    width, height, bits, compression = _bmp_fields(data)
    file_size, pixels_at = struct.unpack_from("<I4xI", data, 2)
    if compression in (0, 3):
        file_size = max(file_size, pixels_at + (width * bits + 31) // 32 * 4 * height)
    if len(data) < file_size:
        raise tiff.IncompleteError
    return tiff.Details(may_have_alpha=bits == 32)


# --- WebP: RIFF chunks padded to even lengths


def _webp_chunks(data: bytes) -> Iterator[tuple[bytes, int, int]]:
    end = 8 + struct.unpack_from("<I", data, 4)[0]
    position = 12
    while position < end:
        kind, length = struct.unpack_from("<4sI", data, position)
        yield kind, position + 8, length
        position += 8 + length + length % 2


def _webp_size(data: bytes) -> tuple[int, int]:
    for kind, start, _ in _webp_chunks(data):
        if kind == b"VP8X":
            flags, *sides = struct.unpack_from("<B3xHBHB", data, start)
            if flags & 2:
                raise tiff.RefusedError("an animation. Save the frame to be inspected.")
            return 1 + sides[0] + (sides[1] << 16), 1 + sides[2] + (sides[3] << 16)
        if kind == b"VP8 ":
            width, height = struct.unpack_from("<HH", data, start + 6)
            return width & 0x3FFF, height & 0x3FFF
        if kind == b"VP8L":
            (bits,) = struct.unpack_from("<I", data, start + 1)
            return 1 + (bits & 0x3FFF), 1 + (bits >> 14 & 0x3FFF)
    raise tiff.RefusedError("no picture in it. Export it again.")


def _webp_details(data: bytes) -> tiff.Details:
    orientation, is_lossy = 1, False
    if len(data) < 8 + struct.unpack_from("<I", data, 4)[0]:
        raise tiff.IncompleteError
    for kind, start, length in _webp_chunks(data):
        if start + length > len(data):
            raise tiff.IncompleteError
        if kind == b"EXIF":
            orientation = tiff.exif_orientation(data[start : start + length])
        is_lossy = is_lossy or kind == b"VP8 "
    return tiff.Details(orientation, is_lossy=is_lossy, may_have_alpha=True)


_Reader = tuple[Callable[[bytes], tuple[int, int]], Callable[[bytes], tiff.Details]]
_READERS: dict[str, _Reader] = {
    "PNG": (_png_size, _png_details),
    "JPEG": (_jpeg_size, _jpeg_details),
    "BMP": (_bmp_size, _bmp_details),
    "WebP": (_webp_size, _webp_details),
    "TIFF": (tiff.read_size, tiff.read_details),
}
