"""Masks: which pixels of an image a file marks.

`read_mask` takes a mask of two meanings, marked or not, by these rules, in this order:

- Alpha says what is drawn where it varies: what is transparent is not marked, whatever its colour.
  Where all that is drawn has one colour, as of strokes on an empty layer, what is drawn is marked.
- A colour counts by its brightest channel, if there is one colour besides the background.
- 0 and 1: the ones are marked. Else what is at 128 or more (16 bit: 32768). Values between are
  edges that a brush or a resampling has left.

What means something else is refused with the levels that were found: no level at 128 or more, a
level under it that fills areas of its own, several colours, and 0 and 1 in a lossy file.
"""

import struct
import zlib
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import cv2
import numpy as np
from numpy.typing import NDArray

from inspection_tf import errors
from inspection_tf.images import codec, headers, pillow, sources
from inspection_tf.images.preprocessing import MAX_PIXELS, Image, as_image, require_size

if TYPE_CHECKING:
    from PIL.Image import Image as PillowImage

_KERNEL = np.ones((3, 3), np.uint8)
_WIDE_KERNEL = np.ones((5, 5), np.uint8)
_FEW = 32  # more levels than that are edges, noise or a blur, not meanings
_VERY_FEW = 4
_LEAST_PX = 8  # fewer pixels of a level are a slip, not a meaning
_LEAST_AREA_PX = 24
_ALIKE = 32  # levels, 0..255: colours no further apart are one
_LIKE_BLACK = 8
_OTHER_HUE = 0.3
_NAMED = 8  # levels in a message
WAY_OUT = (
    "Say what they mean with data.mask_values or data.mask_ignore, or mark defects as 255 and the "
    "rest as 0."
)


@dataclass(frozen=True, slots=True)
class StoredMask:
    """The pixels of a mask file, before a meaning is given to their values.

    Attributes:
        name: what messages call it.
        values: (H, W) gray or (H, W, 3) RGB, uint8 or uint16; transparent pixels are 0.
        drawn: (H, W), True where a mask with alpha is opaque; None where alpha says nothing.
        index: (H, W), uint8: the entries of a palette of colours; None where there is none.
        is_lossy: its compression changes values.
    """

    name: str
    values: Image
    drawn: NDArray[np.bool_] | None = None
    index: NDArray[np.uint8] | None = None
    is_lossy: bool = False

    @property
    def gray(self) -> Image | None:
        """The gray values, (H, W); None where there are colours."""
        if self.values.ndim == 2:
            return self.values
        has_colours = bool((self.values != self.values[..., :1]).any())
        return None if has_colours else self.values[..., 0]

    @property
    def levels(self) -> Image | None:
        """The class ids of a mask, (H, W): the entries of its palette, or else its gray values."""
        return self.gray if self.index is None else self.index

    def holds(self, value: int | tuple[int, int, int]) -> NDArray[np.bool_]:
        """Return where a value is stored, (H, W).

        Args:
            value: a gray value, an entry of the palette, or a colour as RGB, 0..255.
        """
        if not isinstance(value, tuple):
            levels = self.levels
            return np.zeros(self.values.shape[:2], bool) if levels is None else levels == value
        eight = self.values // _scale(self.values)
        if eight.ndim == 2:
            eight = eight[..., None]
        return np.asarray((eight == np.array(value)).all(axis=2), np.bool_)

    def without(self, pixels: NDArray[np.bool_]) -> "StoredMask":
        """Return it with some pixels, (H, W), as background."""
        values = self.values.copy()
        values[pixels] = 0
        index = None if self.index is None else np.where(pixels, np.uint8(0), self.index)
        return replace(self, values=values, index=index)

    def describe(self, where: NDArray[np.bool_] | None = None) -> str:
        """Return the levels or colours, the most frequent ones first, each with its pixels.

        Args:
            where: (H, W), the pixels that are looked at; None: all.
        """
        chosen = np.s_[...] if where is None else where
        if self.levels is not None:
            distinct, first, count = np.unique(
                self.levels[chosen].ravel(), return_index=True, return_counts=True
            )
            names = [str(level) for level in distinct.tolist()]
            if self.index is not None:
                colours = self.values[chosen].reshape(-1, 3)[first].tolist()
                names = [f"{name} {_hex(rgb)}" for name, rgb in zip(names, colours, strict=True)]
        else:
            distinct, count = np.unique(
                _codes(self.values[chosen].reshape(-1, 3)), return_counts=True
            )
            names = [f"#{code:06x}" for code in distinct.tolist()]
        by_frequency = np.argsort(-count, kind="stable")
        named = [f"{names[place]} ({count[place]} px)" for place in by_frequency[:_NAMED]]
        more = len(names) - _NAMED
        return ", ".join(named) + (f" and {more} more" if more > 0 else "")


def read_mask(source: sources.Source, *, size: tuple[int, int] | None = None) -> NDArray[np.bool_]:
    """Read which pixels a mask marks, by the rules at the top of this module.

    Masks are never turned by EXIF: they must lie as the image that is read.

    Args:
        source: as in `read`; a bool array (H, W) is taken as it is.
        size: (height, width) px the mask must have.

    Returns:
        (H, W) bool.

    Raises:
        errors.ImageError: as `read`; another size; or values that mean something else.
    """
    if isinstance(source, np.ndarray) and source.dtype == np.bool_ and source.ndim == 2:
        name, mask = "The mask", source
    else:
        stored = read_stored(source)
        name, mask = stored.name, marked(stored)
    if size is not None:
        require_size(name, mask, size)
    return mask


def read_stored(source: sources.Source) -> StoredMask:
    """Read the values of a mask as they are stored; see `read_mask`.

    Raises:
        errors.ImageError: as `read`; or alpha that is neither opaque nor transparent.
    """
    name = sources.name_of(source, "The mask")
    if pillow.is_image(source):
        return _of_pillow(source)
    if isinstance(source, np.ndarray):
        alpha = source[..., -1] if source.ndim == 3 and source.shape[2] in (2, 4) else None
        return _with_alpha(StoredMask(name, as_image(source)), alpha)
    _, data = sources.load(source)
    parsed = headers.parse(data, name=name, max_pixels=MAX_PIXELS)
    image = as_image(codec.decode(data, parsed, name))
    index = _palette_index(data, name) if parsed.header.format == "PNG" else None
    stored = StoredMask(name, image, index=index, is_lossy=parsed.header.is_lossy)
    if not parsed.details.may_have_alpha:
        return stored
    whole = codec.decode(data, parsed, name, alpha=True)
    return _with_alpha(stored, whole[..., 3] if whole.ndim == 3 and whole.shape[2] == 4 else None)


def _of_pillow(image: "PillowImage") -> StoredMask:
    """Return an image of Pillow as the file it would be saved in, with its palette and its alpha.

    Raises:
        errors.ImageError: as `pillow.read`.
    """
    pixels, _ = pillow.read(image, max_pixels=MAX_PIXELS)
    png = pillow.as_png(image)
    return replace(
        read_stored(pixels if png is None else png), is_lossy=image.format in pillow.LOSSY
    )


def _with_alpha(stored: StoredMask, alpha: NDArray[Any] | None) -> StoredMask:
    if alpha is None or alpha.min() == alpha.max():
        return stored
    is_opaque = _by_brightness(alpha, f"The alpha channel of {stored.name}", is_lossy=False)
    return replace(stored.without(~is_opaque), index=stored.index, drawn=is_opaque)


def marked(stored: StoredMask) -> NDArray[np.bool_]:
    """Return which pixels a mask of two meanings marks, (H, W); see the top of this module.

    Raises:
        errors.ImageError: it has other meanings.
    """
    values: NDArray[Any] = stored.values
    if stored.drawn is not None:
        opaque_values = values[stored.drawn].astype(np.int64)
        if (np.ptp(opaque_values, axis=0) <= 16 * _scale(values)).all():
            return stored.drawn
    if values.ndim == 3:
        _require_one_colour(stored)
        values = values.max(axis=2)
    return _by_brightness(values, stored.name, is_lossy=stored.is_lossy, stored=stored)


def _scale(values: NDArray[Any]) -> int:
    """Return what one of 255 levels is in the values' own unit."""
    return int(np.iinfo(values.dtype).max) // 255


def _by_brightness(
    values: NDArray[Any], name: str, *, is_lossy: bool, stored: StoredMask | None = None
) -> NDArray[np.bool_]:
    stored = stored or StoredMask(name, values)
    full, peak = int(np.iinfo(values.dtype).max), int(values.max())
    if 1 < peak <= full // 2:
        raise errors.ImageError(
            f"{name} must hold 0 and {full}, or 0 and 1. Got values up to {peak}: "
            f"{stored.describe()}. {WAY_OUT}"
        )
    if peak <= 1:
        if peak and is_lossy:
            raise errors.ImageError(
                f"{name} must hold 0 and {full} where its compression is lossy. Got values up to "
                "1, which are noise there. Save it as a PNG."
            )
        return np.asarray(values == 1)
    bright = values > full // 2
    darkest, scale = int(values.min()), _scale(values)
    ground = darkest + _ALIKE * scale if darkest >= _LIKE_BLACK * scale else 0
    areas = own_levels(
        values, between=(values > ground) & ~bright, beside=bright, is_lossy=is_lossy
    )
    if areas:
        raise errors.ImageError(
            f"{name} must hold two levels, and between them edges alone. Got areas of "
            f"{', '.join(map(str, areas))} among the levels {stored.describe()}. {WAY_OUT}"
        )
    return bright


def own_levels(
    values: NDArray[Any],
    *,
    between: NDArray[np.bool_],
    beside: NDArray[np.bool_],
    is_lossy: bool,
) -> list[int]:
    """Return the levels that fill areas of their own: they mean something, they are no edges.

    Of a few levels it is one that covers a whole neighbourhood of 3 x 3 px, or whose pixels do not
    lie between darker and brighter ones for the most part. Of many levels, as of smooth edges and
    lossy files, it is one at which a large even area lies, and none at the levels next to it.

    Args:
        values: (H, W), uint8 or uint16.
        between: (H, W), the pixels in question.
        beside: (H, W), the brighter pixels whose edges they could be.
        is_lossy: values are not exactly what was saved.
    """
    if not between.any():
        return []
    scale, highest = _scale(values), cv2.dilate(values, _KERNEL)
    lowest, levels = cv2.erode(values, _KERNEL), np.unique(values[between])
    if not is_lossy and len(levels) <= _FEW:
        area_levels = set(values[between & (highest == lowest)].tolist())
        if len(levels) <= _VERY_FEW:
            is_edge = (highest > values) & (lowest < values)
            for level in levels.tolist():
                of_level = between & (values == level)
                count = np.count_nonzero(of_level)
                if count >= _LEAST_PX and 2 * np.count_nonzero(of_level & is_edge) < count:
                    area_levels.add(level)
        return sorted(area_levels)
    even = values[between & (highest - lowest <= 6 * scale)] // scale
    frequency: NDArray[np.int64] = np.bincount(even, minlength=256)[:256]
    here, around = (np.convolve(frequency, np.ones(width), "same") for width in (5, 33))
    least = max(_LEAST_AREA_PX, 0.02 * np.count_nonzero(beside))
    is_peak = (here >= least) & (here >= 0.7 * around) & (frequency == _highest_near(frequency))
    is_peak[: 32 + 1] = False  # the end of a blur, and the noise of a lossy background
    return [int(level) * scale for level in np.flatnonzero(is_peak)]


def _highest_near(count: NDArray[np.int64]) -> NDArray[np.int64]:
    """Return the highest of 33 counts around each."""
    padded = np.pad(count, 16)
    return np.asarray(np.lib.stride_tricks.sliding_window_view(padded, 33).max(axis=1), np.int64)


def _hex(rgb: list[int]) -> str:
    return "#" + "".join(f"{channel:02x}" for channel in rgb)


def _codes(rgb: NDArray[Any]) -> NDArray[np.int64]:
    """Return one number for each colour, (..., 3) to (...); 16 bit is brought to 8."""
    eight = rgb.astype(np.int64) // _scale(rgb)
    return np.asarray(eight @ np.array([65536, 256, 1]), np.int64)


def _require_one_colour(stored: StoredMask) -> None:
    """Refuse a mask of several colours besides the background.

    Raises:
        errors.ImageError: it is one.
    """
    eight = np.asarray(stored.values // _scale(stored.values), np.uint8)
    brightest = eight.max(axis=2)
    spread = brightest - eight.min(axis=2)
    if not (spread[brightest > 127] > 24).any():
        return  # gray, or nearly
    several = _several_exactly(eight) if not stored.is_lossy else None
    if several is None:
        several = _several_hues(eight, brightest)
    if several:
        raise errors.ImageError(
            f"{stored.name} must mark defects by one colour on a background. Got several: "
            f"{stored.describe()}. {WAY_OUT}"
        )


def _several_exactly(eight: NDArray[np.uint8]) -> bool | None:
    """Return whether there are several colours besides the background; None if too many to tell."""
    codes, place, count = np.unique(_codes(eight).ravel(), return_inverse=True, return_counts=True)
    if len(codes) > _FEW:
        return None
    rgb = np.stack([codes >> 16, codes >> 8 & 255, codes & 255], axis=1)
    peak = rgb.max(axis=1)
    ground = peak < _LIKE_BLACK
    if not ground.any() and (dark := np.flatnonzero(peak <= 127)).size:
        ground[dark[count[dark].argmax()]] = True
    others = np.flatnonzero(~ground)
    brightest = others[peak[others] == peak[others].max()]
    main = brightest[count[brightest].argmax()]
    levels = place.reshape(eight.shape[:2]).astype(np.uint8)
    flat = np.unique(levels[cv2.dilate(levels, _KERNEL) == cv2.erode(levels, _KERNEL)])
    is_other = np.abs(rgb - rgb[main]).max(axis=1) > _ALIKE
    has_area = np.isin(np.arange(len(codes)), flat)
    # Edges are mixtures of that colour and the background: they lie on the line between the two.
    base = rgb[ground][count[ground].argmax()] if ground.any() else np.zeros(3, np.int64)
    along = rgb[main] - base
    share = np.clip((rgb - base) @ along / max(1, along @ along), 0, 1)
    is_mixed = np.abs(base + share[:, None] * along - rgb).max(axis=1) <= _ALIKE
    is_own = is_other & (has_area | (~is_mixed & (count >= _LEAST_PX)))
    return bool(is_own[others].any())


def _several_hues(eight: NDArray[np.uint8], brightest: NDArray[np.uint8]) -> bool:
    """Return whether what is marked has several hues, away from its edges."""
    bright = brightest > 127
    inner = cv2.erode(bright.view(np.uint8), _WIDE_KERNEL) > 0
    if not inner.any():
        return False
    hue = eight / np.maximum(brightest, 1)[..., None]
    off = inner & (np.abs(hue - np.median(hue[inner], axis=0)).max(axis=2) > _OTHER_HUE)
    return bool(np.count_nonzero(cv2.erode(off.view(np.uint8), _KERNEL)) > _LEAST_PX)


def _palette_index(data: bytes, name: str) -> NDArray[np.uint8] | None:
    """Return the entries that the pixels of a PNG name; None without a palette of colours.

    No decoder returns them. So the decoder gets the file as one of gray values, which are stored
    alike.
    """
    bits, kind = data[24], data[25]
    if kind != 3:
        return None
    chunks, position = [data[:8]], 8
    while chunks[-1][4:8] != b"IEND":
        (length,) = struct.unpack_from(">I", data, position)
        chunk = data[position : position + 12 + length]
        if chunk[4:8] == b"PLTE":
            palette = np.frombuffer(chunk[8:-4], np.uint8).reshape(-1, 3)
            if (palette == palette[:, :1]).all():
                return None
        elif chunk[4:8] == b"IHDR":
            gray = chunk[4:17] + b"\0" + chunk[18:-4]
            chunks.append(chunk[:4] + gray + struct.pack(">I", zlib.crc32(gray)))
        elif chunk[4:8] in (b"IDAT", b"IEND"):
            chunks.append(chunk)
        position += 12 + length
    gray_png = b"".join(chunks)
    parsed = headers.parse(gray_png, name=name, max_pixels=MAX_PIXELS)
    spread = 255 // (2**bits - 1)  # 1, 2 and 4 bits are spread over 0..255
    return np.asarray(codec.decode(gray_png, parsed, name) // spread, np.uint8)
