"""Surfaces as DAGM 2007 ships them: images in class folders, their masks in `Label` beside them.

`NNNN.PNG` and `Label/NNNN_label.PNG`, in one class folder or in several, with or without `Train`
and `Test` folders and `Labels.txt`; optionally `groups.csv`, see `groups`.
"""

from collections.abc import Iterable
from pathlib import Path
from typing import Literal

from inspection_tf import errors, files
from inspection_tf.datasets import tables
from inspection_tf.datasets.divisions import groups
from inspection_tf.datasets.readers import layouts, listing
from inspection_tf.datasets.records import FileSource, Record, Records, Split
from inspection_tf.datasets.sections.masks import MaskFilesSpec


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
            needs="must hold images and a folder Label beside them",
            got="none",
            way_out="Point data.root at the class folder, such as DAGM/Class1.",
        )
    return Records.of(groups.from_table(found, base), origin=str(base))


class DagmSpec(MaskFilesSpec):
    """Images in the layout of DAGM 2007, and how they are split."""

    format: Literal["dagm"] = "dagm"
    """Class folders with a folder Label in each."""

    def read_from(self, root: Path) -> Records:
        """Read the records of a folder."""
        return read_dagm(root)


def _roots(tree: layouts.Tree) -> Iterable[Path]:
    return {path.parent for path in tree.folders if path.name == "Label"}


FORMAT = layouts.Format(DagmSpec, layouts.MASKS, _roots)
