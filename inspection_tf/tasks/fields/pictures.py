"""Pictures of an evaluation of fields: what went worst, and how far corners are off."""

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING

from inspection_tf import evaluation, plots, process
from inspection_tf.evaluation import ImageResult
from inspection_tf.plots import curves
from inspection_tf.tasks.fields.comparison import CornerLabels
from inspection_tf.tasks.fields.measures import corners_of

if TYPE_CHECKING:
    from matplotlib.figure import Figure


def draw(rows: Sequence[ImageResult], show: plots.Show) -> "dict[str, Callable[[], Figure] | None]":
    """Return the worst photos, and the errors of corners where a photo shows a field.

    Args:
        rows: of `comparison.compare`.
        show: gives image, labels and verdict of an image by its id.
    """
    has_field = any(corners_of(row) is not None for row in rows)
    return {
        "worst.png": (lambda: worst_located(rows, show)) if rows else None,
        "corners.png": (lambda: corner_errors(rows)) if has_field else None,
    }


def worst_located(rows: Sequence[ImageResult], show: plots.Show, *, count: int = 8) -> "Figure":
    """Return the photos that went worst: false fields, fields refused, then the largest errors.

    Args:
        rows: of `evaluation.inspect_records`.
        show: gives image, labels and verdict of an id; called for the shown ones only.
        count: how many at most.

    Raises:
        errors.DataError: there is no row.
    """

    def badness(row: ImageResult) -> tuple[float, ...]:
        if row.error == "escape":
            return 0, row.score
        if row.error == "overkill":
            return 1, -row.score
        corners = corners_of(row)
        return 2, -(corners.relative if corners else -1.0)

    chosen = sorted(sorted(rows, key=lambda row: row.id), key=badness)[:count]
    return plots.located(
        [_located(row, show(row.id)) for row in chosen],
        title=f"The worst {len(chosen)} of {curves.counted(rows)}",
    )


def _located(row: ImageResult, look: evaluation.Look) -> plots.Located:
    corners = corners_of(row)
    off = "no field" if corners is None else f"{100 * corners.relative:.2f} % off"
    judged = f"{row.error or 'judged'} {row.outcome}, {off}, score {row.score:.3f}"
    return plots.Located(
        image=look.image,
        found_xy=look.verdict.guess_xy,
        true_xy=look.labels_as(CornerLabels).corners_xy,
        caption=f"{process.printable(row.id)}\n{judged}",
    )


def corner_errors(rows: Sequence[ImageResult]) -> "Figure":
    """Return the share of corners that lie within a distance, as a curve.

    Args:
        rows: of `evaluation.inspect_records`, at least one of an image with a field.

    Raises:
        errors.DataError: no image shows a field.
    """
    results = [corners_of(row) for row in rows]
    return plots.corner_errors(
        [
            None if result is None else [px / result.width_px for px in result.errors_px]
            for result in results
        ]
    )
