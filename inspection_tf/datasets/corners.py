"""Readers of photos whose label is a field's four corners, listed in a CSV file.

`file,tl_x,tl_y,tr_x,tr_y,br_x,br_y,bl_x,bl_y` is the form that this package writes: px of the image
with its orientation applied, pixel (0, 0) has its centre at (0.0, 0.0). The corners are top left,
top right, bottom right and bottom left *of the text*, however it lies. Files are relative to the
CSV. A row without numbers is a photo without the field. A column `group` names what must stay
together in a split.

Also read: the same with columns `p1_x,p1_y, ... p4_x,p4_y`, whose order the caller states, and the
table of SmartDoc.
"""

import csv
import dataclasses
import hashlib
import io
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, Literal, get_args

import numpy as np
from numpy.typing import ArrayLike, NDArray

from inspection_tf import errors, files, geometry, images
from inspection_tf.datasets import _listing, layouts
from inspection_tf.datasets.records import Record, Records

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
_Rows = list[tuple[int, dict[str, str]]]


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

    def read_image(self, *, orientation: images.Orientation = "apply") -> NDArray[Any]:
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
        try:
            data = self.image_path.read_bytes()
        except OSError as problem:
            raise errors.ImageError(
                f"{self.image_path}: the file must be readable. Got {problem.strerror}. "
                "Restore it or leave it out of the data set."
            ) from problem
        label = repr(self.corners_xy).encode()
        return hashlib.sha256(hashlib.sha256(data).digest() + label).digest()


def _table(path: Path) -> tuple[tuple[str, ...], _Rows]:
    """Return the header and, with their numbers in the file, the rows of a CSV."""
    lines = _listing.read_lines(path)
    if not lines:
        raise errors.DataError(
            f"{path} must begin with a header such as {','.join(HEADER)}. Got an empty file. "
            "Write one row for each image under it."
        )
    parsed = list(csv.reader(text for _, text in lines))
    header = tuple(name.strip() for name in parsed[0])
    rows = []
    for (number, _), cells in zip(lines[1:], parsed[1:], strict=True):
        if len(cells) != len(header):
            raise errors.DataError(
                f"{path}, line {number}: a row must have {len(header)} columns as the header. "
                f"Got {len(cells)}. Correct that line."
            )
        rows.append((number, dict(zip(header, (cell.strip() for cell in cells), strict=True))))
    return header, rows


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
            values.append(float(text))
        except ValueError:
            raise errors.DataError(
                f"{where}: {name} must be a number, px. Got {text!r}. Correct it, or leave all "
                "eight empty for an image without the field."
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


def _read(path: Path, *, order: Order, find: Any, group: Any) -> Iterator[Record]:
    header, rows = _table(path)
    columns = _columns(path, header, order)
    file_column = next((name for name in _FILE_COLUMNS if name in header), None)
    if file_column is None:
        raise errors.DataError(
            f"{path} must have a column 'file', the images. Got {', '.join(header)}. Add it."
        )
    for number, row in rows:
        where = f"{path}, line {number}"
        image = find(row, file_column)
        if not image.is_file():
            raise errors.DataError(
                f"{where}: each listed image must exist. Got {row[file_column]!r}, which is "
                "absent. Add the file or remove the row."
            )
        values = _numbers(where, row, columns)
        if values is not None:
            size = images.read_size(image, orientation="apply")
            values = check(values, size=size, where=f"{where}, {image.name}").ravel().tolist()
        source = CornerSource(image, None if values is None else tuple(values))
        name = image.relative_to(path.parent).with_suffix("").as_posix()
        yield Record(name, values is None, source, group=group(row))


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
        path = _listing.require_folder(path) / CSV_NAME

    def find(row: Mapping[str, str], column: str) -> Path:
        return path.parent / Path(row[column])

    known = None if path.is_file() else layouts.recognise(path.parent, reading="corners")
    if known is not None:
        raise errors.DataError(
            f"{path.parent} must hold {path.name}. Got {known.name}. {known.way_out}"
        )
    found = _read(path, order=order, find=find, group=lambda row: row.get("group", ""))
    return Records.of(found, origin=str(path), classes=CLASSES)


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
    base = _listing.require_folder(Path(root))

    def find(row: Mapping[str, str], column: str) -> Path:
        listed = Path(row[column])
        flat = base / "_".join(listed.parts)
        return flat if flat.is_file() else base / listed

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
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(HEADER)
    for name, corners in rows.items():
        values = [""] * 8 if corners is None else np.asarray(corners, np.float64).ravel().tolist()
        writer.writerow([name, *(f"{v:.4f}" if isinstance(v, float) else v for v in values)])
    files.write(path, text.getvalue())
