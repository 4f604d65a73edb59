"""What a folder that a reader refuses looks like: another format, or the layout of a foreign tool.

Nothing is read but names and the first bytes of a few files.
"""

import os
import re
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path

from inspection_tf import images
from inspection_tf.datasets.readers import layouts
from inspection_tf.datasets.readers.layouts import Layout, Tree

_MOST_FILES = 20  # of one kind that are opened
_HEAD_BYTES, _TAIL_BYTES = 2**16, 2**12
_YOLO_LINE = re.compile(r"\d+(\s+(0|1|[01]?\.\d+|1\.0*|\d\.?\d*e-\d+)){4,}\s*")
_TO_FOLDER = "--data.format folder"


def recognise(root: Path, formats: Mapping[str, layouts.Format], *, reading: str) -> Layout | None:
    """Return what a folder looks like, or None.

    Args:
        root: the folder, or a file of annotations.
        formats: those that are read, by name; of two that fit, the first.
        reading: the name of the one that was looked for in it and is not there.
    """
    tree = layouts.look(root)
    return _foreign(tree) or _readable(tree, formats, reading) or _sorted_by_folder(tree)


def recognise_foreign(root: Path) -> Layout | None:
    """Return the layout of another tool's annotations that a folder, or a file, has; or None."""
    return _foreign(layouts.look(root))


def of_file(path: Path) -> Layout | None:
    """Return what a file of annotations, given in place of a folder, looks like, or None."""
    is_file = os.path.isfile(path)  # noqa: PTH113  a name that is too long is no file, no error
    return recognise_foreign(path) if is_file else None


def _foreign(tree: Tree) -> Layout | None:
    found = (test(tree) for test in _FOREIGN)
    return next((layout for layout in found if layout is not None), None)


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


def _readable(tree: Tree, formats: Mapping[str, layouts.Format], reading: str) -> Layout | None:
    """Return the format that another reader reads, or this one from another folder."""
    for name in sorted(formats, key=lambda name: name != reading):
        inside = sorted(formats[name].roots(tree), key=lambda place: (len(place.parts), place))
        if not inside or (name == reading and inside[0] == tree.root):
            continue
        root = inside[0] if tree.root in (inside[0], *inside[0].parents) else tree.root
        return Layout(
            f"what looks like the layout {name}",
            f"Read it with --data.format {name} --data.root {root}.",
        )
    return None


def _mvtec(tree: Tree) -> Layout | None:
    has_masks = bool(tree.named("test", "ground_truth"))
    if not has_masks and not any(_has_kinds(tree, root) for root in tree.named("train", "test")):
        return None
    masks = "copy ground_truth/KIND/NNN_mask.png to" if has_masks else "draw their masks into"
    return Layout(
        f"the layout of MVTec AD{'' if has_masks else ' without ground_truth'}",
        "Copy train/good and test/good to good/ and test/KIND/NNN.png to defect/KIND_NNN.png, "
        f"{masks} masks/KIND_NNN.png, and read that with {_TO_FOLDER}.",
    )


def _has_kinds(tree: Tree, root: Path) -> bool:
    """Return whether what is tested lies in folders of kinds, and what teaches in `good` alone."""
    inside = {
        name: {path.name.lower() for path in tree.folders if path.parent == root / name}
        for name in ("train", "test")
    }
    return inside["train"] == {"good"} < inside["test"] and "defect" not in inside["test"]


def _voc(tree: Tree) -> Layout | None:
    if not tree.named("annotations", "jpegimages") and not any(
        "<annotation>" in text[:200] for text in _beginnings(tree.with_suffix(".xml"))
    ):
        return None
    if tree.named("segmentationclass"):
        way_out = (
            "Copy JPEGImages to defect/ and SegmentationClass to masks/, images without a defect "
            f"to good/, list the classes in classes.txt, and read that with {_TO_FOLDER} "
            "--data.mask-ignore 255."
        )
    else:
        root = next(iter(tree.named("annotations", "jpegimages")), tree.root)
        way_out = (
            f"Read it with --data.format voc --data.root {root}, which fills each box; or, for "
            f"masks that follow the defects: {_drawn('boxes')}"
        )
    return Layout("the layout of Pascal VOC", way_out)


def _coco(tree: Tree) -> Layout | None:
    texts = _beginnings(tree.with_suffix(".json"))
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


def _labelme(tree: Tree) -> Layout | None:
    texts = _beginnings(tree.with_suffix(".json"))
    if not any(
        _has(text, "shapes") and (_has(text, "imagePath") or _has(text, "imageData"))
        for text in texts
    ):
        return None
    return Layout("annotations of LabelMe", _drawn("shapes", by="labelme2voc.py of LabelMe"))


def _cvat(tree: Tree) -> Layout | None:
    if not any("<annotations>" in text for text in _beginnings(tree.with_suffix(".xml"))):
        return None
    return Layout(
        "annotations of CVAT",
        "Export the task again as 'Segmentation mask', copy its SegmentationClass to masks/, the "
        "images to defect/ or, without a defect, to good/, give the colours of its labelmap.txt to "
        f"data.mask_values, and read that with {_TO_FOLDER}.",
    )


def _yolo(tree: Tree) -> Layout | None:
    lines = (
        line
        for text in _beginnings(p for p in tree.with_suffix(".txt") if p.name != "classes.txt")
        for line in text.splitlines()[:1]
    )
    is_listed = any(
        re.search(r"^names\s*:", text, re.MULTILINE)
        and re.search(r"^(train|val|nc)\s*:", text, re.MULTILINE)
        for text in _beginnings(tree.with_suffix(".yaml", ".yml"))
    )
    if not is_listed and not any(_YOLO_LINE.fullmatch(line) for line in lines):
        return None
    return Layout("labels in the format of YOLO", _drawn("boxes or polygons"))


def _other_annotations(tree: Tree) -> Layout | None:
    for text in _beginnings(tree.with_suffix(".json")):
        for name, keys in (
            ("the VGG Image Annotator", ("regions", "shape_attributes")),
            ("Label Studio", ("annotations", "from_name")),
            ("Supervisely", ("objects", "classTitle")),
        ):
            if _has(text, *keys):
                return Layout(f"annotations of {name}", _drawn("shapes"))
    for text in _beginnings(tree.with_suffix(".csv")):
        if "EncodedPixels" in text[:200]:
            return Layout("a table of run lengths", _drawn("runs"))
    return None


def _sorted_by_folder(tree: Tree) -> Layout | None:
    names = sorted({p.parent.name for p in tree.files if _is_image(p) and p.parent != tree.root})
    if not names:
        return None
    shown = ", ".join(names[:5]) + (" and others" if len(names) > 5 else "")
    return Layout(
        f"images in the folders {shown}",
        "Move those without a defect to good/, the others to defect/ and their masks, of equal "
        f"names, to masks/, and read that with {_TO_FOLDER}.{_or_classes(tree)}",
    )


def _or_classes(tree: Tree) -> str:
    """Say how folders are read that each hold the images of a class."""
    holding = sorted({path.parent for path in tree.files if _is_image(path)})
    roots = {path.parent for path in holding}
    if len(holding) < 2 or len(roots) > 1:
        return ""
    return (
        " If the folders are classes of whole images, read them with --data.format classes_folder "
        f"--data.root {roots.pop()}."
    )


def _drawn(what: str, *, by: str = "") -> str:
    tool = f" ({by} does it)" if by else ""
    return (
        f"Draw the {what} of each image into a mask of its size{tool}, 0 for the background and "
        "255, or the number of the class, for the rest; put images into good/ and defect/, masks "
        f"of equal names into masks/, and read that with {_TO_FOLDER}."
    )


_FOREIGN: tuple[Callable[[Tree], Layout | None], ...] = (
    _mvtec,
    _voc,
    _cvat,
    _labelme,
    _coco,
    _other_annotations,
    _yolo,
)
