"""Metrics that the rows of every task have: outcomes, the ranking by score, and whole parts."""

import math
from collections.abc import Callable, Mapping, Sequence

import numpy as np
from numpy.typing import NDArray

from inspection_tf.evaluation import intervals
from inspection_tf.evaluation.image_results import ImageResult
from inspection_tf.evaluation.intervals import Estimate, Statistic

OUTCOMES: Mapping[str, str] = {
    "image_average_precision": "area under precision-recall",
    "image_auroc": "chance that defect outranks good",
    "escape_rate": "defective images judged OK",
    "overkill_rate": "good images judged NG",
    "review_rate": "images left to a person",
    "ok_ng_accuracy": "images judged rightly",
}
"""Metrics of outcomes and scores, and what each means where what is looked for are defects."""

OF_PARTS: Mapping[str, str] = {
    "escape_rate_parts_any": "defective parts, any image OK",
    "escape_rate_parts_each": "defective parts, each image OK",
    "overkill_rate_parts": "good parts, any image NG",
}
"""Metrics of evaluations in which several images show one part. Images of a defective part count
where they show a defect; a good part is one with good images."""

LOWER_IS_BETTER = ("escape_rate", "overkill_rate", "review_rate")
"""Starts of the names of those that should fall; the others should rise."""


def groups(rows: Sequence[ImageResult]) -> NDArray[np.int64]:
    """Return the index of each image's group, (images,)."""
    return np.unique([row.part for row in rows], return_inverse=True)[1]


def rates(
    rows: Sequence[ImageResult],
) -> dict[str, tuple[NDArray[np.bool_], NDArray[np.bool_]]]:
    """Return of each rate which images show the event, and among which they are counted."""
    is_ng = np.array([row.is_ng for row in rows], np.bool_)
    every = np.ones(len(rows), np.bool_)

    def where(condition: Callable[[ImageResult], bool]) -> NDArray[np.bool_]:
        return np.array([condition(row) for row in rows], np.bool_)

    return {
        "escape_rate": (where(lambda row: row.error == "escape"), is_ng),
        "overkill_rate": (where(lambda row: row.error == "overkill"), ~is_ng),
        "review_rate": (where(lambda row: row.outcome == "REVIEW"), every),
        "ok_ng_accuracy": (
            where(lambda row: row.outcome == ("NG" if row.is_ng else "OK")),
            every,
        ),
    }


def ranking(rows: Sequence[ImageResult]) -> dict[str, tuple[Statistic, int]]:
    """Return average precision and AUROC of the scores as statistics of counts of groups."""
    is_ng = np.array([row.is_ng for row in rows])
    score = np.array([math.inf if math.isnan(row.score) else row.score for row in rows])
    precision, auroc, bearing = intervals.ranking_statistics(score, is_ng, groups(rows))
    return {"image_average_precision": (precision, bearing), "image_auroc": (auroc, bearing)}


def parts(rows: Sequence[ImageResult], confidence: float) -> dict[str, Estimate]:
    """Return the rates of `OF_PARTS`, each part counted once; none where every image is its own.

    Args:
        rows: at least one.
        confidence: of every interval, 0..1.
    """
    group_of = groups(rows)
    if len(np.unique(group_of)) == len(rows):
        return {}
    rate = rates(rows)

    def showing(chosen: NDArray[np.bool_]) -> set[int]:
        return set(group_of[chosen].tolist())

    escaped, defective = rate["escape_rate"]
    overkill, good = rate["overkill_rate"]
    counts = {
        "escape_rate_parts_any": (showing(escaped), showing(defective)),
        "escape_rate_parts_each": (
            showing(defective) - showing(defective & ~escaped),
            showing(defective),
        ),
        "overkill_rate_parts": (showing(overkill), showing(good)),
    }
    return {
        name: intervals.clopper_pearson(len(events), len(trials), confidence=confidence)
        for name, (events, trials) in counts.items()
    }
