"""What a command line names: image files and folders of them, their templates, new folders."""

import collections
import dataclasses
import os
from collections.abc import Iterable
from pathlib import Path

from inspection_tf import errors, files, images
from inspection_tf.datasets import image_files

_LONGEST_STEM = 200  # bytes; what is written beside it, also while it is written, has room in 255


@dataclasses.dataclass(frozen=True, slots=True)
class Item:
    """One thing to inspect.

    Attributes:
        path: of the image.
        stem: what its outputs are called; no other's are.
        problem: why it cannot be inspected; None: nothing is known against it.
    """

    path: Path
    stem: str
    problem: errors.DataError | None = None


@dataclasses.dataclass(frozen=True, slots=True)
class Listed:
    """The images that the words of a command line name.

    Attributes:
        items: in their order, those of a folder by name.
        left_out: of the folders; see `folders.Listing`.
    """

    items: tuple[Item, ...]
    left_out: collections.Counter[str]

    def left_out_in_words(self) -> str:
        """Return a line about what was left out, where something was."""
        return (
            f"left out of folders: {image_files.told(self.left_out)}; of a folder "
            f"{', '.join(sorted(images.IMAGE_SUFFIXES))} are taken"
        )


def listed(words: Iterable[Path]) -> Listed:
    """Replace each folder by the images in it; one that cannot be used is an item with a problem.

    Args:
        words: files and folders, in any order.
    """
    stems, items = _Stems(), list[Item]()
    left_out: collections.Counter[str] = collections.Counter()
    for path in words:
        if not os.path.isdir(path):  # noqa: PTH112  never raises: the error comes when it is read
            items.append(Item(path, stems.take(path)))
            continue
        try:
            inside = image_files.look(path)
            left_out.update(inside.left_out)
            _require_images(path, inside)
        except errors.DataError as problem:
            items.append(Item(path, "", problem))
        else:
            items += [Item(image, stems.take(image)) for image in inside.paths]
    return Listed(tuple(items), left_out)


def _require_images(folder: Path, inside: image_files.Listing) -> None:
    if not inside.paths:
        others = image_files.told(inside.left_out)
        raise errors.DataError(
            f"A folder to predict must hold images. Got none in {folder}"
            f"{f' but {others}' if others else ''}. Check the path."
        )


def new_folder(path: Path) -> Path:
    """Make an output folder; one that holds something is refused, so nothing is overwritten.

    Raises:
        errors.ConfigError: it holds something.
        errors.StorageError: it cannot be looked into, or made.
    """
    try:
        is_taken = path.exists() and (not path.is_dir() or any(path.iterdir()))
    except OSError as problem:
        raise errors.StorageError(
            f"--out must be a folder that can be used. Got {str(path)!r}: {problem.strerror}. "
            "Choose another folder."
        ) from problem
    if is_taken:
        raise errors.ConfigError(
            f"--out must be a new or empty folder. Got {str(path)!r}, which holds something. "
            "Choose another folder."
        )
    return files.make_folder(path)


class _Stems:
    """Gives each image a name for its outputs; equal stems are numbered."""

    def __init__(self) -> None:
        self._taken: set[str] = set()

    def take(self, path: Path) -> str:
        stem = path.stem
        while len(os.fsencode(stem)) > _LONGEST_STEM:
            stem = stem[:-1]
        name, number = stem, 1
        while name in self._taken:
            number += 1
            name = f"{stem}_{number}"
        self._taken.add(name)
        return name


class Templates:
    """The templates of images: one file for all, or a folder with one of each name."""

    def __init__(self, path: Path | None) -> None:
        """Look into the folder, if it is one.

        Raises:
            errors.DataError: it cannot be listed.
        """
        self._path = path
        self._of_stem: dict[str, Path] | None = None
        if path is not None and os.path.isdir(path):  # noqa: PTH112  as in `listed`
            images_of_folder = image_files.look(path).paths
            # In reverse, so that of equal stems the first by name stays.
            self._of_stem = {files.composed(file.stem): file for file in images_of_folder[::-1]}

    def of(self, path: Path) -> Path | None:
        """Return the template of an image; None where there are none.

        Raises:
            errors.ImageError: the folder holds none of its name.
        """
        if self._of_stem is None:
            return self._path
        stem = files.composed(path.stem)
        if stem not in self._of_stem:
            raise errors.ImageError(
                f"{path}: each image must have a template. Got none named {path.stem} in "
                f"{self._path}. Add it, or give one file for all."
            )
        return self._of_stem[stem]
