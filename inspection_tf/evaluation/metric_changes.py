"""How metrics change from one inspector to another on the same images, with paired intervals."""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from inspection_tf import errors
from inspection_tf.evaluation import intervals, outcomes
from inspection_tf.evaluation.image_results import ImageResult, Measures
from inspection_tf.evaluation.intervals import Estimate, Floats, Statistic

Indices = NDArray[np.intp]


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


def _mean_difference(
    before: Sequence[Statistic], after: Sequence[Statistic], places: Sequence[Indices]
) -> Statistic:
    """Return the mean of `after - before` over splits, of which each holds some of all groups."""

    def statistic(counts: Floats) -> Floats:
        found = [
            new(counts[:, place]) - old(counts[:, place])
            for old, new, place in zip(before, after, places, strict=True)
        ]
        mean: Floats = np.mean(found, axis=0)
        return mean

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
    return changes_over(
        [(before, after)],
        classes=classes,
        seed=seed,
        resamples=resamples,
        confidence=confidence,
    )


def changes_over(
    splits: Sequence[tuple[Sequence[ImageResult], Sequence[ImageResult]]],
    *,
    classes: Sequence[str] = ("defect",),
    seed: int = 0,
    resamples: int = 2000,
    confidence: float = 0.95,
) -> dict[str, Estimate]:
    """Return the mean of `changes` over several splits of one data set, its interval over groups.

    A group that several splits measure is drawn, or left out, in all of them at once: that it is
    hard says the same in each.

    Args:
        splits: of each split the rows of one inspector, and of another one on the same images.
        classes: as `inspect_records` had them.
        seed: of the bootstrap.
        resamples: of the bootstrap.
        confidence: of every interval, 0..1.

    Returns:
        Of each metric that is defined in all splits the mean difference.

    Raises:
        errors.DataError: there is no split, a split has no row, or its images differ.
    """
    pairs = [
        tuple(sorted(rows, key=lambda row: row.id) for rows in (before, after))
        for before, after in splits
    ]
    for first, second in pairs or [([], [])]:
        if not first or [row.id for row in first] != [row.id for row in second]:
            raise errors.DataError(
                "A change must be measured on the same images, at least one. "
                f"Got {len(first)} and {len(second)}. Inspect the same records twice."
            )
    names = sorted({row.part for first, _ in pairs for row in first})
    # In each split groups are numbered in the order of their names, as `outcomes.groups` does.
    places = [np.searchsorted(names, sorted({row.part for row in first})) for first, _ in pairs]
    old, new = ([_statistics(pair[side], classes) for pair in pairs] for side in (0, 1))
    shared = set.intersection(*(set(found) for found in (*old, *new)))
    estimates = intervals.bootstrap(
        {
            name: (
                _mean_difference(
                    [found[name][0] for found in old], [found[name][0] for found in new], places
                ),
                min(found[name][1] for found in (*old, *new)),
            )
            for name in shared
        },
        groups=len(names),
        images=sum(len(first) for first, _ in pairs),
        seed=seed,
        resamples=resamples,
        confidence=confidence,
    )
    named = pairs[0][0][0].measures.meanings(classes)
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
