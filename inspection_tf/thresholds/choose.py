"""The operating point of a bundle: which threshold, and what it promises."""

from collections.abc import Callable, Sequence

import numpy as np
from numpy.typing import ArrayLike, NDArray

from inspection_tf import errors
from inspection_tf.thresholds import cuts, joint
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
    OperatingPoint,
    Promise,
    ThresholdSpec,
)
from inspection_tf.thresholds.region_threshold import RegionScores, for_region_f_beta

_OVERKILL_PROMISE = (
    "At most {spec.max_overkill_rate:g} of the good images are overkill, "
    "at {spec.confidence:g} confidence."
)
_NEVER_REACHED = "No probability reaches this threshold: no image would be NG."
_BY_REGIONS = (
    "No image of this split is good: {asked} over images cannot tell thresholds apart. "
    "Chosen by F-beta over regions instead."
)
_NO_DEFECTS = " Nothing is promised about escapes: no image of this split is defective."


def _measured(ng: NDArray[np.bool], defective: NDArray[np.bool]) -> dict[str, float]:
    rates = {
        "escape_rate": (~ng[defective]).sum() / max(defective.sum(), 1),
        "recall": ng[defective].sum() / max(defective.sum(), 1),
        "overkill_rate": ng[~defective].sum() / max((~defective).sum(), 1),
        "precision": defective[ng].sum() / max(ng.sum(), 1),
    }
    defined = (defective.any(), defective.any(), (~defective).any(), ng.any())
    return {name: float(rates[name]) for name, known in zip(rates, defined, strict=True) if known}


def _from_good(score: ArrayLike, spec: ThresholdSpec) -> tuple[float, str]:
    """Return a threshold from good images only, and what it promises of overkill, in words."""
    try:
        threshold = for_overkill_rate(
            score, max_overkill_rate=spec.max_overkill_rate, confidence=spec.confidence
        )
    except errors.DataError:
        counts = cuts.sweep(score, np.zeros(np.shape(score), bool), needs_defects=False)
        needed = defects_needed(spec.max_overkill_rate, spec.confidence)
        return counts.threshold(counts.score.size - 1), (
            f"Above every one of {counts.good} good images; an overkill rate of at most "
            f"{spec.max_overkill_rate:g} would need {needed} of them."
        )
    return threshold, _OVERKILL_PROMISE.format(spec=spec)


def promises_overkill(point: OperatingPoint, spec: ThresholdSpec) -> bool:
    """Return whether the good images were enough to promise the overkill rate of `spec`."""
    return _OVERKILL_PROMISE.format(spec=spec) in point.note


def _too_few(spec: ThresholdSpec, needed: int, is_defect: NDArray[np.bool], thresholds: str) -> str:
    return (
        f"An escape rate of at most {spec.max_escape_rate:g} at {spec.confidence:g} confidence "
        f"needs {needed} defective images{thresholds}; this split has {int(is_defect.sum())}. "
        "Chosen by F-beta instead."
    )


def _threshold(
    score: ArrayLike, is_defect: NDArray[np.bool], spec: ThresholdSpec
) -> tuple[str, float, str]:
    """Return the method that was used, its threshold, and what to know about it."""
    if spec.method == "overkill_rate" or not is_defect.any():
        threshold, note = _from_good(np.asarray(score)[~is_defect], spec)
        if not is_defect.any():
            note += _NO_DEFECTS
        return "overkill_rate", threshold, note
    given = {name: getattr(spec, name) for name in PARAMETERS[spec.method]}
    if spec.method == "escape_rate":
        needed = defects_needed(spec.max_escape_rate, spec.confidence)
        if is_defect.sum() < needed:
            return (
                "f_beta",
                for_f_beta(score, is_defect, beta=spec.beta),
                _too_few(spec, needed, is_defect, ""),
            )
    chosen: dict[str, Callable[..., float]] = {
        "escape_rate": for_escape_rate,
        "precision": for_precision,
        "recall": for_recall,
        "f_beta": for_f_beta,
        "cost": for_cost,
    }
    return spec.method, chosen[spec.method](score, is_defect, **given), ""


def choose(
    score: ArrayLike,
    is_defect: ArrayLike,
    spec: ThresholdSpec,
    *,
    mask_threshold: float,
    regions: Callable[[], Sequence[RegionScores]] | None = None,
) -> OperatingPoint:
    """Choose the operating point of a bundle from the scores of the tuning split.

    When the split is too small for the promise, the threshold comes from F-beta; when no image is
    defective, from the overkill of the good ones. Then `promise` is None, `promise_needs` says how
    many defective images one takes and `note` says what happened. Where every image is defective,
    F-beta and cost cannot tell thresholds apart over images: then it is F-beta over regions.

    Where no score lies between the threshold and `mask_threshold`, the threshold is raised to it:
    nothing changes on this split, and an image whose regions the rules drop stays under it.

    Args:
        score: (images,), of `decision.score` with the rules that are shipped.
        is_defect: (images,), bool or 0 / 1.
        spec: the method and its numbers.
        mask_threshold: the one that the scores were computed with.
        regions: called where every image is defective; returns the regions of each.

    Raises:
        errors.DataError: the scores are empty or not finite, or the method cannot be met.
    """
    scores, defective = cuts.checked(score, is_defect)
    method, threshold, note = _threshold(cuts.tied(scores), defective, spec)
    threshold = _raised(cuts.between(threshold, scores), scores, mask_threshold)
    if method in ("f_beta", "cost") and defective.all() and regions is not None:
        by_regions = for_region_f_beta(regions(), beta=spec.beta)
        if by_regions is not None:
            note = f"{note} {_BY_REGIONS.format(asked=method)}".strip()
            method, threshold = "region_f_beta", max(by_regions, mask_threshold)
    if threshold > 1:
        note = f"{note} {_NEVER_REACHED}".strip()
    return _point(
        threshold,
        scores >= threshold,
        defective,
        spec,
        mask_threshold=mask_threshold,
        method=method,
        note=note,
        needed=defects_needed(spec.max_escape_rate, spec.confidence),
    )


def _raised(threshold: float, scores: NDArray[np.float64], mask_threshold: float) -> float:
    if threshold < mask_threshold and not ((scores >= threshold) & (scores < mask_threshold)).any():
        return mask_threshold
    return threshold


def _point(
    threshold: float,
    ng: NDArray[np.bool],
    defective: NDArray[np.bool],
    spec: ThresholdSpec,
    *,
    mask_threshold: float,
    method: str,
    note: str,
    needed: int,
) -> OperatingPoint:
    promise = None
    if method == "escape_rate":
        promise = Promise(
            max_escape_rate=spec.max_escape_rate,
            confidence=spec.confidence,
            observed_escapes=int((defective & ~ng).sum()),
            defective=int(defective.sum()),
        )
    return OperatingPoint(
        threshold=threshold,
        review_from=threshold - spec.review_band if spec.review_band else None,
        mask_threshold=mask_threshold,
        method=method,
        parameters={name: float(getattr(spec, name)) for name in PARAMETERS[method]},
        promise=promise,
        promise_needs=None if promise else needed,
        note=note,
        counts=_counted(defective),
        tune=_measured(ng, defective),
    )


def _counted(defective: NDArray[np.bool]) -> dict[str, int]:
    return {"images": int(defective.size), "defective": int(defective.sum())}


def _two_thresholds(
    pairs: joint.Pairs, spec: ThresholdSpec
) -> tuple[str, tuple[float, float], str]:
    """Return the method that was used, its two thresholds, and what to know about them."""
    count = int(pairs.defective.sum())
    if spec.method == "overkill_rate" or not count:
        two, needed = joint.for_overkill_rate(
            pairs, max_overkill_rate=spec.max_overkill_rate, confidence=spec.confidence
        )
        good = pairs.defective.size - count
        note = _OVERKILL_PROMISE.format(spec=spec)
        if good < needed:
            note = (
                f"None of {good} good images is NG; an overkill rate of at most "
                f"{spec.max_overkill_rate:g} would need {needed} of them."
            )
        return "overkill_rate", two, note if count else note + _NO_DEFECTS
    given = {name: getattr(spec, name) for name in PARAMETERS[spec.method]}
    note = ""
    if spec.method == "escape_rate":
        needed = joint.defects_needed(spec.max_escape_rate, spec.confidence)
        if count < defects_needed(spec.max_escape_rate, spec.confidence):
            note = _too_few(spec, needed, pairs.defective, " with two thresholds")
            return "f_beta", joint.for_f_beta(pairs, beta=spec.beta), note
        if count < needed:
            note = (
                "The first stage lets every image pass: for two thresholds this promise needs "
                f"{needed} defective images; this split has {count}."
            )
    chosen: dict[str, Callable[..., tuple[float, float]]] = {
        "escape_rate": joint.for_escape_rate,
        "precision": joint.for_precision,
        "recall": joint.for_recall,
        "f_beta": joint.for_f_beta,
        "cost": joint.for_cost,
    }
    return spec.method, chosen[spec.method](pairs, **given), note


def choose_jointly(
    first_score: ArrayLike,
    second_score: ArrayLike,
    is_defect: ArrayLike,
    spec: ThresholdSpec,
    *,
    mask_threshold: float,
) -> tuple[OperatingPoint, OperatingPoint]:
    """Choose both thresholds of a cascade: NG if and only if each score reaches its own.

    What `spec` holds is held by the whole. Of equally good pairs it is the one whose first stage
    stops the most good images; a first threshold of 0 stops none. With fewer defective images than
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

    Returns:
        The point of the first stage (method `joint`; its rates are its own: an escape is a
        defective image that it stops, an overkill a good one that it lets pass), and that of the
        whole, with the promise and the rates of both stages together.

    Raises:
        errors.DataError: the scores are empty or no probabilities, or the method cannot be met.
    """
    pairs = joint.checked(first_score, second_score, is_defect)
    coarse = joint.Pairs(cuts.tied(pairs.first), cuts.tied(pairs.second), pairs.defective)
    method, (first, second), note = _two_thresholds(coarse, spec)
    first, second = cuts.between(first, pairs.first), cuts.between(second, pairs.second)
    passes = pairs.first >= first
    second = _raised(second, pairs.second[passes], mask_threshold)
    if max(first, second) > 1:
        note = f"{note} {_NEVER_REACHED}".strip()
    stage = OperatingPoint(
        threshold=first,
        mask_threshold=mask_threshold,
        method="joint",
        note="" if first > 0 else "It lets every image pass.",
        counts=_counted(pairs.defective),
        tune=_measured(passes, pairs.defective),
    )
    return stage, _point(
        second,
        passes & (pairs.second >= second),
        pairs.defective,
        spec,
        mask_threshold=mask_threshold,
        method=method,
        note=note,
        needed=joint.defects_needed(spec.max_escape_rate, spec.confidence),
    )
