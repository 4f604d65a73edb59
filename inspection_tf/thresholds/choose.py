"""The operating point of a bundle: which threshold, and what it promises."""

from collections.abc import Callable, Sequence
from typing import NamedTuple, assert_never

import numpy as np
from numpy.typing import ArrayLike, NDArray

from inspection_tf import errors
from inspection_tf.thresholds import cuts, joint, parts, resampled, review
from inspection_tf.thresholds.binomial import defects_needed
from inspection_tf.thresholds.cuts import (
    for_cost,
    for_escape_rate,
    for_f_beta,
    for_overkill_rate,
    for_precision,
    for_recall,
)
from inspection_tf.thresholds.operating_point import (
    PARAMETERS,
    RESAMPLED,
    WEIGHED,
    OperatingPoint,
    Promise,
    ThresholdSpec,
)
from inspection_tf.thresholds.region_threshold import RegionScores, for_region_f_beta

_OVERKILL_PROMISE = (
    "At most {spec.max_overkill_rate:g} of the good {unit} are overkill, "
    "at {spec.confidence:g} confidence."
)
_NEVER_REACHED = "No probability reaches this threshold: no image would be NG."
_BY_REGIONS = (
    "No image of this split is good: {method} over images cannot tell thresholds apart. "
    "Chosen by F-beta over regions instead."
)
_RESAMPLED = "The mean threshold of {spec.resamples} resamples of whole parts."
_NO_DEFECTS = "Nothing is promised about escapes: no image of this split is defective."


class _Labels(NamedTuple):
    """The labels of a split, by image and by part."""

    defective: NDArray[np.bool]  # (images,)
    parts: parts.Parts

    @property
    def unit(self) -> str:
        """What a promise counts."""
        return "images" if self.parts.are_single else "parts"

    @property
    def groups(self) -> NDArray[np.int64] | None:
        """The number of each image's part; None where every image is one of its own."""
        return None if self.parts.are_single else self.parts.of

    @property
    def defective_parts(self) -> int:
        """Number of parts that have a defective image."""
        return self.parts.count(self.defective)

    @property
    def good_parts(self) -> int:
        """Number of parts that have a good image."""
        return self.parts.count(~self.defective)


class _Choice(NamedTuple):
    """What a method came to: one threshold, or the two of a cascade."""

    method: str
    """The one that was used, which may be a fallback."""
    threshold: float
    note: str
    """In words: what was fallen back to, and what is not promised."""
    first_threshold: float = 0.0
    """Of the first stage of a cascade; 0 lets every image pass."""
    resamples: int = 0
    """Of which it is the mean; 0: it is the best cut."""

    def with_note(self, sentence: str) -> "_Choice":
        """Return the same with a sentence more in its note."""
        return self._replace(note=f"{self.note} {sentence}".strip())


def _measured(ng: NDArray[np.bool], labels: _Labels, spec: ThresholdSpec) -> dict[str, float]:
    """Return the rates of verdicts on a split, without those that are 0 / 0."""
    defective, of = labels
    rates = {
        "escape_rate": (~ng[defective]).sum() / max(defective.sum(), 1),
        "recall": ng[defective].sum() / max(defective.sum(), 1),
        "overkill_rate": ng[~defective].sum() / max((~defective).sum(), 1),
        "precision": defective[ng].sum() / max(ng.sum(), 1),
    }
    defined = (defective.any(), defective.any(), (~defective).any(), ng.any())
    measured = {
        name: float(rates[name]) for name, known in zip(rates, defined, strict=True) if known
    }
    if not of.are_single:
        if defective.any():
            escaped = _escaped_parts(ng, labels, spec)
            measured["escape_rate_parts"] = escaped / labels.defective_parts
        if not defective.all():
            measured["overkill_rate_parts"] = of.count(ng & ~defective) / labels.good_parts
    return measured


def _escaped_parts(ng: NDArray[np.bool], labels: _Labels, spec: ThresholdSpec) -> int:
    """Return how many defective parts escape."""
    defective, of = labels
    if spec.part_escapes == "any":
        return of.count(defective & ~ng)
    return of.count(defective) - of.count(defective & ng)


def _from_good(scores: NDArray[np.float64], labels: _Labels, spec: ThresholdSpec) -> _Choice:
    """Return a threshold from good images only; its note says what it promises of overkill."""
    good = ~labels.defective
    score = scores[good]
    try:
        threshold = for_overkill_rate(
            score,
            max_overkill_rate=spec.max_overkill_rate,
            confidence=spec.confidence,
            groups=labels.parts.of[good],
        )
    except errors.DataError:
        counts = cuts.sweep(score, np.zeros(np.shape(score), bool), needs_defects=False)
        needed = defects_needed(spec.max_overkill_rate, spec.confidence)
        threshold = counts.threshold(counts.score.size - 1)
        note = (
            f"Above every one of {labels.good_parts} good {labels.unit}; an overkill rate of "
            f"at most {spec.max_overkill_rate:g} would need {needed} of them."
        )
    else:
        note = _OVERKILL_PROMISE.format(spec=spec, unit=labels.unit)
    return _Choice("overkill_rate", threshold, note)


def promises_overkill(point: OperatingPoint, spec: ThresholdSpec) -> bool:
    """Return whether the good parts were enough to promise the overkill rate of `spec`."""
    promises = (_OVERKILL_PROMISE.format(spec=spec, unit=unit) for unit in ("images", "parts"))
    return any(promise in point.note for promise in promises)


def _too_few(spec: ThresholdSpec, needed: int, labels: _Labels, thresholds: str = "") -> str:
    return (
        f"An escape rate of at most {spec.max_escape_rate:g} at {spec.confidence:g} confidence "
        f"needs {needed} defective {labels.unit}{thresholds}; this split has "
        f"{labels.defective_parts}. "
        "Chosen by F-beta instead."
    )


def _one_threshold(score: NDArray[np.float64], labels: _Labels, spec: ThresholdSpec) -> _Choice:
    """Return the threshold by the method of `spec`, or by its fallback."""
    is_defect = labels.defective
    if spec.method == "overkill_rate" or not is_defect.any():
        choice = _from_good(score, labels, spec)
        return choice if is_defect.any() else choice.with_note(_NO_DEFECTS)
    weighed = labels.groups if spec.weigh_parts else None
    if spec.method == "escape_rate":
        needed = defects_needed(spec.max_escape_rate, spec.confidence)
        if labels.defective_parts < needed:
            threshold = for_f_beta(score, is_defect, beta=spec.beta, groups=weighed)
            return _Choice("f_beta", threshold, _too_few(spec, needed, labels))
        threshold = for_escape_rate(
            score,
            is_defect,
            max_escape_rate=spec.max_escape_rate,
            confidence=spec.confidence,
            groups=labels.parts.of,
            part_escapes=spec.part_escapes,
        )
    elif spec.method == "precision":
        limit = spec.min_precision
        threshold = for_precision(score, is_defect, min_precision=limit, groups=weighed)
    elif spec.method == "recall":
        threshold = for_recall(score, is_defect, min_recall=spec.min_recall, groups=weighed)
    elif spec.method == "f_beta":
        threshold = for_f_beta(score, is_defect, beta=spec.beta, groups=weighed)
    elif spec.method == "cost":
        threshold = for_cost(
            score,
            is_defect,
            escape_cost=spec.escape_cost,
            overkill_cost=spec.overkill_cost,
            groups=weighed,
        )
    else:
        assert_never(spec.method)
    return _Choice(spec.method, threshold, "")


def _mean(
    choice: _Choice,
    labels: _Labels,
    spec: ThresholdSpec,
    choose_one: Callable[[resampled.Resample, ThresholdSpec], _Choice],
) -> _Choice:
    """Return the choice with the mean thresholds of resamples, where `spec` asks for them.

    Args:
        choice: on the whole split; its method is that of every resample.
        labels: of the split.
        spec: how it was chosen.
        choose_one: chooses likewise on a resample.
    """
    if not spec.resamples or choice.method not in RESAMPLED or labels.defective.all():
        return choice
    spec = spec.model_copy(update={"method": choice.method})
    drawn = resampled.rows(labels.defective, labels.parts, count=spec.resamples)
    found = [choose_one(one, spec) for one in drawn]
    return choice.with_note(_RESAMPLED.format(spec=spec))._replace(
        threshold=resampled.mean([one.threshold for one in found]),
        first_threshold=resampled.mean([one.first_threshold for one in found]),
        resamples=spec.resamples,
    )


def choose(
    score: ArrayLike,
    is_defect: ArrayLike,
    spec: ThresholdSpec,
    *,
    mask_threshold: float,
    regions: Callable[[], Sequence[RegionScores]] | None = None,
    groups: ArrayLike | None = None,
) -> OperatingPoint:
    """Choose the operating point of a bundle from the scores of the tuning split.

    When the split is too small for the promise, the threshold comes from F-beta; when no image is
    defective, from the overkill of the good ones. Then `promise` is None, `promise_needs` says how
    many defective parts one takes and `note` says what happened. Where every image is defective,
    F-beta and cost cannot tell thresholds apart over images: then it is F-beta over regions.

    What is promised, and what a promise needs, is counted in parts: see `parts`.

    Where no score lies between the threshold and `mask_threshold`, the threshold is raised to it:
    nothing changes on this split, and an image whose regions the rules drop stays under it.

    Args:
        score: (images,), of `decision.score` with the rules that are shipped.
        is_defect: (images,), bool or 0 / 1.
        spec: the method and its numbers.
        mask_threshold: the one that the scores were computed with.
        regions: called where every image is defective; returns the regions of each.
        groups: (images,), the part that each image shows, names or numbers; None: not known, then
            each image is taken for a part of its own and the note says so.

    Raises:
        errors.DataError: the scores are empty or not finite, or the method cannot be met.
    """
    scores, defective = cuts.checked(score, is_defect)
    labels = _Labels(defective, parts.numbered(groups, scores.size))
    tied = cuts.tied(scores)

    def choose_one(one: resampled.Resample, spec: ThresholdSpec) -> _Choice:
        return _one_threshold(tied[one.rows], _Labels(defective[one.rows], one.parts), spec)

    choice = _mean(_one_threshold(tied, labels, spec), labels, spec, choose_one)
    threshold = _raised(cuts.between(choice.threshold, scores), scores, mask_threshold)
    choice = choice._replace(threshold=threshold)
    if choice.method in ("f_beta", "cost") and defective.all() and regions is not None:
        by_regions = for_region_f_beta(regions(), beta=spec.beta)
        if by_regions is not None:
            choice = choice.with_note(_BY_REGIONS.format(method=choice.method))._replace(
                method="region_f_beta", threshold=max(by_regions, mask_threshold)
            )
    if choice.threshold > 1:
        choice = choice.with_note(_NEVER_REACHED)
    return _point(
        choice,
        scores,
        labels,
        spec,
        mask_threshold=mask_threshold,
        needed=defects_needed(spec.max_escape_rate, spec.confidence),
    )


def _raised(threshold: float, scores: NDArray[np.float64], mask_threshold: float) -> float:
    if threshold < mask_threshold and not ((scores >= threshold) & (scores < mask_threshold)).any():
        return mask_threshold
    return threshold


def _review_from(
    choice: _Choice, scores: NDArray[np.float64], labels: _Labels, spec: ThresholdSpec
) -> float | None:
    """Return the lowest score that is REVIEW; None where none is."""
    if spec.review_band:
        return choice.threshold - spec.review_band
    good = ~labels.defective
    if not spec.review_share or not good.any():
        return None
    weight = labels.parts.weights(labels.defective)[good]
    return review.start(scores[good], weight, choice.threshold, spec.review_share)


def _point(
    choice: _Choice,
    scores: NDArray[np.float64],
    labels: _Labels,
    spec: ThresholdSpec,
    *,
    mask_threshold: float,
    needed: int,
) -> OperatingPoint:
    """Return the operating point of a choice, with what it promises and its rates on the split.

    Args:
        choice: the method, its threshold and what to know about it.
        scores: (images,), that are NG from its threshold on; -inf of those that a first stage
            stops.
        labels: of the split.
        spec: how it was chosen.
        mask_threshold: the one that the scores were computed with.
        needed: defective parts that a promise takes.
    """
    promise = None
    ng = scores >= choice.threshold
    defective, of = labels
    if not of.are_known:
        choice = choice.with_note(parts.UNKNOWN)
    if choice.method == "escape_rate":
        promise = Promise(
            max_escape_rate=spec.max_escape_rate,
            confidence=spec.confidence,
            observed_escapes=_escaped_parts(ng, labels, spec),
            defective=int(defective.sum()),
            defective_groups=None if of.are_single else labels.defective_parts,
            part_escapes=spec.part_escapes,
        )
    parameters = {name: float(getattr(spec, name)) for name in PARAMETERS[choice.method]}
    if spec.weigh_parts and choice.method in WEIGHED and not of.are_single:
        parameters["weigh_parts"] = 1.0
    if choice.resamples:
        parameters["resamples"] = float(choice.resamples)
    if spec.review_share:
        parameters["review_share"] = spec.review_share
    return OperatingPoint(
        threshold=choice.threshold,
        review_from=_review_from(choice, scores, labels, spec),
        mask_threshold=mask_threshold,
        method=choice.method,
        parameters=parameters,
        promise=promise,
        promise_needs=None if promise else needed,
        note=choice.note,
        counts=_counts(labels),
        tune=_measured(ng, labels, spec),
    )


def _counts(labels: _Labels) -> dict[str, int]:
    defective, of = labels
    counts = {"images": int(defective.size), "defective": int(defective.sum())}
    if not of.are_single:
        everything = np.ones(defective.size, bool)
        counts |= {"groups": of.count(everything), "defective_groups": labels.defective_parts}
    return counts


def _two_thresholds(pairs: joint.Pairs, spec: ThresholdSpec) -> _Choice:
    """Return both thresholds of a cascade by the method of `spec`, or by its fallback."""
    labels = _Labels(pairs.defective, pairs.parts)
    count, unit = labels.defective_parts, labels.unit
    if spec.method == "overkill_rate" or not count:
        (first, second), needed = joint.for_overkill_rate(
            pairs, max_overkill_rate=spec.max_overkill_rate, confidence=spec.confidence
        )
        note = _OVERKILL_PROMISE.format(spec=spec, unit=unit)
        if labels.good_parts < needed:
            note = (
                f"None of {labels.good_parts} good {unit} is NG; an overkill rate of at most "
                f"{spec.max_overkill_rate:g} would need {needed} of them."
            )
        choice = _Choice("overkill_rate", second, note, first)
        return choice if count else choice.with_note(_NO_DEFECTS)
    note = ""
    if spec.method == "escape_rate":
        needed = joint.defects_needed(spec.max_escape_rate, spec.confidence)
        if count < defects_needed(spec.max_escape_rate, spec.confidence):
            first, second = joint.for_f_beta(pairs, beta=spec.beta)
            note = _too_few(spec, needed, labels, " with two thresholds")
            return _Choice("f_beta", second, note, first)
        if count < needed:
            note = (
                "The first stage lets every image pass: for two thresholds this promise needs "
                f"{needed} defective {unit}; this split has {count}."
            )
        first, second = joint.for_escape_rate(
            pairs,
            max_escape_rate=spec.max_escape_rate,
            confidence=spec.confidence,
            part_escapes=spec.part_escapes,
        )
    elif spec.method == "precision":
        first, second = joint.for_precision(pairs, min_precision=spec.min_precision)
    elif spec.method == "recall":
        first, second = joint.for_recall(pairs, min_recall=spec.min_recall)
    elif spec.method == "f_beta":
        first, second = joint.for_f_beta(pairs, beta=spec.beta)
    elif spec.method == "cost":
        first, second = joint.for_cost(
            pairs, escape_cost=spec.escape_cost, overkill_cost=spec.overkill_cost
        )
    else:
        assert_never(spec.method)
    return _Choice(spec.method, second, note, first)


def choose_jointly(
    first_score: ArrayLike,
    second_score: ArrayLike,
    is_defect: ArrayLike,
    spec: ThresholdSpec,
    *,
    mask_threshold: float,
    groups: ArrayLike | None = None,
) -> tuple[OperatingPoint, OperatingPoint]:
    """Choose both thresholds of a cascade: NG if and only if each score reaches its own.

    What `spec` holds is held by the whole. Of equally good pairs it is the one whose first stage
    stops the most good images; a first threshold of 0 stops none. With fewer defective parts than
    two thresholds need, but enough for one, the promise is kept by the second alone, and its note
    says so; with fewer still it is F-beta, as in `choose`. The second threshold is raised to
    `mask_threshold` where no score of an image that the first stage lets pass lies between.

    Args:
        first_score: (images,), of the first stage, probabilities.
        second_score: (images,), of `decision.score`, of *every* image: also of those that the first
            stage will stop.
        is_defect: (images,), bool or 0 / 1.
        spec: the method and its numbers; the review band is that of the second threshold.
        mask_threshold: the one that the second scores were computed with.
        groups: (images,), the part that each image shows; see `choose`.

    Returns:
        The point of the first stage (method `joint`; its rates are its own: an escape is a
        defective image that it stops, an overkill a good one that it lets pass), and that of the
        whole, with the promise and the rates of both stages together.

    Raises:
        errors.DataError: the scores are empty or no probabilities, or the method cannot be met.
    """
    pairs = joint.checked(
        first_score, second_score, is_defect, groups=groups, weigh_parts=spec.weigh_parts
    )
    coarse = pairs._replace(first=cuts.tied(pairs.first), second=cuts.tied(pairs.second))
    labels = _Labels(pairs.defective, pairs.parts)

    def choose_one(one: resampled.Resample, spec: ThresholdSpec) -> _Choice:
        return _two_thresholds(coarse.of_rows(one.rows, one.parts), spec)

    choice = _mean(_two_thresholds(coarse, spec), labels, spec, choose_one)
    first = cuts.between(choice.first_threshold, pairs.first)
    passes = pairs.first >= first
    second = cuts.between(choice.threshold, pairs.second)
    second = _raised(second, pairs.second[passes], mask_threshold)
    choice = choice._replace(threshold=second, first_threshold=first)
    if max(first, second) > 1:
        choice = choice.with_note(_NEVER_REACHED)
    stage = OperatingPoint(
        threshold=first,
        mask_threshold=mask_threshold,
        method="joint",
        note="" if first > 0 else "It lets every image pass.",
        counts=_counts(labels),
        tune=_measured(passes, labels, spec),
    )
    return stage, _point(
        choice,
        np.where(passes, pairs.second, -np.inf),
        labels,
        spec,
        mask_threshold=mask_threshold,
        needed=joint.defects_needed(spec.max_escape_rate, spec.confidence),
    )
