"""Cuts through sorted scores: the arithmetic of `thresholds`, which shows these names.

Only the order of the scores decides, so a threshold is a *cut* between two neighbouring scores.
"""

import math
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import ArrayLike, NDArray

from inspection_tf import errors
from inspection_tf.thresholds import binomial
from inspection_tf.thresholds.binomial import defects_needed, events_allowed

_OUTSIDE = 1e-3  # relative distance of a threshold that has a score on one side only
RESOLUTION = 2e-6  # probabilities nearer than this are tied: an exported graph rounds differently


class Cuts(NamedTuple):
    """Every way to cut a split in two: at each distinct score, and above them all."""

    score: NDArray[np.float64]  # (cuts,) ascending; the last is +inf: nothing is NG
    escapes: NDArray[np.int64]  # (cuts,) defective images under the cut
    overkills: NDArray[np.int64]  # (cuts,) good images at or above it
    defective: int
    good: int

    def pick(self, key: Sequence[NDArray[np.float64 | np.int64]], among: ArrayLike = True) -> int:
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

    def precision(self) -> NDArray[np.float64]:
        """Return the share of defective images among the NG ones; 0 where nothing is NG."""
        caught = self.defective - self.escapes
        precision: NDArray[np.float64] = caught / np.maximum(caught + self.overkills, 1)
        return precision

    def f_beta(self, beta: float) -> NDArray[np.float64]:
        """Return `(1 + b^2) caught / ((1 + b^2) caught + b^2 escapes + overkills)`."""
        caught = (1 + beta**2) * (self.defective - self.escapes)
        f_beta: NDArray[np.float64] = caught / (caught + beta**2 * self.escapes + self.overkills)
        return np.round(f_beta, 12)

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


def sweep(score: ArrayLike, is_defect: ArrayLike, *, needs_defects: bool = True) -> Cuts:
    """Count escapes and overkills at every cut.

    Args:
        score: (images,).
        is_defect: (images,), bool or 0 / 1.
        needs_defects: refuse a split of good images only.

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
    bad, good = np.sort(scores[defective]), np.sort(scores[~defective])
    return Cuts(
        score=cut,
        escapes=np.searchsorted(bad, cut),
        overkills=good.size - np.searchsorted(good, cut),
        defective=bad.size,
        good=good.size,
    )


def for_escape_rate(
    score: ArrayLike, is_defect: ArrayLike, *, max_escape_rate: float, confidence: float = 0.95
) -> float:
    """Return the threshold under which at most a promised share of defective images escapes.

    With n defective images, k is the largest number of escapes whose Clopper-Pearson upper bound is
    at most `max_escape_rate`. Any threshold up to the (k+1)-th lowest defective score keeps the
    promise although it was chosen on the same images: the share of defects under that order
    statistic follows Beta(k + 1, n - k). Of these thresholds it is the highest, lowered as far as
    that costs no further overkill (what good images do not pay for is not let through).

    Source: Clopper and Pearson 1934; Wilks 1941 (tolerance limits).

    Args:
        score: (images,), any finite scale.
        is_defect: (images,), bool or 0 / 1.
        max_escape_rate: to promise, 0..1.
        confidence: of the promise, 0..1.

    Raises:
        errors.DataError: too few defective images for the promise (says how many it needs), or
            scores that are not finite.
        errors.ConfigError: a number is not between 0 and 1.
    """
    needed = defects_needed(max_escape_rate, confidence)
    cuts = sweep(score, is_defect, needs_defects=False)
    allowed = events_allowed(cuts.defective, max_escape_rate, confidence)
    if allowed < 0:
        raise errors.DataError(
            f"An escape rate of at most {max_escape_rate:.3g} at {confidence:.3g} confidence needs "
            f"{needed} defective images with no escape among them. Got {cuts.defective}. "
            "Collect more, promise less, or use for_f_beta, which promises nothing."
        )
    keeps = cuts.escapes <= allowed
    return cuts.threshold(cuts.fewest_overkills(among=keeps))


def for_overkill_rate(
    score_of_good: ArrayLike, *, max_overkill_rate: float, confidence: float = 0.95
) -> float:
    """Return the lowest threshold at which at most a promised share of good images is overkill.

    The way to start with no defective image. It promises nothing about escapes.

    Args:
        score_of_good: (images,), any finite scale.
        max_overkill_rate: to promise, 0..1.
        confidence: of the promise, 0..1.

    Raises:
        errors.DataError: too few good images for the promise (says how many it needs), or scores
            that are not finite.
        errors.ConfigError: a number is not between 0 and 1.
    """
    needed = defects_needed(max_overkill_rate, confidence)
    cuts = sweep(score_of_good, np.zeros(np.shape(score_of_good), bool), needs_defects=False)
    allowed = events_allowed(cuts.good, max_overkill_rate, confidence)
    if allowed < 0:
        raise errors.DataError(
            f"An overkill rate of at most {max_overkill_rate:.3g} at {confidence:.3g} confidence "
            f"needs {needed} good images. Got {cuts.good}. Collect more, or promise less."
        )
    return cuts.threshold(int(np.flatnonzero(cuts.overkills <= allowed)[0]))


def for_precision(score: ArrayLike, is_defect: ArrayLike, *, min_precision: float) -> float:
    """Return the threshold with the fewest escapes among those that reach a precision.

    Precision = defective among the NG images of this split; with nothing NG it is undefined.

    Raises:
        errors.DataError: no threshold reaches it (says the best), no image is defective, or scores
            are not finite.
    """
    cuts = sweep(score, is_defect)
    precision = cuts.precision()
    reaches = precision >= min_precision - binomial.ROUNDING
    if not reaches.any():
        best = int(precision.argmax())
        raise errors.DataError(
            f"A precision of {min_precision:.4g} must be reachable on these images. Got at most "
            f"{precision[best]:.4g}, at threshold {cuts.threshold(best):.4g}. "
            "Ask for less, or train a better model."
        )
    return cuts.threshold(cuts.pick((cuts.escapes, cuts.overkills), among=reaches))


def for_recall(score: ArrayLike, is_defect: ArrayLike, *, min_recall: float) -> float:
    """Return the threshold with the fewest overkills among those that reach a recall on this split.

    Recall = share of the defective images that are NG. It is measured, not promised: see
    `for_escape_rate`.

    Raises:
        errors.DataError: no image is defective, or scores are not finite.
    """
    cuts = sweep(score, is_defect)
    recall = 1 - cuts.escapes / cuts.defective
    return cuts.threshold(
        cuts.fewest_overkills(among=recall >= min(min_recall, 1) - binomial.ROUNDING)
    )


def for_f_beta(score: ArrayLike, is_defect: ArrayLike, *, beta: float = 1.0) -> float:
    """Return the threshold with the largest F-beta; of equal ones that with the fewest escapes.

    `F = (1 + b^2) caught / ((1 + b^2) caught + b^2 escapes + overkills)`.

    Raises:
        errors.DataError: no image is defective, or scores are not finite.
    """
    cuts = sweep(score, is_defect)
    return cuts.threshold(cuts.pick((-cuts.f_beta(beta), cuts.escapes)))


def for_cost(
    score: ArrayLike, is_defect: ArrayLike, *, escape_cost: float, overkill_cost: float
) -> float:
    """Return the threshold with the lowest cost; of equal ones that with the fewest escapes.

    `cost = escapes * escape_cost + overkills * overkill_cost`, at the defect rate of this split:
    where the line sees fewer defects, scale the costs. Letting every image pass is one candidate.

    Raises:
        errors.DataError: no image is defective, or scores are not finite.
    """
    cuts = sweep(score, is_defect)
    return cuts.threshold(cuts.pick((cuts.cost(escape_cost, overkill_cost), cuts.escapes)))
