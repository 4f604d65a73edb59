"""The data section of a recipe: from its settings to records and splits, again whenever needed."""

import dataclasses
import itertools
import logging
from pathlib import Path
from typing import Any, Literal

import numpy as np
import pydantic
from numpy.typing import NDArray

from inspection_tf import config, errors, images, process
from inspection_tf.datasets import checks, drawn_photos, drawn_surfaces, groups, records
from inspection_tf.datasets.readers import corners, formats, recognition
from inspection_tf.datasets.records import Record, Records, Source
from inspection_tf.datasets.sections import group_patterns, mask_legend
from inspection_tf.synthesis.certificate import CertificateSpec
from inspection_tf.synthesis.grids import GridSpec
from inspection_tf.synthesis.surface import SurfaceSpec

_LOG = logging.getLogger("inspection_tf")
Format = Literal[
    "synthetic",
    "dagm",
    "folder",
    "magnetic_tile",
    "deeppcb",
    "certificate",
    "grid",
    "corners",
    "smartdoc",
]
DRAWN = frozenset({"synthetic", "certificate", "grid"})
"""Formats whose images are drawn: no file can be wrong."""


class ComposeSpec(config.Section):
    """Synthetic defects on good images."""

    per_image: int = pydantic.Field(default=0, ge=0)
    """Defective images made of each good training image."""
    weak_labels: bool = True
    """Label with a covering ellipse, as DAGM does, instead of the exact mask."""
    surface: SurfaceSpec = SurfaceSpec()
    """What the defects are drawn from."""


class DataSpec(config.Section):
    """Which images, and how they are split."""

    format: Format = "synthetic"
    """synthetic (surfaces), certificate or grid, which are drawn, or the layout of a folder: see
    `readers`."""
    root: Path | None = None
    """Folder of the images; synthetic ones need none."""
    seed: int = 0
    """Of the synthetic images and the composed defects."""
    count: int = pydantic.Field(default=400, ge=1)
    """Number of synthetic images."""
    defective_share: float = pydantic.Field(default=0.5, ge=0, le=1)
    """Share of defective synthetic images."""
    weak_labels: bool = False
    """Label synthetic images with a covering ellipse instead of the exact mask."""
    surface: SurfaceSpec = SurfaceSpec()
    """What synthetic images are drawn from."""
    certificate: CertificateSpec = CertificateSpec()
    """What certificates are drawn from."""
    unseen: CertificateSpec | None = None
    """What the certificates of the test split are drawn from; none: the same."""
    unseen_count: int = pydantic.Field(default=400, ge=1)
    """Number of test photos that are drawn from `unseen`."""
    grid: GridSpec = GridSpec()
    """What printed grids are drawn from."""
    group_pattern: str | None = None
    """Regular expression that is searched for in the path of each image under the root, without
    suffix: its first group, or the one named group, is the part that the image shows. A split never
    parts the images of a part. None: as groups.csv in the root says, or the format."""
    corner_order: corners.Order = corners.ORDER
    """What p1, p2, p3 and p4 are in a table of corners whose columns are called so."""
    defects: Literal["real", "composed"] = "real"
    """Defects that train and tune: those of the data set, or synthetic ones on its good images;
    the real ones are then all kept for the test."""
    compose: ComposeSpec = ComposeSpec()
    """Synthetic defects on good training images: all there are (`defects: composed`) or besides."""
    templates: bool = True
    """Compare each image with its template, where the data set has them; false: leave them out."""
    mask_values: dict[str, str] = pydantic.Field(default_factory=dict)
    """What the values in mask files mean, where they are not 0 and 255, 0 and 1, or the ids of
    classes.txt: from a gray value, the entry of a palette, or a colour ("#800000" or 128,0,0) to
    background, ignore, defect, or the name or id of a class. 0 and black are background unless
    they are named. Such as {0: defect, 255: background}, or {1: scratch, 2: dent, 255: ignore},
    whose names are the classes where the data set names none. On the command line in pairs:
    1 scratch 2 dent 255 ignore."""
    mask_ignore: tuple[str, ...] = ()
    """Further values in mask files that are to be ignored, such as 255: their pixels count neither
    for loss nor for metrics."""
    empty_masks: Literal["refuse", "accept"] = "refuse"
    """Defective images whose mask is empty: refuse the data set, or accept them as NG images of
    which nothing is known but that."""
    tune: float = pydantic.Field(default=0.2, ge=0, lt=1)
    """Share of images that choose thresholds."""
    test: float = pydantic.Field(default=0.25, ge=0, lt=1)
    """Share of images that are looked at once, at the end."""
    folds: int = pydantic.Field(default=0, ge=0)
    """0: train, tune and test. Else cross-validation: every image is tested by a network that did
    not see it, thresholds come from these scores, and the shipped network trains on all."""

    @pydantic.field_validator("group_pattern")
    @classmethod
    def _require_group(cls, pattern: str | None) -> str | None:
        if pattern is not None:
            group_patterns.compiled(pattern)
        return pattern

    @pydantic.field_validator("mask_values", mode="before")
    @classmethod
    def _values_are_text(cls, given: Any) -> Any:
        # YAML reads 255 as a number.
        if not isinstance(given, dict):
            return given
        return {str(value): str(meaning) for value, meaning in given.items()}

    @pydantic.field_validator("mask_ignore", mode="before")
    @classmethod
    def _ignored_are_text(cls, given: Any) -> Any:
        listed = given if isinstance(given, list | tuple) else [given]
        return tuple(str(value) for value in listed)

    @pydantic.model_validator(mode="after")
    def _values_can_be_stored(self) -> "DataSpec":
        named = set()
        for text in (*self.mask_values, *self.mask_ignore):
            value = mask_legend.parse(text)
            colour = (value,) * 3 if isinstance(value, int) else value  # 255 is #ffffff too
            if colour in named:
                raise ValueError(
                    "a value of a mask must be named once in mask_values and mask_ignore together, "
                    f"got {text!r} again"
                )
            named.add(colour)
        return self

    @pydantic.model_validator(mode="after")
    def _check(self) -> "DataSpec":
        if self.folds == 1:
            raise ValueError("folds must be 0 or at least 2")
        if self.defects == "composed" and (not self.compose.per_image or self.folds):
            raise ValueError(
                "defects: composed needs compose.per_image of at least 1 and folds of 0"
            )
        return self


def read(spec: DataSpec) -> Records:
    """Read the records that a data section names.

    Args:
        spec: the section.

    Raises:
        errors.ConfigError: a root is missing, the values of masks have no meaning in this set, or a
            group pattern is given where images have groups.
        errors.DataError: the root does not hold such a set, or a group pattern does not match.
    """
    found = mask_legend.with_meaning(_as_stored(spec), spec.mask_values, spec.mask_ignore)
    if spec.group_pattern:
        found = groups.by_pattern(found, spec.group_pattern)
    return found if spec.templates else without_templates(found)


def _as_stored(spec: DataSpec) -> Records:
    if spec.format == "synthetic":
        return drawn_surfaces.surfaces(
            count=spec.count,
            defective_fraction=spec.defective_share,
            spec=spec.surface,
            seed=spec.seed,
            weak_labels=spec.weak_labels,
        )
    if spec.format == "certificate":
        return _certificates(spec)
    if spec.format == "grid":
        return drawn_photos.printed_grids(count=spec.count, spec=spec.grid, seed=spec.seed)
    if spec.root is None:
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
        if spec.format == "corners":
            return corners.read_corners(spec.root, order=spec.corner_order)
        return formats.FORMATS[spec.format].read(spec.root)


def _certificates(spec: DataSpec) -> Records:
    known = drawn_photos.certificates(count=spec.count, spec=spec.certificate, seed=spec.seed)
    if spec.unseen is None:
        return known
    unseen = drawn_photos.certificates(
        count=spec.unseen_count, spec=spec.unseen, seed=spec.seed, name="unseen", split="test"
    )
    return _joined(known, unseen)


@dataclasses.dataclass(frozen=True, slots=True)
class _Alone:
    """A source whose template is left out."""

    source: Source

    def read_image(self, *, orientation: images.Orientation = "apply") -> NDArray[Any]:
        return self.source.read_image(orientation=orientation)

    def read_mask(self, *, orientation: images.Orientation = "apply") -> NDArray[Any]:
        return self.source.read_mask(orientation=orientation)

    def class_ids(self) -> tuple[int, ...] | None:
        known = getattr(self.source, "class_ids", None)
        return known() if known else None

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
    alone = (dataclasses.replace(record, source=_Alone(record.source)) for record in found)
    return Records.of(alone, origin=found.origin, classes=found.classes)


def check(found: Records, spec: DataSpec, preprocessing: images.Preprocessing) -> None:
    """Read every file of a data set once, before hours go into training on part of it.

    Drawn images need no check.

    Args:
        found: of `read`.
        spec: the section.
        preprocessing: that the images must fit.

    Raises:
        errors.DataError: an image or mask is not fit for use, or a name cannot be kept.
    """
    found.require_names()
    if spec.format in DRAWN:
        return
    with process.bar("checking") as progress:
        findings = checks.check(found, preprocessing=preprocessing, progress=progress)
    for line in findings.summary():
        _LOG.info("%s", line)
    findings.require(tolerate=frozenset({"empty_mask"} if spec.empty_masks == "accept" else ()))


def _composed(good: Records, spec: DataSpec, *, per_image: int) -> Records:
    return drawn_surfaces.compose(
        good,
        per_image=per_image,
        spec=spec.compose.surface,
        seed=spec.seed,
        weak_labels=spec.compose.weak_labels,
    )


def _joined(first: Records, second: Records) -> Records:
    return Records.of((*first, *second), origin=first.origin, classes=first.classes)


def for_training(chosen: Records, spec: DataSpec) -> Records:
    """Return training records with composed defects added, as the section asks."""
    if not spec.compose.per_image:
        return chosen
    return _joined(chosen, _composed(chosen, spec, per_image=spec.compose.per_image))


def split(found: Records, spec: DataSpec, *, seed: int) -> dict[str, Records]:
    """Split into train, tune and test as the section says.

    With `defects: composed` the good images are split, train and tune receive composed defects,
    and test receives every real one, with the good images of its group. Where there is no real
    one yet, test receives composed ones too.

    Args:
        found: of `read`.
        spec: the section.
        seed: of the run.

    Raises:
        errors.DataError: a part would be empty, or there is no defect to learn from.
    """
    if spec.defects == "real":
        parts = records.split(
            found,
            tune=spec.tune,
            test=spec.test,
            seed=seed,
            require_defects=not spec.compose.per_image and not found.has_corners,
        )
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
        "tune": _joined(parts["tune"], _composed(parts["tune"], spec, per_image=1)),
        "test": _joined(parts["test"], unseen),
    }


def folds(found: Records, spec: DataSpec, *, seed: int) -> list[dict[str, Records]]:
    """Return the splits of a cross-validation, train parts with composed defects if asked.

    Args:
        found: of `read`.
        spec: the section.
        seed: of the run.

    Raises:
        errors.DataError: too few images, or no defect to learn from.
    """
    if not found.has_corners:  # the field can be learned from photos that all show it
        found.require_defects(purpose="Cross-validation of a segmentation")
    parts = records.folds(found, count=spec.folds, seed=seed)
    return [{**part, "train": for_training(part["train"], spec)} for part in parts]
