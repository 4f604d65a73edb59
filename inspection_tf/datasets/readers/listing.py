"""What readers share: listing the images of a folder, and refusing what does not fit."""

import fnmatch
import logging
import os
import stat
from collections.abc import Iterable
from pathlib import Path
from typing import NoReturn

from inspection_tf import errors, files
from inspection_tf.datasets import image_files

_LOG = logging.getLogger("inspection_tf")


def require_folder(root: Path) -> Path:
    """Return the root.

    Raises:
        errors.DataError: it is no folder, or one that cannot be read.
    """
    place = "" if root.is_absolute() else f" (here {str(root.absolute())!r})"
    try:
        what = "" if stat.S_ISDIR(root.stat().st_mode) else "which is a file"
    except (OSError, ValueError) as problem:  # a path may also be too long, or hold a NUL
        what = getattr(problem, "strerror", None) or str(problem)
    if what:
        raise errors.DataError(
            f"The data root must be a folder. Got {str(root)!r}{place}: {what}. Check data.root."
        )
    if not os.access(root, os.R_OK | os.X_OK):
        raise errors.DataError(
            f"The data root must be readable. Got {str(root)!r}, which is not. "
            "Check its permissions."
        )
    return root


def images_in(folder: Path) -> list[Path]:
    """Return the image files of a folder by name; none where it does not exist.

    The log says which images are left out for their suffix.

    Raises:
        errors.DataError: it cannot be listed.
    """
    if not _is_there(folder):
        return []
    found = image_files.look(folder)
    others = {kind: n for kind, n in found.left_out.items() if kind != image_files.FOLDERS}
    if others:
        _LOG.warning("%s: left out %s", folder, image_files.told(others))
    return list(found.paths)


def _is_there(folder: Path) -> bool:
    """Return whether there is a folder, also one that is closed."""
    try:
        return stat.S_ISDIR(folder.stat().st_mode)
    except (FileNotFoundError, NotADirectoryError):
        return False
    except OSError:
        return True


def below(base: Path, pattern: str) -> list[Path]:
    """Return what matches at any depth, by path; nothing that is hidden or in a hidden folder.

    Raises:
        errors.DataError: a folder cannot be listed.
    """
    found: list[Path] = []
    for folder, names, others in os.walk(base, onerror=_refuse):
        names[:] = [name for name in names if not name.startswith(".")]
        found += [
            Path(folder, name)
            for name in (*names, *others)
            if fnmatch.fnmatch(name, pattern) and not name.startswith(".")
        ]
    return sorted(found)


def folders_from(base: Path) -> list[Path]:
    """Return a folder and those in it at any depth, by path; none that is hidden.

    Raises:
        errors.DataError: one cannot be listed.
    """
    return [base, *(path for path in below(base, "*") if path.is_dir())]


def _refuse(problem: OSError) -> NoReturn:
    raise errors.DataError(
        f"{problem.filename} must be a folder that can be listed. Got: {problem.strerror}. "
        "Check its permissions, or move it out of the data set."
    ) from problem


def beside(path: Path) -> Path:
    """Return the file at a path, or the one whose name is the same in composed Unicode."""
    if path.is_file() or path.name.isascii() or not path.parent.is_dir():
        return path
    name = files.composed(path.name)
    return next((p for p in sorted(path.parent.iterdir()) if files.composed(p.name) == name), path)


def by_stem(paths: Iterable[Path], *, what: str) -> dict[str, Path]:
    """Return files by their name without suffix, in composed Unicode.

    Args:
        paths: the files.
        what: what they are to an image, such as "mask".

    Raises:
        errors.DataError: two have one stem.
    """
    table: dict[str, Path] = {}
    for path in paths:
        stem = files.composed(path.stem)
        if stem in table:
            raise errors.DataError(
                f"{path}: an image must have one {what}. Got {table[stem].name} beside it"
                f"{same_letters(path.stem, table[stem].stem)}. Remove one of them."
            )
        table[stem] = path
    return table


def same_letters(first: str, second: str) -> str:
    """Return what a message adds where two names are different and look the same."""
    is_told = first != second and files.composed(first) == files.composed(second)
    return ", whose name has the same letters, composed otherwise in Unicode" if is_told else ""


def refuse_orphans(masks: Iterable[Path], *, of: str) -> None:
    """Refuse masks that no image claimed.

    Raises:
        errors.DataError: there is one.
    """
    orphans = sorted(masks)
    if orphans:
        raise errors.DataError(
            f"{orphans[0]}: each mask must belong to an image in {of}. Got {len(orphans)} without "
            "one. Add the image or remove the mask."
        )
