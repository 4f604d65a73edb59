"""Pictures of an evaluation of classes: what went worst, and what was taken for what."""

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING

import numpy as np

from inspection_tf import errors, evaluation, plots
from inspection_tf.evaluation import ImageResult
from inspection_tf.plots import curves
from inspection_tf.tasks.classification.comparison import ClassLabel
from inspection_tf.tasks.classification.measures import ClassResult

if TYPE_CHECKING:
    from matplotlib.figure import Figure

_LONGEST_ID, _LONGEST_CLASS = 45, 19  # letters over a picture


def draw(
    rows: Sequence[ImageResult], show: plots.Show, report: evaluation.Report
) -> "dict[str, Callable[[], Figure] | None]":
    """Return the worst images and the confusion of classes.

    Args:
        rows: of `comparison.compare`.
        show: gives image, labels and verdict of an image by its id.
        report: of the evaluation.
    """
    # A report of one class does not name it.
    classes = report.get("classes") or tuple({row.true_class for row in rows} - {""})
    return {
        "worst.png": (lambda: worst(rows, show, classes)) if rows else None,
        "confusion.png": (lambda: confusion(rows, classes)) if rows and classes else None,
    }


def badness(row: ImageResult) -> tuple[float, ...]:
    """Return what sorts rows: escapes, overkills, reviews, wrong classes, then unsure ones."""
    result = row.result_as(ClassResult)
    truth = 0.0 if result.probability is None else result.probability[result.true]
    if row.error is not None:
        return (0 if row.error == "escape" else 1), truth
    if row.outcome == "REVIEW":
        return 2, truth
    return (3 if not result.is_right else 4), truth


def worst(
    rows: Sequence[ImageResult], show: plots.Show, classes: Sequence[str], *, count: int = 8
) -> "Figure":
    """Return the images that went worst, with what was annotated and what speaks for NG.

    Args:
        rows: of `evaluation.inspect_records`.
        show: gives image, labels and verdict of an id; called for the shown ones only.
        classes: names of what can be wrong; none where there is only one.
        count: how many at most.

    Raises:
        errors.DataError: there is no row.
    """
    if not rows:
        raise errors.DataError("Worst cases need at least one image. Got none. Give some rows.")
    chosen = sorted(sorted(rows, key=lambda row: row.id), key=badness)[:count]
    cases = []
    for row in chosen:
        look = show(row.id)
        seen = look.labels_as(ClassLabel).seen
        true = (
            np.zeros(look.verdict.image_size, np.uint8) if seen is None else seen.astype(np.uint8)
        )
        found = look.verdict.mask().astype(np.uint8)
        cases.append(
            plots.Outlined(
                image=look.image,
                mask_found=found,
                mask_true=true.astype(np.uint8),
                heading=_heading(row, classes),
            )
        )
    title = f"The worst {len(chosen)} of {len(rows)} images; outlined: where NG is seen"
    return plots.outlined(cases, classes=("NG",), title=title)


def _heading(row: ImageResult, classes: Sequence[str]) -> str:
    result = row.result_as(ClassResult)
    names = ("good", *(classes or ("defective",)))
    found = "not finite" if result.likeliest is None else names[result.likeliest]
    truth = curves.short(names[result.true], longest=_LONGEST_CLASS)
    error = f" ({row.error})" if row.error else ""
    return (
        f"{curves.short(row.id, longest=_LONGEST_ID)}\n{truth}: {row.outcome}, as "
        f"{curves.short(found, longest=_LONGEST_CLASS)}{error}\nscore {row.score:.3f}"
    )


def confusion(rows: Sequence[ImageResult], classes: Sequence[str]) -> "Figure":
    """Return how images of each class were judged.

    Args:
        rows: of `evaluation.inspect_records`; at least one.
        classes: names of what can be wrong.

    Raises:
        errors.DataError: there is no row.
    """
    found = []
    for row in rows:
        probability = row.result_as(ClassResult).probability
        found.append("" if probability is None else classes[int(np.argmax(probability[1:]))])
    return plots.confusion(rows, classes, found_classes=found)
