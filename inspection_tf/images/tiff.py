"""TIFF directories: the structure of TIFF files, and of the EXIF block inside other formats."""

import struct
from dataclasses import dataclass

_WIDTH, _HEIGHT, _BITS, _COMPRESSION, _PHOTOMETRIC, _ORIENTATION = 256, 257, 258, 259, 262, 274
_STARTS, _LENGTHS, _TILE_STARTS, _TILE_LENGTHS = 273, 279, 324, 325
_SAMPLES, _PLANAR, _EXTRA_SAMPLES, _SAMPLE_FORMAT = 277, 284, 338, 339
_NUMBERS = {1: "B", 3: "H", 4: "I"}
_DEFAULTS = {
    **{tag: 1 for tag in (_BITS, _COMPRESSION, _ORIENTATION, _SAMPLES, _PLANAR, _SAMPLE_FORMAT)},
    _PHOTOMETRIC: -1,
}
_LAYOUTS = (  # bits, photometric interpretations, samples, planar configurations: cv2 is right
    (1, (0, 1), (1,), (1, 2)),
    (8, (0, 1, 2, 3, 5, 6), (1, 2, 3, 4), (1, 2)),
    (16, (0, 1), (1,), (1, 2)),
    (16, (2,), (3, 4), (1,)),
)

_CONTAINED = frozenset({1, 2, 3, 4, 5, 7, 8, 32773, 32946})  # every build of cv2 decodes these
_OPTIONAL = {  # some builds do; the others say so when they are given one
    6: "old-style JPEG",
    32771: "CCITT RLE with word alignment",
    32809: "ThunderScan",
    34661: "JBIG",
    34887: "LERC",
    34925: "LZMA",
    50000: "Zstandard",
    50001: "WebP",
}
_REFUSED = {  # of what it does not know cv2 makes a picture of noise, without an error
    32766: "NeXT RLE",
    33003: "JPEG 2000",
    33004: "JPEG 2000",
    33005: "JPEG 2000",
    33007: "JPEG 2000",
    34712: "JPEG 2000",
    34892: "lossy JPEG of DNG",
    34934: "PNG",
    34933: "PNG",
    50002: "JPEG XL",
    52546: "JPEG XL",
    65000: "Kodak DCR",
}
_LOSSY = frozenset({6, 7})

_Tags = dict[int, tuple[str, int]]  # tag -> (struct format of its values, their position)


OTHER_COMPRESSION = "Save it uncompressed, or with LZW or deflate."
BIG = (b"II+\0", b"MM\0+")
"""First bytes of a BigTIFF."""


class RefusedError(Exception):
    """What was received, and the way out; the caller adds the name and the requirement."""


class IncompleteError(Exception):
    """The file ends before its structure does."""


@dataclass(frozen=True, slots=True)
class Details:
    """What a file's structure says besides the size.

    `orientation` is the EXIF value 1..8; `patches` are `(position, new bytes)` to set before cv2
    decodes; `is_inverted` says that 16-bit samples have 0 for white. `cuts` are `(start, end)` of
    what it must not see. `is_gray` says that equal channels are one. `compression` is named where
    not every decoder has it; `is_lossy` says that pixels are not what was saved, `may_have_alpha`
    that there may be a channel for it.
    """

    orientation: int = 1
    patches: tuple[tuple[int, bytes], ...] = ()
    is_inverted: bool = False
    cuts: tuple[tuple[int, int], ...] = ()
    is_gray: bool = False
    is_lossy: bool = False
    compression: str = ""
    may_have_alpha: bool = False


def _directory(data: bytes, start: int) -> tuple[_Tags, int]:
    """Return the tags of the directory at `start`, and where the pointer to the next one lies."""
    order = "<" if data[:2] == b"II" else ">"
    (count,) = struct.unpack_from(order + "H", data, start)
    tags: _Tags = {}
    for position in range(start + 2, start + 2 + 12 * count, 12):
        tag, kind, number = struct.unpack_from(order + "HHI", data, position)
        if kind in _NUMBERS:
            layout = f"{order}{number}{_NUMBERS[kind]}"
            if struct.calcsize(layout) > 4:
                tags[tag] = (layout, _pointer(data, position + 8))
            else:
                tags[tag] = (layout, position + 8)
    return tags, start + 2 + 12 * count


def _pointer(data: bytes, position: int) -> int:
    number: int = struct.unpack_from("<I" if data[:2] == b"II" else ">I", data, position)[0]
    return number


def _first(data: bytes) -> tuple[_Tags, int]:
    return _directory(data, _pointer(data, 4))


def _values(data: bytes, tags: _Tags, tag: int) -> tuple[int, ...]:
    if tag not in tags:
        return (_DEFAULTS[tag],) if tag in _DEFAULTS else ()
    layout, position = tags[tag]
    return struct.unpack_from(layout, data, position)


def read_size(data: bytes) -> tuple[int, int]:
    """Return (width, height) px of the first page."""
    if data[:4] in BIG:
        raise RefusedError(
            "a BigTIFF, whose offsets have 64 bits. Save it as a TIFF of less than 4 GB or a PNG."
        )
    tags, _ = _first(data)
    if _WIDTH not in tags or _HEIGHT not in tags:
        raise RefusedError("no width or height. Export it again.")
    return _values(data, tags, _WIDTH)[0], _values(data, tags, _HEIGHT)[0]


def read_details(data: bytes) -> Details:
    """Check that every page is whole and that cv2 decodes the first one rightly."""
    tags, next_at = _first(data)
    _require_pixels(data, tags, next_at)
    (compression,) = _values(data, tags, _COMPRESSION)[:1]
    if compression not in _CONTAINED and compression not in _OPTIONAL:
        name = _REFUSED.get(compression, "unknown")
        raise RefusedError(f"the compression {compression} ({name}). {OTHER_COMPRESSION}")
    bits = _values(data, tags, _BITS)
    photometric, orientation, samples, planar = (
        _values(data, tags, tag)[0] for tag in (_PHOTOMETRIC, _ORIENTATION, _SAMPLES, _PLANAR)
    )
    if set(_values(data, tags, _SAMPLE_FORMAT)) != {1} or not any(
        set(bits) == {known} and photometric in kinds and samples in counts and planar in planars
        for known, kinds, counts, planars in _LAYOUTS
    ):
        raise RefusedError(
            f"{samples} samples of {bits[0]} bits (photometric {photometric}, planar {planar}). "
            "Save it as 8- or 16-bit unsigned gray or RGB, interleaved."
        )
    patches = []
    if orientation != 1:
        # cv2 turns TIFFs whatever it is told, and 1-bit ones wrongly. So it never sees a turn.
        patches.append((tags[_ORIENTATION][1], struct.pack(tags[_ORIENTATION][0], 1)))
    if _EXTRA_SAMPLES in tags and _values(data, tags, _EXTRA_SAMPLES) == (2,):
        # Unassociated alpha makes libtiff darken the colours; called associated, it leaves them.
        patches.append((tags[_EXTRA_SAMPLES][1], struct.pack(tags[_EXTRA_SAMPLES][0], 1)))
    valid = orientation if 1 <= orientation <= 8 else 1
    name = f"{compression} ({_OPTIONAL[compression]})" if compression in _OPTIONAL else ""
    return Details(
        valid,
        tuple(patches),
        is_inverted=photometric == 0 and bits[0] == 16,
        is_lossy=compression in _LOSSY,
        compression=name,
        may_have_alpha=samples in (2, 4),
    )


def _require_pixels(data: bytes, page: _Tags, next_at: int) -> None:
    """Raise unless the strips or tiles of this page and of all that follow lie in the file."""
    visited = {0}
    while True:
        starts = _values(data, page, _STARTS) or _values(data, page, _TILE_STARTS)
        lengths = _values(data, page, _LENGTHS) or _values(data, page, _TILE_LENGTHS)
        ends = (start + length for start, length in zip(starts, lengths, strict=False))
        if not starts or max(ends, default=0) > len(data):
            raise IncompleteError
        following = _pointer(data, next_at)
        if following in visited:
            return
        visited.add(following)
        page, next_at = _directory(data, following)


def exif_orientation(exif: bytes) -> int:
    """Return the orientation 1..8 of an EXIF block; 1 when it cannot be read."""
    exif = exif.removeprefix(b"Exif\0\0")
    try:
        if exif[:4] not in (b"II*\0", b"MM\0*"):
            return 1
        tags, _ = _first(exif)
        orientation = _values(exif, tags, _ORIENTATION)[0]
    except (struct.error, IndexError):
        return 1
    return orientation if 1 <= orientation <= 8 else 1
