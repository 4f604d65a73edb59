"""A verdict on a field compared with its true corners."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from inspection_tf import decision, errors, evaluation, images
from inspection_tf.datasets.records import Record
from inspection_tf.tasks.base import Context
from inspection_tf.tasks.fields import measures


@dataclass(frozen=True, slots=True)
class CornerLabels:
    """What is true of a photo.

    Attributes:
        corners_xy: (4, 2) px, clockwise from the top left of the text; None: it shows no field.
    """

    corners_xy: NDArray[np.float64] | None


def read_labels(record: Record, orientation: images.Orientation = "apply") -> CornerLabels:
    """Return the labels of a photo."""
    return CornerLabels(record.read_corners(orientation=orientation))


def compare(record: Record, verdict: decision.Verdict, context: Context) -> evaluation.ImageResult:
    """Compare the corners of a verdict with the true ones, whatever was decided about them.

    Raises:
        errors.DataError: the labels of the photo are not corners.
    """
    if record.label_kind != "corners":
        label = {"masks": "a mask", "pose": "a pose"}.get(record.label_kind, "its class")
        raise errors.DataError(
            f"{record.id}: an inspector that locates a field needs images whose labels are "
            f"corners. Got one whose label is {label}. Give images with corners, or a bundle that "
            "looks for defects."
        )
    truth = read_labels(record, context.preprocessing.orientation).corners_xy
    result = None
    if truth is not None:
        size = verdict.image_size
        result = measures.compare_corners(verdict.guess_xy, truth, image_size=size)
    return evaluation.ImageResult.of(
        record,
        verdict,
        measures.MEASURES,
        result,
        true_class=verdict.classes[0] if record.is_defect else "",
    )
