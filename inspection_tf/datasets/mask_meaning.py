"""What the values of a mask file mean: a class, the background, or nothing that counts."""

import re
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from inspection_tf import errors, images
from inspection_tf.datasets.image_record import IGNORED

Value = int | tuple[int, int, int]
"""A gray value or an entry of a palette; or a colour as RGB, 0..255."""
_APART = 64  # levels, 0..255: between named ones so far apart lie edges
_NOISE, _LOSSY_NOISE = 4, 24  # levels, 0..255, around a named one
_UNKNOWN = -1


def parse(text: str) -> Value:
    """Return the value that a configuration names: `255`, `#800000` or `128,0,0`.

    Raises:
        ValueError: it is none.
    """
    words = text.strip().strip("()[]")
    if re.fullmatch(r"\d{1,5}", words) and int(words) <= 65535:
        return int(words)
    found: list[int] = []
    if re.fullmatch(r"#[0-9a-fA-F]{6}", words):
        found = [int(words[place : place + 2], 16) for place in (1, 3, 5)]
    elif re.fullmatch(r"\d{1,3}(\s*,\s*\d{1,3}){2}", words):
        found = [int(word) for word in words.split(",")]
    if not found or max(found) > 255:
        raise ValueError(
            "a value of a mask must be a gray value or an entry of a palette such as 255, or a "
            f"colour such as #800000 or 128,0,0, got {text!r}"
        )
    return found[0], found[1], found[2]


@dataclass(frozen=True, slots=True)
class Meaning:
    """What values of mask files mean, where they are not the usual ones.

    Attributes:
        values: pairs of a value and the id of its class, 0 for the background; empty: the usual.
        ignored: values whose pixels count for nothing.
    """

    values: tuple[tuple[Value, int], ...] = ()
    ignored: tuple[Value, ...] = ()

    @property
    def has_ignored(self) -> bool:
        """Whether there are values whose pixels count for nothing."""
        return bool(self.ignored)


USUAL = Meaning()


def read(path: Path, meaning: Meaning, class_count: int) -> NDArray[np.uint8]:
    """Read a mask as ids.

    Args:
        path: the file.
        meaning: of its values.
        class_count: 0 where the usual mask tells defects (1) from the rest (0); else its gray
            values, or the entries of its palette, are the ids of that many classes.

    Returns:
        (H, W): 0 for the background, ids of classes, `IGNORED` for what does not count.

    Raises:
        errors.ImageError: the mask cannot be read, or its values mean something else.
        errors.DataError: an id is over `class_count`, or a value has no meaning.
    """
    stored = images.read_stored(path)
    ignored = np.zeros(stored.values.shape[:2], np.bool_)
    for value in meaning.ignored:
        ignored |= stored.holds(value)
    if meaning.values:
        ids = _named(stored, meaning, ignored)
    else:
        if meaning.ignored and stored.is_lossy:
            raise errors.ImageError(
                f"{path} must be stored without loss where values are ignored. Got a lossy file. "
                "Save it as a PNG, or name all its values with data.mask_values."
            )
        rest = stored.without(ignored) if ignored.any() else stored
        ids = _class_ids(rest, class_count) if class_count else images.marked(rest).view(np.uint8)
    return np.where(ignored, np.uint8(IGNORED), ids) if ignored.any() else ids


def _class_ids(stored: images.StoredMask, class_count: int) -> NDArray[np.uint8]:
    levels: images.Image | None = stored.levels
    if levels is None:
        raise errors.ImageError(
            f"{stored.name} must hold class ids as gray values, or as entries of a palette. Got "
            f"colours: {stored.describe()}. Say what each means with data.mask_values."
        )
    highest = int(levels.max())
    if highest and stored.is_lossy:
        raise errors.ImageError(
            f"{stored.name} must hold class ids without loss. Got a lossy file, which changes "
            "them. Save it as a PNG."
        )
    if highest > class_count:
        raise errors.DataError(
            f"{stored.name}: class id out of range, it must be 0 to {class_count}. Got {highest} "
            f"among the levels {stored.describe()}. Correct the mask, name the class in "
            "classes.txt, or say what the values mean with data.mask_values or data.mask_ignore."
        )
    return levels.astype(np.uint8)


def _named(
    stored: images.StoredMask, meaning: Meaning, ignored: NDArray[np.bool_]
) -> NDArray[np.uint8]:
    """Return the ids that the named values have; what is 0, black or transparent is background."""
    ids = np.full(stored.values.shape[:2], _UNKNOWN, np.int16)
    ids[stored.holds(0) | stored.holds((0, 0, 0))] = 0
    for value, number in meaning.values:
        ids[stored.holds(value)] = number
    if stored.drawn is not None:
        ids[~stored.drawn] = 0
    ids[ignored] = IGNORED
    unknown = ids == _UNKNOWN
    if unknown.any():
        nearest = _nearest(stored, meaning, unknown)
        if nearest is None:
            raise errors.DataError(
                f"{stored.name} must hold only values that data.mask_values or data.mask_ignore "
                f"names. Got {stored.describe(unknown)} besides. Name them too, if only as "
                "background."
            )
        ids = np.where(unknown, nearest, ids)
    return ids.astype(np.uint8)


def _nearest(
    stored: images.StoredMask, meaning: Meaning, unknown: NDArray[np.bool_]
) -> NDArray[np.int16] | None:
    """Return the id of the nearest named gray value; None where that would be a guess.

    Edges of a mask and the noise of a lossy one lie between two levels. They are told from values
    that were forgotten where the named ones are far apart and nothing else fills an area.
    """
    gray: images.Image | None = stored.gray
    ids = {value: number for value, number in meaning.values if isinstance(value, int)}
    named = {0: 0, **ids, **{v: IGNORED for v in meaning.ignored if isinstance(v, int)}}
    level = np.array(sorted(named))
    scale = 1 if stored.values.dtype == np.uint8 else 257
    if gray is None or stored.index is not None or np.diff(level).min() < _APART * scale:
        return None
    place = np.searchsorted((level[1:] + level[:-1]) / 2, gray)
    off = np.abs(gray.astype(np.int64) - level[place])
    between = unknown & (off > scale * (_LOSSY_NOISE if stored.is_lossy else _NOISE))
    beside = ~between & (gray > level[0])
    if images.own_levels(gray, between=between, beside=beside, is_lossy=stored.is_lossy):
        return None
    return np.array([named[value] for value in level.tolist()], np.int16)[place]
