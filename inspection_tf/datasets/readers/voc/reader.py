"""Images with annotations of Pascal VOC: each box becomes a filled mask of its class.

Either `Annotations/NAME.xml` and `JPEGImages/NAME.jpg` (or `images/`), or each XML file beside its
image, in whatever folders. An image without an annotation, or without an object in it, is good.
"""

import dataclasses
import hashlib
import logging
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from inspection_tf import errors, files, images
from inspection_tf.datasets import file_hashes, tables
from inspection_tf.datasets.divisions import groups
from inspection_tf.datasets.readers import layouts, listing
from inspection_tf.datasets.readers.voc import annotations, boxes
from inspection_tf.datasets.records import CLASSES, Record, Records, Split
from inspection_tf.datasets.sections.masks import StoredMasksSpec

_LOG = logging.getLogger("inspection_tf")
_ANNOTATIONS = ("annotations",)
_IMAGES = ("jpegimages", "images")
_SETS: dict[str, Split] = {"train": "train", "val": "tune", "test": "test"}


@dataclasses.dataclass(frozen=True, slots=True)
class BoxSource:
    """An image and boxes around its defects.

    Attributes:
        image_path: the file.
        named: boxes on the image with its orientation applied.
        ids: the class of each box.
    """

    image_path: Path
    named: tuple[boxes.NamedBox, ...] = ()
    ids: tuple[int, ...] = ()

    def read_image(self, *, orientation: images.Orientation = "apply") -> images.Image:
        """Return the decoded image.

        Raises:
            errors.ImageError: the file cannot be read.
        """
        return images.read(self.image_path, orientation=orientation)

    def read_mask(self, *, orientation: images.Orientation = "apply") -> NDArray[np.uint8]:
        """Return (height, width) class ids: the boxes, filled.

        Raises:
            errors.ImageError: the file cannot be read.
        """
        size = images.read_size(self.image_path, orientation=orientation)
        xyxy = boxes.as_read(self.named, self.image_path, orientation)
        return boxes.class_mask(xyxy, self.ids, size)

    def read_evidence(
        self, *, orientation: images.Orientation = "apply"
    ) -> NDArray[np.float64] | None:
        """Return the boxes, (boxes, 4) px; None where there is none.

        Raises:
            errors.ImageError: the file cannot be read.
        """
        if not self.named:
            return None
        return boxes.as_read(self.named, self.image_path, orientation)

    def class_ids(self) -> tuple[int, ...]:
        """Return the classes of its boxes, rising."""
        return tuple(sorted(set(self.ids)))

    def identity(self) -> bytes:
        """Return the SHA-256 of the image's bytes and its boxes.

        Raises:
            errors.ImageError: the file is absent.
        """
        label = repr((tuple(box.xyxy for box in self.named), self.ids)).encode()
        return hashlib.sha256(file_hashes.sha256(self.image_path) + label).digest()


@dataclasses.dataclass(frozen=True, slots=True)
class _Pair:
    """An image and its annotation, if it has one."""

    image: Path
    annotation: Path | None


def read_voc(root: str | Path, *, objects: Sequence[str] = (), one_based: bool = False) -> Records:
    """Read images whose defects are boxed in XML files of Pascal VOC.

    `ImageSets/Main/train.txt`, `val.txt` and `test.txt`, where they are there, fix which images
    train, tune and test.

    Args:
        root: the folder that holds them.
        objects: names that are defects, in the order of their ids; others are left out. Empty: all
            that are named, in alphabetical order.
        one_based: as of `annotations.read`.

    Raises:
        errors.DataError: there is no annotation, one has no image or is wrong, with file and line;
            or none of the chosen names is there.
        errors.ImageError: an image cannot be read.
    """
    base = listing.require_folder(Path(root))
    pairs = _pairs(base)
    if not any(pair.annotation for pair in pairs):
        raise layouts.refuse(
            base,
            needs="must hold images, and for those with a defect an XML file of Pascal VOC",
            got="none" if not pairs else f"{len(pairs)} images without one",
            way_out="Put each file beside its image, or into Annotations/ beside JPEGImages/.",
        )
    annotated = [
        annotations.read(pair.annotation, pair.image, one_based=one_based)
        if pair.annotation
        else ()
        for pair in pairs
    ]
    classes = _classes(base, [box.name for found in annotated for box in found], objects)
    splits = _splits(base, pairs)
    found = [
        _record(pair.image, base, named, classes, splits.get(files.composed(pair.image.stem)))
        for pair, named in zip(pairs, annotated, strict=True)
    ]
    bare = sum(not pair.annotation for pair in pairs)
    if bare:
        _LOG.info("%s: %d images without an annotation count as good", base, bare)
    return Records.of(groups.from_table(found, base), origin=str(base), classes=classes)


def _record(
    path: Path,
    base: Path,
    named: Sequence[boxes.NamedBox],
    classes: tuple[str, ...],
    split: Split | None,
) -> Record:
    chosen = tuple(box for box in named if box.name in classes)
    ids = tuple(1 + classes.index(box.name) for box in chosen)
    name = path.relative_to(base).with_suffix("").as_posix()
    return Record(name, bool(chosen), BoxSource(path, chosen, ids), split=split)


def _classes(base: Path, names: Sequence[str], objects: Sequence[str]) -> tuple[str, ...]:
    """Return the names that are classes; without an object the one name that all sets have."""
    found = tuple(sorted(set(names)))
    if not objects:
        return found or CLASSES
    chosen = tuple(files.composed(name) for name in objects)
    if found and not set(found) & set(chosen):
        raise errors.DataError(
            f"data.objects must name an object of {base}. Got {', '.join(chosen)}, where the "
            f"objects are {', '.join(found)}. Correct it, or leave it out."
        )
    left_out = sorted(set(found) - set(chosen))
    if left_out:
        _LOG.info("%s: objects that are left out: %s", base, ", ".join(left_out))
    return chosen


def _inside(base: Path, names: Sequence[str]) -> Path | None:
    """Return the folder of one of these names, in whatever case."""
    folders = {path.name.lower(): path for path in sorted(base.iterdir()) if path.is_dir()}
    return next((folders[name] for name in names if name in folders), None)


def _pairs(base: Path) -> list[_Pair]:
    """Return the images with their annotations, by path.

    Raises:
        errors.DataError: an annotation has no image, or an image two.
    """
    of_annotations, of_images = _inside(base, _ANNOTATIONS), _inside(base, _IMAGES)
    if of_annotations and of_images:
        found = _paired(listing.images_in(of_images), _xml_in(of_annotations), str(of_images))
    else:
        found = [
            pair
            for folder in listing.folders_from(base)
            for pair in _paired(listing.images_in(folder), _xml_in(folder), str(folder))
        ]
    return sorted(found, key=lambda pair: pair.image)


def _xml_in(folder: Path) -> list[Path]:
    return sorted(
        path
        for path in folder.iterdir()
        if path.suffix.lower() == annotations.SUFFIX and not path.name.startswith(".")
    )


def _paired(pictures: Iterable[Path], found: Iterable[Path], place: str) -> list[_Pair]:
    by_stem = listing.by_stem(found, what="annotation")
    pairs = [_Pair(path, by_stem.get(files.composed(path.stem))) for path in pictures]
    known = {files.composed(pair.image.stem) for pair in pairs}
    orphans = [path for stem, path in by_stem.items() if stem not in known]
    if orphans:
        raise errors.DataError(
            f"{orphans[0]}: each annotation must have its image, {orphans[0].stem}.jpg or the like "
            f"in {place}. Got {len(orphans)} without one. Add the image, remove the annotation, or "
            "point data.root at the folder that holds Annotations/ and JPEGImages/."
        )
    return pairs


def _splits(base: Path, pairs: Sequence[_Pair]) -> Mapping[str, Split]:
    """Return the split that the data set fixes for images, by their stems.

    Raises:
        errors.DataError: an image is listed twice, or is not there; with file and line.
    """
    known = {files.composed(pair.image.stem) for pair in pairs}
    found: dict[str, Split] = {}
    for name, split in _SETS.items():
        path = base / "ImageSets" / "Main" / f"{name}.txt"
        if not path.is_file():
            continue
        for number, line in tables.read_lines(path):
            stem = files.composed(tables.words(line)[0])
            if stem not in known or stem in found:
                what = "which is absent" if stem not in known else f"again, after {found[stem]}"
                raise errors.DataError(
                    f"{path}, line {number}: each image must be there, and in one split. "
                    f"Got {tables.shown(line)}, {what}. Correct the list."
                )
            found[stem] = split
    return found


class VocSpec(StoredMasksSpec):
    """Images with boxes of Pascal VOC, and how they are split."""

    format: Literal["voc"] = "voc"
    """Images with XML files of Pascal VOC, whose boxes are filled."""
    objects: tuple[str, ...] = ()
    """Names of the objects that are defects, in the order of their ids; others are left out. Empty:
    all, in alphabetical order."""
    one_based: bool = False
    """Coordinates count pixels from 1, and xmax is the last one inside, as in the original devkit;
    false: they are edges of pixels from 0, as most tools write them."""

    def read_from(self, root: Path) -> Records:
        """Read the records of a folder."""
        return read_voc(root, objects=self.objects, one_based=self.one_based)


FORMAT = layouts.Format(VocSpec, "masks")
