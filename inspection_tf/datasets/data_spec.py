"""The data section of a recipe: from its settings to records and splits, again whenever needed."""

import dataclasses
import itertools
import logging

import numpy as np
from numpy.typing import NDArray

from inspection_tf import errors, images, process
from inspection_tf.datasets import checks, records
from inspection_tf.datasets.divisions import groups, sealed
from inspection_tf.datasets.drawn import sections, surfaces
from inspection_tf.datasets.readers import formats, recognition
from inspection_tf.datasets.records import Record, Records, Source
from inspection_tf.datasets.sections import base, mask_legend, masks

_LOG = logging.getLogger("inspection_tf")
DataSpec = base.DataSpec
StoredSpec = base.StoredSpec
PairedSpec = base.PairedSpec
SurfacesSpec = sections.SurfacesSpec
CertificatesSpec = sections.CertificatesSpec
GridsSpec = sections.GridsSpec
InsertsSpec = sections.InsertsSpec
XraysSpec = sections.XraysSpec
ComposeSpec = masks.ComposeSpec


def read(spec: DataSpec) -> Records:
    """Read the records that a data section names, those sealed that it seals.

    Args:
        spec: the section.

    Raises:
        errors.ConfigError: a root is missing, the values of masks have no meaning in this set, or a
            group pattern is given where images have groups.
        errors.DataError: the root does not hold such a set, a group pattern does not match, or no
            image would be left to be sealed or to be used.
    """
    found = spec.draw() if isinstance(spec, base.DrawnSpec) else _stored(spec)
    if isinstance(spec, masks.MaskFilesSpec):
        found = mask_legend.with_meaning(found, spec.mask_values, spec.mask_ignore)
    if spec.group_pattern:
        found = groups.by_pattern(found, spec.group_pattern)
    leaves_templates_out = isinstance(spec, PairedSpec) and not spec.templates
    found = without_templates(found) if leaves_templates_out else found
    return sealed.share(found, spec.sealed, seed=spec.seed) if spec.sealed else found


def _stored(spec: DataSpec) -> Records:
    if not isinstance(spec, StoredSpec) or spec.root is None:
        raise errors.ConfigError(
            f"data.format {spec.format} needs data.root, the folder of the images. Got none. "
            "Add --data.root DIR."
        )
    known = recognition.of_file(spec.root)
    if known is not None:
        raise errors.DataError(
            f"{spec.root} must be a folder of images. Got {known.name}. {known.way_out}"
        )
    with formats.explained(spec.format):
        return spec.read_from(spec.root)


@dataclasses.dataclass(frozen=True, slots=True)
class _WithoutTemplate:
    """A source whose template is left out."""

    source: Source

    def read_image(self, *, orientation: images.Orientation = "apply") -> images.Image:
        return self.source.read_image(orientation=orientation)

    def read_mask(
        self, *, orientation: images.Orientation = "apply"
    ) -> NDArray[np.bool_] | NDArray[np.uint8]:
        return self.source.read_mask(orientation=orientation)

    def class_ids(self) -> tuple[int, ...] | None:
        known = getattr(self.source, "class_ids", None)
        return known() if known else None

    @property
    def label_kind(self) -> records.LabelKind:
        return Record("", False, self.source).label_kind

    @property
    def has_ignored(self) -> bool:
        return bool(getattr(self.source, "has_ignored", False))

    def read_ignored(
        self, *, orientation: images.Orientation = "apply"
    ) -> NDArray[np.bool_] | None:
        return Record("", False, self.source).read_ignored(orientation=orientation)

    def identity(self) -> bytes:
        return self.source.identity()


def without_templates(found: Records) -> Records:
    """Return records of the same images, each without its template."""
    if not found.has_template:
        return found
    alone = (
        dataclasses.replace(record, source=_WithoutTemplate(record.source)) for record in found
    )
    return Records.of(alone, origin=found.origin, classes=found.classes)


def check(found: Records, spec: DataSpec, preprocessing: images.Preprocessing) -> None:
    """Read every file of a data set once, before hours go into training on part of it.

    Drawn images need no check; sealed ones are left alone.

    Args:
        found: of `read`.
        spec: the section.
        preprocessing: that the images must fit.

    Raises:
        errors.DataError: an image or mask is not fit for use, or a name cannot be kept.
    """
    found.require_names()
    if isinstance(spec, base.DrawnSpec):
        return
    with process.bar("checking") as progress:
        unsealed = sealed.without(found)
        findings = checks.check(unsealed, preprocessing=preprocessing, progress=progress)
    for line in findings.summary():
        _LOG.info("%s", line)
    accepts_empty = isinstance(spec, masks.StoredMasksSpec) and spec.empty_masks == "accept"
    findings.require(tolerate=frozenset({"empty_mask"} if accepts_empty else ()))


def _composed(good: Records, spec: masks.MasksSpec, *, per_image: float) -> Records:
    return surfaces.compose(
        good,
        per_image=per_image,
        spec=spec.compose.surface,
        seed=spec.seed,
        weak_labels=spec.compose.weak_labels,
        classes=spec.compose.classes,
    )


def for_training(chosen: Records, spec: DataSpec) -> Records:
    """Return training records, none sealed, with composed defects added as the section asks."""
    chosen = sealed.without(chosen)
    if not isinstance(spec, masks.MasksSpec) or not spec.compose.per_image:
        return chosen
    return chosen.joined(_composed(chosen, spec, per_image=spec.compose.per_image))


def split(found: Records, spec: DataSpec, *, seed: int) -> dict[str, Records]:
    """Split what is not sealed into train, tune and test as the section says.

    With `defects: composed` the good images are split, train and tune receive composed defects,
    and test receives every real one, with the good images of its group. Where there is no real
    one yet, test receives composed ones too.

    Args:
        found: of `read`.
        spec: the section.
        seed: of the run.

    Raises:
        errors.DataError: a part would be empty, or there is no defect to learn from, or one class
            alone.
    """
    found = sealed.without(found)
    if not isinstance(spec, masks.MasksSpec) or spec.defects == "real":
        composes = isinstance(spec, masks.MasksSpec) and spec.compose.per_image > 0
        parts = records.split(
            found,
            tune=spec.tune,
            test=spec.test,
            seed=seed,
            require_defects=not composes and found.has_masks,
        )
        if found.label_kind == "classes":
            checks.require_two_classes(parts["train"], purpose="Training a classifier")
        return {**parts, "train": for_training(parts["train"], spec)}
    tested = set(found.where(is_defect=True).groups)
    kept = [name in tested for name in found.groups]
    good = Records.of(
        itertools.compress(found, (not k for k in kept)), origin=found.origin, classes=found.classes
    )
    if not len(good):
        raise errors.DataError(
            "Composing defects needs good images of groups without a defect. "
            f"Got none in {found.origin}. Add some."
        )
    parts = records.split(good, tune=spec.tune, test=spec.test, seed=seed, require_defects=False)
    unseen = Records.of(itertools.compress(found, kept), classes=found.classes)
    if not len(unseen):
        _LOG.warning("no real defect: the test figures are about composed ones")
        unseen = _composed(parts["test"], spec, per_image=1)
    return {
        "train": for_training(parts["train"], spec),
        "tune": parts["tune"].joined(_composed(parts["tune"], spec, per_image=1)),
        "test": parts["test"].joined(unseen),
    }


def folds(found: Records, spec: DataSpec, *, seed: int) -> list[dict[str, Records]]:
    """Return the splits of a cross-validation of what is not sealed, as the section says.

    Train parts come with composed defects if asked.

    Args:
        found: of `read`.
        spec: the section.
        seed: of the run.

    Raises:
        errors.DataError: too few images, also of one class; or no defect to learn from, or one
            class alone.
    """
    found = sealed.without(found)
    if found.has_masks:  # the field can be learned from photos that all show it
        found.require_defects(purpose="Cross-validation of a segmentation")
    if found.label_kind == "classes":
        checks.require_two_classes(found, purpose="Cross-validation of a classifier")
        checks.require_classes_in_folds(found, count=spec.folds)
    parts = records.folds(found, count=spec.folds, seed=seed)
    return [{**part, "train": for_training(part["train"], spec)} for part in parts]
