"""Images larger than a network: cut into tiles that overlap, and put together again.

A pixel near the border of a tile lacks what lies beyond; so of each tile only what is further from
its border than the margin is used, except where the border is that of the image as well. With a
margin of half the receptive field, and tiles that start at multiples of the network's total stride,
the result is what the network would say of the whole image.
"""

import dataclasses
import functools
import logging
import math
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Literal

import numpy as np
from numpy.typing import NDArray

if TYPE_CHECKING:
    from inspection_tf.images.tile_plan import TilePlan

_LOG = logging.getLogger("inspection_tf")
_PADDING: Mapping[str, Literal["reflect", "edge", "constant"]] = {
    "reflect": "reflect",
    "replicate": "edge",
    "zero": "constant",
}


@dataclasses.dataclass(frozen=True, slots=True)
class _Tile:
    """A tile along one axis: where it starts, and what of it is used, with its weights."""

    start: int
    first: int  # used from here, px of the image
    last: int  # to here, exclusive
    weight: NDArray[np.float32]  # of what is used


def tiles(length: int, size: int, plan: "TilePlan") -> list[_Tile]:
    """Return the tiles of one axis of an image, in order; what they use covers it.

    Args:
        length: of the axis, px.
        size: of a tile, px.
        plan: stride, margin and blending.
    """
    beyond = max(0, length - size)
    end = math.ceil(beyond / plan.total_stride) * plan.total_stride
    starts = [*range(0, end, plan.stride), end]
    axis_tiles = []
    for place, start in enumerate(starts):
        first, rise = 0, 0
        last, fall = length, 0
        if place:
            first, rise = _seam(starts[place - 1], start, size, plan)
        if place < len(starts) - 1:
            seam, fall = _seam(start, starts[place + 1], size, plan)
            last = seam + fall
        weight = np.ones(last - first, np.float32)
        # Fading in and out over the same pixels, the two weights sum to 1.
        weight[:rise] = (np.arange(rise, dtype=np.float32) + 0.5) / max(rise, 1)
        if fall:
            weight[-fall:] = 1 - (np.arange(fall, dtype=np.float32) + 0.5) / fall
        axis_tiles.append(_Tile(start, first, last, weight))
    return axis_tiles


def _seam(before: int, after: int, size: int, plan: "TilePlan") -> tuple[int, int]:
    """Return where the fading from one tile to the next begins, and over how many px it goes."""
    overlap = before + size - after
    width = 0
    if plan.blending == "linear":  # of the last tile, which overlaps by more, no wider
        width = max(0, min(overlap, size - plan.stride) - 2 * plan.margin)
    return after + (overlap - width) // 2, width


def count(image_size: tuple[int, int], size: tuple[int, int], plan: "TilePlan") -> int:
    """Return the number of tiles of an image of (height, width) px."""
    return math.prod(len(tiles(n, m, plan)) for n, m in zip(image_size, size, strict=True))


@functools.lru_cache(maxsize=64)
def say(size: tuple[int, int], memory: int) -> None:
    """Log the memory that images of a size take, before the first of them."""
    _LOG.info("tiles: %d x %d px take at most %.0f MB", *size, memory / 1e6)


def run(
    pixels: NDArray[np.uint8],
    size: tuple[int, int],
    plan: "TilePlan",
    network: Callable[[NDArray[np.uint8]], NDArray[np.float32]],
    *,
    classes: int,
) -> NDArray[np.float32]:
    """Return what a network says of a whole image: (1, height, width, classes).

    Args:
        pixels: (height, width, channels).
        size: (height, width) of a tile.
        plan: of the bundle.
        network: (tiles, height, width, channels) to (tiles, height, width, classes).
        classes: of the output.
    """
    height, width = pixels.shape[:2]
    say(
        (height, width),
        plan.memory_bytes((height, width), channels=pixels.shape[2], classes=classes),
    )
    rows, columns = tiles(height, size[0], plan), tiles(width, size[1], plan)
    more = rows[-1].start + size[0] - height, columns[-1].start + size[1] - width
    if any(more):
        spread = ((0, more[0]), (0, more[1]), (0, 0))
        pixels = np.pad(pixels, spread, mode=_PADDING[plan.edges])
    whole = np.zeros((1, height, width, classes), np.float32)
    places = [(row, column) for row in rows for column in columns]
    for first in range(0, len(places), plan.batch):
        chosen = places[first : first + plan.batch]
        cut = np.stack(
            [
                pixels[row.start : row.start + size[0], column.start : column.start + size[1]]
                for row, column in chosen
            ]
        )
        for (row, column), output in zip(chosen, network(cut), strict=True):
            used = output[
                row.first - row.start : row.last - row.start,
                column.first - column.start : column.last - column.start,
            ]
            part = whole[0, row.first : row.last, column.first : column.last]
            if plan.blending == "crop":
                part[:] = used
            else:
                part += used * (row.weight[:, None] * column.weight)[..., None]
    return whole
