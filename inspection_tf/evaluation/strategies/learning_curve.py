"""How much more images would help: a metric against the share of the images that train."""

from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np

from inspection_tf import errors
from inspection_tf.datasets.records import Records
from inspection_tf.evaluation import intervals
from inspection_tf.evaluation.intervals import Estimate
from inspection_tf.evaluation.strategies import scores as of_strategies
from inspection_tf.evaluation.strategies.scores import Resampling, Scores

Score = Callable[[Records], Scores]
"""Trains on records and scores the images that every training of the curve is tested on."""
SHARES = (0.1, 0.2, 0.4, 0.7, 1.0)


@dataclass(frozen=True, slots=True)
class LearningPoint:
    """What was reached with a share of the training images.

    Attributes:
        share: that was asked for, over 0 to 1.
        images: that trained, in the mean of the repeats: groups are kept whole.
        values: of the metric, one of each differing draw of training images; None where the test
            images do not define it.
        estimate: their mean, with an interval from a bootstrap over the groups of test images.
    """

    share: float
    images: float
    values: tuple[float | None, ...]
    estimate: Estimate


def learning_curve(
    records: Records,
    score: Score,
    *,
    shares: Sequence[float] = SHARES,
    repeats: int = 3,
    metric: str = "image_auroc",
    how: Resampling = of_strategies.USUAL,
) -> tuple[LearningPoint, ...]:
    """Return a metric for each share of the training images, several times drawn.

    Within a repeat a larger share holds all of a smaller one. Each draw holds groups whole, about
    the same mix of classes, and at least one group of each class.

    Args:
        records: all that may train; none of them, nor of their groups, is tested.
        score: called once for each share and draw.
        shares: over 0 to 1, rising.
        repeats: draws of training images; of all of them there is one draw.
        metric: one of `strategies.METRICS`.
        how: the seed of the draws, and the resamples.

    Raises:
        errors.ConfigError: shares that do not rise or are none, no repeat, or no such metric.
        errors.DataError: there is no record, or the scores are of differing images.
    """
    of_strategies.require_metric(metric)
    if not shares or list(shares) != sorted(set(shares)) or not 0 < shares[0] <= shares[-1] <= 1:
        raise errors.ConfigError(
            f"shares must rise, each over 0 and up to 1. Got {list(shares)}. Use for example "
            f"{list(SHARES)}."
        )
    if repeats < 1:
        raise errors.ConfigError(f"repeats must be at least 1. Got {repeats}. Use for example 3.")
    if not len(records):
        raise errors.DataError(
            "A learning curve needs images to train on. Got none. Choose a split that holds some."
        )
    orders = [_Order.drawn(records, seed=(how.seed, repeat)) for repeat in range(repeats)]
    points = []
    for share in shares:
        # Of all images there is one draw, however often it is made.
        draws = dict.fromkeys(order.ids(share) for order in orders)
        results = [score(records.select(ids)) for ids in draws]
        points.append(
            LearningPoint(
                share=share,
                images=float(np.mean([len(ids) for ids in draws])),
                values=tuple(_value(one, metric) for one in results),
                estimate=_estimate(results[0].joined(*results[1:]), metric, how),
            )
        )
    return tuple(points)


@dataclass(frozen=True, slots=True)
class _Order:
    """Groups in an order of which every beginning has about the mix of the whole.

    Attributes:
        members: (groups,) ids of the images of each.
        least: as many groups hold every class.
    """

    members: tuple[tuple[str, ...], ...]
    least: int

    @classmethod
    def drawn(cls, records: Records, *, seed: Sequence[int]) -> "_Order":
        """Take groups from each class in turn, as often as it has groups.

        A group counts for the class, of those it holds, that fewest groups hold.
        """
        members: dict[str, list[str]] = {}
        held: dict[str, set[int]] = {}
        for record, group in zip(records, records.groups, strict=True):
            members.setdefault(group, []).append(record.id)
            held.setdefault(group, set()).update(record.class_ids() or (0,))
        groups_with = Counter(number for ids in held.values() for number in ids)
        rng = np.random.default_rng(seed)
        places: dict[str, tuple[float, float]] = {}
        for number in sorted(groups_with):
            stratum = [
                group
                for group in sorted(members)
                if min(held[group], key=lambda k: (groups_with[k], k)) == number
            ]
            for place, row in enumerate(rng.permutation(len(stratum))):
                # The first of each class comes before all others, which lie as evenly as they can.
                places[stratum[row]] = (place / len(stratum), float(rng.random()))
        order = sorted(members, key=places.__getitem__)
        seen: set[int] = set()
        least = 0
        while len(seen) < len(groups_with):
            seen |= held[order[least]]
            least += 1
        return cls(tuple(tuple(members[group]) for group in order), least)

    def ids(self, share: float) -> tuple[str, ...]:
        """Return the images of the groups at the beginning that come nearest to a share of all."""
        sizes = np.cumsum([len(ids) for ids in self.members])
        nearest = 1 + int(np.argmin(np.abs(sizes - share * sizes[-1])))
        chosen = self.members[: max(self.least, nearest)]
        return tuple(sorted(name for ids in chosen for name in ids))


def _value(scores: Scores, metric: str) -> float | None:
    statistic, _ = of_strategies.statistic_of(scores, metric)
    value = float(statistic(np.ones((1, len(set(scores.groups)))))[0])
    return None if np.isnan(value) else value


def _estimate(scores: Scores, metric: str, how: Resampling) -> Estimate:
    found = intervals.bootstrap(
        {metric: of_strategies.statistic_of(scores, metric)},
        groups=len(set(scores.groups)),
        images=len(scores.ids),
        seed=how.seed,
        resamples=how.resamples,
        confidence=how.confidence,
    )
    return found[metric]
