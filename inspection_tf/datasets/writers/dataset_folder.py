"""Folders that the readers of this package read, one class a kind of label.

Each takes an image only where the correction says all that a label must say: what is marked by
nobody, or wrongly, becomes no label.
"""

import math
from collections.abc import Callable, Sequence
from pathlib import Path, PurePosixPath
from typing import Protocol

from numpy.typing import ArrayLike

from inspection_tf import errors, files, images
from inspection_tf.datasets import tables
from inspection_tf.datasets.readers import classes_folder
from inspection_tf.datasets.readers.located import corners
from inspection_tf.datasets.records import CLASSES, LabelKind
from inspection_tf.datasets.writers.labels_file import Sample
from inspection_tf.synthesis.xrays.folder import COLUMNS, DEFECTIVE, TABLE

_IMAGES = "images"
_OK = "ok"
_MARKED = 255


class DatasetFolder(Protocol):
    """A data set that is written image by image."""

    def add(self, sample: Sample) -> PurePosixPath | None:
        """Write an image; returns its path in the folder, None where its label is not known."""
        ...

    def close(self) -> None:
        """Write what is about all images."""
        ...


class MasksFolder:
    """Folders good, defect and masks, and classes.txt: see `readers.folder`."""

    def __init__(self, root: Path, classes: Sequence[str]) -> None:
        """Begin without images.

        Args:
            root: the folder.
            classes: of defects.
        """
        self._root, self._classes = root, tuple(classes)

    def add(self, sample: Sample) -> PurePosixPath | None:
        """Write an image that is OK, or NG with its regions.

        One that is OK with wear inside its limits is not: its wear is marked nowhere.
        """
        if sample.line.label == "OK" and sample.line.wear is None:
            return _write(self._root, f"good/{sample.name}.png", sample.image)
        if sample.line.label != "NG" or sample.mask is None:
            return None
        mask = sample.mask if len(self._classes) > 1 else sample.mask * _MARKED
        _write(self._root, f"masks/{sample.name}.png", images.encode_png(mask))
        return _write(self._root, f"defect/{sample.name}.png", sample.image)

    def close(self) -> None:
        """Write the names of the classes, where they are not the usual one.

        Raises:
            errors.DataError: a name cannot stand in a line.
        """
        if self._classes == CLASSES or not self._root.is_dir():
            return
        path = self._root / "classes.txt"
        files.write(path, "".join(f"{name}\n" for name in self._classes))
        if tuple(tables.read_names(path)) != self._classes:
            raise errors.DataError(
                "The name of a class must be a line of its own, without separators at its end. Got "
                f"{', '.join(map(repr, self._classes))}. Train with other names."
            )


class ClassesFolder:
    """A folder for each class, and ok: see `readers.classes_folder`."""

    def __init__(self, root: Path, classes: Sequence[str]) -> None:
        """Begin without images.

        Args:
            root: the folder.
            classes: of what can be wrong.

        Raises:
            errors.DataError: one cannot be the name of a folder.
        """
        self._root, self._classes = root, tuple(classes)
        for name in classes:
            is_taken = name in classes_folder.LEFT_OUT or name.startswith(".")
            if is_taken or PurePosixPath(name).name != name or "\\" in name:
                raise errors.DataError(
                    f"A class must have a name that its folder can have. Got {name!r}. Train with "
                    "another one."
                )

    def add(self, sample: Sample) -> PurePosixPath | None:
        """Write an image that is OK, or NG of a class that is known."""
        line = sample.line
        if line.label == "OK":
            return _write(self._root, f"{_OK}/{sample.name}.png", sample.image)
        name = line.class_name if line.class_name in self._classes else None
        if name is None and len(self._classes) == 1:
            name = self._classes[0]
        if line.label != "NG" or name is None:
            return None
        return _write(self._root, f"{name}/{sample.name}.png", sample.image)

    def close(self) -> None:
        """Write nothing: the folders say all."""


class CornersFolder:
    """Images and corners.csv: see `readers.located.corners`."""

    def __init__(self, root: Path, classes: Sequence[str]) -> None:
        """Begin without images.

        Args:
            root: the folder.
            classes: are always the same.
        """
        del classes
        self._root = root
        self._rows: dict[str, ArrayLike | None] = {}

    def add(self, sample: Sample) -> PurePosixPath | None:
        """Write an image that is OK with the corners that were found, or NG without a field."""
        line = sample.line
        is_without = line.label == "NG" and line.corners_xy is None
        if not is_without and (line.label != "OK" or not _can_be_corners(sample)):
            return None
        path = _write(self._root, f"{_IMAGES}/{sample.name}.png", sample.image)
        self._rows[str(path)] = line.corners_xy
        return path

    def close(self) -> None:
        """Write the table."""
        if self._rows:
            corners.write(self._root / corners.CSV_NAME, self._rows)


def _can_be_corners(sample: Sample) -> bool:
    """Return whether corners were found that lie in the image as a field's do."""
    if sample.line.corners_xy is None:
        return False
    try:
        corners.check(sample.line.corners_xy, size=sample.line.image_size, where=sample.name)
    except errors.DataError:
        return False
    return True


class PosesFolder:
    """Images and poses.csv: see `readers.located.poses`."""

    def __init__(self, root: Path, classes: Sequence[str]) -> None:
        """Begin without images.

        Args:
            root: the folder.
            classes: are always the same.
        """
        del classes
        self._root = root
        self._lines: list[str] = []

    def add(self, sample: Sample) -> PurePosixPath | None:
        """Write an image, OK or NG, whose pose was found."""
        line = sample.line
        known = {name.rpartition("_")[0]: value for name, value in (line.pose or {}).items()}
        numbers = [known.get(name) for name in COLUMNS[1:]]
        if line.label == "region" or any(n is None or not math.isfinite(n) for n in numbers):
            return None
        path = _write(self._root, f"{_IMAGES}/{sample.name}.png", sample.image)
        self._lines.append(files.csv_line([path, *numbers, int(line.label == "NG")]))
        return path

    def close(self) -> None:
        """Write the table."""
        if self._lines:
            header = files.csv_line((*COLUMNS, DEFECTIVE))
            files.write(self._root / TABLE, "".join([header, *self._lines]))


FOLDERS: dict[LabelKind, Callable[[Path, Sequence[str]], DatasetFolder]] = {
    "masks": MasksFolder,
    "classes": ClassesFolder,
    "corners": CornersFolder,
    "pose": PosesFolder,
}
"""What writes the data set of each kind of label."""


def _write(root: Path, name: str, data: bytes) -> PurePosixPath:
    """Write a file, whose folder is made; returns its path in the root."""
    path = root / name
    files.make_folder(path.parent)
    files.write(path, data, sync=False)  # all of the folder is synced at its end
    return PurePosixPath(name)
