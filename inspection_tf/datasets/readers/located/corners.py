"""Readers of photos whose label is a field's four corners, listed in a CSV file.

`file,tl_x,tl_y,tr_x,tr_y,br_x,br_y,bl_x,bl_y` is the form that this package writes: px of the image
with its orientation applied, pixel (0, 0) has its centre at (0.0, 0.0). The corners are top left,
top right, bottom right and bottom left *of the text*, however it lies. Files are relative to the
CSV. A row without numbers is a photo without the field. A column `group` names what must stay
together in a split.

Also read: the same with columns `p1_x,p1_y, ... p4_x,p4_y`, whose order the caller states, and the
table of SmartDoc.
"""

import dataclasses
import hashlib
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Literal, get_args

import numpy as np
from numpy.typing import ArrayLike, NDArray

from inspection_tf import errors, files, images
from inspection_tf.datasets import file_hashes, tables
from inspection_tf.datasets.readers import layouts, listing
from inspection_tf.datasets.records import Record, Records
from inspection_tf.datasets.sections.base import StoredSpec
from inspection_tf.images import geometry

Corner = Literal["tl", "tr", "br", "bl"]
Order = tuple[Corner, Corner, Corner, Corner]
ORDER: Order = ("tl", "tr", "br", "bl")
NAMES: dict[Corner, str] = {
    "tl": "top left",
    "tr": "top right",
    "br": "bottom right",
    "bl": "bottom left",
}
CSV_NAME = "corners.csv"
CLASSES = ("no field",)
HEADER = ("file", *(f"{corner}_{axis}" for corner in ORDER for axis in "xy"))
_FILE_COLUMNS = ("file", "filepath", "image_path")
_HALF_PX = 0.5  # a border of an image lies half a pixel outside the centres of its last pixels


@dataclasses.dataclass(frozen=True, slots=True)
class CornerSource:
    """A photo and where its field lies.

    Attributes:
        image_path: the file.
        corners_xy: eight numbers x0, y0, x1, ... in the order of `ORDER`, px of the image with its
            orientation applied; None: it shows no field.
    """

    image_path: Path
    corners_xy: tuple[float, ...] | None

    def read_image(self, *, orientation: images.Orientation = "apply") -> images.Image:
        """Return the decoded image.

        Raises:
            errors.ImageError: the file cannot be read.
        """
        return images.read(self.image_path, orientation=orientation)

    def read_corners(
        self, *, orientation: images.Orientation = "apply"
    ) -> NDArray[np.float64] | None:
        """Return (4, 2) px of the image as it is read, or None.

        Raises:
            errors.ImageError: the file cannot be read.
        """
        if self.corners_xy is None:
            return None
        corners = np.array(self.corners_xy, np.float64).reshape(4, 2)
        if orientation == "apply":
            return corners
        return images.stored_points(corners, images.read_header(self.image_path))

    def read_mask(self, *, orientation: images.Orientation = "apply") -> NDArray[np.bool_]:
        """Return (H, W), nowhere True: a missing field has no pixels."""
        return np.zeros(images.read_size(self.image_path, orientation=orientation), np.bool_)

    def identity(self) -> bytes:
        """Return the SHA-256 of the image's bytes and its corners.

        Raises:
            errors.ImageError: the file is absent.
        """
        label = repr(self.corners_xy).encode()
        return hashlib.sha256(file_hashes.sha256(self.image_path) + label).digest()


def _columns(path: Path, header: Sequence[str], order: Order) -> tuple[str, ...]:
    """Return the eight columns of x and y in the order of `ORDER`."""
    prefix: Mapping[str, str] = {corner: corner for corner in ORDER}
    if "p1_x" in header:
        prefix = {corner: f"p{order.index(corner) + 1}" for corner in ORDER}
    wanted = tuple(f"{prefix[corner]}_{axis}" for corner in ORDER for axis in "xy")
    missing = [name for name in wanted if name not in header]
    if missing:
        raise errors.DataError(
            f"{path} must have the columns {','.join(HEADER)}, or p1_x,p1_y to p4_x,p4_y. "
            f"Got none called {missing[0]}. Correct its header."
        )
    return wanted


def _numbers(where: str, row: Mapping[str, str], columns: Sequence[str]) -> list[float] | None:
    """Return the eight coordinates of a row; None where all are empty."""
    texts = [row[name] for name in columns]
    if not any(texts):
        return None
    values = []
    for name, text in zip(columns, texts, strict=True):
        try:
            values.append(float(text.replace("_", "no digit")))
        except ValueError:
            raise errors.DataError(
                f"{where}: {name} must be a number, px. Got {tables.shown(text)}. Correct it, or "
                "leave all eight empty for an image without the field."
            ) from None
    return values


def check(corners_xy: ArrayLike, *, size: tuple[int, int], where: str) -> NDArray[np.float64]:
    """Return corners that can be a label.

    Args:
        corners_xy: (4, 2) px in the order of `ORDER`.
        size: (height, width) of the image, px.
        where: file and line, or file, for the message.

    Raises:
        errors.DataError: one is not finite or lies outside the image, or the four do not go
            clockwise around a convex quadrilateral.
    """
    corners = np.asarray(corners_xy, np.float64).reshape(4, 2)
    height, width = size
    for name, (x, y) in zip(ORDER, corners, strict=True):
        if not (-_HALF_PX <= x <= width - _HALF_PX and -_HALF_PX <= y <= height - _HALF_PX):
            raise errors.DataError(
                f"{where}: the {NAMES[name]} corner must lie inside the image of {width} x "
                f"{height} px. Got ({x:g}, {y:g}). Correct it, or leave all eight empty."
            )
    if not geometry.is_convex(corners) or geometry.turns(corners)[0] < 0:
        given = ", ".join(f"({x:g}, {y:g})" for x, y in corners)
        raise errors.DataError(
            f"{where}: the corners must go clockwise around a convex quadrilateral, from the top "
            f"left of the text on. Got a crossed, hollow or mirrored one: {given}. Correct them, "
            "or state the order in which the file has them."
        )
    return corners


def _read(
    path: Path,
    *,
    order: Order,
    find: Callable[[str], Path | None],
    group: Callable[[Mapping[str, str]], str],
) -> Iterator[Record]:
    table = tables.read(path, needs=",".join(HEADER))
    columns = _columns(path, table.header, order)
    file_column = next((name for name in _FILE_COLUMNS if name in table.header), None)
    if file_column is None:
        raise errors.DataError(
            f"{path} must have a column 'file', the images. Got {', '.join(table.header)}. Add it."
        )
    listed = []
    for row in table.rows:
        image = find(row.cells[file_column])
        if image is None:
            raise errors.DataError(
                f"{row.where}: each listed image must exist. "
                f"Got {tables.shown(row.cells[file_column])}, which is absent. "
                "Add the file or remove the row."
            )
        name = tables.within(row, file_column, image, path.parent)
        listed.append((row, name.as_posix()))
        values = _numbers(row.where, row.cells, columns)
        if values is not None:
            size = images.read_size(image, orientation="apply")
            values = check(values, size=size, where=f"{row.where}, {image.name}").ravel().tolist()
        source = CornerSource(image, None if values is None else tuple(values))
        name = name.with_suffix("")
        yield Record(name.as_posix(), values is None, source, group=group(row.cells))
    tables.require_listed_once(listed)


def read_corners(root: str | Path, *, order: Order = ORDER) -> Records:
    """Read the photos of a table of corners; one without a field counts as defective.

    Args:
        root: the CSV, or the folder that holds it as `corners.csv`.
        order: what p1, p2, p3 and p4 are, where the columns are called so.

    Raises:
        errors.DataError: a column, a file or a number is missing, or corners cannot be right; with
            file and line.
        errors.ConfigError: the order does not name each corner once.
    """
    if sorted(order) != sorted(get_args(Corner)):
        raise errors.ConfigError(
            f"order must name tl, tr, br and bl, each once. Got {', '.join(order)}. Correct it."
        )
    path = Path(root)
    if path.suffix.lower() != ".csv":
        path = listing.require_folder(path) / CSV_NAME

    def find(listed: str) -> Path | None:
        return tables.find_file(path.parent, listed)

    try:
        found = _read(path, order=order, find=find, group=lambda row: row.get("group", ""))
        return Records.of(found, origin=str(path), classes=CLASSES)
    except errors.DataError as problem:
        if path.is_file():
            raise
        start = f"{path.parent} must hold {path.name}. Got"
        raise layouts.OtherLayout(str(problem), root=path.parent, start=start) from problem


def read_smartdoc(root: str | Path) -> Records:
    """Read frames of SmartDoc 2015: `ground_truth.csv` and `BACKGROUND_MODEL_FRAME.jpeg`.

    The frames may also lie in the folders that the table names. Frames of one page on one
    background are a group. Source: Burie et al. 2015, "ICDAR2015 competition on smartphone document
    capture and OCR".

    Args:
        root: the folder that holds them.

    Raises:
        errors.DataError: as of `read_corners`.
    """
    base = listing.require_folder(Path(root))

    def find(listed: str) -> Path | None:
        flat = "_".join(Path(listed).parts)
        return tables.find_file(base, flat) or tables.find_file(base, listed)

    def group(row: Mapping[str, str]) -> str:
        return f"{row.get('bg_name', '')}/{row.get('model_name', '')}"

    found = _read(base / "ground_truth.csv", order=ORDER, find=find, group=group)
    return Records.of(found, origin=str(base), classes=CLASSES)


def write(path: str | Path, rows: Mapping[str, ArrayLike | None]) -> None:
    """Write a table of corners.

    Args:
        path: the CSV.
        rows: file, relative to the CSV, and its (4, 2) corners, px; None: it shows no field.

    Raises:
        errors.StorageError: it cannot be written.
    """
    lines = [files.csv_line(HEADER)]
    for name, corners in rows.items():
        values = [""] * 8 if corners is None else np.asarray(corners, np.float64).ravel().tolist()
        cells = (f"{v:.4f}" if isinstance(v, float) else v for v in values)
        lines.append(files.csv_line([name, *cells]))
    files.write(path, "".join(lines))


class CornersSpec(StoredSpec):
    """Photos in a table of corners, and how they are split."""

    format: Literal["corners"] = "corners"
    """A folder with corners.csv."""
    corner_order: Order = ORDER
    """What p1, p2, p3 and p4 are in a table of corners whose columns are called so."""

    def read_from(self, root: Path) -> Records:
        """Read the records of a folder."""
        return read_corners(root, order=self.corner_order)


class SmartDocSpec(StoredSpec):
    """Frames of SmartDoc 2015, and how they are split."""

    format: Literal["smartdoc"] = "smartdoc"
    """Frames and their ground_truth.csv."""

    def read_from(self, root: Path) -> Records:
        """Read the records of a folder."""
        return read_smartdoc(root)


def _roots(tree: layouts.Tree) -> Iterable[Path]:
    return {path.parent for path in tree.files if path.name == CSV_NAME}


FORMAT = layouts.Format(CornersSpec, layouts.CORNERS, _roots)
SMARTDOC = layouts.Format(SmartDocSpec, layouts.CORNERS)
