"""What is measured on corners, over all images that show a field, whatever was decided about them.

`corner_error_px_...` and, over the image's width, `corner_error_relative_...` are each the mean,
the median and the 95th percentile of the distances of single corners;
`corner_error_relative_mean_ok` is of images judged OK alone; `quad_iou_mean` is the mean overlap of
the quadrilaterals, and `quad_iou_above_0.9` the share of images over it. An image that should be NG
is one without the field.
"""

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import ClassVar

import numpy as np
from numpy.typing import ArrayLike

from inspection_tf import evaluation
from inspection_tf.evaluation import columns, intervals
from inspection_tf.evaluation.intervals import Floats, Statistic
from inspection_tf.images import geometry

GOOD_IOU = 0.9


@dataclass(frozen=True, slots=True)
class CornerResult:
    """How far the corners of one image are from the true ones.

    Attributes:
        errors_px: of top left, top right, bottom right and bottom left, px of the source.
        width_px: of the source.
        quad_iou: of the two quadrilaterals.
    """

    kind: ClassVar[str] = "corners"

    errors_px: tuple[float, float, float, float]
    width_px: int
    quad_iou: float

    @property
    def relative(self) -> float:
        """Mean error as a share of the image's width."""
        return sum(self.errors_px) / 4 / self.width_px


def corners_of(row: evaluation.ImageResult) -> CornerResult | None:
    """Return how far the corners of a row are off; None where its image shows no field."""
    return None if row.result is None else row.result_as(CornerResult)


def compare_corners(
    found_xy: ArrayLike | None, true_xy: ArrayLike, *, image_size: tuple[int, int]
) -> CornerResult:
    """Measure the corners of an image, whatever was decided about it.

    Args:
        found_xy: (4, 2) px; None, or what is not finite, is as far off as the image is large.
        true_xy: (4, 2) px.
        image_size: (height, width), px.
    """
    height, width = image_size
    truth = geometry.check_corners(true_xy)
    if found_xy is None or not np.isfinite(found_xy).all():
        far = math.hypot(height, width)
        return CornerResult((far, far, far, far), width, 0.0)
    first, second, third, fourth = np.hypot(*(np.asarray(found_xy) - truth).T).tolist()
    iou = geometry.quadrilateral_iou(found_xy, truth)
    return CornerResult((first, second, third, fourth), width, iou)


@dataclass(frozen=True, slots=True)
class FieldMeasures:
    """Metrics of the corners of fields."""

    lower_is_better: ClassVar[tuple[str, ...]] = ("corner_error_",)
    # Those in px are bounded by the ones in shares of the width.
    bounds: ClassVar[Mapping[str, evaluation.Bound]] = {
        "corner_error_px_mean": "none",
        "corner_error_px_median": "none",
        "corner_error_px_p95": "none",
        "corner_error_relative_mean": "exact",
        "corner_error_relative_median": "exact",
    }

    def statistics(
        self, rows: Sequence[evaluation.ImageResult], classes: Sequence[str]
    ) -> dict[str, tuple[Statistic, int]]:
        """Return the metrics as statistics of counts of groups."""
        group_of = evaluation.groups(rows)
        results = [corners_of(row) for row in rows]
        has_field = np.array([result is not None for result in results])
        is_ok = np.array([row.outcome == "OK" for row in rows])
        px = np.array([result.errors_px if result else (0.0,) * 4 for result in results])
        width = np.array([result.width_px if result else 1 for result in results])
        iou = np.array([result.quad_iou if result else 0.0 for result in results])
        counted = np.asarray(has_field, np.float64)
        corner_group = np.repeat(group_of[has_field], 4)

        def mean(values: Floats, weight: Floats) -> tuple[Statistic, int]:
            return intervals.ratio_of_sums(values * weight, weight, group_of)

        statistics: dict[str, tuple[Statistic, int]] = {}
        relative = px / width[:, None]
        for unit, errors in (("px", px), ("relative", relative)):
            name, of_corners = f"corner_error_{unit}", errors[has_field].ravel()
            statistics[f"{name}_mean"] = mean(errors.mean(axis=1), counted)
            statistics[f"{name}_median"] = intervals.quantile(of_corners, 0.5, corner_group)
            statistics[f"{name}_p95"] = intervals.quantile(of_corners, 0.95, corner_group)
        of_ok = mean(relative.mean(axis=1), counted * is_ok)
        return {
            **statistics,
            "corner_error_relative_mean_ok": of_ok,
            "quad_iou_mean": mean(iou, counted),
            "quad_iou_above_0.9": mean(np.asarray(iou > GOOD_IOU, np.float64), counted),
        }

    def meanings(self, classes: Sequence[str]) -> dict[str, str]:
        """Return every metric in its order and in words."""
        return {
            "corner_error_px_mean": "mean distance of a corner, px",
            "corner_error_px_median": "median of it",
            "corner_error_px_p95": "95 % of the corners are nearer",
            "corner_error_relative_mean": "mean distance / image width",
            "corner_error_relative_median": "median of it",
            "corner_error_relative_p95": "95 % of the corners are nearer",
            "corner_error_relative_mean_ok": "its mean, images judged OK",
            "quad_iou_mean": "mean IoU of the quadrilaterals",
            "quad_iou_above_0.9": "images with an IoU over 0.9",
            "image_average_precision": "area under precision-recall, no field",
            "image_auroc": "chance that no field outranks a field",
            "escape_rate": "images without a field judged OK",
            "overkill_rate": "images with a field judged NG",
            "review_rate": "images left to a person",
            "ok_ng_accuracy": "images judged rightly",
        }

    def columns(self, classes: Sequence[str]) -> dict[str, evaluation.Column]:
        """Return the columns of the table of images: errors of corners, and empty ones of maps."""
        return {
            **columns.OUTCOME,
            **_OF_MAPS,
            **columns.REASON,
            **_OF_REGIONS,
            "corner_error_px_tl": _corner_column(lambda result: result.errors_px[0]),
            "corner_error_px_tr": _corner_column(lambda result: result.errors_px[1]),
            "corner_error_px_br": _corner_column(lambda result: result.errors_px[2]),
            "corner_error_px_bl": _corner_column(lambda result: result.errors_px[3]),
            "corner_error_relative": _corner_column(lambda result: result.relative),
            "quad_iou": _corner_column(lambda result: result.quad_iou),
        }

    def class_count(self, row: evaluation.ImageResult) -> int:
        """Return 0: there is a field or there is none."""
        return 0

    def warning(self, rows: Sequence[evaluation.ImageResult]) -> str:
        """Say nothing: an image without corners is one without a field."""
        return ""


MEASURES = FieldMeasures()


def _same(cell: evaluation.Cell) -> evaluation.Column:
    return lambda row: cell


# Readers of the table find the columns that it always had.
_OF_MAPS: Mapping[str, evaluation.Column] = {
    **dict.fromkeys(("dice", "iou"), _same(None)),
    **dict.fromkeys(("overlap_px", "true_area_px", "found_area_px", "regions"), _same(0)),
    "hidden_defects": _same(None),
}
_OF_REGIONS: Mapping[str, evaluation.Column] = dict.fromkeys(
    ("regions_true", "regions_found", "regions_matched"), _same(0)
)


def _corner_column(cell: Callable[[CornerResult], float]) -> evaluation.Column:
    """Return a column that is empty where an image shows no field."""
    return lambda row: None if (result := corners_of(row)) is None else cell(result)
