"""Readers: from folders, or a recipe for synthetic images, to records.

`dagm`    `NNNN.PNG` and `Label/NNNN_label.PNG`, as DAGM 2007 ships, in one class folder or in
          several, with or without `Train` and `Test` folders and `Labels.txt`.
`folder`  `good/`, `defect/` and `masks/` with equal stems.
"""

from collections.abc import Callable, Iterable
from pathlib import Path

from inspection_tf import errors, images
from inspection_tf.datasets.records import FileSource, Record, Records, Split


def _require_folder(root: Path) -> Path:
    if not root.is_dir():
        raise errors.DataError(
            f"The data root must be a folder. Got {str(root)!r}. Check data.root."
        )
    return root


def _images_in(folder: Path) -> list[Path]:
    return [
        path
        for path in sorted(folder.iterdir())
        if path.suffix.lower() in images.IMAGE_SUFFIXES and not path.name.startswith(".")
    ]


def _by_stem(masks: Iterable[Path]) -> dict[str, Path]:
    table: dict[str, Path] = {}
    for path in masks:
        if path.stem in table:
            raise errors.DataError(
                f"{path}: an image must have one mask. Got {table[path.stem].name} beside it. "
                "Remove one of them."
            )
        table[path.stem] = path
    return table


def _refuse_orphans(masks: Iterable[Path], *, of: str) -> None:
    orphans = sorted(masks)
    if orphans:
        raise errors.DataError(
            f"{orphans[0]}: each mask must belong to an image in {of}. Got {len(orphans)} without "
            "one. Add the image or remove the mask."
        )


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
    for number, line in enumerate(
        path.read_text(encoding="utf-8", errors="replace").splitlines(), start=1
    ):
        words = line.split()
        if len(words) < 2 or not words[0].isdigit():
            continue  # the first line holds only the class
        if words[1] not in ("0", "1"):
            raise errors.DataError(
                f"{path}, line {number}: the second column must be 0 or 1. Got {words[1]!r}. "
                "Correct that line."
            )
        label = words[4] if len(words) > 4 and words[4] != "0" else None
        stem = Path(words[2]).stem if len(words) > 2 else words[0]
        table[stem] = (words[1] == "1", label)
    return table


def _dagm_folder(root: Path, folder: Path, split: Split | None) -> Iterable[Record]:
    labels = {path.stem.lower(): path for path in _images_in(folder / "Label")}
    table = _named_by_labels(folder)
    unused = set(labels.values())
    for path in _images_in(folder):
        is_defect, label_name = table.get(path.stem, (f"{path.stem}_label".lower() in labels, None))
        mask = labels.get(
            Path(label_name).stem.lower() if label_name else f"{path.stem}_label".lower()
        )
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
    _refuse_orphans(unused, of=str(folder))


def read_dagm(root: str | Path) -> Records:
    """Read a folder in the layout of DAGM 2007.

    Args:
        root: a class folder, a folder of class folders, or either with `Train` and `Test` inside.

    Returns:
        Records; those under a `Test` folder have the split `test`.

    Raises:
        errors.DataError: no image is found, a defective one has no mask, or a mask has no image.
    """
    base = _require_folder(Path(root))
    found: list[Record] = []
    for label_folder in sorted(path for path in base.rglob("Label") if path.is_dir()):
        folder = label_folder.parent
        fixed: Split | None = "test" if folder.name.lower() == "test" else None
        found += _dagm_folder(base, folder, fixed)
    if not found:
        raise errors.DataError(
            f"{base} must hold images and a folder Label beside them. Got none. "
            "Point data.root at the class folder, such as DAGM/Class1."
        )
    return Records.of(found, origin=str(base))


def read_folder(root: str | Path) -> Records:
    """Read `good/NAME.png`, `defect/NAME.png` and `masks/NAME.png`.

    Masks may have another suffix than their image, never another stem.

    Args:
        root: the folder that holds `good` (and `defect` with `masks`).

    Raises:
        errors.DataError: no image is found, a mask is missing, or one belongs to no image.
    """
    base = _require_folder(Path(root))
    masks: dict[str, Path] = {}
    if (base / "masks").is_dir():
        masks = _by_stem(_images_in(base / "masks"))
    found: list[Record] = []
    for name, is_defect in (("good", False), ("defect", True)):
        for path in _images_in(base / name) if (base / name).is_dir() else ():
            mask = masks.pop(path.stem, None) if is_defect else None
            if is_defect and mask is None:
                raise errors.DataError(
                    f"{path}: a defective image must have a mask. Got none named "
                    f"{path.stem} in {base / 'masks'}. Add it, or move the image to good."
                )
            found.append(Record(f"{name}/{path.stem}", is_defect, FileSource(path, mask)))
    if not found:
        raise errors.DataError(
            f"{base} must hold images in good/ and defect/. Got none. "
            "Write a set with: inspection synthesize surface --out DIR --count 100."
        )
    _refuse_orphans(masks.values(), of=str(base / "defect"))
    return Records.of(found, origin=str(base))


READERS: dict[str, Callable[[str | Path], Records]] = {"dagm": read_dagm, "folder": read_folder}
