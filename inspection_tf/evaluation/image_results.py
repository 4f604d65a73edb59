"""The rows of `evaluation`: each labelled image, inspected."""

import logging
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from inspection_tf import decision, errors, images, process
from inspection_tf.datasets import records
from inspection_tf.tasks.segmentation import regions as class_results
from inspection_tf.images import geometry
from inspection_tf.tasks.fields import measures as results
from inspection_tf.tasks.fields.measures import CornerResult

_LOG = logging.getLogger("inspection_tf")

Audit = Callable[[NDArray[Any], NDArray[np.bool_]], Sequence[object]]
"""Probability map and true mask to the true defects that a rule hides."""


class Inspector(Protocol):
    """What is evaluated: anything that turns an image into a verdict."""

    def inspect(self, source: Any, /, *, template: Any = None) -> decision.Verdict:
        """Return the verdict on one image, (H, W) or (H, W, 3) RGB, with its mask in that size.

        The template is only named where a record has one.
        """
        ...


@dataclass(frozen=True, slots=True)
class ImageResult:
    """One image: what it is, what was decided, and how the masks overlap.

    Attributes:
        id: of the record.
        group: images of one group are resampled together.
        is_defect: the truth.
        outcome: OK, NG or REVIEW.
        score: nan if the output was not finite; it then ranks above all others.
        threshold: a score at or above it is NG.
        overlap_px: pixels of the true defect that the verdict's regions cover.
        true_area_px: pixels of the true defect.
        found_area_px: pixels of the verdict's regions; no pixel that is ignored is in any of these.
        regions: their number.
        reasons: in words.
        hidden_defects: true defects that a rule hides; None if it was not audited.
        true_class: the class with the most true pixels; "" where there is none.
        decided_by: the stage of a cascade that decided; "" for a single network.
        regions_true: 8-connected regions of the truth, class by class.
        regions_found: regions of the verdict that have a pixel that is not ignored.
        regions_matched: pairs of the two; see `class_results.match_regions`.
        class_overlap_px: like `overlap_px`, of each class with itself.
        class_true_px: pixels of each class in the truth.
        class_found_px: pixels of each class in the verdict.
        is_located: a field was looked for, not defects.
        corners: how far its corners are from the true ones; None where it shows no field.
    """

    id: str
    group: str
    is_defect: bool
    outcome: decision.Outcome
    score: float
    threshold: float
    overlap_px: int
    true_area_px: int
    found_area_px: int
    regions: int = 0
    reasons: tuple[str, ...] = ()
    hidden_defects: int | None = None
    true_class: str = ""
    decided_by: str = ""
    regions_true: int = 0
    regions_found: int = 0
    regions_matched: int = 0
    class_overlap_px: tuple[int, ...] = ()
    class_true_px: tuple[int, ...] = ()
    class_found_px: tuple[int, ...] = ()
    is_located: bool = False
    corners: CornerResult | None = None

    @property
    def dice(self) -> float | None:
        """`2 overlap / (true + found)`; None where no pixel is truly defective."""
        if not self.true_area_px:
            return None
        return 2 * self.overlap_px / (self.true_area_px + self.found_area_px)

    @property
    def iou(self) -> float | None:
        """`overlap / union`; None where no pixel is truly defective."""
        return self.overlap_px / self.union_px if self.true_area_px else None

    @property
    def union_px(self) -> int:
        """Pixels that are defective or found."""
        return self.true_area_px + self.found_area_px - self.overlap_px

    def found_class(self, classes: Sequence[str]) -> str:
        """Return the name of the class with the most found pixels; "" where nothing was found."""
        return classes[int(np.argmax(self.class_found_px))] if any(self.class_found_px) else ""

    @property
    def error(self) -> str | None:
        """Whether it is an "escape" (defective but OK), an "overkill" (good but NG), or None."""
        if self.is_defect:
            return "escape" if self.outcome == "OK" else None
        return "overkill" if self.outcome == "NG" else None


def read_truth(
    record: records.Record, orientation: images.Orientation = "apply"
) -> NDArray[np.uint8]:
    """Return the true class ids, (height, width); a bool mask is class 1.

    Of a record whose label is four corners, 1 inside of them.
    """
    if getattr(record, "has_corners", False):
        corners = record.read_corners(orientation=orientation)
        empty = record.read_mask(orientation=orientation).astype(np.uint8)
        if corners is None:
            return empty
        return geometry.inside(corners, (empty.shape[0], empty.shape[1])).astype(np.uint8)
    read = getattr(record, "read_classes", record.read_mask)
    return np.asarray(read(orientation=orientation)).astype(np.uint8)


def read_ignored(
    record: records.Record, orientation: images.Orientation = "apply"
) -> NDArray[np.bool_] | None:
    """Return the pixels that count for nothing, (height, width); None where all count."""
    read: Callable[..., NDArray[np.bool_] | None] | None = getattr(record, "read_ignored", None)
    return None if read is None else read(orientation=orientation)


def inspect(
    inspector: Inspector, record: records.Record, orientation: images.Orientation = "apply"
) -> tuple[NDArray[Any], NDArray[Any] | None, decision.Verdict]:
    """Return image, template (None where the record has none) and verdict of one record."""
    image = record.read_image(orientation=orientation)
    read = getattr(record, "read_template", None)
    template = None if read is None else read(orientation=orientation)
    if template is None:
        return image, None, inspector.inspect(image)
    return image, template, inspector.inspect(image, template=template)


def _require_consistent(
    record: records.Record,
    truth: NDArray[np.uint8],
    verdict: decision.Verdict,
    classes: Sequence[str],
) -> None:
    # What a single class is called matters to nobody.
    if len(verdict.classes) != len(classes) or (
        len(classes) > 1 and tuple(verdict.classes) != tuple(classes)
    ):
        raise errors.DataError(
            f"{record.id}: the verdict must be on the classes {', '.join(classes)}. "
            f"Got {', '.join(verdict.classes)}. Evaluate with the classes of the bundle."
        )
    if truth.shape != verdict.image_size:
        raise errors.DataError(
            f"{record.id}: the mask must have the size of its image. Got {truth.shape} and "
            f"{verdict.image_size}, height first. Correct the mask."
        )
    if truth.any() and not record.is_defect:
        raise errors.DataError(
            f"{record.id}: a good image must have no defective pixel. Got "
            f"{np.count_nonzero(truth)} in its mask. Correct the label or the mask."
        )
    class_results.require_ids(truth, classes, where=record.id)


def _true_class(record: records.Record, pixels: Sequence[int], classes: Sequence[str]) -> str:
    if len(classes) == 1:
        return classes[0] if record.is_defect else ""
    return classes[int(np.argmax(pixels))] if any(pixels) else ""


def _inspect_one(
    inspector: Inspector,
    record: records.Record,
    classes: Sequence[str],
    audit: Audit | None,
    orientation: images.Orientation,
) -> ImageResult:
    _, _, verdict = inspect(inspector, record, orientation)
    if getattr(record, "has_corners", False):
        return _locate_one(record, verdict, orientation)
    truth = read_truth(record, orientation)
    _require_consistent(record, truth, verdict, classes)
    ignored = read_ignored(record, orientation)
    found = verdict.class_mask()
    if ignored is not None:
        found[ignored] = 0
    pixels = class_results.count_pixels(truth, found, classes=len(classes))
    counted = class_results.without_ignored(verdict.regions, ignored)
    regions = class_results.match_regions(truth, counted, verdict.classes)
    hidden = None
    probability = verdict.class_probability
    probability = verdict.probability if probability is None else probability
    if audit is not None and probability is not None:
        hidden = len(audit(probability, truth > 0)) if truth.any() else 0
    class_true_px = tuple(pixels.sum(axis=1)[1:].tolist())
    return ImageResult(
        id=record.id,
        group=record.group or record.id,
        is_defect=record.is_defect,
        outcome=verdict.outcome,
        score=float(verdict.score),
        threshold=float(verdict.threshold),
        overlap_px=int(pixels[1:, 1:].sum()),
        true_area_px=int(pixels[1:].sum()),
        found_area_px=int(pixels[:, 1:].sum()),
        regions=len(verdict.regions),
        reasons=tuple(verdict.reasons),
        hidden_defects=hidden,
        true_class=_true_class(record, class_true_px, classes),
        decided_by=verdict.decided_by,
        regions_true=regions.true,
        regions_found=regions.found,
        regions_matched=regions.matched,
        class_overlap_px=tuple(pixels.diagonal()[1:].tolist()),
        class_true_px=class_true_px,
        class_found_px=tuple(pixels.sum(axis=0)[1:].tolist()),
    )


def _locate_one(
    record: records.Record, verdict: decision.Verdict, orientation: images.Orientation
) -> ImageResult:
    if verdict.guess_xy is None:
        raise errors.DataError(
            f"{record.id}: images whose labels are corners need an inspector that locates a field. "
            "Got one that looks for defects. Give a bundle of that task."
        )
    truth = record.read_corners(orientation=orientation)
    found = None
    if truth is not None:
        found = results.compare(verdict.guess_xy, truth, image_size=verdict.image_size)
    return ImageResult(
        id=record.id,
        group=record.group or record.id,
        is_defect=record.is_defect,
        outcome=verdict.outcome,
        score=float(verdict.score),
        threshold=float(verdict.threshold),
        overlap_px=0,
        true_area_px=0,
        found_area_px=0,
        reasons=tuple(verdict.reasons),
        true_class=verdict.classes[0] if record.is_defect else "",
        is_located=True,
        corners=found,
    )


def inspect_records(
    inspector: Inspector,
    labelled: Sequence[records.Record],
    *,
    classes: Sequence[str] = ("defect",),
    audit: Audit | None = None,
    orientation: images.Orientation = "apply",
    progress: process.Progress | None = None,
) -> list[ImageResult]:
    """Inspect every record, none left out, and compare verdict and truth in source pixels.

    Args:
        inspector: usually a bundle's.
        labelled: the records; the rows keep their order.
        classes: names of the class ids 1, 2, ... in the masks.
        audit: counts true defects that a rule hides, such as
            `lambda map, mask: decision.hidden_defects(map, rules, mask, mask_threshold=0.5)`.
        orientation: whether EXIF turns are applied, as the bundle's preprocessing says.
        progress: called with (done, of).

    Raises:
        errors.ImageError: an image or a mask cannot be read.
        errors.DataError: a mask does not fit its image or its label, or the classes differ.
    """
    rows = []
    for index, record in enumerate(labelled):
        rows.append(_inspect_one(inspector, record, classes, audit, orientation))
        if progress is not None:
            progress(index + 1, len(labelled))
    unmarked = [
        row.id for row in rows if row.is_defect and not row.true_area_px and not row.is_located
    ]
    if unmarked:
        _LOG.warning(
            "%d defective images have an empty mask, the first %s: Dice and IoU leave them out",
            len(unmarked),
            unmarked[0],
        )
    return rows
