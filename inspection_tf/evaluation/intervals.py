"""Numbers with intervals: the arithmetic of `evaluation`.

The bootstrap draws whole *groups* with replacement, since images of one part err together. A draw
is a vector of counts, one per group, so no resample is ever copied: sums become weighted sums.
"""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

_CELLS = 2_000_000  # weights held at once; bounds memory, changes no number

Floats = NDArray[np.float64]
Statistic = Callable[[Floats], Floats]
"""Counts (resamples, groups) to values (resamples,), nan where undefined."""


@dataclass(frozen=True, slots=True)
class Estimate:
    """A value with its interval; None where the data do not define it."""

    value: float | None
    low: float | None = None
    high: float | None = None

    def to_dict(self) -> dict[str, float | None]:
        """Return `{"value", "low", "high"}`."""
        return {"value": self.value, "low": self.low, "high": self.high}


def clopper_pearson(events: int, trials: int, *, confidence: float) -> Estimate:
    """Return a rate with its exact binomial interval (two-sided).

    Source: Clopper and Pearson 1934, by quantiles of the beta distribution. Undefined at 0 / 0.

    Args:
        events: how often it happened.
        trials: how often it could have.
        confidence: 0..1.
    """
    if not trials:
        return Estimate(None)
    from scipy import special

    tail = (1 - confidence) / 2
    missed = trials - events
    low = float(special.betaincinv(events, missed + 1, tail)) if events else 0.0
    high = float(special.betaincinv(events + 1, missed, 1 - tail)) if missed else 1.0
    return Estimate(events / trials, low, high)


_PSEUDO_GROUPS = 1 / 6  # of each kind; see `clustered_rate`


def clustered_rate(
    event: NDArray[np.bool_],
    among: NDArray[np.bool_],
    group_of: NDArray[np.int64],
    *,
    confidence: float,
) -> Estimate:
    """Return a rate of images with an interval that knows that images of one group err together.

    Where no group has two of these images it is `clopper_pearson`. Else it is Wilson's interval at
    the effective number of images, `n / deff`. The design effect deff compares the variance of the
    rate between groups (linearized ratio) with that of n independent images; it is kept between 1
    and the mean size of an image's group. Few groups with an event say little of how they vary, so
    a sixth of a group with nothing but events, and of one with none, is added for the variance.

    In simulations of 10 to 200 groups of 2 or 6 images, at rates of 5 and 10 %, it covers 93 to
    98 %, Korn and Graubard's interval 92 to 100 % and the bootstrap over groups 47 to 96 %
    (`benchmarks/promises.py`, methods).

    Source: Kish 1965 (design effect); Wilson 1927; Korn and Graubard 1998 and Franco et al. 2019,
    J. Surv. Stat. Methodol. 7 (intervals at the effective sample size).

    Args:
        event: (images,), whether it happened.
        among: (images,), whether it could have.
        group_of: (images,), the index of each image's group.
        confidence: 0..1.
    """
    happened = event & among
    trials, events = int(among.sum()), int(happened.sum())
    _, place, size = np.unique(group_of[among], return_inverse=True, return_counts=True)
    if not trials or size.max() == 1:
        return clopper_pearson(events, trials, confidence=confidence)
    rate = events / trials
    count = np.bincount(place, weights=happened[among]).astype(np.float64)
    images = trials / _effect(count, size.astype(np.float64))
    quantile = _normal_quantile((1 + confidence) / 2)
    square = quantile**2 / images
    centre = (rate + square / 2) / (1 + square)
    half = np.sqrt(rate * (1 - rate) * square + square**2 / 4) / (1 + square)
    low, high = float(centre - half), float(centre + half)
    return Estimate(rate, 0.0 if not events else low, 1.0 if events == trials else high)


def _effect(count: Floats, size: Floats) -> float:
    """Return the design effect of a rate.

    Args:
        count: (groups,), images with an event.
        size: (groups,), images.
    """
    pseudo = size.mean()
    weight = np.append(np.ones(len(size)), [_PSEUDO_GROUPS] * 2)
    events, images = np.append(count, [pseudo, 0.0]), np.append(size, [pseudo, pseudo])
    total, groups = (weight * images).sum(), weight.sum()
    rate = (weight * events).sum() / total
    spread = (weight * (events - rate * images) ** 2).sum() * groups / (groups - 1)
    largest = (size**2).sum() / size.sum()
    return float(np.clip(spread / (total * rate * (1 - rate)), 1.0, largest))


def _normal_quantile(share: float) -> float:
    import statistics

    return statistics.NormalDist().inv_cdf(share)


def ratio_of_sums(
    numerator: Floats, denominator: Floats, group_of: NDArray[np.int64]
) -> tuple[Statistic, int]:
    """Return the statistic `sum(numerator) / sum(denominator)`, and the groups that bear on it.

    A mean over some images is this with 1 for each of them, 0 for the others, below the line.

    Args:
        numerator: (images,).
        denominator: (images,), not negative; undefined where the sum is 0.
        group_of: (images,), the index of each image's group.
    """
    above = np.bincount(group_of, weights=numerator)
    below = np.bincount(group_of, weights=denominator)

    def statistic(counts: Floats) -> Floats:
        # Not a matrix product: its rounding may depend on where the arrays lie in memory.
        total = (counts * below).sum(axis=1)
        value = np.full(len(counts), np.nan)
        np.divide((counts * above).sum(axis=1), total, out=value, where=total > 0)
        return value

    return statistic, int(np.count_nonzero(below))


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


def mean_of_defined(statistics: Sequence[Statistic]) -> Statistic:
    """Return the mean of several statistics, of each resample over those that it defines."""

    def mean(counts: Floats) -> Floats:
        total, defined = np.zeros(len(counts)), np.zeros(len(counts))
        for statistic in statistics:
            part = statistic(counts)
            total += np.nan_to_num(part)
            defined += ~np.isnan(part)
        value = np.full(len(counts), np.nan)
        np.divide(total, defined, out=value, where=defined > 0)
        return value

    return mean


def _ranking(
    score: Floats, is_defect: NDArray[np.bool_], group_of: NDArray[np.int64]
) -> Callable[[Floats], tuple[Floats, Floats]]:
    """Return a function from counts to defective and good images at each level of the score.

    Both are (resamples, levels), by falling score; equal scores share a level.
    """
    order = np.argsort(-score, kind="stable")
    ranked = score[order]
    starts = np.flatnonzero(np.concatenate([[True], ranked[1:] != ranked[:-1]]))
    defective, group = is_defect[order].astype(np.float64), group_of[order]

    def levels(counts: Floats) -> tuple[Floats, Floats]:
        weight = counts[:, group]
        bad = np.add.reduceat(weight * defective, starts, axis=1)
        return bad, np.add.reduceat(weight, starts, axis=1) - bad

    return levels


def ranking_statistics(
    score: Floats, is_defect: NDArray[np.bool_], group_of: NDArray[np.int64]
) -> tuple[Statistic, Statistic, int]:
    """Return average precision, AUROC, and the groups that the scarcer class has.

    `AP = sum over levels of (recall gained) * precision`, without interpolation;
    `AUROC = P(defective over good) + P(equal) / 2`. Both are undefined without one of the classes.

    Args:
        score: (images,), +inf allowed, not nan.
        is_defect: (images,).
        group_of: (images,), the index of each image's group.
    """
    levels = _ranking(score, is_defect, group_of)

    def undefined(bad: Floats, good: Floats) -> NDArray[np.bool_]:
        return np.asarray((bad.sum(axis=1) == 0) | (good.sum(axis=1) == 0))

    def average_precision(counts: Floats) -> Floats:
        bad, good = levels(counts)
        hits = bad.cumsum(axis=1)
        flagged = hits + good.cumsum(axis=1)
        value = (bad * hits / np.maximum(flagged, 1)).sum(axis=1) / np.maximum(hits[:, -1], 1)
        return np.where(undefined(bad, good), np.nan, value)

    def auroc(counts: Floats) -> Floats:
        bad, good = levels(counts)
        pairs = np.maximum(bad.sum(axis=1) * good.sum(axis=1), 1)
        value = (good * (bad.cumsum(axis=1) - bad / 2)).sum(axis=1) / pairs
        return np.where(undefined(bad, good), np.nan, value)

    scarcer = min(len(np.unique(group_of[is_defect])), len(np.unique(group_of[~is_defect])))
    return average_precision, auroc, scarcer


def _draws(groups: int, images: int, *, seed: int, resamples: int) -> Iterator[Floats]:
    rng = np.random.default_rng(seed)
    block = max(1, _CELLS // max(images, groups))
    for first in range(0, resamples, block):
        rows = min(block, resamples - first)
        drawn = rng.integers(groups, size=(rows, groups)) + groups * np.arange(rows)[:, None]
        counts = np.bincount(drawn.ravel(), minlength=rows * groups)
        yield counts.reshape(rows, groups).astype(np.float64)


def bootstrap(
    statistics: dict[str, tuple[Statistic, int]],
    *,
    groups: int,
    images: int,
    seed: int,
    resamples: int,
    confidence: float,
) -> dict[str, Estimate]:
    """Return each statistic with its percentile interval; all see the same resamples.

    Resamples that leave a statistic undefined are passed over. With fewer than two groups bearing
    on it there is nothing to vary: no interval. A perfect score gets an interval of no width; that
    is the method's limit, not certainty.

    Args:
        statistics: name to (statistic, number of groups that bear on it).
        groups: number of groups.
        images: number of images, for the size of a block.
        seed: of the draw.
        resamples: number of draws.
        confidence: 0..1.
    """
    drawn: dict[str, list[Floats]] = {name: [] for name in statistics}
    for counts in _draws(groups, images, seed=seed, resamples=resamples):
        for name, (statistic, _) in statistics.items():
            drawn[name].append(statistic(counts))
    tails = ((1 - confidence) / 2, (1 + confidence) / 2)
    estimates: dict[str, Estimate] = {}
    for name, (statistic, bearing) in statistics.items():
        value = float(statistic(np.ones((1, groups)))[0])
        if np.isnan(value):
            estimates[name] = Estimate(None)
            continue
        values = np.concatenate([*drawn[name], np.zeros(0)])
        values = values[~np.isnan(values)]
        if bearing < 2 or not values.size:
            estimates[name] = Estimate(value)
            continue
        low, high = np.quantile(values, tails)
        estimates[name] = Estimate(value, float(low), float(high))
    return estimates
