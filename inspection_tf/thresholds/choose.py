"""The operating point of a bundle: which threshold, and what it promises."""

from collections.abc import Callable, Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import ArrayLike, NDArray

from inspection_tf import errors
from inspection_tf.thresholds import cuts, joint, parts
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
    "No image of this split is good: {asked} over images cannot tell thresholds apart. "
    "Chosen by F-beta over regions instead."
)
_NO_DEFECTS = " Nothing is promised about escapes: no image of this split is defective."


class _Split(NamedTuple):
    """What a threshold is chosen on."""

    score: NDArray[np.float64]  # (images,)
    defective: NDArray[np.bool]  # (images,)
    parts: parts.Parts

    @property
    def unit(self) -> str:
        """What is counted."""
        return _unit(self.parts)

    @property
    def groups(self) -> NDArray[np.int64] | None:
        """The number of each image's part; None where every image is one of its own."""
        return None if self.parts.are_single else self.parts.of


def _unit(of: parts.Parts) -> str:
    return "images" if of.are_single else "parts"


def _measured(
    ng: NDArray[np.bool], defective: NDArray[np.bool], of: parts.Parts, spec: ThresholdSpec
) -> dict[str, float]:
    rates = {
        "escape_rate": (~ng[defective]).sum() / max(defective.sum(), 1),
        "recall": ng[defective].sum() / max(defective.sum(), 1),
        "overkill_rate": ng[~defective].sum() / max((~defective).sum(), 1),
        "precision": defective[ng].sum() / max(ng.sum(), 1),
    }
    defined = (defective.any(), defective.any(), (~defective).any(), ng.any())
    found = {name: float(rates[name]) for name, known in zip(rates, defined, strict=True) if known}
    if not of.are_single:
        if defective.any():
            escaped = _escaped_parts(ng, defective, of, spec)
            found["escape_rate_parts"] = escaped / of.count(defective)
        if not defective.all():
            found["overkill_rate_parts"] = of.count(ng & ~defective) / of.count(~defective)
    return found


def _escaped_parts(
    ng: NDArray[np.bool], defective: NDArray[np.bool], of: parts.Parts, spec: ThresholdSpec
) -> int:
    """Return how many defective parts escape."""
    if spec.part_escapes == "any":
        return of.count(defective & ~ng)
    return of.count(defective) - of.count(defective & ng)


def _from_good(split: _Split, spec: ThresholdSpec) -> tuple[float, str]:
    """Return a threshold from good images only, and what it promises of overkill, in words."""
    good = ~split.defective
    score = split.score[good]
    try:
        threshold = for_overkill_rate(
            score,
            max_overkill_rate=spec.max_overkill_rate,
            confidence=spec.confidence,
            groups=split.parts.of[good],
        )
    except errors.DataError:
        counts = cuts.sweep(score, np.zeros(np.shape(score), bool), needs_defects=False)
        needed = defects_needed(spec.max_overkill_rate, spec.confidence)
        return counts.threshold(counts.score.size - 1), (
            f"Above every one of {split.parts.count(good)} good {split.unit}; an overkill rate of "
            f"at most {spec.max_overkill_rate:g} would need {needed} of them."
        )
    return threshold, _OVERKILL_PROMISE.format(spec=spec, unit=split.unit)


def promises_overkill(point: OperatingPoint, spec: ThresholdSpec) -> bool:
    """Return whether the good parts were enough to promise the overkill rate of `spec`."""
    promises = (_OVERKILL_PROMISE.format(spec=spec, unit=unit) for unit in ("images", "parts"))
    return any(promise in point.note for promise in promises)


def _too_few(
    spec: ThresholdSpec, needed: int, defective: int, unit: str, thresholds: str = ""
) -> str:
    return (
        f"An escape rate of at most {spec.max_escape_rate:g} at {spec.confidence:g} confidence "
        f"needs {needed} defective {unit}{thresholds}; this split has {defective}. "
        "Chosen by F-beta instead."
    )


def _threshold(split: _Split, spec: ThresholdSpec) -> tuple[str, float, str]:
    """Return the method that was used, its threshold, and what to know about it."""
    score, is_defect, of = split
    if spec.method == "overkill_rate" or not is_defect.any():
        threshold, note = _from_good(split, spec)
        if not is_defect.any():
            note += _NO_DEFECTS
        return "overkill_rate", threshold, note
    alike = split.groups if spec.weigh_parts else None
    given = {name: getattr(spec, name) for name in PARAMETERS[spec.method]}
    if spec.method == "escape_rate":
        needed, count = defects_needed(spec.max_escape_rate, spec.confidence), of.count(is_defect)
        if count < needed:
            return (
                "f_beta",
                for_f_beta(score, is_defect, beta=spec.beta, groups=alike),
                _too_few(spec, needed, count, split.unit),
            )
        threshold = for_escape_rate(
            score,
            is_defect,
            max_escape_rate=spec.max_escape_rate,
            confidence=spec.confidence,
            groups=of.of,
            part_escapes=spec.part_escapes,
        )
        return spec.method, threshold, ""
    chosen: dict[str, Callable[..., float]] = {
        "precision": for_precision,
        "recall": for_recall,
        "f_beta": for_f_beta,
        "cost": for_cost,
    }
    return spec.method, chosen[spec.method](score, is_defect, groups=alike, **given), ""


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
    of = parts.known(groups, scores.size)
    method, threshold, note = _threshold(_Split(cuts.tied(scores), defective, of), spec)
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
        of,
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
    of: parts.Parts,
    spec: ThresholdSpec,
    *,
    mask_threshold: float,
    method: str,
    note: str,
    needed: int,
) -> OperatingPoint:
    promise = None
    if not of.are_known:
        note = f"{note} {parts.UNKNOWN}".strip()
    if method == "escape_rate":
        promise = Promise(
            max_escape_rate=spec.max_escape_rate,
            confidence=spec.confidence,
            observed_escapes=_escaped_parts(ng, defective, of, spec),
            defective=int(defective.sum()),
            defective_groups=None if of.are_single else of.count(defective),
            part_escapes=spec.part_escapes,
        )
    parameters = {name: float(getattr(spec, name)) for name in PARAMETERS[method]}
    if spec.weigh_parts and method in WEIGHED and not of.are_single:
        parameters["weigh_parts"] = 1.0
    return OperatingPoint(
        threshold=threshold,
        review_from=threshold - spec.review_band if spec.review_band else None,
        mask_threshold=mask_threshold,
        method=method,
        parameters=parameters,
        promise=promise,
        promise_needs=None if promise else needed,
        note=note,
        counts=_counted(defective, of),
        tune=_measured(ng, defective, of, spec),
    )


def _counted(defective: NDArray[np.bool], of: parts.Parts) -> dict[str, int]:
    found = {"images": int(defective.size), "defective": int(defective.sum())}
    if not of.are_single:
        everything = np.ones(defective.size, bool)
        found |= {"groups": of.count(everything), "defective_groups": of.count(defective)}
    return found


def _two_thresholds(
    pairs: joint.Pairs, spec: ThresholdSpec
) -> tuple[str, tuple[float, float], str]:
    """Return the method that was used, its two thresholds, and what to know about them."""
    count, unit = pairs.parts.count(pairs.defective), _unit(pairs.parts)
    if spec.method == "overkill_rate" or not count:
        two, needed = joint.for_overkill_rate(
            pairs, max_overkill_rate=spec.max_overkill_rate, confidence=spec.confidence
        )
        good = pairs.parts.count(~pairs.defective)
        note = _OVERKILL_PROMISE.format(spec=spec, unit=unit)
        if good < needed:
            note = (
                f"None of {good} good {unit} is NG; an overkill rate of at most "
                f"{spec.max_overkill_rate:g} would need {needed} of them."
            )
        return "overkill_rate", two, note if count else note + _NO_DEFECTS
    given = {name: getattr(spec, name) for name in PARAMETERS[spec.method]}
    if spec.method == "escape_rate":
        note = ""
        needed = joint.defects_needed(spec.max_escape_rate, spec.confidence)
        if count < defects_needed(spec.max_escape_rate, spec.confidence):
            note = _too_few(spec, needed, count, unit, " with two thresholds")
            return "f_beta", joint.for_f_beta(pairs, beta=spec.beta), note
        if count < needed:
            note = (
                "The first stage lets every image pass: for two thresholds this promise needs "
                f"{needed} defective {unit}; this split has {count}."
            )
        two = joint.for_escape_rate(
            pairs,
            max_escape_rate=spec.max_escape_rate,
            confidence=spec.confidence,
            part_escapes=spec.part_escapes,
        )
        return spec.method, two, note
    chosen: dict[str, Callable[..., tuple[float, float]]] = {
        "precision": joint.for_precision,
        "recall": joint.for_recall,
        "f_beta": joint.for_f_beta,
        "cost": joint.for_cost,
    }
    return spec.method, chosen[spec.method](pairs, **given), ""


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
        counts=_counted(pairs.defective, pairs.parts),
        tune=_measured(passes, pairs.defective, pairs.parts, spec),
    )
    return stage, _point(
        second,
        passes & (pairs.second >= second),
        pairs.defective,
        pairs.parts,
        spec,
        mask_threshold=mask_threshold,
        method=method,
        note=note,
        needed=joint.defects_needed(spec.max_escape_rate, spec.confidence),
    )
