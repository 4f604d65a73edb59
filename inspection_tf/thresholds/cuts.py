"""Thresholds as cuts through sorted scores: the `for_*` functions of one threshold.

Only the order of the scores decides, so a threshold is a *cut* between two neighbouring scores.
"""

import math
from collections.abc import Callable, Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import ArrayLike, NDArray

from inspection_tf import errors
from inspection_tf.thresholds import parts
from inspection_tf.thresholds.binomial import defects_needed, events_allowed
from inspection_tf.thresholds.parts import PartEscapes

_OUTSIDE = 1e-3  # relative distance of a threshold that has a score on one side only
RESOLUTION = 2e-6  # probabilities nearer than this are tied: an exported graph rounds differently
_DECIMALS = 9  # of summed shares of parts: a part counts 1 whatever its images add up to

Counts = NDArray[np.int64] | NDArray[np.float64]


class Cuts(NamedTuple):
    """Every way to cut a split in two: at each distinct score, and above them all.

    Images count 1 each, or so that each part counts 1; then escapes and overkills are fractions.
    """

    score: NDArray[np.float64]  # (cuts,) ascending; the last is +inf: nothing is NG
    escapes: Counts  # (cuts,) defective images under the cut
    overkills: Counts  # (cuts,) good images at or above it
    defective: float
    good: float

    def pick(self, key: Sequence[Counts], among: ArrayLike = True) -> int:
        """Return the cut with the smallest key; `key[0]` matters most, the lowest cut wins ties."""
        index = np.flatnonzero(np.broadcast_to(among, self.score.shape))
        for part in key:
            value = part[index]
            index = index[value == value.min()]
        return int(index[0])

    def fewest_overkills(self, among: ArrayLike) -> int:
        """Return the cut with the fewest overkills, then the fewest escapes.

        Without a good image overkill says nothing: then it is the highest cut.
        """
        if not self.good:
            return int(np.flatnonzero(among)[-1])
        return self.pick((self.overkills, self.escapes), among=among)

    def threshold(self, cut: int) -> float:
        """Return the threshold of a cut: midway between the scores on both sides of it."""
        below = float(self.score[cut - 1]) if cut > 0 else -math.inf
        return midway(below, float(self.score[cut]))

    @property
    def decimals(self) -> int:
        """Digits to which shares can be told apart: fewer where counts are rounded fractions."""
        return 12 if self.escapes.dtype.kind == "i" else _DECIMALS - 1

    def precision(self) -> NDArray[np.float64]:
        """Return the share of defective images among the NG ones; 0 where nothing is NG."""
        caught = self.defective - self.escapes
        marked = caught + self.overkills
        return np.divide(caught, marked, out=np.zeros(marked.shape), where=marked > 0)

    def f_beta(self, beta: float) -> NDArray[np.float64]:
        """Return `(1 + b^2) caught / ((1 + b^2) caught + b^2 escapes + overkills)`."""
        caught = (1 + beta**2) * (self.defective - self.escapes)
        f_beta: NDArray[np.float64] = caught / (caught + beta**2 * self.escapes + self.overkills)
        return np.round(f_beta, self.decimals)

    def cost(self, escape_cost: float, overkill_cost: float) -> NDArray[np.float64]:
        """Return `escapes * escape_cost + overkills * overkill_cost`."""
        return self.escapes * float(escape_cost) + self.overkills * float(overkill_cost)


def midway(below: float, above: float) -> float:
    """Return a threshold over one score and not over the next; one of the two may be infinite."""
    if math.isinf(below):
        return above - _OUTSIDE * max(abs(above), _OUTSIDE)
    if math.isinf(above):
        return below + _OUTSIDE * max(abs(below), _OUTSIDE)
    middle = below + (above - below) / 2
    return middle if below < middle else above  # neighbours in floating point have no middle


def tied(score: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return probabilities with those that lie within rounding of their neighbours made equal.

    Sorted, each that is less than `RESOLUTION` above the one before takes that one's value. Lowered
    they are, never raised: a promise about escapes holds for ties.
    """
    values, place = np.unique(score, return_inverse=True)
    starts = np.append(True, np.diff(values) >= RESOLUTION)
    lowered: NDArray[np.float64] = values[
        np.maximum.accumulate(np.where(starts, range(values.size), 0))
    ]
    return lowered[place]


def between(threshold: float, score: NDArray[np.float64]) -> float:
    """Return a threshold that was chosen on tied scores, clear of the untied ones.

    It splits the scores as it split the tied ones, and where it is nearer to one of them than half
    of `RESOLUTION`, or inside a tie, it is moved midway between the two it must part.
    """
    above = tied(score) >= threshold
    near = np.abs(score - threshold).min() < RESOLUTION / 2
    if above.all() or not (near or (above != (score >= threshold)).any()):
        return threshold
    return midway(float(score[~above].max()), float(score[above].min(initial=math.inf)))


def checked(score: ArrayLike, is_defect: ArrayLike) -> tuple[NDArray[np.float64], NDArray[np.bool]]:
    """Return scores and labels as arrays.

    Raises:
        errors.DataError: the arrays do not fit, are empty, or hold what is not finite.
    """
    scores = np.asarray(score, dtype=np.float64)
    labels = np.asarray(is_defect)
    if scores.ndim != 1 or scores.shape != labels.shape:
        raise errors.DataError(
            "score and is_defect must be flat and equally long. "
            f"Got shapes {scores.shape} and {labels.shape}. Give one of each per image."
        )
    if not scores.size:
        raise errors.DataError(
            "A threshold must be chosen on at least one image. Got none. "
            "Give the tuning split some images."
        )
    if not np.isfinite(scores).all():
        raise errors.DataError(
            f"Scores must be finite. Got {int((~np.isfinite(scores)).sum())} of {scores.size} that "
            "are not. Look for a diverged training or a broken image."
        )
    if not np.isin(labels, (0, 1)).all():
        raise errors.DataError(
            f"is_defect must hold only true and false. Got {np.unique(labels)[:5].tolist()}. "
            "Give 1 for a defective image and 0 for a good one."
        )
    return scores, labels.astype(bool)


def sweep(
    score: ArrayLike,
    is_defect: ArrayLike,
    *,
    needs_defects: bool = True,
    groups: ArrayLike | None = None,
) -> Cuts:
    """Count escapes and overkills at every cut.

    Args:
        score: (images,).
        is_defect: (images,), bool or 0 / 1.
        needs_defects: refuse a split of good images only.
        groups: (images,), the part of each; each part then counts 1, its images a share of that.
            None: each image counts 1.

    Raises:
        errors.DataError: the arrays do not fit, are empty, or hold what is not finite.
    """
    scores, defective = checked(score, is_defect)
    if needs_defects and not defective.any():
        raise errors.DataError(
            f"This threshold needs defective images. Got {scores.size} images, all good. "
            "Use for_overkill_rate, which needs only good ones."
        )
    cut = np.append(np.unique(scores), np.inf)
    below = _counter(
        scores, None if groups is None else parts.numbered(groups, scores.size), defective
    )
    escapes, good = below(defective, cut), below(~defective, cut)
    return Cuts(cut, escapes, good[-1] - good, defective=escapes[-1], good=good[-1])


def _counter(
    score: NDArray[np.float64], of: parts.Parts | None, defective: NDArray[np.bool]
) -> Callable[[NDArray[np.bool], NDArray[np.float64]], Counts]:
    """Return a function that counts the images among some of them that lie under each cut."""
    weight = None if of is None else of.weights(defective)

    def below(among: NDArray[np.bool], cut: NDArray[np.float64]) -> Counts:
        order = np.argsort(score[among], kind="stable")
        place: NDArray[np.int64] = np.searchsorted(score[among][order], cut).astype(np.int64)
        if weight is None:
            return place
        summed: NDArray[np.float64] = np.append(0.0, np.cumsum(weight[among][order]))
        return np.round(summed[place], _DECIMALS)

    return below


def for_escape_rate(
    score: ArrayLike,
    is_defect: ArrayLike,
    *,
    max_escape_rate: float,
    confidence: float = 0.95,
    groups: ArrayLike | None = None,
    part_escapes: PartEscapes = "any",
) -> float:
    """Return the threshold under which at most a promised share of defective parts escapes.

    With n defective parts, k is the largest number of escapes whose Clopper-Pearson upper bound is
    at most `max_escape_rate`. Any threshold up to the (k+1)-th lowest score of a defective part
    keeps the promise although it was chosen on the same parts: the share of defects under that
    order statistic follows Beta(k + 1, n - k). Of these thresholds it is the highest, lowered as
    far as that costs no further good image (what these do not pay for is not let through).

    Source: Clopper and Pearson 1934; Wilks 1941 (tolerance limits).

    Args:
        score: (images,), any finite scale.
        is_defect: (images,), bool or 0 / 1.
        max_escape_rate: to promise, 0..1.
        confidence: of the promise, 0..1.
        groups: (images,), the part that each image shows; None: each one of its own.
        part_escapes: a part escapes when `any` of its defective images is under the threshold, or
            only when `each` of them is.

    Raises:
        errors.DataError: too few defective parts for the promise (says how many it needs), or
            scores that are not finite.
        errors.ConfigError: a number is not between 0 and 1.
    """
    needed = defects_needed(max_escape_rate, confidence)
    cuts = sweep(score, is_defect, needs_defects=False)
    scores, defective = checked(score, is_defect)
    of = parts.numbered(groups, scores.size)
    part_score = np.sort(parts.extreme(scores[defective], of.of[defective], part_escapes))
    allowed = events_allowed(part_score.size, max_escape_rate, confidence)
    if allowed < 0:
        raise errors.DataError(
            f"An escape rate of at most {max_escape_rate:.3g} at {confidence:.3g} confidence needs "
            f"{needed} defective {'images' if groups is None else 'parts'} with no escape among "
            f"them. Got {part_score.size}. "
            "Collect more, promise less, or use for_f_beta, which promises nothing."
        )
    keeps = np.searchsorted(part_score, cuts.score) <= allowed
    return cuts.threshold(cuts.fewest_overkills(among=keeps))


def for_overkill_rate(
    score_of_good: ArrayLike,
    *,
    max_overkill_rate: float,
    confidence: float = 0.95,
    groups: ArrayLike | None = None,
) -> float:
    """Return the lowest threshold at which at most a promised share of good parts is overkill.

    The way to start with no defective image. It promises nothing about escapes.

    Args:
        score_of_good: (images,), any finite scale.
        max_overkill_rate: to promise, 0..1.
        confidence: of the promise, 0..1.
        groups: (images,), the part that each image shows: an overkill when any of them is NG. None:
            each image shows one of its own.

    Raises:
        errors.DataError: too few good parts for the promise (says how many it needs), or scores
            that are not finite.
        errors.ConfigError: a number is not between 0 and 1.
    """
    needed = defects_needed(max_overkill_rate, confidence)
    cuts = sweep(score_of_good, np.zeros(np.shape(score_of_good), bool), needs_defects=False)
    scores = np.asarray(score_of_good, np.float64)
    of = parts.numbered(groups, scores.size)
    # An image at the threshold is NG, and its part with it: the highest of a part decides.
    part_score = np.sort(parts.extreme(scores, of.of, "each"))
    allowed = events_allowed(part_score.size, max_overkill_rate, confidence)
    if allowed < 0:
        raise errors.DataError(
            f"An overkill rate of at most {max_overkill_rate:.3g} at {confidence:.3g} confidence "
            f"needs {needed} good {'images' if groups is None else 'parts'}. "
            f"Got {part_score.size}. Collect more, or promise less."
        )
    overkills = part_score.size - np.searchsorted(part_score, cuts.score)
    return cuts.threshold(int(np.flatnonzero(overkills <= allowed)[0]))


def for_precision(
    score: ArrayLike,
    is_defect: ArrayLike,
    *,
    min_precision: float,
    groups: ArrayLike | None = None,
) -> float:
    """Return the threshold with the fewest escapes among those that reach a precision.

    Precision = defective among the NG images of this split; with nothing NG it is undefined.

    Args:
        score: (images,), any finite scale.
        is_defect: (images,), bool or 0 / 1.
        min_precision: 0..1.
        groups: (images,), the part of each, where parts count alike; None: images do.

    Raises:
        errors.DataError: no threshold reaches it (says the best), no image is defective, or scores
            are not finite.
    """
    cuts = sweep(score, is_defect, groups=groups)
    precision = cuts.precision()
    reaches = precision >= min_precision - 10.0**-cuts.decimals
    if not reaches.any():
        best = int(precision.argmax())
        raise errors.DataError(
            f"A precision of {min_precision:.4g} must be reachable on these images. Got at most "
            f"{precision[best]:.4g}, at threshold {cuts.threshold(best):.4g}. "
            "Ask for less, or train a better model."
        )
    return cuts.threshold(cuts.pick((cuts.escapes, cuts.overkills), among=reaches))


def for_recall(
    score: ArrayLike,
    is_defect: ArrayLike,
    *,
    min_recall: float,
    groups: ArrayLike | None = None,
) -> float:
    """Return the threshold with the fewest overkills among those that reach a recall on this split.

    Recall = share of the defective images that are NG. It is measured, not promised: see
    `for_escape_rate`.

    Args:
        score: (images,), any finite scale.
        is_defect: (images,), bool or 0 / 1.
        min_recall: 0..1.
        groups: (images,), the part of each, where parts count alike; None: images do.

    Raises:
        errors.DataError: no image is defective, or scores are not finite.
    """
    cuts = sweep(score, is_defect, groups=groups)
    recall = 1 - cuts.escapes / cuts.defective
    reaches = recall >= min(min_recall, 1) - 10.0**-cuts.decimals
    return cuts.threshold(cuts.fewest_overkills(among=reaches))


def for_f_beta(
    score: ArrayLike,
    is_defect: ArrayLike,
    *,
    beta: float = 1.0,
    groups: ArrayLike | None = None,
) -> float:
    """Return the threshold with the largest F-beta; of equal ones that with the fewest escapes.

    `F = (1 + b^2) caught / ((1 + b^2) caught + b^2 escapes + overkills)`.

    Args:
        score: (images,), any finite scale.
        is_defect: (images,), bool or 0 / 1.
        beta: recall counts beta times as much as precision.
        groups: (images,), the part of each, where parts count alike; None: images do.

    Raises:
        errors.DataError: no image is defective, or scores are not finite.
    """
    cuts = sweep(score, is_defect, groups=groups)
    return cuts.threshold(cuts.pick((-cuts.f_beta(beta), cuts.escapes)))


def for_cost(
    score: ArrayLike,
    is_defect: ArrayLike,
    *,
    escape_cost: float,
    overkill_cost: float,
    groups: ArrayLike | None = None,
) -> float:
    """Return the threshold with the lowest cost; of equal ones that with the fewest escapes.

    `cost = escapes * escape_cost + overkills * overkill_cost`, at the defect rate of this split:
    where the line sees fewer defects, scale the costs. Letting every image pass is one candidate.

    Args:
        score: (images,), any finite scale.
        is_defect: (images,), bool or 0 / 1.
        escape_cost: of one escape, any currency.
        overkill_cost: of one overkill, the same currency.
        groups: (images,), the part of each, where parts count alike; None: images do.

    Raises:
        errors.DataError: no image is defective, or scores are not finite.
    """
    cuts = sweep(score, is_defect, groups=groups)
    return cuts.threshold(cuts.pick((cuts.cost(escape_cost, overkill_cost), cuts.escapes)))
