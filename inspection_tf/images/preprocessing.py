"""From an image to the network's input and back: the preprocessing spec and its one executor."""

import functools
from dataclasses import dataclass
from typing import Any, Literal, TypeVar

import cv2
import numpy as np
import pydantic
from numpy.typing import ArrayLike, NDArray

from inspection_tf import config, errors
from inspection_tf.images import geometry
from inspection_tf.images.focus import Box, FocusSpec, View, find_view

Image = NDArray[np.uint8] | NDArray[np.uint16]
Orientation = Literal["apply", "ignore"]
MAX_PIXELS = 100_000_000
PixelT = TypeVar("PixelT", bound=np.number)


class Preprocessing(config.Section):
    """How an image becomes the network's input: where to look, gray or RGB, 8 bit, the size."""

    size: tuple[pydantic.PositiveInt, pydantic.PositiveInt]
    """(height, width) of the network's input, px"""
    channels: Literal["gray", "rgb"] = "gray"
    """gray: 1 channel; rgb: 3, gray images repeated"""
    fit: Literal["exact", "stretch", "letterbox"] = "exact"
    """exact: other sizes are refused; stretch: each axis scaled; letterbox: one scale, on black"""
    window: tuple[float, float] | None = None
    """counts of a 16-bit image that become 0 and 255; none: 0 and 65535. Refuses 8-bit images"""
    orientation: Orientation = "apply"
    """whether EXIF orientation turns the image"""
    focus: FocusSpec = FocusSpec()
    """what is found first, and how much around it is kept; none: all of the image is seen"""

    @property
    def channel_count(self) -> int:
        """Channels of the network's input: 1 or 3."""
        return 1 if self.channels == "gray" else 3

    @property
    def input_shape(self) -> tuple[int, int, int]:
        """(height, width, channels) of the network's input."""
        return (*self.size, self.channel_count)

    @pydantic.field_validator("size")
    @classmethod
    def _size_fits_into_memory(cls, size: tuple[int, int]) -> tuple[int, int]:
        if size[0] * size[1] > MAX_PIXELS:
            raise ValueError(f"size must be of at most {MAX_PIXELS} px")
        return size

    @pydantic.model_serializer(mode="wrap")
    def _without_a_focus_where_there_is_none(
        self, write: pydantic.SerializerFunctionWrapHandler
    ) -> dict[str, object]:
        values: dict[str, object] = write(self)
        if not self.focus.is_wanted:  # as every bundle without one was written
            values.pop("focus", None)
        return values

    @pydantic.field_validator("window")
    @classmethod
    def _window_rises(cls, window: tuple[float, float] | None) -> tuple[float, float] | None:
        if window is not None and not 0 <= window[0] < window[1] <= 65535:
            raise ValueError("window must be (low, high) with 0 <= low < high <= 65535")
        return window


@dataclass(frozen=True, slots=True)
class Placement:
    """Where the source lies inside the network's input: `input_px = source_px * scale + offset`.

    Sizes are (height, width) px, points (x, y) px with pixel centres at whole numbers.

    Attributes:
        source_size: of the image.
        size: of the network's input.
        scale_xy: input px for one px of the source.
        offset_xy: where the first pixel of the source lies in the input, px.
        view: the part of the source that the input shows; None: all of it.
    """

    source_size: tuple[int, int]
    size: tuple[int, int]
    scale_xy: tuple[float, float]
    offset_xy: tuple[float, float]
    view: View | None = None

    @property
    def window_xyxy(self) -> Box | None:
        """The part of the source that the input shows, px, end exclusive; None: no focus."""
        return None if self.view is None else self.view.box_xyxy

    @property
    def _seen_xyxy(self) -> Box:
        return self.window_xyxy or (0, 0, self.source_size[1], self.source_size[0])

    @property
    def is_identity(self) -> bool:
        """Whether source and input are the same pixels."""
        x0, y0, x1, y1 = self._seen_xyxy
        return self.source_size == self.size == (y1 - y0, x1 - x0)

    @property
    def box_xyxy(self) -> tuple[int, int, int, int]:
        """The part of the input that holds the source: x0, y0, x1, y1 px, end exclusive."""
        (scale_x, scale_y), (offset_x, offset_y) = self.scale_xy, self.offset_xy
        left, top, right, bottom = self._seen_xyxy
        x0 = round(offset_x + (left - 0.5) * scale_x + 0.5)
        y0 = round(offset_y + (top - 0.5) * scale_y + 0.5)
        return x0, y0, x0 + round((right - left) * scale_x), y0 + round((bottom - top) * scale_y)

    @property
    def rim_px(self) -> int:
        """Pixels of the input beside the source: the rim of a letterbox."""
        x0, y0, x1, y1 = self.box_xyxy
        height, width = self.size
        return height * width - (x1 - x0) * (y1 - y0)

    def map_to_source(self, score_map: NDArray[np.float32]) -> NDArray[np.float32]:
        """Bring a map (h, w) float32 of the input back to (H, W).

        An axis that grows is interpolated linearly, one that shrinks is averaged. The same array
        when nothing was scaled. Outside of a window, where the network saw nothing, it is 0.
        """
        require_size("The map", score_map, self.size)
        if self.is_identity:
            return score_map
        x0, y0, x1, y1 = self.box_xyxy
        left, top, right, bottom = self._seen_xyxy
        seen: NDArray[np.float32] = _resize(score_map[y0:y1, x0:x1], (bottom - top, right - left))
        if self.view is None:
            return seen
        source_map = np.zeros(self.source_size, np.float32)
        source_map[top:bottom, left:right] = seen
        return source_map

    def mask_to_source(self, mask: NDArray[np.bool_]) -> NDArray[np.bool_]:
        """Bring a mask (h, w) bool back to (H, W): True where at least half covered."""
        return mask if self.is_identity else self.map_to_source(mask.astype(np.float32)) >= 0.5

    def mask_to_input(self, mask: NDArray[np.bool_]) -> NDArray[np.bool_]:
        """Bring a source mask (H, W) bool to (h, w): True where at least half covered.

        A mask too thin for that keeps its most covered pixels: no defect vanishes from its image
        unless it lies outside of the window.
        """
        require_size("The mask", mask, self.source_size)
        if self.is_identity:
            return mask
        x0, y0, x1, y1 = self.box_xyxy
        left, top, right, bottom = self._seen_xyxy
        seen = mask[top:bottom, left:right].astype(np.float32)
        coverage = np.zeros(self.size, np.float32)
        coverage[y0:y1, x0:x1] = _resize(seen, (y1 - y0, x1 - x0))
        peak = float(coverage.max())
        return coverage >= (min(0.5, peak) if peak > 0 else 0.5)

    def points_to_source(self, points_xy: ArrayLike) -> NDArray[np.float64]:
        """Bring input points (n, 2) px to source px."""
        matrix = geometry.scale_offset_matrix(self.scale_xy, self.offset_xy)
        return geometry.transform_points(points_xy, np.asarray(np.linalg.inv(matrix), np.float64))

    def points_to_input(self, points_xy: ArrayLike) -> NDArray[np.float64]:
        """Bring source points (n, 2) px to input px."""
        matrix = geometry.scale_offset_matrix(self.scale_xy, self.offset_xy)
        return geometry.transform_points(points_xy, matrix)


def preprocess(image: NDArray[Any], spec: Preprocessing) -> tuple[NDArray[np.uint8], Placement]:
    """Make the network's input: where to look, gray or RGB, the 16-bit window, the size.

    Args:
        image: as `read` returns it. Orientation is `read`'s part: pass it `spec.orientation`.
        spec: the preprocessing of the network's input.

    Returns:
        (h, w, 1 or 3) uint8, which may share the image's memory, and where the source lies in it.

    Raises:
        errors.ImageError: another size under `exact`, or an 8-bit image with a window.
    """
    pixels = as_image(image)
    where = locate(pixels, spec)
    return lay(in_channels(pixels, spec), where), where


def lay(pixels: NDArray[np.uint8], where: Placement) -> NDArray[np.uint8]:
    """Bring the pixels of `in_channels` to the size of the network's input.

    Args:
        pixels: (H, W) or (H, W, 3) uint8.
        where: their placement.

    Returns:
        (h, w, 1 or 3) uint8, which may share their memory.
    """
    if where.window_xyxy is not None:
        left, top, right, bottom = where.window_xyxy
        pixels = pixels[top:bottom, left:right]
    if pixels.shape[:2] != where.size:
        x0, y0, x1, y1 = where.box_xyxy
        canvas = np.zeros((*where.size, *pixels.shape[2:]), np.uint8)
        canvas[y0:y1, x0:x1] = _resize(pixels, (y1 - y0, x1 - x0))
        pixels = canvas
    return np.ascontiguousarray(pixels.reshape(*where.size, -1))


def in_channels(image: Image, spec: Preprocessing) -> NDArray[np.uint8]:
    """Return an image in the channels and the 8 bit of the network's input, in its own size.

    Args:
        image: (H, W) or (H, W, 3) RGB, uint8 or uint16.
        spec: the preprocessing.

    Returns:
        (H, W) or (H, W, 3) uint8.

    Raises:
        errors.ImageError: no image, or an 8-bit one with a window.
    """
    image = as_image(image)
    if spec.window is not None and image.dtype == np.uint8:
        raise errors.ImageError(
            f"The image must be 16 bit for the window {spec.window}. Got 8 bit. "
            "Give the 16-bit image, or remove window."
        )
    pixels = to_gray(image) if spec.channels == "gray" else image
    result = to_uint8(pixels, window=spec.window)
    if spec.channels == "rgb" and result.ndim == 2:
        return np.asarray(cv2.cvtColor(result, cv2.COLOR_GRAY2RGB), np.uint8)
    return result


def locate(image: Image, spec: Preprocessing) -> Placement:
    """Return where an image lies inside the network's input, which its pixels decide with a focus.

    Args:
        image: (H, W) or (H, W, 3) RGB, uint8 or uint16.
        spec: the preprocessing.

    Raises:
        errors.ImageError: another size under `exact`.
    """
    source_size = (image.shape[0], image.shape[1])
    if not spec.focus.is_wanted:
        return placement(source_size, spec)
    view = find_view(to_uint8(image, window=spec.window), spec.focus)
    x0, y0, x1, y1 = view.box_xyxy
    laid = placement((y1 - y0, x1 - x0), spec)
    (scale_x, scale_y), (offset_x, offset_y) = laid.scale_xy, laid.offset_xy
    offset_xy = (offset_x - x0 * scale_x, offset_y - y0 * scale_y)
    return Placement(source_size, spec.size, laid.scale_xy, offset_xy, view)


def placement(source_size: tuple[int, int], spec: Preprocessing) -> Placement:
    """Return where a source of (height, width) px lies inside the network's input, all of it.

    Raises:
        errors.ImageError: another size under `exact`.
    """
    content = size = spec.size
    if source_size != size and spec.fit == "exact":
        raise errors.ImageError(
            f"{'What is kept of the image' if spec.focus.is_wanted else 'The image'} must be "
            f"{size[0]} x {size[1]} px (height x width). Got {source_size[0]} x "
            f"{source_size[1]}. Set fit to stretch or letterbox, or resize the image."
        )
    if spec.fit == "letterbox":
        scale = min(size[0] / source_size[0], size[1] / source_size[1])
        height, width = (max(1, round(side * scale)) for side in source_size)
        content = (height, width)
    # The rounded content gives the scale, so that each axis maps border to border exactly.
    scale_xy, (offset_x, offset_y) = geometry.resize_scale_offset(source_size, content)
    left, top = (size[1] - content[1]) // 2, (size[0] - content[0]) // 2
    return Placement(source_size, size, scale_xy, (offset_x + left, offset_y + top))


def to_gray(image: Image) -> Image:
    """Return (H, W) by the rule stated in `images`; a gray image is returned as it is."""
    gray: Image = image if image.ndim == 2 else cv2.cvtColor(image, cv2.COLOR_RGB2GRAY)
    return gray


def to_uint8(image: Image, *, window: tuple[float, float] | None = None) -> NDArray[np.uint8]:
    """Map the 16-bit counts of a window to 0..255, rounded and clipped; 8 bit stays as it is.

    Args:
        image: any shape, uint8 or uint16.
        window: (low, high) counts; the full range by default.
    """
    if image.dtype == np.uint8:
        return np.asarray(image, np.uint8)
    result: NDArray[np.uint8] = _window_table(*(window or (0.0, 65535.0)))[image]
    return result


def as_image(image: NDArray[Any]) -> Image:
    """Return (H, W) or (H, W, 3) in native byte order, without alpha; uncopied if it is so.

    Raises:
        errors.ImageError: another dtype or shape, or no array.
    """
    if not isinstance(image, np.ndarray):
        raise errors.ImageError(
            f"The pixels of an image must be an array. Got a {type(image).__name__}. "
            "Read the image first: images.read."
        )
    if image.dtype.kind != "u" or image.dtype.itemsize > 2:
        raise errors.ImageError(
            f"The image must be uint8 or uint16. Got {image.dtype.name}. "
            "Scale it to counts and convert it."
        )
    channels = image.shape[2] if image.ndim == 3 else 0
    if image.size == 0 or image.ndim not in (2, 3) or channels > 4:
        raise errors.ImageError(
            "The image must be gray (H, W) or RGB (H, W, 3) and not empty. "
            f"Got shape {image.shape}. Pass one image at a time, channels last; of a file in "
            "memory its bytes."
        )
    if channels in (1, 2):
        image = image[:, :, 0]
    elif channels == 4:
        image = image[:, :, :3]
    native = image.dtype.newbyteorder("=")
    return np.asarray(image).astype(native, copy=False)  # no memmap, no masked array


def require_size(name: str, array: NDArray[Any], size: tuple[int, int]) -> None:
    """Raise errors.ImageError unless the array is (height, width)."""
    if array.shape != tuple(size):
        got = " x ".join(str(side) for side in array.shape)
        raise errors.ImageError(
            f"{name} must be {size[0]} x {size[1]} px (height x width). Got {got}. "
            "Export it in the size of its image."
        )


@functools.lru_cache(maxsize=8)
def _window_table(low: float, high: float) -> NDArray[np.uint8]:
    counts = np.clip(np.arange(65536), low, high)
    table: NDArray[np.uint8] = np.rint((counts - low) * 255 / (high - low)).astype(np.uint8)
    return table


def _resize(array: NDArray[PixelT], size: tuple[int, int]) -> NDArray[PixelT]:
    """Average the axes that shrink (no aliasing), then interpolate the axes that grow."""
    height, width = min(array.shape[0], size[0]), min(array.shape[1], size[1])
    if (height, width) != array.shape[:2]:
        array = cv2.resize(array, (width, height), interpolation=cv2.INTER_AREA)
    if (height, width) != tuple(size):
        array = cv2.resize(array, (size[1], size[0]), interpolation=cv2.INTER_LINEAR)
    return array
