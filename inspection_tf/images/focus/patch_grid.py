"""Overlapping patches of a window, in the resolution of the image."""

import math

from inspection_tf import errors
from inspection_tf.images.focus.view import Box


def patches(window: Box, size: tuple[int, int], overlap: float) -> list[Box]:
    """Return the patches that cover a window, row by row from its upper left corner.

    They begin at equal steps of `size * (1 - overlap)` px, rounded; the last of each row and column
    is shifted inwards, so that all lie inside and each pixel in one at least.

    Args:
        window: x0, y0, x1, y1 px of an image, the end exclusive.
        size: (height, width) px of a patch.
        overlap: share of a patch that its neighbour covers too, 0 up to but not 1.

    Returns:
        Boxes in px of the image, as the window.

    Raises:
        errors.ConfigError: a patch does not fit into the window, or the overlap is out of range.
    """
    x0, y0, x1, y1 = window
    if not 0 <= overlap < 1:
        raise errors.ConfigError(
            f"overlap must be from 0 up to but not 1. Got {overlap:g}. 0.5 shows each pixel to "
            "four patches."
        )
    if not (1 <= size[0] <= y1 - y0 and 1 <= size[1] <= x1 - x0):
        raise errors.ConfigError(
            f"A patch must fit into its window of {y1 - y0} x {x1 - x0} px (height x width). Got "
            f"{size[0]} x {size[1]}. Take smaller patches or a larger window."
        )
    rows = _starts(y1 - y0, size[0], overlap)
    columns = _starts(x1 - x0, size[1], overlap)
    return [(x0 + x, y0 + y, x0 + x + size[1], y0 + y + size[0]) for y in rows for x in columns]


def _starts(length: int, side: int, overlap: float) -> list[int]:
    """Return where patches of a side begin that cover a length, px."""
    step = max(1, round(side * (1 - overlap)))
    count = 1 + math.ceil((length - side) / step)
    return [min(number * step, length - side) for number in range(count)]
