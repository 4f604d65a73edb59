"""The labelled images that a command is about: a bundle's own, or those of a folder."""

import dataclasses
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from inspection_tf import errors, files
from inspection_tf.export import source_data

if TYPE_CHECKING:
    from inspection_tf import bundle
    from inspection_tf.datasets.readers import corners
    from inspection_tf.datasets.records import Records


def new_folder(path: Path) -> Path:
    """Make an output folder; one that holds something is refused, so nothing is overwritten.

    Raises:
        errors.ConfigError: it holds something.
        errors.StorageError: it cannot be looked into, or made.
    """
    try:
        is_taken = path.exists() and (not path.is_dir() or any(path.iterdir()))
    except OSError as problem:
        raise errors.StorageError(
            f"--out must be a folder that can be used. Got {str(path)!r}: {problem.strerror}. "
            "Choose another folder."
        ) from problem
    if is_taken:
        raise errors.ConfigError(
            f"--out must be a new or empty folder. Got {str(path)!r}, which holds something. "
            "Choose another folder."
        )
    return files.make_folder(path)


def from_provenance(manifest: "bundle.Manifest", split: str) -> "Records":
    """Read, or draw, a split of the data a bundle was made from again.

    Args:
        manifest: of the bundle.
        split: its name, or all.

    Raises:
        errors.DataError: the data is not what it was, or has no such split.
    """
    if split == "all":
        return source_data.everything(manifest)
    known = manifest.provenance.data.splits
    if split not in known:
        raise errors.DataError(
            f"The bundle must have a {split} split. Got only {', '.join(known)}: it was "
            "cross-validated and trained on every image. Give a ROOT of other labelled images."
        )
    return source_data.parts(manifest)[split]


@dataclasses.dataclass(frozen=True, slots=True)
class Labels:
    """How the labels of a folder are to be read; None everywhere: as those of the bundle's data.

    Attributes:
        layout: of the folder.
        order: of p1, p2, p3 and p4 in a table of corners.
        group_pattern: names the part of each image; None: as groups.csv says, else that of the
            bundle's own data; "": no pattern.
        mask_values: what values of masks mean; None: what they mean in the bundle's own data, where
            this is of the same layout.
        mask_ignore: further values that count for nothing; None: likewise.
    """

    layout: str | None = None
    order: "corners.Order | None" = None
    group_pattern: str | None = None
    mask_values: Mapping[str, str] | None = None
    mask_ignore: Sequence[str] | None = None


def from_root(
    manifest: "bundle.Manifest", root: Path, labels: Labels, split: str | None
) -> "Records":
    """Read labelled images of a folder.

    Args:
        manifest: of the bundle that they are for.
        root: the folder.
        labels: how they are read.
        split: part of them, where they are the bundle's own data.

    Raises:
        errors.ConfigError: the group pattern is none, the images have groups already, or the values
            of masks have no meaning in this set.
        errors.DataError: other classes, no templates for a bundle that compares, no such split, or
            an image that the group pattern does not match.
    """
    from inspection_tf.datasets import data_spec, groups
    from inspection_tf.datasets.readers import corners, formats, layouts
    from inspection_tf.datasets.sections import mask_legend

    data = manifest.provenance.data
    usual = formats.usual(layouts.CORNERS if manifest.is_located else layouts.MASKS)
    name = labels.layout or (data.format if data.format in formats.FORMATS else usual.name)
    known = data.source if name == data.format else {}
    spec = formats.FORMATS[name].section()
    if isinstance(spec, corners.CornersSpec):
        order = labels.order or tuple(known.get("corner_order", spec.corner_order))
        spec = spec.model_copy(update={"corner_order": order})
    with formats.explained(name):
        found = spec.read_from(root)
    if not isinstance(spec, corners.CornersSpec):  # a table of corners has no masks
        values, ignored = labels.mask_values, labels.mask_ignore
        found = mask_legend.with_meaning(
            found,
            known.get("mask_values", {}) if values is None else values,
            known.get("mask_ignore", ()) if ignored is None else ignored,
        )
    pattern = labels.group_pattern
    if pattern is None and not any(record.group for record in found):
        pattern = data.source.get("group_pattern")
    if pattern:
        found = groups.by_pattern(found, pattern)
    if found.classes != manifest.classes:
        raise errors.DataError(
            f"The images must have the classes of the bundle, {', '.join(manifest.classes)}. "
            f"Got {', '.join(found.classes)} in {root}. Evaluate with images of the same task."
        )
    if manifest.has_template and not found.has_template:
        raise errors.DataError(
            f"This bundle compares each image with its template. Got images without templates in "
            f"{root}. Add them, or name their --format."
        )
    if not manifest.has_template:
        found = data_spec.without_templates(found)
    if split in (None, "all"):
        return found
    if found.sha256() != data.sha256 or split not in data.splits:
        raise errors.DataError(
            f"--split {split} needs the images the bundle was made from. Got others in {root}. "
            "Leave --split out to use them all."
        )
    return found.select(data.splits[str(split)])
