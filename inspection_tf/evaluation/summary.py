"""The metrics of `evaluation`: rows of images -> numbers with intervals, and what each means."""

from collections.abc import Sequence

import numpy as np

from inspection_tf import errors
from inspection_tf.datasets import records
from inspection_tf.evaluation import intervals, outcomes
from inspection_tf.evaluation.image_results import ImageResult, Measures
from inspection_tf.evaluation.intervals import Estimate


def measures_of(rows: Sequence[ImageResult]) -> Measures:
    """Return what the task of some rows measures on them.

    Raises:
        errors.DataError: there is no row.
    """
    if not rows:
        raise errors.DataError(
            "Metrics need at least one image. Got none. Choose a split that holds images."
        )
    return rows[0].measures


def meanings(measures: Measures, classes: Sequence[str] = ("defect",)) -> dict[str, str]:
    """Return in words what each metric of a report is, also those of parts.

    Args:
        measures: of the task.
        classes: names of what can be wrong with an image.
    """
    return {**measures.meanings(classes), **outcomes.OF_PARTS}


def require_classes(rows: Sequence[ImageResult], classes: Sequence[str]) -> None:
    """Refuse classes that are not those of the rows, or that no metric could be called after.

    Raises:
        errors.DataError: there is no row; the rows were inspected with another number of classes;
            or a name is empty, occurs twice, or is `mean`, which is another metric.
    """
    if not classes or len(set(classes)) < len(classes) or {"", records.MEAN} & set(classes):
        raise errors.DataError(
            "Each class must have a name of its own, and not 'mean', which is another metric. "
            f"Got {list(classes)}. Rename the classes."
        )
    measures = measures_of(rows)
    # Rows need no counts by class while there is one class only.
    known = {len(classes)} | ({0} if len(classes) == 1 else set())
    other = {measures.class_count(row) for row in rows} - known
    if other:
        raise errors.DataError(
            f"Rows must have been inspected with the same classes, {', '.join(classes)}. "
            f"Got rows of {max(other)}. Give inspect_records and report equal classes."
        )


def ranking(
    rows: Sequence[ImageResult],
    *,
    seed: int = 0,
    resamples: int = 2000,
    confidence: float = 0.95,
) -> dict[str, Estimate]:
    """Return average precision and AUROC of the scores as `summarize` measures them, and no more.

    Args:
        rows: at least one.
        seed: of the bootstrap.
        resamples: of the bootstrap.
        confidence: of every interval, 0..1.

    Returns:
        `image_average_precision` and `image_auroc`.

    Raises:
        errors.DataError: there is no row.
    """
    measures_of(rows)
    ordered = sorted(rows, key=lambda row: row.id)
    return intervals.bootstrap(
        outcomes.ranking(ordered),
        groups=len(np.unique(outcomes.groups(ordered))),
        images=len(ordered),
        seed=seed,
        resamples=resamples,
        confidence=confidence,
    )


def summarize(
    rows: Sequence[ImageResult],
    *,
    classes: Sequence[str] = ("defect",),
    seed: int = 0,
    resamples: int = 2000,
    confidence: float = 0.95,
) -> dict[str, Estimate]:
    """Return every metric with its interval; the order of the rows does not matter.

    Intervals of rates are Clopper-Pearson where each image shows a part of its own, and know
    groups where not (`intervals.clustered_rate`); all others come from a bootstrap over groups
    (percentiles). REVIEW is neither escape nor overkill, and not judged rightly. A metric that is
    not defined (AUROC where all images are good, IoU of a class that is neither there nor found)
    has the value None.

    Args:
        rows: at least one, all of one task.
        classes: as `inspect_records` had them; with one, all that can be wrong is alike.
        seed: of the bootstrap.
        resamples: of the bootstrap.
        confidence: of every interval, 0..1.

    Returns:
        The names of `Measures.meanings` that these rows have, in that order; then, where groups
        have several images, those of `outcomes.OF_PARTS`.

    Raises:
        errors.DataError: there is no row, or the rows have other classes.
    """
    measures = measures_of(rows)
    if len(classes) > 1:
        require_classes(rows, classes)
    ordered = sorted(rows, key=lambda row: row.id)
    group_of = outcomes.groups(ordered)
    estimates = intervals.bootstrap(
        {**measures.statistics(ordered, classes), **outcomes.ranking(ordered)},
        groups=len(np.unique(group_of)),
        images=len(ordered),
        seed=seed,
        resamples=resamples,
        confidence=confidence,
    )
    for name, (event, among) in outcomes.rates(ordered).items():
        estimates[name] = intervals.clustered_rate(event, among, group_of, confidence=confidence)
    named = (name for name in measures.meanings(classes) if name in estimates)
    return {name: estimates[name] for name in named} | outcomes.parts(ordered, confidence)
