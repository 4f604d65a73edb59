"""Corners that were found beside the true ones: errors of an image, and statistics over many."""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from inspection_tf.evaluation import intervals
from inspection_tf.evaluation.intervals import Floats, Statistic
from inspection_tf.images import geometry

GOOD_IOU = 0.9

MEANING = {
    "corner_error_px_mean": "mean distance of a corner, px",
    "corner_error_px_median": "median of it",
    "corner_error_px_p95": "95 % of the corners are nearer",
    "corner_error_relative_mean": "mean distance / image width",
    "corner_error_relative_median": "median of it",
    "corner_error_relative_p95": "95 % of the corners are nearer",
    "corner_error_relative_mean_ok": "its mean, images judged OK",
    "quad_iou_mean": "mean IoU of the quadrilaterals",
    "quad_iou_above_0.9": "images with an IoU over 0.9",
}
OUTCOMES = {
    "image_average_precision": "area under precision-recall, no field",
    "image_auroc": "chance that no field outranks a field",
    "escape_rate": "images without a field judged OK",
    "overkill_rate": "images with a field judged NG",
    "review_rate": "images left to a person",
    "ok_ng_accuracy": "images judged rightly",
}
"""Metrics of `evaluation` that corners have too, and what they mean then."""


@dataclass(frozen=True, slots=True)
class CornerResult:
    """How far the corners of one image are from the true ones.

    Attributes:
        errors_px: of top left, top right, bottom right and bottom left, px of the source.
        width_px: of the source.
        quad_iou: of the two quadrilaterals.
    """

    errors_px: tuple[float, float, float, float]
    width_px: int
    quad_iou: float

    @property
    def relative(self) -> float:
        """Mean error as a share of the image's width."""
        return sum(self.errors_px) / 4 / self.width_px


def compare(
    found_xy: NDArray[Any] | None, true_xy: ArrayLike, *, image_size: tuple[int, int]
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


def quantile(values: Floats, share: float, group_of: NDArray[np.int64]) -> tuple[Statistic, int]:
    """Return the statistic "the smallest value that at least this share do not exceed".

    Args:
        values: (n,).
        share: 0..1.
        group_of: (n,), the index of each value's group.
    """
    order = np.argsort(values, kind="stable")
    ranked, group = values[order], group_of[order]

    def statistic(counts: Floats) -> Floats:
        weight = counts[:, group]
        reached = weight.cumsum(axis=1)
        total = reached[:, -1:]
        # A rounding error of the product must not ask for one more.
        place = (reached < share * total * (1 - 1e-12)).sum(axis=1)
        return np.where(total[:, 0] > 0, ranked[np.minimum(place, len(ranked) - 1)], np.nan)

    if not len(values):
        return lambda counts: np.full(len(counts), np.nan), 0

    return statistic, len(np.unique(group_of))


def statistics(
    results: Sequence[CornerResult | None],
    is_ok: Sequence[bool],
    group_of: NDArray[np.int64],
) -> dict[str, tuple[Statistic, int]]:
    """Return the statistics of `MEANING` over the images that show a field.

    Args:
        results: of each image; None: it shows no field.
        is_ok: whether it was judged OK.
        group_of: (images,), the index of each image's group.
    """
    shown = np.array([result is not None for result in results])
    px = np.array([result.errors_px if result else (0.0,) * 4 for result in results])
    width = np.array([result.width_px if result else 1 for result in results])
    iou = np.array([result.quad_iou if result else 0.0 for result in results])
    counted = np.asarray(shown, np.float64)
    corner_group = np.repeat(group_of[shown], 4)

    def mean(values: Floats, weight: Floats) -> tuple[Statistic, int]:
        return intervals.ratio_of_sums(values * weight, weight, group_of)

    found: dict[str, tuple[Statistic, int]] = {}
    relative = px / width[:, None]
    for unit, errors in (("px", px), ("relative", relative)):
        name = f"corner_error_{unit}"
        found[f"{name}_mean"] = mean(errors.mean(axis=1), counted)
        found[f"{name}_median"] = quantile(errors[shown].ravel(), 0.5, corner_group)
        found[f"{name}_p95"] = quantile(errors[shown].ravel(), 0.95, corner_group)
    found["corner_error_relative_mean_ok"] = mean(relative.mean(axis=1), counted * np.array(is_ok))
    found["quad_iou_mean"] = mean(iou, counted)
    found["quad_iou_above_0.9"] = mean(np.asarray(iou > GOOD_IOU, np.float64), counted)
    return {name: found[name] for name in MEANING}
