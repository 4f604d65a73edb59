"""A verdict on the class of an image compared with its label."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from inspection_tf import decision, errors, evaluation
from inspection_tf.datasets.records import Record
from inspection_tf.evaluation import evidence
from inspection_tf.tasks.base import Context
from inspection_tf.tasks.classification.measures import MEASURES, ClassResult, Heat
from inspection_tf.tasks.classification.results import Classes

_OTHERS = {
    "corners": "corners. Give a bundle that locates a field",
    "pose": "poses of parts. Give a bundle that measures them",
}
_NEARBY = 0.1
"""By how much boxes are widened: an annotation is no more exact than that."""


@dataclass(frozen=True, slots=True)
class ClassLabel:
    """What is true of an image.

    Attributes:
        number: 0 for OK, k for the k-th class of what can be wrong.
        seen: (height, width) bool, where that is seen, if it is known and was asked for.
    """

    number: int
    seen: NDArray[np.bool_] | None = None


def read_label(record: Record, classes: int) -> ClassLabel:
    """Return the class of an image; where a mask says it, the class of most of its pixels.

    Args:
        record: of the image.
        classes: number of classes of what can be wrong.

    Raises:
        errors.ImageError: a mask cannot be read.
        errors.DataError: the label says where corners lie, and nothing of classes.
    """
    if record.label_kind in ("corners", "pose"):
        raise errors.DataError(
            f"{record.id}: an inspector that classifies needs images whose labels are classes or "
            f"masks. Got {_OTHERS[record.label_kind]}."
        )
    if not record.is_defect:
        return ClassLabel(0)
    if not record.has_mask:
        return ClassLabel(record.class_id)
    counts = np.bincount(record.read_classes().ravel(), minlength=classes + 1)[1 : classes + 1]
    return ClassLabel(int(counts.argmax()) + 1 if counts.any() else record.class_id)


def read_label_and_place(record: Record, context: Context) -> ClassLabel:
    """Return the class of an image, and where it is seen, where the label says it.

    Raises:
        errors.ImageError: a file cannot be read.
        errors.DataError: the label is of another kind, or does not fit the image.
    """
    label = read_label(record, len(context.classes))
    lying = context.preprocessing.orientation
    region = _annotated(record, label.number, context) if label.number else None
    if region is None:
        return label
    size = record.read_image(orientation=lying).shape[:2]
    return ClassLabel(label.number, evidence.region_mask(region, (size[0], size[1])))


def compare(record: Record, verdict: decision.Verdict, context: Context) -> evaluation.ImageResult:
    """Compare the class that a verdict found with the label of its image.

    Raises:
        errors.DataError: the label is of another class than the bundle's.
    """
    label = read_label(record, len(context.classes)).number
    if label > len(context.classes):
        raise errors.DataError(
            f"{record.id}: its class must be one of {', '.join(context.classes)}. "
            f"Got class {label}. Evaluate with images of the bundle's classes."
        )
    result = verdict.result
    probability = result.probability if isinstance(result, Classes) else None
    heat = _heat(record, label, result, context) if label and isinstance(result, Classes) else None
    return evaluation.ImageResult.of(
        record,
        verdict,
        MEASURES,
        ClassResult(label, probability, 1 + len(context.classes), heat),
        true_class=context.classes[label - 1] if label else "",
    )


def _heat(record: Record, label: int, result: Classes, context: Context) -> Heat | None:
    """Return how much of the heat of a defective image is where its class is; None without."""
    heat, placement = result.heat(), result.placement
    if heat is None or placement is None:
        return None
    region = _annotated(record, label, context)
    if region is None:
        return None
    inside = evidence.inside_share(heat, region, heat.shape)
    if region.dtype == np.bool_:  # a mask is exact
        return Heat(inside, inside)
    return Heat(inside, evidence.inside_share(heat, region, heat.shape, widen=_NEARBY))


def _annotated(
    record: Record, label: int, context: Context
) -> NDArray[np.float64] | NDArray[np.bool_] | None:
    """Return boxes or a mask of what shows the class of an image; None where nothing says it."""
    lying = context.preprocessing.orientation
    region = record.read_evidence(orientation=lying)
    if region is None and record.has_mask:
        region = record.read_classes(orientation=lying) == label
    return None if region is None or not region.any() else region
