"""How metrics change from one inspector to another on the same images, with paired intervals."""

from collections.abc import Sequence

import numpy as np

from inspection_tf import errors
from inspection_tf.evaluation import intervals, summary
from inspection_tf.evaluation.image_results import ImageResult
from inspection_tf.evaluation.intervals import Estimate, Floats, Statistic
from inspection_tf.tasks.fields import measures as results

LOWER_IS_BETTER = ("escape_rate", "overkill_rate", "review_rate", "corner_error_")
"""Starts of the names of metrics that should fall; all others should rise."""


def _all(rows: Sequence[ImageResult], classes: Sequence[str]) -> dict[str, tuple[Statistic, int]]:
    found = summary.of_fields(rows) if rows[0].is_located else summary.of_maps(rows, classes)
    group_of = summary.groups(rows)
    return found | {
        name: intervals.ratio_of_sums(
            (event & among).astype(np.float64), among.astype(np.float64), group_of
        )
        for name, (event, among) in summary.rates(rows).items()
    }


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
    old, new = _all(first, classes), _all(second, classes)
    found = intervals.bootstrap(
        {
            name: (_difference(old[name][0], new[name][0]), min(old[name][1], new[name][1]))
            for name in old
        },
        groups=len({row.group or row.id for row in first}),
        images=len(first),
        seed=seed,
        resamples=resamples,
        confidence=confidence,
    )
    of_classes = [name for name in found if name.startswith(summary.CLASS_PREFIX)]
    ordered = (*results.MEANING, *summary.MEANING, *of_classes)
    return {name: found[name] for name in ordered if name in found}


def worsening(name: str, change: float) -> float:
    """Return by how much a metric got worse; negative where it got better."""
    return change if name.startswith(LOWER_IS_BETTER) else -change
