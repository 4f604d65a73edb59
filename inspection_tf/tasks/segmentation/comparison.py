"""A verdict on defects compared with the mask of its image."""

import dataclasses
import math
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from inspection_tf import decision, errors, evaluation
from inspection_tf.datasets.records import Record
from inspection_tf.tasks.base import Context
from inspection_tf.tasks.segmentation import labels, regions
from inspection_tf.tasks.segmentation.labels import MaskLabels
from inspection_tf.tasks.segmentation.measures import MEASURES, MapMeasures
from inspection_tf.tasks.segmentation.results import MapResult, WearResult


def compare(
    record: Record,
    verdict: decision.Verdict,
    context: Context,
    rules: decision.Rules,
    *,
    audit: bool = False,
) -> evaluation.ImageResult:
    """Compare the regions of a verdict with the mask of its image, in pixels of the source.

    Args:
        record: of the image.
        verdict: on it.
        context: of the bundle.
        rules: that it was reached by.
        audit: also count the true defects that the rules hide.

    Raises:
        errors.ImageError: the mask cannot be read.
        errors.DataError: the mask does not fit its image or its label, or it holds an id without a
            name; the label is no mask; or the verdict is on other classes.
    """
    _require_mask(record)
    classes = context.classes
    truth = labels.read(record, context.preprocessing.orientation)
    _require_consistent(record, truth.ids, verdict, classes)
    result = _overlap(truth, verdict, classes)
    if audit:
        hidden = _hidden_defects(truth.ids, verdict, context, rules)
        result = dataclasses.replace(result, hidden_defects=hidden)
    measures = MEASURES
    if rules.measured_wear is not None:
        measures, wear = _wear(record, truth, verdict, context, rules.measured_wear)
        result = dataclasses.replace(result, wear=wear)
    return evaluation.ImageResult.of(
        record,
        verdict,
        measures,
        result,
        true_class=_true_class(record, result.class_true_px, classes),
    )


def _require_mask(record: Record) -> None:
    if record.label_kind == "corners":
        raise errors.DataError(
            f"{record.id}: images whose labels are corners need an inspector that locates a field. "
            "Got one that looks for defects. Give a bundle of that task."
        )
    if record.label_kind == "pose":
        raise errors.DataError(
            f"{record.id}: images whose labels are poses need an inspector that measures them. Got "
            "one that looks for defects. Give a bundle of that task."
        )
    if record.label_kind == "classes":
        raise errors.DataError(
            f"{record.id}: an inspector that says where defects are needs images whose labels are "
            "masks. Got one whose label is its class. Give images with masks, or a bundle that "
            "classifies whole images."
        )


def _require_consistent(
    record: Record,
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
    regions.require_ids(truth, classes, where=record.id)


def _overlap(truth: MaskLabels, verdict: decision.Verdict, classes: Sequence[str]) -> MapResult:
    found = verdict.class_mask()
    if truth.ignored is not None:
        found[truth.ignored] = 0
    pixels = regions.count_pixels(truth.ids, found, classes=len(classes))
    counted = regions.without_ignored(verdict.regions, truth.ignored)
    counts = regions.match_regions(truth.ids, counted, verdict.classes)
    return MapResult(
        overlap_px=int(pixels[1:, 1:].sum()),
        true_area_px=int(pixels[1:].sum()),
        found_area_px=int(pixels[:, 1:].sum()),
        regions=len(verdict.regions),
        regions_true=counts.true,
        regions_found=counts.found,
        regions_matched=counts.matched,
        class_overlap_px=tuple(pixels.diagonal()[1:].tolist()),
        class_true_px=tuple(pixels.sum(axis=1)[1:].tolist()),
        class_found_px=tuple(pixels.sum(axis=0)[1:].tolist()),
    )


def _wear(
    record: Record,
    truth: MaskLabels,
    verdict: decision.Verdict,
    context: Context,
    rules: decision.WearRules,
) -> tuple[MapMeasures, WearResult]:
    """Return flank wear beside the true one, and what is measured on it."""
    found, true = verdict.wear, record.read_wear()
    measures = MapMeasures(true_wear="mask" if true is None else "known")
    if found is None and math.isfinite(verdict.score):
        # The first stage of a cascade stopped the image: it says that there is no wear.
        found = decision.FlankWear(mm_per_px=context.mm_per_px)
    if true is None:
        ids = truth.ids
        is_land = ids > 0 if rules.class_name is None else ids == _id_of(rules, context.classes)
        true = rules.measure(is_land, mm_per_px=context.mm_per_px)
    return measures, WearResult(
        vb_um=None if found is None else found.vb_mean_um,
        vb_true_um=true.vb_mean_um,
        vb_max_um=None if found is None else found.vb_max_um,
        vb_max_true_um=true.vb_max_um,
    )


def _id_of(rules: decision.WearRules, classes: Sequence[str]) -> int:
    return 1 + list(classes).index(rules.class_name or "")


def _hidden_defects(
    truth: NDArray[np.uint8], verdict: decision.Verdict, context: Context, rules: decision.Rules
) -> int | None:
    """Return how many true defects the rules hide; None where there is no map to audit them on."""
    probability = verdict.class_probability
    probability = verdict.probability if probability is None else probability
    if probability is None:
        return None
    if not truth.any():
        return 0
    hidden = decision.hidden_defects(
        probability,
        rules,
        truth > 0,
        mask_threshold=context.operating_point.mask_threshold,
        mm_per_px=context.mm_per_px,
        classes=context.classes,
    )
    return len(hidden)


def _true_class(record: Record, pixels: Sequence[int], classes: Sequence[str]) -> str:
    if len(classes) == 1:
        return classes[0] if record.is_defect else ""
    return classes[int(np.argmax(pixels))] if any(pixels) else ""
