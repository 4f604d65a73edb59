"""Readers: from folders, or a recipe for synthetic images, to records.

`dagm`           `NNNN.PNG` and `Label/NNNN_label.PNG`, as DAGM 2007 ships, in one class folder or
                 in several, with or without `Train` and `Test` folders and `Labels.txt`.
`folder`         `good/`, `defect/` and `masks/` with equal stems; optionally `classes.txt`, where
                 defects are told apart, and `templates/`.
`magnetic_tile`  `MT_CLASS/NAME.jpg` and `NAME.png`, and `groups.csv`: which shots show one tile.
`deeppcb`        `groupNNNNN/ID_test.jpg`, `ID_temp.jpg` (the template) and `ID.txt` (boxes).
`dagm` and `folder` may hold `groups.csv` too; see `groups`.
`corners`        `corners.csv`: images and the four corners of their field; see `corners`.
`smartdoc`       `ground_truth.csv` and frames: corners of pages, as SmartDoc 2015 has them.
"""

from collections.abc import Callable, Iterable
from pathlib import Path

from inspection_tf import errors, files
from inspection_tf.datasets import groups
from inspection_tf.datasets.readers import corners, deeppcb, layouts, listing, magnetic_tile, tables
from inspection_tf.datasets.records import CLASSES, FileSource, Record, Records, Split

read_deeppcb = deeppcb.read_deeppcb
read_magnetic_tile = magnetic_tile.read_magnetic_tile


def _named_by_labels(folder: Path) -> dict[str, tuple[bool, str | None]]:
    """Read DAGM's `Labels.txt`: image number, flag, image file, 0, label file (or 0)."""
    table: dict[str, tuple[bool, str | None]] = {}
    path = next(
        (
            folder / "Label" / n
            for n in ("Labels.txt", "labels.txt")
            if (folder / "Label" / n).is_file()
        ),
        None,
    )
    if path is None:
        return table
    for place, (number, line) in enumerate(tables.read_lines(path)):
        words = tables.words(line)
        if not place and len(words) == 1:
            continue  # the first line holds only the class
        if len(words) < 2 or not words[0].isdigit():
            raise errors.DataError(
                f"{path}, line {number}: a line must be an image's number, 0 or 1, its file, 0 and "
                f"its label file or 0. Got {tables.shown(line)}. Correct that line."
            )
        if words[1] not in ("0", "1"):
            raise errors.DataError(
                f"{path}, line {number}: the second column must be 0 or 1. Got {words[1]!r}. "
                "Correct that line."
            )
        label = words[4] if len(words) > 4 and words[4] != "0" else None
        stem = files.composed(Path(words[2]).stem if len(words) > 2 else words[0])
        table[stem] = (words[1] == "1", label)
    return table


def _dagm_folder(root: Path, folder: Path, split: Split | None) -> Iterable[Record]:
    labels = {
        files.composed(path.stem).lower(): path for path in listing.images_in(folder / "Label")
    }
    table = _named_by_labels(folder)
    unused = set(labels.values())
    for path in listing.images_in(folder):
        stem = files.composed(path.stem)
        usual = f"{stem}_label".lower()
        is_defect, label_name = table.get(stem, (usual in labels, None))
        mask = labels.get(files.composed(Path(label_name).stem).lower() if label_name else usual)
        if mask:
            unused.discard(mask)
        if is_defect and mask is None:
            raise errors.DataError(
                f"{path}: a defective image must have a mask. Got none in {folder / 'Label'}. "
                f"Add {path.stem}_label.PNG or correct Labels.txt."
            )
        yield Record(
            id=path.relative_to(root).with_suffix("").as_posix(),
            is_defect=is_defect,
            source=FileSource(path, mask if is_defect else None),
            split=split,
        )
    listing.refuse_orphans(unused, of=str(folder))


def read_dagm(root: str | Path) -> Records:
    """Read a folder in the layout of DAGM 2007.

    Args:
        root: a class folder, a folder of class folders, or either with `Train` and `Test` inside.

    Returns:
        Records; those under a `Test` folder have the split `test`.

    Raises:
        errors.DataError: no image is found, a defective one has no mask, a mask has no image, or
            `groups.csv` does not name the images that there are.
    """
    base = listing.require_folder(Path(root))
    found: list[Record] = []
    for label_folder in [path for path in listing.below(base, "Label") if path.is_dir()]:
        folder = label_folder.parent
        fixed: Split | None = "test" if folder.name.lower() == "test" else None
        found += _dagm_folder(base, folder, fixed)
    if not found:
        raise layouts.refuse(
            base,
            reading="dagm",
            needs="must hold images and a folder Label beside them",
            got="none",
            way_out="Point data.root at the class folder, such as DAGM/Class1.",
        )
    return Records.of(groups.from_table(found, base), origin=str(base))


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
                    reading="folder",
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
            reading="folder",
            needs="must hold images in good/ and defect/",
            got="none",
            way_out="Write a set with: inspection synthesize surface --out DIR --count 100.",
        )
    listing.refuse_orphans(masks.values(), of=str(base / "defect"))
    found = groups.from_table(found, base)
    return Records.of(found, origin=str(base), classes=classes)


READERS: dict[str, Callable[[str | Path], Records]] = {
    "dagm": read_dagm,
    "folder": read_folder,
    "magnetic_tile": read_magnetic_tile,
    "deeppcb": read_deeppcb,
    "corners": corners.read_corners,
    "smartdoc": corners.read_smartdoc,
}
