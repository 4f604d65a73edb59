"""Magnetic tiles as their data set ships them: a folder for each class, masks beside the images.

Data: Huang et al. 2018, "Surface defect saliency of magnetic tile".
"""

import csv
import dataclasses
import logging
from collections.abc import Iterable
from pathlib import Path, PurePosixPath

from inspection_tf import errors
from inspection_tf.datasets import _listing, layouts
from inspection_tf.datasets.records import FileSource, Record, Records

# All of them whichever folders are there, so that ids agree with those of a trained network.
CLASSES = ("Blowhole", "Break", "Crack", "Fray", "Uneven")
_GOOD = "Free"
_LOG = logging.getLogger("inspection_tf")


def read_magnetic_tile(root: str | Path) -> Records:
    """Read `MT_CLASS/NAME.jpg` with the mask `NAME.png`, also with a folder `Imgs` between.

    The set shows many tiles more than once, under other exposures. `groups.csv` beside the folders
    says which shots are of one tile: a header `file,group`, then `MT_CLASS/NAME.jpg` and a name.

    Args:
        root: the folder that holds `MT_Free` and folders of defects.

    Raises:
        errors.DataError: no image is found, a folder is of no known class, a defective image has
            no mask, a mask no image, or `groups.csv` does not name every image.
    """
    base = _listing.require_folder(Path(root))
    found = [record for folder in _folders(base) for record in _in_folder(folder)]
    if not found:
        raise layouts.refuse(
            base,
            reading="magnetic_tile",
            needs="must hold folders MT_Free, MT_Blowhole and so on with images",
            got="none",
            way_out="Point data.root at the folder that holds them.",
        )
    table = base / "groups.csv"
    if table.is_file():
        found = list(_grouped(found, _read_groups(table), table))
    else:
        _LOG.warning(
            "%s has no groups.csv: shots of one tile under other exposures may leak from train to "
            "test",
            base,
        )
    return Records.of(found, origin=str(base), classes=CLASSES)


def _folders(base: Path) -> list[Path]:
    folders = sorted(path for path in base.glob("MT_*") if path.is_dir())
    for folder in folders:
        if folder.name.removeprefix("MT_") not in (_GOOD, *CLASSES):
            raise errors.DataError(
                f"{folder}: a folder must be MT_ and one of {_GOOD}, {', '.join(CLASSES)}. "
                f"Got {folder.name}. Rename or move it."
            )
    return folders


def _in_folder(folder: Path) -> Iterable[Record]:
    name = folder.name.removeprefix("MT_")
    inner = folder / "Imgs" if (folder / "Imgs").is_dir() else folder
    listed = _listing.images_in(inner)
    masks = {_listing.composed(path.stem): path for path in listed if path.suffix.lower() == ".png"}
    for path in listed:
        if path.suffix.lower() == ".png":
            continue
        mask = masks.pop(_listing.composed(path.stem), None)
        if mask is None and name != _GOOD:
            raise errors.DataError(
                f"{path}: a defective image must have a mask. Got no {path.stem}.png beside it. "
                "Add it, or remove the image."
            )
        yield Record(
            id=f"{folder.name}/{path.stem}",
            is_defect=name != _GOOD,
            source=FileSource(path, mask),
            class_id=1 if name == _GOOD else 1 + CLASSES.index(name),
        )
    _listing.refuse_orphans(masks.values(), of=str(inner))


def _read_groups(path: Path) -> dict[str, str]:
    """Return the group of each record's id."""
    (_, header), *lines = _listing.read_lines(path) or [(1, "")]
    if [word.strip() for word in header.split(",")] != ["file", "group"]:
        raise errors.DataError(
            f"{path}, line 1: the header must be file,group. Got {header!r}. Correct it."
        )
    table: dict[str, str] = {}
    for number, line in lines:
        words = [word.strip() for word in next(csv.reader([line]))]
        if len(words) != 2 or not all(words):
            raise errors.DataError(
                f"{path}, line {number}: a line must be a file and its group. Got {line!r}. "
                "Correct that line."
            )
        file = PurePosixPath(words[0])
        if table.setdefault(f"{file.parts[0]}/{file.stem}", words[1]) != words[1]:
            raise errors.DataError(
                f"{path}, line {number}: a file must be in one group. Got {words[0]} in a second. "
                "Remove one of the lines."
            )
    return table


def _grouped(records: Iterable[Record], group_of: dict[str, str], table: Path) -> Iterable[Record]:
    for record in records:
        if record.id not in group_of:
            raise errors.DataError(
                f"{table} must name the group of every image. Got none of {record.id}. "
                "Add a line, or remove the table and with it all groups."
            )
        yield dataclasses.replace(record, group=group_of[record.id])
