"""What of a folder is an image: told by its suffix, never hidden, and no pipe or device."""

import collections
import dataclasses
import os
from collections.abc import Mapping
from pathlib import Path

from inspection_tf import errors, images

OTHER_SUFFIXES = frozenset(
    {
        ".apng", ".arw", ".avif", ".cr2", ".cr3", ".dcm", ".dib", ".dng", ".exr", ".gif", ".hdr",
        ".heic", ".heif", ".ico", ".j2k", ".jfif", ".jif", ".jp2", ".jpe", ".jxl", ".mpo", ".nef",
        ".pbm", ".pcx", ".pgm", ".pnm", ".ppm", ".psd", ".raw", ".svg", ".tga",
    }
)  # fmt: skip
"""Of images that no folder is searched for: who has such files must hear that they are left out."""
FOLDERS, SPECIAL = "subfolder", "special file"


@dataclasses.dataclass(frozen=True, slots=True)
class Listing:
    """The images of a folder.

    Attributes:
        paths: by name. A link that leads nowhere is among them: reading it tells.
        left_out: suffix, `FOLDERS` or `SPECIAL` (a pipe, device or socket with the name of an
            image) to the number of those that are not among them; hidden files
            (`.DS_Store`, `._part.png`) and files of other kinds count nowhere.
    """

    paths: tuple[Path, ...]
    left_out: Mapping[str, int]


def is_hidden(path: Path) -> bool:
    """Return whether a file or folder is hidden: no image, whatever its suffix."""
    return path.name.startswith(".")


def is_image(path: Path) -> bool:
    """Return whether the name of a file is that of an image."""
    return path.suffix.lower() in images.IMAGE_SUFFIXES and not is_hidden(path)


def look(folder: Path) -> Listing:
    """Return the images of a folder, not of the folders in it.

    Raises:
        errors.DataError: it cannot be listed.
    """
    paths: list[Path] = []
    left_out: collections.Counter[str] = collections.Counter()
    try:
        with os.scandir(folder) as entries:
            for entry in entries:
                path, reason = folder / entry.name, _why_not(entry)
                if reason:
                    left_out[reason] += 1
                elif is_image(path):
                    paths.append(path)
    except OSError as problem:
        raise errors.DataError(
            f"{folder} must be a folder that can be listed. Got: {problem.strerror}. "
            "Check its permissions."
        ) from problem
    return Listing(tuple(sorted(paths)), left_out)


def _why_not(entry: os.DirEntry[str]) -> str:
    """Return what is counted in `Listing.left_out`; "" for an image and for what is none."""
    path = Path(entry.name)
    if is_hidden(path):
        return ""
    try:
        if entry.is_dir():
            return FOLDERS
        if is_image(path) and not entry.is_file() and entry.stat():
            return SPECIAL
    except OSError:  # a link that leads nowhere or in a circle, or to what is closed
        return ""
    suffix = path.suffix.lower()
    return suffix if suffix in OTHER_SUFFIXES else ""


def told(left_out: Mapping[str, int]) -> str:
    """Say what was left out: "2 .gif, 1 .jfif, 3 subfolders"; "" where nothing was."""
    kinds = sorted(left_out, key=lambda kind: (kind in (FOLDERS, SPECIAL), kind))
    return ", ".join(_counted(left_out[kind], kind) for kind in kinds)


def _counted(number: int, kind: str) -> str:
    return f"{number} {kind}{'s' if number > 1 and kind in (FOLDERS, SPECIAL) else ''}"
