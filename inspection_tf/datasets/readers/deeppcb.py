"""Pairs of circuit boards as DeepPCB ships them: tested image, template, and boxes around defects.

Data: Tang et al. 2019, "Online PCB defect detector on a new PCB defect dataset".
"""

import dataclasses
import functools
import hashlib
import re
from collections.abc import Iterable
from pathlib import Path
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from inspection_tf import errors, images
from inspection_tf.datasets import file_hashes, image_files, tables
from inspection_tf.datasets.readers import box_masks, layouts, listing
from inspection_tf.datasets.records import Record, Records
from inspection_tf.datasets.sections.base import PairedSpec
from inspection_tf.datasets.sections.masks import StoredMasksSpec

CLASSES = ("open", "short", "mousebite", "spur", "copper", "pin-hole")  # the file's types 1 to 6


@dataclasses.dataclass(frozen=True)
class DeepPcbSource:
    """A tested board and its template; the mask is what changed inside the boxes.

    Attributes:
        image_path: `ID_test.jpg`.
        template_path: `ID_temp.jpg`.
        boxes: around the defects, px of the files as they are stored.
    """

    image_path: Path
    template_path: Path
    boxes: tuple[box_masks.Box, ...]

    def read_image(self, *, orientation: images.Orientation = "apply") -> images.Image:
        """Return the tested board. Never turned: boxes lie as the file is stored."""
        return images.read(self.image_path, orientation="ignore")

    def read_template(self, *, orientation: images.Orientation = "apply") -> images.Image:
        """Return the board as it should be, not aligned."""
        return images.read(self.template_path, orientation="ignore")

    def read_mask(self, *, orientation: images.Orientation = "apply") -> NDArray[np.uint8]:
        """Return (H, W) ids of classes, one region for each box; see `_changes`.

        Raises:
            errors.ImageError: a file cannot be read, the pair has two sizes, or a box reaches over
                the border.
        """
        size, regions = self._regions
        mask = np.zeros(size, np.uint8)
        for class_id, y0, x0, region in regions:
            mask[y0 : y0 + region.shape[0], x0 : x0 + region.shape[1]][region] = class_id
        return mask

    def class_ids(self) -> tuple[int, ...]:
        """Return the classes of its boxes, rising."""
        return tuple(sorted({box.class_id for box in self.boxes}))

    def identity(self) -> bytes:
        """Return the SHA-256 of both files, the boxes and how masks are made of them.

        Raises:
            errors.ImageError: a file is absent.
        """
        digest = hashlib.sha256(repr((box_masks.VERSION, self.boxes)).encode())
        for path in (self.image_path, self.template_path):
            digest.update(file_hashes.sha256(path))
        return digest.digest()

    @functools.cached_property
    def _regions(
        self,
    ) -> tuple[tuple[int, int], tuple[tuple[int, int, int, NDArray[np.bool_]], ...]]:
        """Return the size, and of each region its class, top, left and pixels.

        A mask is asked for again and again; cut out, its regions take no room worth saving.
        """
        image = self.read_image()
        height, width = image.shape[:2]
        for box in self.boxes:
            if box.x1 > width or box.y1 > height:
                raise errors.ImageError(
                    f"{self.image_path}: boxes must lie inside the {height} x {width} px (height x "
                    f"width) of the image. Got one to x {box.x1}, y {box.y1}. Correct its file."
                )
        mask = box_masks.class_mask(image, self.read_template(), self.boxes)
        found = []
        for class_id in self.class_ids():
            rows, columns = np.nonzero(mask == class_id)
            if len(rows):
                y0, x0 = int(rows.min()), int(columns.min())
                cut = mask[y0 : rows.max() + 1, x0 : columns.max() + 1] == class_id
                found.append((class_id, y0, x0, cut))
        return (height, width), tuple(found)


def read_deeppcb(root: str | Path) -> Records:
    """Read `groupNNNNN/ID_test.jpg`, `ID_temp.jpg` and `ID.txt`, lines of `x1 y1 x2 y2 type`.

    The boxes may also lie in a folder `NNNNN_not` beside that of the images, as the set is shipped.
    A group is one board. Its images are of different places.

    Args:
        root: the folder that holds the groups.

    Raises:
        errors.DataError: no pair is found, a file of one is missing, or a line of boxes is wrong.
    """
    base = listing.require_folder(Path(root))
    found: list[Record] = []
    for path in listing.below(base, "*_test.*"):
        if not image_files.is_image(path):
            continue
        name = path.stem.removesuffix("_test")
        group = _group(path, base)
        boxes = _read_boxes(_beside(path, name))
        source = DeepPcbSource(path, _template_of(path, name), boxes)
        found.append(Record(f"{group}/{name}", bool(boxes), source, group=group))
    if not found:
        raise layouts.refuse(
            base,
            needs="must hold folders groupNNNNN with ID_test.jpg, ID_temp.jpg and ID.txt",
            got="no image ID_test.jpg",
            way_out="Point data.root at the folder of the groups.",
        )
    return Records.of(found, origin=str(base), classes=CLASSES)


def _group(path: Path, base: Path) -> str:
    """Return the board of an image: the folder `group...` it lies in, wherever that is."""
    folders = path.relative_to(base).parts[:-1]
    named = [name for name in folders if re.fullmatch(r"group\d+", name)]
    return (*named, *folders, base.name)[0]


def _template_of(path: Path, name: str) -> Path:
    template = listing.beside(path.with_name(f"{name}_temp{path.suffix}"))
    if not template.is_file():
        raise errors.DataError(
            f"{path}: a tested board must have a template. Got no {template.name} beside it. "
            "Add it, or remove the image."
        )
    return template


def _beside(path: Path, name: str) -> Path:
    folder = path.parent
    for place in (folder / f"{name}.txt", folder.with_name(f"{folder.name}_not") / f"{name}.txt"):
        boxes = listing.beside(place)
        if boxes.is_file():
            return boxes
    raise errors.DataError(
        f"{path}: a tested board must have a file of boxes. Got no {name}.txt beside it. "
        "Add it, empty where the board has no defect."
    )


def _read_boxes(path: Path) -> tuple[box_masks.Box, ...]:
    found = []
    for number, line in tables.read_lines(path):
        words = tables.words(line)
        if len(words) != 5 or not all(word.isdecimal() for word in words):
            raise errors.DataError(
                f"{path}, line {number}: a box must be x1 y1 x2 y2 type, whole numbers. "
                f"Got {tables.shown(line)}. Correct that line."
            )
        box = box_masks.Box(*(int(word) for word in words))
        if box.x1 <= box.x0 or box.y1 <= box.y0:
            raise errors.DataError(
                f"{path}, line {number}: x2 and y2 must be over x1 and y1. "
                f"Got {tables.shown(line)}. Correct that line."
            )
        if not 1 <= box.class_id <= len(CLASSES):
            raise errors.DataError(
                f"{path}, line {number}: the type must be 1 to {len(CLASSES)}. "
                f"Got {box.class_id}. Correct that line."
            )
        found.append(box)
    return tuple(found)


class DeepPcbSpec(StoredMasksSpec, PairedSpec):
    """Pairs of circuit boards and boxes, and how they are split."""

    format: Literal["deeppcb"] = "deeppcb"
    """Folders groupNNNNN of DeepPCB."""

    def read_from(self, root: Path) -> Records:
        """Read the records of a folder."""
        return read_deeppcb(root)


def _roots(tree: layouts.Tree) -> Iterable[Path]:
    return {path.parent.parent for path in tree.files if path.stem.endswith("_temp")}


FORMAT = layouts.Format(DeepPcbSpec, layouts.MASKS, _roots)
