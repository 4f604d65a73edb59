"""What readers share: listing images and tables of a folder, and refusing what does not fit."""

import unicodedata
from collections.abc import Iterable
from pathlib import Path

from inspection_tf import errors, images


def require_folder(root: Path) -> Path:
    """Return the root.

    Raises:
        errors.DataError: it is no folder.
    """
    if not root.is_dir():
        raise errors.DataError(
            f"The data root must be a folder. Got {str(root)!r}. Check data.root."
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


def composed(name: str) -> str:
    """Return a name in composed Unicode (NFC), in which names are compared.

    File systems and archives hand over one accented letter as one character or as two.
    """
    return unicodedata.normalize("NFC", name)


def beside(path: Path) -> Path:
    """Return the file at a path, or the one whose name is the same in composed Unicode."""
    if path.is_file() or path.name.isascii() or not path.parent.is_dir():
        return path
    name = composed(path.name)
    return next((p for p in sorted(path.parent.iterdir()) if composed(p.name) == name), path)


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
        stem = composed(path.stem)
        if stem in table:
            raise errors.DataError(
                f"{path}: an image must have one {what}. Got {table[stem].name} beside it"
                f"{same_letters(path.stem, table[stem].stem)}. Remove one of them."
            )
        table[stem] = path
    return table


def same_letters(first: str, second: str) -> str:
    """Return what a message adds where two names are different and look the same."""
    is_told = first != second and composed(first) == composed(second)
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


def read_lines(path: Path) -> list[tuple[int, str]]:
    """Return number and text of each line of a text file that is not blank.

    Raises:
        errors.DataError: it cannot be read, or is not UTF-8.
    """
    try:
        text = path.read_text(encoding="utf-8-sig")
    except (OSError, UnicodeDecodeError) as problem:
        what = problem.strerror if isinstance(problem, OSError) else "bytes that are not UTF-8"
        raise errors.DataError(
            f"{path} must be a readable text file. Got: {what}. Restore it."
        ) from problem
    lines = ((number, line.strip()) for number, line in enumerate(text.splitlines(), start=1))
    return [(number, line) for number, line in lines if line]
