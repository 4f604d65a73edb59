"""What readers share: listing the images of a folder, and refusing what does not fit."""

import stat
from collections.abc import Iterable
from pathlib import Path

from inspection_tf import errors, images


def require_folder(root: Path) -> Path:
    """Return the root.

    Raises:
        errors.DataError: it is no folder.
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
    return root


def images_in(folder: Path) -> list[Path]:
    """Return the image files of a folder by name; none where it does not exist."""
    if not folder.is_dir():
        return []
    return [
        path
        for path in sorted(folder.iterdir())
        if path.suffix.lower() in images.IMAGE_SUFFIXES and not path.name.startswith(".")
    ]


def by_stem(paths: Iterable[Path], *, what: str) -> dict[str, Path]:
    """Return files by their name without suffix.

    Args:
        paths: the files.
        what: what they are to an image, such as "mask".

    Raises:
        errors.DataError: two have one stem.
    """
    table: dict[str, Path] = {}
    for path in paths:
        if path.stem in table:
            raise errors.DataError(
                f"{path}: an image must have one {what}. Got {table[path.stem].name} beside it. "
                "Remove one of them."
            )
        table[path.stem] = path
    return table


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
