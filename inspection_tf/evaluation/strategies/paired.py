"""Whether two strategies differ on the same images, and which of several do.

The difference has an interval from a bootstrap over groups. Its p-value comes of a permutation
test: were both strategies alike, swapping what they said of a group would change nothing but
chance. Groups are swapped whole, since images of one group err together, and all repeats of a
cross-validation with them.

All metrics here are such that the difference after swaps is a sum over groups, `sum s_g * d_g`,
with s_g = -1 where group g is swapped and 1 where not: the test flips signs. Of accuracies this is
plain. Of AUROC it holds too: a defective image contributes the share of good ones that it outranks,
among what *both* strategies said of those, by the first strategy less by the second; a good image
likewise. Scores of two strategies have no common scale, so that they are replaced by their ranks
within each strategy first (Venkatraman and Begg 1996).
"""

import itertools
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import ArrayLike, NDArray

from inspection_tf import errors, process
from inspection_tf.evaluation import intervals
from inspection_tf.evaluation.intervals import Estimate, Floats, Statistic
from inspection_tf.evaluation.strategies import scores as of_strategies
from inspection_tf.evaluation.strategies.scores import Resampling, Scores

if TYPE_CHECKING:
    import rich.table

EXACT_GROUPS = 12  # up to so many that differ, all swaps are tried
_ROUNDING = 1e-12  # of sums in another order; what an image adds is far larger
_CELLS = 2_000_000  # signs held at once
_METRIC = "image_auroc"


@dataclass(frozen=True, slots=True)
class Difference:
    """How one strategy differs from another.

    Attributes:
        metric: one of `strategies.METRICS`.
        first: name of a strategy.
        second: name of another one.
        estimate: metric of the first less that of the second, with its interval.
        p_value: chance of a difference at least as large, either way, between strategies that are
            alike; 1 where there is none. With g groups it is never under `2 / 2 ** g`.
        adjusted: p-value that knows how many comparisons were made (Holm).
        level: a difference whose adjusted p-value is under it is real.
    """

    metric: str
    first: str
    second: str
    estimate: Estimate
    p_value: float
    adjusted: float
    level: float = 0.05

    @property
    def is_real(self) -> bool:
        """Whether chance alone would hardly make such a difference among so many comparisons."""
        return self.adjusted < self.level

    def to_dict(self) -> dict[str, object]:
        """Return everything, ready for JSON."""
        return {
            "metric": self.metric,
            "first": self.first,
            "second": self.second,
            **self.estimate.to_dict(),
            "p_value": self.p_value,
            "adjusted": self.adjusted,
            "is_real": self.is_real,
        }


def holm(p_values: ArrayLike) -> Floats:
    """Return p-values that know how many there are: Holm's step-down correction.

    The k-th smallest of m is multiplied by `m - k + 1`; none may be under a smaller one's, none
    over 1. Where all hypotheses hold, the chance that any falls under a level is at most the level,
    however they depend on each other. Source: Holm 1979.

    Args:
        p_values: (m,), 0..1.
    """
    found = np.asarray(p_values, np.float64)
    order = np.argsort(found, kind="stable")
    scaled = found[order] * np.arange(len(found), 0, -1)
    adjusted = np.empty(len(found))
    adjusted[order] = np.minimum(np.maximum.accumulate(scaled), 1.0)
    return adjusted


def compare(
    first: Scores,
    second: Scores,
    *,
    metric: str = _METRIC,
    names: tuple[str, str] = ("first", "second"),
    how: Resampling = of_strategies.USUAL,
) -> Difference:
    """Return how two strategies differ on the same images; a single comparison, so not adjusted.

    Args:
        first: of a strategy.
        second: of another one, on the same images; it may have another number of repeats.
        metric: one of `strategies.METRICS`.
        names: of the two.
        how: resamples, permutations and seed.

    Raises:
        errors.ConfigError: there is no such metric.
        errors.DataError: the images differ, or show one class only where the metric needs two.
    """
    of_strategies.require_metric(metric)
    of_strategies.require_same_images(first, second)
    if metric == "image_auroc" and len(set(first.is_defect.tolist())) < 2:
        raise errors.DataError(
            "AUROC needs good and defective images. Got one kind only. Compare by accuracy."
        )
    (old, old_bearing), (new, new_bearing) = (
        of_strategies.statistic_of(one, metric) for one in (second, first)
    )
    groups = len(set(first.groups))
    found = intervals.bootstrap(
        {metric: (_difference(old, new), min(old_bearing, new_bearing))},
        groups=groups,
        images=len(first.ids),
        seed=how.seed,
        resamples=how.resamples,
        confidence=how.confidence,
    )
    p_value = sign_flip_p_value(_CONTRIBUTIONS[metric](first, second), how=how)
    return Difference(metric, *names, found[metric], p_value, p_value, 1 - how.confidence)


def compare_all(
    results: Mapping[str, Scores],
    *,
    metric: str = _METRIC,
    how: Resampling = of_strategies.USUAL,
) -> tuple[Difference, ...]:
    """Return how each strategy differs from each later one, adjusted for all these comparisons.

    Args:
        results: name of each strategy to its scores, all of the same images; at least two.
        metric: one of `strategies.METRICS`.
        how: resamples, permutations and seed.

    Raises:
        errors.ConfigError: there is no such metric.
        errors.DataError: there are fewer than two strategies, or their images differ.
    """
    if len(results) < 2:
        raise errors.DataError(
            f"A comparison needs at least two strategies. Got {len(results)}. Score another one."
        )
    pairs = [
        compare(results[one], results[other], metric=metric, names=(one, other), how=how)
        for one, other in itertools.combinations(results, 2)
    ]
    adjusted = holm([pair.p_value for pair in pairs])
    return tuple(
        replace(pair, adjusted=float(p_value))
        for pair, p_value in zip(pairs, adjusted, strict=True)
    )


def table(differences: Sequence[Difference]) -> "rich.table.Table":
    """Return differences for a terminal: each with its interval, its p-values, and what it is.

    Args:
        differences: of `compare_all`.
    """
    import rich.table

    lines = rich.table.Table(box=None, pad_edge=False)
    for heading in ("strategies", "difference", "interval", "p", "p (Holm)", "is"):
        lines.add_column(heading, justify="left", no_wrap=True)
    for one in differences:
        value, low, high = (
            "-" if number is None else f"{number:+.3f}"
            for number in one.estimate.to_dict().values()
        )
        lines.add_row(
            process.cell(f"{one.first} - {one.second}"),
            value,
            f"{low} to {high}",
            f"{one.p_value:.3g}",
            f"{one.adjusted:.3g}",
            "real" if one.is_real else "not shown",
        )
    return lines


def sign_flip_p_value(
    contributions: ArrayLike,
    *,
    how: Resampling = of_strategies.USUAL,
) -> float:
    """Return how often signs drawn at random give a sum as far from 0 as the one that was seen.

    Up to `EXACT_GROUPS` contributions that are not 0 all signs are tried; of more,
    `how.permutations` are drawn, and the one that was seen counts as drawn too (Phipson and Smyth
    2010), so that no p-value is 0.

    Args:
        contributions: (groups,), what each adds to a difference.
        how: number and seed of the draws.
    """
    every = np.asarray(contributions, np.float64)
    differing = every[np.abs(every) > _ROUNDING]
    if not len(differing):
        return 1.0
    least = abs(float(differing.sum())) - _ROUNDING

    def as_far(swapped: NDArray[np.int64]) -> int:
        return int(np.count_nonzero(np.abs(((1 - 2 * swapped) * differing).sum(axis=1)) >= least))

    if len(differing) <= EXACT_GROUPS:
        bits = np.arange(2 ** len(differing))[:, None] >> np.arange(len(differing)) & 1
        return as_far(bits) / len(bits)
    rng = np.random.default_rng(how.seed)
    block, extreme = max(1, _CELLS // len(differing)), 0
    for start in range(0, how.permutations, block):
        rows = min(block, how.permutations - start)
        extreme += as_far(rng.integers(2, size=(rows, len(differing))))
    return (1 + extreme) / (1 + how.permutations)


def _difference(old: Statistic, new: Statistic) -> Statistic:
    def statistic(counts: Floats) -> Floats:
        return np.asarray(new(counts) - old(counts))

    return statistic


def _by_group(of_images: Floats, scores: Scores) -> Floats:
    return np.asarray(np.bincount(scores.group_of, weights=of_images), np.float64)


def _mean_right(scores: Scores) -> Floats:
    """Return (images,), the share of repeats in which each was taken for its own class."""
    return np.asarray((scores.predicted == scores.true).mean(axis=0))


def _of_accuracy(first: Scores, second: Scores) -> Floats:
    gained = _mean_right(first) - _mean_right(second)
    return _by_group(gained / len(gained), first)


def _of_balanced_accuracy(first: Scores, second: Scores) -> Floats:
    classes, place, sizes = np.unique(first.true, return_inverse=True, return_counts=True)
    gained = _mean_right(first) - _mean_right(second)
    return _by_group(gained / (sizes[place] * len(classes)), first)


def _of_auroc(first: Scores, second: Scores) -> Floats:
    """Return what each group adds to the difference of AUROC, over all pairs of repeats."""
    pairs = [
        _auroc_gain(one, other, first.is_defect)
        for one in _ranks(first.score)
        for other in _ranks(second.score)
    ]
    return _by_group(np.mean(pairs, axis=0), first)


def _ranks(score: Floats) -> NDArray[np.int64]:
    """Return (repeats, images), twice the rank of each score in its repeat; equal ones share it."""
    found = []
    for row in score:
        ordered = np.sort(row)
        below = np.searchsorted(ordered, row, side="left")
        found.append(below + np.searchsorted(ordered, row, side="right"))
    return np.stack(found)


def _outranked(rank: NDArray[np.int64], others: NDArray[np.int64]) -> Floats:
    """Return of each rank the share of others under it, equal ones counting half."""
    ordered = np.sort(others)
    below = np.searchsorted(ordered, rank, side="left")
    return np.asarray((below + np.searchsorted(ordered, rank, side="right")) / (2 * len(ordered)))


def _auroc_gain(
    first: NDArray[np.int64], second: NDArray[np.int64], is_defect: NDArray[np.bool_]
) -> Floats:
    """Return (images,), what each adds to `AUROC(first) - AUROC(second)`.

    With K the chance that a defective image outranks a good one, the difference after swaps is
    `Q(s) - Q(-s)`, where Q is quadratic in the signs: what remains is linear in them.
    """
    gain = np.zeros(len(is_defect))
    for kind in (True, False):
        mine, theirs = is_defect == kind, is_defect != kind
        pooled = np.concatenate([first[theirs], second[theirs]])
        outranked = _outranked(first[mine], pooled) - _outranked(second[mine], pooled)
        gain[mine] = (1 if kind else -1) * outranked / mine.sum()
    return gain


_CONTRIBUTIONS: Mapping[str, Callable[[Scores, Scores], Floats]] = {
    "image_auroc": _of_auroc,
    "accuracy": _of_accuracy,
    "balanced_accuracy": _of_balanced_accuracy,
}
