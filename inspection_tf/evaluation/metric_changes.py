"""How metrics change from one inspector to another on the same images, with paired intervals."""

from collections.abc import Sequence

import numpy as np

from inspection_tf import errors
from inspection_tf.evaluation import intervals, outcomes
from inspection_tf.evaluation.image_results import ImageResult, Measures
from inspection_tf.evaluation.intervals import Estimate, Floats, Statistic


def _statistics(
    rows: Sequence[ImageResult], classes: Sequence[str]
) -> dict[str, tuple[Statistic, int]]:
    group_of = outcomes.groups(rows)
    rates = {
        name: intervals.ratio_of_sums(
            (event & among).astype(np.float64), among.astype(np.float64), group_of
        )
        for name, (event, among) in outcomes.rates(rows).items()
    }
    measures = rows[0].measures
    return {**measures.statistics(rows, classes), **outcomes.ranking(rows), **rates}


def _difference(before: Statistic, after: Statistic) -> Statistic:
    def statistic(counts: Floats) -> Floats:
        return np.asarray(after(counts) - before(counts))

    return statistic


def changes(
    before: Sequence[ImageResult],
    after: Sequence[ImageResult],
    *,
    classes: Sequence[str] = ("defect",),
    seed: int = 0,
    resamples: int = 2000,
    confidence: float = 0.95,
) -> dict[str, Estimate]:
    """Return `after - before` of every metric of `summarize`, its interval from paired resamples.

    Args:
        before: rows of one inspector.
        after: rows of another one on the same images.
        classes: as `inspect_records` had them.
        seed: of the bootstrap.
        resamples: of the bootstrap.
        confidence: of every interval, 0..1.

    Raises:
        errors.DataError: there is no row, or the images differ.
    """
    first, second = (sorted(rows, key=lambda row: row.id) for rows in (before, after))
    if not first or [row.id for row in first] != [row.id for row in second]:
        raise errors.DataError(
            "A change must be measured on the same images, at least one. "
            f"Got {len(first)} and {len(second)}. Inspect the same records twice."
        )
    old, new = _statistics(first, classes), _statistics(second, classes)
    estimates = intervals.bootstrap(
        {
            name: (_difference(old[name][0], new[name][0]), min(old[name][1], new[name][1]))
            for name in old.keys() & new.keys()
        },
        groups=len({row.group or row.id for row in first}),
        images=len(first),
        seed=seed,
        resamples=resamples,
        confidence=confidence,
    )
    named = first[0].measures.meanings(classes)
    return {name: estimates[name] for name in named if name in estimates}


def worsening(name: str, change: float, measures: Measures) -> float:
    """Return by how much a metric got worse; negative where it got better.

    Args:
        name: of the metric.
        change: what was added to it.
        measures: of the task.
    """
    falling = (*outcomes.LOWER_IS_BETTER, *measures.lower_is_better)
    return change if name.startswith(falling) else -change
