"""A folder of one's own: `good/`, `defect/` and `masks/` with equal stems.

Optionally `classes.txt`, where defects are told apart, `templates/`, and `groups.csv`, see
`groups`.
"""

from collections.abc import Iterable
from pathlib import Path
from typing import Literal

from inspection_tf import errors, files
from inspection_tf.datasets import tables
from inspection_tf.datasets.divisions import groups
from inspection_tf.datasets.readers import layouts, listing
from inspection_tf.datasets.records import CLASSES, FileSource, Record, Records
from inspection_tf.datasets.sections.base import PairedSpec
from inspection_tf.datasets.sections.masks import MaskFilesSpec


def _named_classes(base: Path) -> tuple[str, ...]:
    path = base / "classes.txt"
    if not path.is_file():
        return CLASSES
    names = tuple(tables.read_names(path))
    if not names:
        raise errors.DataError(
            f"{path} must name a class on each line. Got an empty file. Write them, or remove it."
        )
    return names


def read_folder(root: str | Path) -> Records:
    """Read `good/NAME.png`, `defect/NAME.png` and `masks/NAME.png`.

    Masks may have another suffix than their image, never another stem. Where `classes.txt` names
    several classes, one a line, the gray values of masks are class ids: 0 for the background, 1
    for the class of the first line. Where there is a folder `templates`, it holds for each image
    one of its stem and size, as it should look.

    Args:
        root: the folder that holds `good` (and `defect` with `masks`).

    Raises:
        errors.DataError: no image is found, a mask or template is missing, a mask belongs to no
            image, or `groups.csv` does not name the images that there are.
    """
    base = listing.require_folder(Path(root))
    classes = _named_classes(base)
    ids = len(classes) if len(classes) > 1 else 0
    masks = listing.by_stem(listing.images_in(base / "masks"), what="mask")
    is_paired = (base / "templates").is_dir()
    templates = listing.by_stem(listing.images_in(base / "templates"), what="template")
    found: list[Record] = []
    for name, is_defect in (("good", False), ("defect", True)):
        for path in listing.images_in(base / name):
            stem = files.composed(path.stem)
            mask = masks.pop(stem, None) if is_defect else None
            if is_defect and mask is None:
                raise layouts.refuse_image(
                    path,
                    base,
                    needs="a defective image must have a mask",
                    got=f"none named {path.stem} in {base / 'masks'}",
                    way_out="Add it, or move the image to good.",
                )
            template = templates.get(stem)
            if is_paired and template is None:
                raise errors.DataError(
                    f"{path}: each image must have a template. Got none named {path.stem} in "
                    f"{base / 'templates'}. Add it, or remove the folder templates."
                )
            source = FileSource(path, mask, template, class_count=ids)
            found.append(Record(f"{name}/{path.stem}", is_defect, source))
    if not found:
        raise layouts.refuse(
            base,
            needs="must hold images in good/ and defect/",
            got="none",
            way_out="Write a set with: inspection synthesize surface --out DIR --count 100.",
        )
    listing.refuse_orphans(masks.values(), of=str(base / "defect"))
    found = groups.from_table(found, base)
    return Records.of(found, origin=str(base), classes=classes)


class FolderSpec(MaskFilesSpec, PairedSpec):
    """Images in folders good and defect, and how they are split."""

    format: Literal["folder"] = "folder"
    """Folders good, defect and masks."""

    def read_from(self, root: Path) -> Records:
        """Read the records of a folder."""
        return read_folder(root)


def _roots(tree: layouts.Tree) -> Iterable[Path]:
    return {path.parent.parent for path in tree.files if path.parent.name == "good"}


FORMAT = layouts.Format(FolderSpec, layouts.MASKS, _roots)
