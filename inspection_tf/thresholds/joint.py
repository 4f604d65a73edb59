"""Two thresholds at once, for a cascade: the arithmetic behind `thresholds.choose_jointly`.

An image is NG if and only if its first score reaches the first threshold and its second score the
second. Only defective images bound thresholds from above, so a *corner* is a pair of their scores:
each threshold lies at its half of the corner or under it, as low as costs no further good image.

How two thresholds keep one promise: take n points of any distribution. Cut off those up to the a-th
lowest first score and, of what remains, those up to the b-th lowest second score. Each point that a
cut passes bounds one block, and blocks are statistically equivalent: the r = a + b blocks cut off
hold a share of the distribution that follows Beta(r, n + 1 - r), whatever the two scores have to do
with each other; ties only make it smaller. It is the law of r - 1 escapes under one threshold.
The points are parts: what cuts them off may be any function of all their images, and the second may
depend on where the first cut lies.

Source: Wilks 1941; Tukey 1947 (statistically equivalent blocks) and 1948 (ties).
"""

import bisect
import math
from collections.abc import Callable, Iterator
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import ArrayLike, NDArray

from inspection_tf import errors
from inspection_tf.thresholds import binomial, cuts
from inspection_tf.thresholds import parts as parts_
from inspection_tf.thresholds.cuts import Counts, Cuts
from inspection_tf.thresholds.parts import PairedParts, PartEscapes, Parts

Two = tuple[float, float]  # of the first stage, of the second
Key = Callable[[Cuts], tuple[NDArray[Any], ...]]

_OVERKILL_SHARES = (0.0, 0.25, 0.5, 0.75)  # of the strictness, on a log scale: the first stage's


class Pairs(NamedTuple):
    """The scores of both stages on one split."""

    first: NDArray[np.float64]  # (images,)
    second: NDArray[np.float64]  # (images,), also where the first stage would stop the image
    defective: NDArray[np.bool]  # (images,)
    parts: Parts  # of the images
    weight: NDArray[np.float64] | None = None  # (images,), where parts count alike; None: images do

    def of_parts(self, *, defective: bool, part_escapes: PartEscapes) -> PairedParts:
        """Return the scores of the parts that have defective images, or good ones."""
        chosen = self.defective == defective
        return PairedParts(
            self.first[chosen], self.second[chosen], self.parts.of[chosen], part_escapes
        )

    def of_rows(self, rows: NDArray[np.int64], parts: Parts) -> "Pairs":
        """Return the scores of some images, each as often as it is named.

        Args:
            rows: (images,) their places.
            parts: of these.
        """
        weight = None if self.weight is None else self.weight[rows]
        return Pairs(self.first[rows], self.second[rows], self.defective[rows], parts, weight)


def checked(
    first: ArrayLike,
    second: ArrayLike,
    is_defect: ArrayLike,
    *,
    groups: ArrayLike | None = None,
    weigh_parts: bool = False,
) -> Pairs:
    """Return scores and labels as arrays.

    Args:
        first: (images,), probabilities.
        second: (images,), probabilities.
        is_defect: (images,), bool or 0 / 1.
        groups: (images,), the part of each; None: not known.
        weigh_parts: each part counts 1 where counts are compared, not each image.

    Raises:
        errors.DataError: the arrays do not fit, are empty, or hold what is no probability.
    """
    firsts, defective = cuts.checked(first, is_defect)
    seconds, _ = cuts.checked(second, is_defect)
    lowest = min(firsts.min(), seconds.min())
    if lowest < 0:  # a threshold of 0 is to let every image pass
        raise errors.DataError(
            f"Scores of two stages must be probabilities. Got {lowest:.4g}. "
            "Give the summed probability of the defect classes, and decision.score of the map."
        )
    of = parts_.numbered(groups, firsts.size)
    return Pairs(firsts, seconds, defective, of, of.weights(defective) if weigh_parts else None)


def defects_needed(max_rate: float, confidence: float) -> int:
    """Return the smallest sample with which two thresholds can promise a rate.

    Each cuts off one block, so it is the n at which one event suffices:
    `P(X <= 1 | n, p) = (1 - p)^(n - 1) (1 - p + n p) <= 1 - confidence`.

    Raises:
        errors.ConfigError: a number is not between 0 and 1.
    """
    alone = binomial.defects_needed(max_rate, confidence)
    limit = (1 - confidence) * (1 + binomial.ROUNDING)

    def suffices(n: int) -> bool:
        return math.exp((n - 1) * math.log1p(-max_rate)) * (1 - max_rate + n * max_rate) <= limit

    # About l / rate with l - ln(1 + l) = -ln(1 - confidence); as ln(1 + l) <= l / 2 + 1, this range
    # holds it.
    sizes = range(alone, 2 * alone + math.ceil(2 / max_rate) + 2)
    return sizes[bisect.bisect_left(sizes, True, key=suffices)]


def blocks_allowed(trials: int, max_rate: float, confidence: float) -> int:
    """Return the largest number of blocks that may be cut off; 0 if there is none.

    r blocks can be split between two thresholds, each with one at least, in r - 1 ways. To choose
    among them costs confidence: each way must fail with a probability of at most
    `(1 - confidence) / (r - 1)` (union bound). One block goes to the second threshold.
    """
    if trials < binomial.defects_needed(max_rate, confidence):
        return 0
    from scipy import special

    blocks = np.arange(1, trials + 1)
    tail = special.bdtr(blocks - 1.0, trials, max_rate) * np.maximum(blocks - 1, 1)
    return max(1, int(np.count_nonzero(tail <= (1 - confidence) * (1 + binomial.ROUNDING))))


def for_escape_rate(
    pairs: Pairs,
    *,
    max_escape_rate: float,
    confidence: float,
    part_escapes: PartEscapes = "any",
) -> Two:
    """Return the thresholds under which at most a promised share of defective parts escapes.

    Of all ways to split the blocks it is the one with the fewest overkills, then the one that stops
    the most good images at the first stage, then the one with the lower thresholds. A single block
    leaves the first threshold at 0.

    Args:
        pairs: with as many defective parts as one threshold needs.
        max_escape_rate: to promise, 0..1.
        confidence: of the promise, 0..1.
        part_escapes: a part escapes when any of its defective images does, or only when each does.
    """
    parts = pairs.of_parts(defective=True, part_escapes=part_escapes)
    good_first, good_second = pairs.first[~pairs.defective], pairs.second[~pairs.defective]
    blocks = blocks_allowed(parts.first.size, max_escape_rate, confidence)
    candidates = []
    for taken in range(1, blocks) if blocks > 1 else (0,):
        left = blocks - taken - 1
        passed = float(parts.first[taken - 1]) if taken else -math.inf
        corner = passed, float(np.partition(parts.second(passed)[taken:], left)[left])
        passes = good_first >= corner[0]
        overkills = int((passes & (good_second >= corner[1])).sum())
        candidates.append((overkills, int(passes.sum()), corner[1], corner))
    return _under(pairs, min(candidates)[-1])


def for_precision(pairs: Pairs, *, min_precision: float) -> Two:
    """Return the thresholds with the fewest escapes among those that reach a precision.

    Raises:
        errors.DataError: no thresholds reach it (says the best).
    """

    def key(counts: Cuts) -> tuple[NDArray[Any], ...]:
        precision = counts.precision()
        misses = precision < min_precision - 10.0**-counts.decimals
        return misses, np.where(misses, -precision, counts.escapes), counts.overkills

    (misses, negative, *_), corner = _best(pairs, key)
    if misses:
        raise errors.DataError(
            f"A precision of {min_precision:.4g} must be reachable on these images. Got at most "
            f"{-negative:.4g} with two stages. Ask for less, or train better models."
        )
    return _under(pairs, corner)


def for_recall(pairs: Pairs, *, min_recall: float) -> Two:
    """Return the thresholds with the fewest overkills among those that reach a recall."""

    def key(counts: Cuts) -> tuple[NDArray[Any], ...]:
        misses = 1 - counts.escapes / counts.defective < min(min_recall, 1) - 10.0**-counts.decimals
        # Without a good image overkill says nothing: then as high as the recall allows.
        return misses, counts.overkills if counts.good else -counts.escapes, counts.escapes

    return _under(pairs, _best(pairs, key)[1])


def for_f_beta(pairs: Pairs, *, beta: float) -> Two:
    """Return the thresholds with the largest F-beta; of equal ones those with fewest escapes."""
    return _under(pairs, _best(pairs, lambda counts: (-counts.f_beta(beta), counts.escapes))[1])


def for_cost(pairs: Pairs, *, escape_cost: float, overkill_cost: float) -> Two:
    """Return the thresholds of the lowest cost; of equal ones those with the fewest escapes.

    With equal costs that is the highest accuracy.
    """

    def key(counts: Cuts) -> tuple[NDArray[Any], ...]:
        return counts.cost(escape_cost, overkill_cost), counts.escapes

    return _under(pairs, _best(pairs, key)[1])


def for_overkill_rate(
    pairs: Pairs, *, max_overkill_rate: float, confidence: float
) -> tuple[Two, int]:
    """Return thresholds at which at most a promised share of good parts is overkill.

    A good part is overkill when any of its images is NG. With k overkills allowed among n good
    parts, n - k blocks are cut off, and what is left is NG.
    If a share of q = (k + 1) / (n + 1) is to be NG, the first stage lets q^s pass and the second
    one q^(1 - s) of that. Without a defective image s = 1/2, both equally strict; else it is the s
    of four (0 lets every image pass) that catches the most, which costs confidence (union bound).

    Returns:
        The thresholds, and the number of good parts that the promise needs; with fewer, the
        thresholds lie where none of these is NG.

    Raises:
        errors.DataError: no image is good.
    """
    good = pairs.first[~pairs.defective]
    cuts.checked(good, np.zeros(good.shape, bool))  # refuses to choose on none
    # All that is not cut off is NG, so a part is cut off when each of its images is.
    parts = pairs.of_parts(defective=False, part_escapes="each")
    first = parts.first
    shares = _OVERKILL_SHARES if pairs.defective.any() else (0.5,)
    confidence = 1 - (1 - confidence) / len(shares)
    allowed = max(0, binomial.events_allowed(first.size, max_overkill_rate, confidence))
    candidates = []
    for share in shares:
        quota = ((allowed + 1) / (first.size + 1)) ** share
        taken = max(0, first.size - round((first.size + 1) * quota))
        left = first.size - allowed - taken - 1
        second = parts.second(float(first[taken - 1]) if taken else -math.inf)
        lowest = _over(first, float(first[taken - 1])) if taken else 0.0
        edge = float(np.partition(second[taken:], left)[left])
        passes = first >= lowest
        thresholds = (lowest, _over(second[passes], edge))
        caught = _is_ng(pairs, thresholds) & pairs.defective
        candidates.append((-int(caught.sum()), int(passes.sum()), thresholds))
    return min(candidates)[-1], binomial.defects_needed(max_overkill_rate, confidence)


def _is_ng(pairs: Pairs, thresholds: Two) -> NDArray[np.bool]:
    return (pairs.first >= thresholds[0]) & (pairs.second >= thresholds[1])


def _over(score: NDArray[np.float64], edge: float) -> float:
    """Return a threshold over an edge and not over the next score."""
    return cuts.midway(edge, float(score[score > edge].min(initial=math.inf)))


def _gap(score: NDArray[np.float64], kept_out: NDArray[np.float64], cap: float) -> Two:
    """Return the highest score that is kept out under a cap, and the next one of all."""
    floor = float(kept_out[kept_out < cap].max(initial=-math.inf))
    return floor, float(score[score > floor].min(initial=math.inf))


def _under(pairs: Pairs, corner: Two) -> Two:
    """Return the lowest thresholds that stop the same good images as a corner, stage by stage.

    A first threshold that stops none is 0: it lets every image pass, not only those of this split.
    Without a good image the thresholds stay just under the corner.
    """
    good = ~pairs.defective if not pairs.defective.all() else np.ones_like(pairs.defective)
    below, above = _gap(pairs.first, pairs.first[good], corner[0])
    first = 0.0 if math.isinf(below) else cuts.midway(below, above)
    passes = pairs.first >= first
    # Where the first stage stops every good image, all of them say how low the second may be.
    kept_out = passes & good if (passes & good).any() else good
    gap = _gap(pairs.second[passes], pairs.second[kept_out], corner[1])
    return first, cuts.midway(*gap)


def _rows(pairs: Pairs) -> Iterator[tuple[float, float, Cuts]]:
    """Go through the first scores of defective images, from the highest down.

    Yields the score, how many good images reach it, and the cuts through the second scores of all
    images that reach it.
    """
    defective = pairs.defective.astype(np.int64)
    cut = np.append(np.unique(pairs.second[pairs.defective]), np.inf)
    reached = np.searchsorted(cut, pairs.second, side="right")  # how many cuts, from the lowest
    order = np.argsort(-pairs.first)
    rows = np.unique(pairs.first[pairs.defective])[::-1]
    ends = np.searchsorted(-pairs.first[order], -rows, side="right")
    weight = np.ones(pairs.first.size, np.int64) if pairs.weight is None else pairs.weight
    count = np.zeros((2, cut.size), weight.dtype)  # good and defective images by `reached`
    at_or_above = np.zeros_like(count)
    of_all = [weight[pairs.defective == label].sum() for label in (False, True)]
    for row, new in zip(rows, np.split(order, ends), strict=False):
        np.add.at(count, (defective[new], reached[new]), weight[new])
        # Shares of a part must add up to the same number in whatever order they come.
        at_or_above[:, :-1] = np.round(count[:, :0:-1].cumsum(axis=1)[:, ::-1], 9)
        escapes: Counts = np.round(of_all[1] - at_or_above[1], 9)
        yield (
            float(row),
            float(np.round(count[0].sum(), 9)),
            Cuts(cut, escapes, at_or_above[0], of_all[1], of_all[0]),
        )


def _best(pairs: Pairs, key: Key) -> tuple[tuple[float, ...], Two]:
    """Return the smallest key of all corners, and its corner.

    Of equal ones it is the corner that stops the most good images at the first stage, then the
    lowest.
    """
    corners = []
    for row, passing, counts in _rows(pairs):
        parts = key(counts)
        cut = counts.pick(parts)
        values = tuple(float(part[cut]) for part in parts)
        corners.append(((*values, passing, float(counts.score[cut]), row), values))
    (*_, second, first), values = min(corners)
    return values, (first, second)
