"""Masks as Label Studio's brush keeps them: run lengths, packed bit by bit.

The bits are the number of values (32), the bits of a value less 1 (5), and four lengths of a length
less 1 (4 each). Then runs: 1; which of the four lengths (2); how often the value comes less 1 (so
many bits); the value. The values are those of an RGBA picture, row by row: four of each pixel.
Source: thi.ng/rle-pack, whose decoder Label Studio uses.
"""

import numpy as np
from numpy.typing import NDArray

_CHANNELS = 4
_VALUE_BITS = 8
_LENGTH_BITS = (3, 4, 8, 16)
_MARKED = 255


def encode(mask: NDArray[np.bool_]) -> list[int]:
    """Return the bytes of a mask, 0 to 255 each.

    Args:
        mask: (height, width).
    """
    flat = mask.ravel()
    starts = np.concatenate([[0], 1 + np.flatnonzero(flat[1:] != flat[:-1])])
    lengths = _CHANNELS * np.diff(np.concatenate([starts, [flat.size]]))
    bits = [
        f"{_CHANNELS * flat.size:032b}{_VALUE_BITS - 1:05b}",
        *(f"{size - 1:04b}" for size in _LENGTH_BITS),
    ]
    for length, is_marked in zip(lengths.tolist(), flat[starts].tolist(), strict=True):
        bits += _runs(length, _MARKED if is_marked else 0)
    text = "".join(bits)
    packed = np.packbits(np.frombuffer(text.encode(), np.uint8) - ord("0"))
    return [int(byte) for byte in packed]


def _runs(length: int, value: int) -> list[str]:
    """Return the bits of a run; one that is too long for one is several."""
    longest = 1 << _LENGTH_BITS[-1]
    found = []
    while length > 0:
        part = min(length, longest)
        place = next(n for n, size in enumerate(_LENGTH_BITS) if part <= 1 << size)
        found.append(f"1{place:02b}{part - 1:0{_LENGTH_BITS[place]}b}{value:0{_VALUE_BITS}b}")
        length -= part
    return found
