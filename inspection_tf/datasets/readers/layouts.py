"""Layouts of data sets, told by a look at a folder: those that are read, and foreign ones.

A reader that finds nothing it can read asks here what it was given, so that its refusal can say so,
and what to do. Nothing is read but names and the first bytes of a few files.
"""

import dataclasses
import os
import re
from collections.abc import Callable, Iterable
from pathlib import Path

from inspection_tf import errors, images

_DEPTH = 3
_MOST_ENTRIES = 5000
_MOST_FILES = 20  # of one kind that are opened
_HEAD_BYTES, _TAIL_BYTES = 2**16, 2**12
_YOLO_LINE = re.compile(r"\d+(\s+(0|1|[01]?\.\d+|1\.0*|\d\.?\d*e-\d+)){4,}\s*")
_TO_FOLDER = "--data.format folder"


@dataclasses.dataclass(frozen=True, slots=True)
class Layout:
    """What a folder looks like.

    Attributes:
        name: as a sentence goes on after "Got".
        way_out: what to do, a sentence or two.
    """

    name: str
    way_out: str


@dataclasses.dataclass(frozen=True, slots=True)
class _Seen:
    """Names of what lies under a folder, a few levels deep.

    Attributes:
        root: the folder.
        folders: its path and those of the folders in it.
        files: paths.
    """

    root: Path
    folders: tuple[Path, ...]
    files: tuple[Path, ...]

    def with_suffix(self, *suffixes: str) -> list[Path]:
        return [path for path in self.files if path.suffix.lower() in suffixes]

    def named(self, *names: str) -> list[Path]:
        """Return the folders in which there is one of each of these names."""
        found = {path.parent: set[str]() for path in self.folders}
        for path in self.folders:
            found[path.parent].add(path.name.lower())
        return sorted(parent for parent, inside in found.items() if set(names) <= inside)


def refuse(root: Path, *, reading: str, needs: str, got: str, way_out: str) -> errors.DataError:
    """Return the error that a folder is not what a reader needs.

    Args:
        root: the folder, or a file that was given instead.
        reading: the layout that was looked for, a name in `readers.READERS`.
        needs: the requirement, as a sentence goes on after the folder.
        got: what there is instead, where the layout is not known.
        way_out: what to do then.
    """
    known = recognise(root, reading=reading)
    if known is not None:
        got, way_out = known.name, known.way_out
    return errors.DataError(f"{root} {needs}. Got {got}. {way_out}")


def refuse_image(
    path: Path, root: Path, *, reading: str, needs: str, got: str, way_out: str
) -> errors.DataError:
    """Return the error that an image lacks what its reader needs; as `refuse`.

    Args:
        path: the image.
        root: the folder of the data set.
        reading: its layout.
        needs: the requirement.
        got: what is missing.
        way_out: what to do, unless annotations of another kind lie there.
    """
    known = recognise(root, reading=reading, foreign=True)
    if known is not None:
        got, way_out = f"{got}, but {known.name}", known.way_out
    return errors.DataError(f"{path}: {needs}. Got {got}. {way_out}")


def recognise(root: Path, *, reading: str = "", foreign: bool = False) -> Layout | None:
    """Return what a folder looks like, or None.

    Args:
        root: the folder, or a file of annotations.
        reading: the layout that was looked for in it and is not there.
        foreign: look for annotations of other tools alone.
    """
    seen = _look(root)
    for test in _FOREIGN if foreign else (*_FOREIGN, _own, _sorted_by_folder):
        found = test(seen, reading)
        if found is not None:
            return found
    return None


def of_file(path: Path) -> Layout | None:
    """Return what a file of annotations, given in place of a folder, looks like, or None."""
    is_file = os.path.isfile(path)  # noqa: PTH113  as below
    return recognise(path, foreign=True) if is_file else None


def _look(root: Path) -> _Seen:
    if os.path.isfile(root):  # noqa: PTH113  a name that is too long is no file, and no error
        return _Seen(root.parent, (), (root,))
    folders: list[Path] = [root]
    files: list[Path] = []
    for folder, names, inside in os.walk(root):
        here = Path(folder)
        names[:] = sorted(name for name in names if not name.startswith("."))
        if len(here.relative_to(root).parts) >= _DEPTH or len(files) > _MOST_ENTRIES:
            names[:] = []
        folders += [here / name for name in names]
        files += [here / name for name in sorted(inside) if not name.startswith(".")]
    return _Seen(root, tuple(folders), tuple(files))


def _is_image(path: Path) -> bool:
    return path.suffix.lower() in images.IMAGE_SUFFIXES


def _beginnings(paths: Iterable[Path]) -> list[str]:
    """Return the first and the last bytes of a few files, as text."""
    found = []
    for path in list(paths)[:_MOST_FILES]:
        try:
            with path.open("rb") as file:
                data = file.read(_HEAD_BYTES)
                size = path.stat().st_size
                if size > _HEAD_BYTES:
                    file.seek(max(_HEAD_BYTES, size - _TAIL_BYTES))
                    data += file.read()
        except OSError:
            continue
        found.append(data.decode("utf-8", errors="replace"))
    return found


def _has(text: str, *keys: str) -> bool:
    return all(f'"{key}"' in text for key in keys)


# --- layouts that are read, by another reader or from another folder


def _own(seen: _Seen, reading: str) -> Layout | None:
    places = {
        "magnetic_tile": {p.parent for p in seen.folders if p.name.startswith("MT_")},
        "deeppcb": {p.parent.parent for p in seen.files if p.stem.endswith("_temp")},
        "dagm": {p.parent for p in seen.folders if p.name == "Label"},
        "folder": {p.parent.parent for p in seen.files if p.parent.name == "good"},
        "corners": {p.parent for p in seen.files if p.name == "corners.csv"},
    }
    for name in sorted(places, key=lambda name: name != reading):
        inside = sorted(places[name], key=lambda place: (len(place.parts), place))
        if not inside or (name == reading and inside[0] == seen.root):
            continue
        root = inside[0] if seen.root in (inside[0], *inside[0].parents) else seen.root
        return Layout(
            f"what looks like the layout {name}",
            f"Read it with --data.format {name} --data.root {root}.",
        )
    return None


# --- foreign layouts


def _mvtec(seen: _Seen, _reading: str) -> Layout | None:
    has_masks = bool(seen.named("test", "ground_truth"))
    if not has_masks and not any(_has_kinds(seen, root) for root in seen.named("train", "test")):
        return None
    masks = "copy ground_truth/KIND/NNN_mask.png to" if has_masks else "draw their masks into"
    return Layout(
        f"the layout of MVTec AD{'' if has_masks else ' without ground_truth'}",
        "Copy train/good and test/good to good/ and test/KIND/NNN.png to defect/KIND_NNN.png, "
        f"{masks} masks/KIND_NNN.png, and read that with {_TO_FOLDER}.",
    )


def _has_kinds(seen: _Seen, root: Path) -> bool:
    """Return whether what is tested lies in folders of kinds, and what teaches in `good` alone."""
    inside = {
        name: {path.name.lower() for path in seen.folders if path.parent == root / name}
        for name in ("train", "test")
    }
    return inside["train"] == {"good"} < inside["test"] and "defect" not in inside["test"]


def _voc(seen: _Seen, _reading: str) -> Layout | None:
    if not seen.named("annotations", "jpegimages") and not any(
        "<annotation>" in text[:200] for text in _beginnings(seen.with_suffix(".xml"))
    ):
        return None
    if seen.named("segmentationclass"):
        way_out = (
            "Copy JPEGImages to defect/ and SegmentationClass to masks/, images without a defect "
            f"to good/, list the classes in classes.txt, and read that with {_TO_FOLDER} "
            "--data.mask-ignore 255."
        )
    else:
        way_out = _drawn("boxes")
    return Layout("the layout of Pascal VOC", way_out)


def _coco(seen: _Seen, _reading: str) -> Layout | None:
    texts = _beginnings(seen.with_suffix(".json"))
    if not any(
        _has(text, "images", "file_name")
        or _has(text, "annotations", "category_id")
        or _has(text, "images", "annotations", "categories")
        for text in texts
    ):
        return None
    return Layout(
        "annotations in the format of COCO",
        _drawn("segmentations", by="pycocotools.coco.COCO.annToMask"),
    )


def _labelme(seen: _Seen, _reading: str) -> Layout | None:
    texts = _beginnings(seen.with_suffix(".json"))
    if not any(
        _has(text, "shapes") and (_has(text, "imagePath") or _has(text, "imageData"))
        for text in texts
    ):
        return None
    return Layout("annotations of LabelMe", _drawn("shapes", by="labelme2voc.py of LabelMe"))


def _cvat(seen: _Seen, _reading: str) -> Layout | None:
    if not any("<annotations>" in text for text in _beginnings(seen.with_suffix(".xml"))):
        return None
    return Layout(
        "annotations of CVAT",
        "Export the task again as 'Segmentation mask', copy its SegmentationClass to masks/, the "
        "images to defect/ or, without a defect, to good/, give the colours of its labelmap.txt to "
        f"data.mask_values, and read that with {_TO_FOLDER}.",
    )


def _yolo(seen: _Seen, _reading: str) -> Layout | None:
    lines = (
        line
        for text in _beginnings(p for p in seen.with_suffix(".txt") if p.name != "classes.txt")
        for line in text.splitlines()[:1]
    )
    is_listed = any(
        re.search(r"^names\s*:", text, re.MULTILINE)
        and re.search(r"^(train|val|nc)\s*:", text, re.MULTILINE)
        for text in _beginnings(seen.with_suffix(".yaml", ".yml"))
    )
    if not is_listed and not any(_YOLO_LINE.fullmatch(line) for line in lines):
        return None
    return Layout("labels in the format of YOLO", _drawn("boxes or polygons"))


def _other_annotations(seen: _Seen, _reading: str) -> Layout | None:
    for text in _beginnings(seen.with_suffix(".json")):
        for name, keys in (
            ("the VGG Image Annotator", ("regions", "shape_attributes")),
            ("Label Studio", ("annotations", "from_name")),
            ("Supervisely", ("objects", "classTitle")),
        ):
            if _has(text, *keys):
                return Layout(f"annotations of {name}", _drawn("shapes"))
    for text in _beginnings(seen.with_suffix(".csv")):
        if "EncodedPixels" in text[:200]:
            return Layout("a table of run lengths", _drawn("runs"))
    return None


def _sorted_by_folder(seen: _Seen, _reading: str) -> Layout | None:
    names = sorted({p.parent.name for p in seen.files if _is_image(p) and p.parent != seen.root})
    if not names:
        return None
    shown = ", ".join(names[:5]) + (" and others" if len(names) > 5 else "")
    return Layout(
        f"images in the folders {shown}",
        "Move those without a defect to good/, the others to defect/ and their masks, of equal "
        f"names, to masks/, and read that with {_TO_FOLDER}.",
    )


def _drawn(what: str, *, by: str = "") -> str:
    tool = f" ({by} does it)" if by else ""
    return (
        f"Draw the {what} of each image into a mask of its size{tool}, 0 for the background and "
        "255, or the number of the class, for the rest; put images into good/ and defect/, masks "
        f"of equal names into masks/, and read that with {_TO_FOLDER}."
    )


_FOREIGN: tuple[Callable[[_Seen, str], Layout | None], ...] = (
    _mvtec,
    _voc,
    _cvat,
    _labelme,
    _coco,
    _other_annotations,
    _yolo,
)
