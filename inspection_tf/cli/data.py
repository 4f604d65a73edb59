"""The labelled images that a command measures with: those of the bundle's data, or of a folder."""

import dataclasses
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from inspection_tf import errors, process, tasks
from inspection_tf.export import source_data

if TYPE_CHECKING:
    from inspection_tf import bundle
    from inspection_tf.datasets.data_spec import StoredSpec
    from inspection_tf.datasets.readers.located import corners
    from inspection_tf.datasets.records import Records


def from_provenance(manifest: "bundle.Manifest", split: str) -> "Records":
    """Read again a split of the data that a bundle was made from; synthetic data is drawn again.

    Args:
        manifest: of the bundle.
        split: its name, or all.

    Raises:
        errors.DataError: the data is not what it was, or has no such split.
    """
    if split == "all":
        return source_data.everything(manifest)
    splits = manifest.provenance.data.splits
    if split not in splits:
        raise errors.DataError(
            f"The bundle must have a {split} split. Got only {', '.join(splits)}: it was "
            "cross-validated and trained on every image. Give a ROOT of other labelled images."
        )
    return source_data.parts(manifest)[split]


@dataclasses.dataclass(frozen=True, slots=True)
class Labels:
    """How the labels of a folder are read; with None everywhere as those of the bundle's data.

    Attributes:
        layout: of the folder.
        order: of p1, p2, p3 and p4 in a table of corners.
        group_pattern: names the part of each image; None: as groups.csv says, else that of the
            bundle's own data; "": no pattern.
        mask_values: what values of masks mean; None: what they mean in the bundle's own data, where
            this is of the same layout.
        mask_ignore: further values that count for nothing; None: likewise.
        ok_class: the folder of good images, where there is a folder for each class; None: likewise,
            or the one that is called so.
    """

    layout: str | None = None
    order: "corners.Order | None" = None
    group_pattern: str | None = None
    mask_values: Mapping[str, str] | None = None
    mask_ignore: Sequence[str] | None = None
    ok_class: str | None = None

    def settings(
        self, section: "type[StoredSpec]", source: Mapping[str, object]
    ) -> dict[str, object]:
        """Return how a folder is read: as it is said here, or else as the bundle's own data.

        Args:
            section: of the folder's format.
            source: settings of the bundle's own data; none where they are of another format.
        """
        chosen = section.how_read(source)
        if self.order is not None and "corner_order" in section.model_fields:
            chosen["corner_order"] = self.order
        if self.ok_class is not None:
            chosen["ok_class"] = self.ok_class
        return chosen


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
        errors.ConfigError: the group pattern is none, the images have groups already, the values
            of masks have no meaning in this set, or a folder of good images is named where there
            is none for each class.
        errors.DataError: other classes, no templates for a bundle that compares, no such split, or
            an image that the group pattern does not match.
    """
    from inspection_tf import config
    from inspection_tf.datasets import data_spec
    from inspection_tf.datasets.divisions import groups
    from inspection_tf.datasets.readers import formats
    from inspection_tf.datasets.sections import mask_legend

    data = manifest.provenance.data
    usual = formats.usual(tasks.get(manifest.task).label_kind)
    layout = labels.layout or (data.format if data.format in formats.FORMATS else usual.name)
    legend = data.source if layout == data.format else {}
    listed = formats.FORMATS[layout]
    settings = labels.settings(listed.section, legend)
    spec = config.validate(listed.section, settings, origin=f"reading {root}")
    with formats.explained(layout):
        records = spec.read_from(root)
    if listed.labels == "masks":
        values, ignored = labels.mask_values, labels.mask_ignore
        records = mask_legend.with_meaning(
            records,
            legend.get("mask_values", {}) if values is None else values,
            legend.get("mask_ignore", ()) if ignored is None else ignored,
        )
    pattern = labels.group_pattern
    if pattern is None and not any(record.group for record in records):
        pattern = data.source.get("group_pattern")
    if pattern:
        records = groups.by_pattern(records, pattern)
    records = _with_classes(records, manifest.classes, root)
    if manifest.has_template and not records.has_template:
        raise errors.DataError(
            f"This bundle compares each image with its template. Got images without templates in "
            f"{root}. Add them, or name their --format."
        )
    if not manifest.has_template:
        records = data_spec.without_templates(records)
    if split in (None, "all"):
        if not _are_its_own(records, data, root):
            return records
        _warn_of_learned(records, data)
        return _without_sealed(records, data)
    if records.sha256() != data.sha256 or split not in data.splits:
        raise errors.DataError(
            f"--split {split} needs the images the bundle was made from. Got others in {root}. "
            "Leave --split out to use them all."
        )
    return records.select(data.splits[str(split)])


def _with_classes(records: "Records", classes: tuple[str, ...], root: Path) -> "Records":
    """Return records with the ids of a bundle's classes.

    Folders that each hold a class may lack one of them: none of its images is then to be measured.

    Raises:
        errors.DataError: they have other classes.
    """
    if records.classes == classes:
        return records
    of_whole_images = records.label_kind == "classes"
    if not (of_whole_images and set(records.classes) <= set(classes)):
        way_out = "Evaluate with images of the same task."
        if of_whole_images:
            way_out = f"Call the folders as the classes, or e{way_out[1:]}"
        raise errors.DataError(
            f"The images must have the classes of the bundle, {', '.join(classes)}. "
            f"Got {', '.join(records.classes)} in {root}. {way_out}"
        )
    ids = [1 + classes.index(name) for name in records.classes]
    items = (
        dataclasses.replace(record, class_id=ids[record.class_id - 1])
        if record.is_defect
        else record
        for record in records
    )
    return dataclasses.replace(records, items=tuple(items), classes=classes)


def _are_its_own(records: "Records", data: "bundle.Data", root: Path) -> bool:
    """Return whether the images of a folder are those that a bundle was made from."""
    from inspection_tf import config

    known = {name for ids in data.splits.values() for name in ids}
    if not any(record.id in known for record in records):
        return False
    is_in_place = data.absolute_root == str(config.absolute(root))
    # Of a copy the names say little; its bytes are read where they are the same.
    return is_in_place or records.sha256() == data.sha256


def _without_sealed(records: "Records", data: "bundle.Data") -> "Records":
    """Leave out what the run of a bundle has sealed, and say so."""
    from inspection_tf.datasets.divisions import sealed

    kept = set(data.splits.get(sealed.NAME, ()))
    count = sum(record.id in kept for record in records)
    if not count:
        return records
    process.complain(
        f"warning: {count} of these {len(records)} images are sealed, and left out. Only "
        "inspection unseal RUN measures on them."
    )
    return records.select(record.id for record in records if record.id not in kept)


def _warn_of_learned(records: "Records", data: "bundle.Data") -> None:
    """Say how many of the images taught the bundle: those it gets right do not count as new."""
    taught = set(data.splits.get("train", ()))
    count = sum(record.id in taught for record in records)
    if count:
        process.complain(
            f"warning: {count} of these {len(records)} images taught the bundle. What it says of "
            "them tells nothing of new images; those it was measured on are in its model card."
        )
