"""The metrics of `evaluation`: rows of images -> numbers with intervals, and what each means."""

import math
from collections.abc import Callable, Sequence

import numpy as np
from numpy.typing import NDArray

from inspection_tf import errors
from inspection_tf.datasets import records
from inspection_tf.evaluation import intervals
from inspection_tf.evaluation.image_results import ImageResult
from inspection_tf.evaluation.intervals import Estimate, Floats, Statistic
from inspection_tf.tasks.fields import measures as results

MEANING = {
    "dice_defective": "mean Dice, defective images",
    "iou_defective": "mean IoU, defective images",
    "iou_pooled": "IoU of all pixels together",
    "dice_all_images": "mean Dice, all; clean good is 1",
    "image_average_precision": "area under precision-recall",
    "image_auroc": "chance that defect outranks good",
    "escape_rate": "defective images judged OK",
    "overkill_rate": "good images judged NG",
    "review_rate": "images left to a person",
    "ok_ng_accuracy": "images judged rightly",
    "iou_pooled_defective": "IoU of pixels, defective images",
    "region_f1": "F1 of regions, IoU over 0.33",
}
"""Metrics that every evaluation has. `meaning` also knows those of several classes and of parts."""

OF_PARTS = {
    "escape_rate_parts_any": "defective parts, any image OK",
    "escape_rate_parts_each": "defective parts, each image OK",
    "overkill_rate_parts": "good parts, any image NG",
}
"""Metrics of evaluations in which several images show one part. Images of a defective part count
where they show a defect; a good part is one with good images."""

CLASS_PREFIX = "iou_class_"
_MEAN = "iou_class_mean"


def meaning(name: str, *, of_fields: bool = False) -> str:
    """Return in words what a metric is; "" for a name that is none.

    Args:
        name: of the metric.
        of_fields: it is about images on which a field is looked for.
    """
    if of_fields and name in results.OUTCOMES:
        return results.OUTCOMES[name]
    if name == _MEAN:
        return "mean of the classes' IoU"
    if name.startswith(CLASS_PREFIX):
        return "IoU of its pixels, all images"
    return (MEANING | OF_PARTS | results.MEANING).get(name, "")


def require_classes(rows: Sequence[ImageResult], classes: Sequence[str]) -> None:
    """Refuse classes that are not those of the rows, or that no metric could be called after.

    Raises:
        errors.DataError: the rows were inspected with another number of classes; or a name is
            empty, occurs twice, or is `mean`, which is another metric.
    """
    if not classes or len(set(classes)) < len(classes) or {"", records.MEAN} & set(classes):
        raise errors.DataError(
            "Each class must have a name of its own, and not 'mean', which is another metric. "
            f"Got {list(classes)}. Rename the classes."
        )
    # Rows made by hand need no counts by class while there is one class only.
    known = {len(classes)} | ({0} if len(classes) == 1 else set())
    other = {len(row.class_true_px) for row in rows} - known
    if other:
        raise errors.DataError(
            f"Rows must have been inspected with the same classes, {', '.join(classes)}. "
            f"Got rows of {max(other)}. Give inspect_records and report equal classes."
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
    (percentiles). REVIEW is neither escape nor overkill, and not judged
    rightly. Defective images whose mask is empty have no Dice or IoU and are left out of all
    metrics of pixels and regions. A metric that is not defined (AUROC of one class of image, IoU of
    a class that is neither there nor found) has the value None.

    Args:
        rows: at least one.
        classes: as `inspect_records` had them; with one, defects of all classes are alike.
        seed: of the bootstrap.
        resamples: of the bootstrap.
        confidence: of every interval, 0..1.

    Returns:
        The names of `MEANING`, in that order; with several classes then `iou_class_<name>` for
        each of them and `iou_class_mean`. Where a field is looked for, those of the images' scores
        and outcomes alone, before them the ones of corners. Last, where groups have several images,
        those of `OF_PARTS`.

    Raises:
        errors.DataError: there is no row, or the rows have other classes.
    """
    if not rows:
        raise errors.DataError(
            "Metrics need at least one image. Got none. Choose a split that holds images."
        )
    if len(classes) > 1:
        require_classes(rows, classes)
    ordered = sorted(rows, key=lambda row: row.id)
    is_located = ordered[0].is_located
    estimates = intervals.bootstrap(
        of_fields(ordered) if is_located else of_maps(ordered, classes),
        groups=len({row.group or row.id for row in ordered}),
        images=len(ordered),
        seed=seed,
        resamples=resamples,
        confidence=confidence,
    )
    group_of = groups(ordered)
    for name, (event, among) in rates(ordered).items():
        estimates[name] = intervals.clustered_rate(event, among, group_of, confidence=confidence)
    of_parts = _of_parts(ordered, group_of, confidence)
    of_classes = [name for name in estimates if name.startswith(CLASS_PREFIX)]
    names = (*MEANING, *of_classes)
    if is_located:
        names = (*results.MEANING, *results.OUTCOMES)
    return {name: estimates[name] for name in names} | of_parts


def rates(
    rows: Sequence[ImageResult],
) -> dict[str, tuple[NDArray[np.bool_], NDArray[np.bool_]]]:
    """Return of each rate which images show the event, and among which they are counted."""
    defective = np.array([row.is_defect for row in rows], np.bool_)
    every = np.ones(len(rows), np.bool_)

    def where(found: Callable[[ImageResult], bool]) -> NDArray[np.bool_]:
        return np.array([found(row) for row in rows], np.bool_)

    return {
        "escape_rate": (where(lambda row: row.error == "escape"), defective),
        "overkill_rate": (where(lambda row: row.error == "overkill"), ~defective),
        "review_rate": (where(lambda row: row.outcome == "REVIEW"), every),
        "ok_ng_accuracy": (
            where(lambda row: row.outcome == ("NG" if row.is_defect else "OK")),
            every,
        ),
    }


def _of_parts(
    rows: Sequence[ImageResult], group_of: NDArray[np.int64], confidence: float
) -> dict[str, Estimate]:
    """Return the rates of `OF_PARTS`, each part counted once; none where every image is its own."""
    if len(np.unique(group_of)) == len(rows):
        return {}
    found = rates(rows)

    def parts(chosen: NDArray[np.bool_]) -> set[int]:
        return set(group_of[chosen].tolist())

    escaped, defective = found["escape_rate"]
    overkill, good = found["overkill_rate"]
    counts = {
        "escape_rate_parts_any": (parts(escaped), parts(defective)),
        "escape_rate_parts_each": (
            parts(defective) - parts(defective & ~escaped),
            parts(defective),
        ),
        "overkill_rate_parts": (parts(overkill), parts(good)),
    }
    return {
        name: intervals.clopper_pearson(len(events), len(trials), confidence=confidence)
        for name, (events, trials) in counts.items()
    }


def of_maps(
    rows: Sequence[ImageResult], classes: Sequence[str]
) -> dict[str, tuple[Statistic, int]]:
    """Return the metrics of pixels, regions and scores as statistics of counts of groups."""

    def column(value: Callable[[ImageResult], float | None]) -> Floats:
        return np.array([value(row) or 0.0 for row in rows])

    group_of = groups(rows)
    is_defect = np.array([row.is_defect for row in rows])
    marked = column(lambda row: row.true_area_px > 0)
    clean = column(lambda row: not row.is_defect and not row.found_area_px)
    dice = column(lambda row: row.dice)

    def ratio(above: Floats, below: Floats) -> tuple[Statistic, int]:
        return intervals.ratio_of_sums(above, below, group_of)

    labelled = np.maximum(marked, ~is_defect)
    union = column(lambda row: row.union_px * (row.true_area_px > 0 or not row.is_defect))
    overlap = column(lambda row: row.overlap_px)
    matched = column(lambda row: 2 * row.regions_matched)
    regions = column(lambda row: row.regions_true + row.regions_found)
    statistics = {
        "dice_defective": ratio(dice, marked),
        "iou_defective": ratio(column(lambda row: row.iou), marked),
        "iou_pooled": ratio(overlap, union),
        "dice_all_images": ratio(dice + clean, labelled),
        **_ranking(rows, group_of),
        "iou_pooled_defective": ratio(overlap, union * is_defect),
        "region_f1": ratio(matched, regions * labelled),
    }
    if len(classes) > 1:
        statistics |= _class_statistics(rows, classes, labelled, group_of)
    return statistics


def groups(rows: Sequence[ImageResult]) -> NDArray[np.int64]:
    """Return the index of each image's group."""
    return np.unique([row.group or row.id for row in rows], return_inverse=True)[1]


def _ranking(
    rows: Sequence[ImageResult], group_of: NDArray[np.int64]
) -> dict[str, tuple[Statistic, int]]:
    is_defect = np.array([row.is_defect for row in rows])
    score = np.array([math.inf if math.isnan(row.score) else row.score for row in rows])
    precision, auroc, bearing = intervals.ranking_statistics(score, is_defect, group_of)
    return {"image_average_precision": (precision, bearing), "image_auroc": (auroc, bearing)}


def of_fields(rows: Sequence[ImageResult]) -> dict[str, tuple[Statistic, int]]:
    """Return the metrics of corners and scores as statistics of counts of groups."""
    group_of = groups(rows)
    found = [row.corners for row in rows]
    is_ok = [row.outcome == "OK" for row in rows]
    return {**results.statistics(found, is_ok, group_of), **_ranking(rows, group_of)}


def _class_statistics(
    rows: Sequence[ImageResult],
    classes: Sequence[str],
    labelled: Floats,
    group_of: NDArray[np.int64],
) -> dict[str, tuple[Statistic, int]]:
    """Return the IoU of each class over all labelled images, and the mean of those."""
    overlap = np.array([row.class_overlap_px for row in rows], np.float64)
    areas = np.array([(row.class_true_px, row.class_found_px) for row in rows], np.float64)
    union = (areas.sum(axis=1) - overlap) * labelled[:, None]
    of_class = {
        CLASS_PREFIX + name: intervals.ratio_of_sums(overlap[:, k], union[:, k], group_of)
        for k, name in enumerate(classes)
    }
    bearing = len(np.unique(group_of[union.any(axis=1)]))
    mean = intervals.mean_of_defined([statistic for statistic, _ in of_class.values()])
    return {**of_class, _MEAN: (mean, bearing)}
