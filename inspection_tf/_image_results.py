"""The rows of `evaluation`: each labelled image, inspected."""

import logging
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from inspection_tf import decision, errors, images
from inspection_tf.datasets import records

_LOG = logging.getLogger("inspection_tf")

Audit = Callable[[NDArray[Any], NDArray[np.bool_]], Sequence[object]]
"""Probability map and true mask to the true defects that a rule hides."""


class Inspector(Protocol):
    """What is evaluated: anything that turns an image into a verdict."""

    def inspect(self, source: Any, /) -> decision.Verdict:
        """Return the verdict on one image, (H, W) or (H, W, 3) RGB, with its mask in that size."""
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
        found_area_px: pixels of the verdict's regions.
        regions: their number.
        reasons: in words.
        hidden_defects: true defects that a rule hides; None if it was not audited.
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

    @property
    def error(self) -> str | None:
        """Whether it is an "escape" (defective but OK), an "overkill" (good but NG), or None."""
        if self.is_defect:
            return "escape" if self.outcome == "OK" else None
        return "overkill" if self.outcome == "NG" else None


def _inspect_one(
    inspector: Inspector,
    record: records.Record,
    audit: Audit | None,
    orientation: images.Orientation,
) -> ImageResult:
    verdict = inspector.inspect(record.read_image(orientation=orientation))
    truth, found = record.read_mask(orientation=orientation), verdict.mask()
    if truth.shape != found.shape:
        raise errors.DataError(
            f"{record.id}: the mask must have the size of its image. Got {truth.shape} and "
            f"{found.shape}, height first. Correct the mask."
        )
    if truth.any() and not record.is_defect:
        raise errors.DataError(
            f"{record.id}: a good image must have no defective pixel. Got {int(truth.sum())} in "
            "its mask. Correct the label or the mask."
        )
    hidden = None
    if audit is not None and verdict.probability is not None:
        hidden = len(audit(verdict.probability, truth)) if truth.any() else 0
    return ImageResult(
        id=record.id,
        group=record.group or record.id,
        is_defect=record.is_defect,
        outcome=verdict.outcome,
        score=float(verdict.score),
        threshold=float(verdict.threshold),
        overlap_px=int(np.count_nonzero(truth & found)),
        true_area_px=int(np.count_nonzero(truth)),
        found_area_px=int(np.count_nonzero(found)),
        regions=len(verdict.regions),
        reasons=tuple(verdict.reasons),
        hidden_defects=hidden,
    )


def inspect_records(
    inspector: Inspector,
    labelled: Sequence[records.Record],
    *,
    audit: Audit | None = None,
    orientation: images.Orientation = "apply",
    progress: Callable[[int, int], None] | None = None,
) -> list[ImageResult]:
    """Inspect every record, none left out, and compare verdict and truth in source pixels.

    Args:
        inspector: usually a bundle's.
        labelled: the records; the rows keep their order.
        audit: counts true defects that a rule hides, such as
            `lambda map, mask: decision.hidden_defects(map, rules, mask, mask_threshold=0.5)`.
        orientation: whether EXIF turns are applied, as the bundle's preprocessing says.
        progress: called with (done, of).

    Raises:
        errors.ImageError: an image or a mask cannot be read.
        errors.DataError: a mask does not fit its image or its label.
    """
    rows = []
    for index, record in enumerate(labelled):
        rows.append(_inspect_one(inspector, record, audit, orientation))
        if progress is not None:
            progress(index + 1, len(labelled))
    unmarked = [row.id for row in rows if row.is_defect and not row.true_area_px]
    if unmarked:
        _LOG.warning(
            "%d defective images have an empty mask, the first %s: Dice and IoU leave them out",
            len(unmarked),
            unmarked[0],
        )
    return rows
