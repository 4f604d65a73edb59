"""Scores of the tuning split -> the operating point: its thresholds and what they promise.

One scalar per image; a verdict is NG if and only if `score >= threshold`. The score of an image
already knows the rules (`decision.score`), so whatever is promised here holds for the verdict after
the rules. An *escape* is a defective image that passes, an *overkill* a good one that does not.

Where a threshold is placed: only the order of the scores decides, so each `for_*` picks a *cut*
between two neighbouring scores and puts the threshold midway between them. Below the lowest and
above the highest score there is no neighbour; there it lies 0.1 % outside.

A promise is as good as the split behind it: a tuning split that also chose the checkpoint, or that
has looked at the test images, promises too much.
"""

import itertools
from collections.abc import Callable, Iterable
from typing import Any, Literal

import numpy as np
import pydantic
from numpy.typing import ArrayLike, NDArray

from inspection_tf import _cuts, config, errors
from inspection_tf._cuts import (
    defects_needed,
    for_cost,
    for_escape_rate,
    for_f_beta,
    for_overkill_rate,
    for_precision,
    for_recall,
    rate_upper_bound,
)

__all__ = [
    "Method",
    "OperatingPoint",
    "Promise",
    "ThresholdSpec",
    "best_mask_threshold",
    "choose",
    "defects_needed",
    "for_cost",
    "for_escape_rate",
    "for_f_beta",
    "for_overkill_rate",
    "for_precision",
    "for_recall",
    "rate_upper_bound",
]

Method = Literal["escape_rate", "precision", "recall", "f_beta", "cost", "overkill_rate"]

_PARAMETERS: dict[str, tuple[str, ...]] = {
    "escape_rate": ("max_escape_rate", "confidence"),
    "precision": ("min_precision",),
    "recall": ("min_recall",),
    "f_beta": ("beta",),
    "cost": ("escape_cost", "overkill_cost"),
    "overkill_rate": ("max_overkill_rate", "confidence"),
}
_GRID = tuple(round(0.05 * step, 2) for step in range(1, 20))


class Promise(config.Section):
    """With this confidence, at most this share of defective images escapes."""

    max_escape_rate: float = pydantic.Field(gt=0, lt=1)
    """Upper bound of the escape rate, 0..1."""
    confidence: float = pydantic.Field(gt=0, lt=1)
    """Probability, over tuning splits, that the bound holds."""
    observed_escapes: int = pydantic.Field(ge=0)
    """Escapes on the tuning split."""
    defective: int = pydantic.Field(ge=1)
    """Defective images of the tuning split."""


class OperatingPoint(config.Section):
    """The thresholds of a bundle, how they were chosen, and what they promise."""

    threshold: float = pydantic.Field(allow_inf_nan=False)
    """An image whose score is at or above it is NG."""
    review_from: float | None = pydantic.Field(default=None, allow_inf_nan=False)
    """A score at or above it, and under `threshold`, is REVIEW; None: no such band."""
    mask_threshold: float = pydantic.Field(default=0.5, gt=0, le=1)
    """A pixel whose probability is at or above it belongs to a region."""
    method: str = "fixed"
    """How `threshold` was chosen."""
    parameters: dict[str, float] = pydantic.Field(default_factory=dict)
    """The numbers that were given to the method."""
    promise: Promise | None = None
    """What is promised about escapes, if anything."""
    promise_needs: int | None = None
    """Without a promise: the defective images that one would need (with no escape among them)."""
    note: str = ""
    """In words: what was fallen back to, and what is not promised."""
    counts: dict[str, int] = pydantic.Field(default_factory=dict)
    """Tuning split: `images`, `defective`."""
    tune: dict[str, float] = pydantic.Field(default_factory=dict)
    """Tuning split: `escape_rate`, `recall`, `overkill_rate`, `precision`; absent if 0 / 0."""

    @pydantic.model_validator(mode="after")
    def _review_lies_under_the_threshold(self) -> "OperatingPoint":
        if self.review_from is not None and self.review_from >= self.threshold:
            raise ValueError(
                f"review_from must lie under threshold {self.threshold}. Got {self.review_from}. "
                "Leave it out for no review band."
            )
        return self


class ThresholdSpec(config.Section):
    """How a recipe chooses its operating point. Only the numbers of the method matter."""

    method: Method = "escape_rate"
    """What is held; the rest is made as good as it can be."""
    max_escape_rate: float = pydantic.Field(default=0.05, gt=0, lt=1)
    """escape_rate: promised upper bound, 0..1."""
    confidence: float = pydantic.Field(default=0.95, gt=0, lt=1)
    """escape_rate, overkill_rate: confidence of the bound, 0..1."""
    min_precision: float = pydantic.Field(default=0.95, gt=0, le=1)
    """precision: lowest precision on the tuning split, 0..1."""
    min_recall: float = pydantic.Field(default=0.95, gt=0, le=1)
    """recall: lowest recall on the tuning split, 0..1."""
    beta: float = pydantic.Field(default=1.0, gt=0, allow_inf_nan=False)
    """f_beta, and the fallback of escape_rate: recall counts beta times as much as precision."""
    escape_cost: float = pydantic.Field(default=10.0, ge=0, allow_inf_nan=False)
    """cost: price of one escape, any currency."""
    overkill_cost: float = pydantic.Field(default=1.0, ge=0, allow_inf_nan=False)
    """cost: price of one overkill, the same currency."""
    max_overkill_rate: float = pydantic.Field(default=0.05, gt=0, lt=1)
    """overkill_rate, and every method when no image is defective: upper bound, 0..1."""
    review_band: float = pydantic.Field(default=0.0, ge=0, allow_inf_nan=False)
    """Scores this far under the threshold are REVIEW; 0: none."""


def _measured(threshold: float, score: ArrayLike, is_defect: ArrayLike) -> dict[str, float]:
    defective = np.asarray(is_defect, bool)
    ng = np.asarray(score, float) >= threshold
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
        cuts = _cuts.sweep(score, np.zeros(np.shape(score), bool), needs_defects=False)
        needed = defects_needed(spec.max_overkill_rate, spec.confidence)
        return cuts.threshold(cuts.score.size - 1), (
            f"Above every one of {cuts.good} good images; an overkill rate of at most "
            f"{spec.max_overkill_rate:g} would need {needed} of them."
        )
    return threshold, (
        f"At most {spec.max_overkill_rate:g} of the good images are overkill, "
        f"at {spec.confidence:g} confidence."
    )


def _threshold(
    score: ArrayLike, is_defect: NDArray[np.bool], spec: ThresholdSpec
) -> tuple[str, float, str]:
    """Return the method that was used, its threshold, and what to know about it."""
    if spec.method == "overkill_rate" or not is_defect.any():
        threshold, note = _from_good(np.asarray(score)[~is_defect], spec)
        if not is_defect.any():
            note += " Nothing is promised about escapes: no image of this split is defective."
        return "overkill_rate", threshold, note
    given = {name: getattr(spec, name) for name in _PARAMETERS[spec.method]}
    if spec.method == "escape_rate":
        needed = defects_needed(spec.max_escape_rate, spec.confidence)
        if is_defect.sum() < needed:
            return (
                "f_beta",
                for_f_beta(score, is_defect, beta=spec.beta),
                (
                    f"An escape rate of at most {spec.max_escape_rate:g} at {spec.confidence:g} "
                    f"confidence needs {needed} defective images; this split has "
                    f"{int(is_defect.sum())}. Chosen by F-beta instead."
                ),
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
    score: ArrayLike, is_defect: ArrayLike, spec: ThresholdSpec, *, mask_threshold: float
) -> OperatingPoint:
    """Choose the operating point of a bundle from the scores of the tuning split.

    When the split is too small for the promise, the threshold comes from F-beta; when no image is
    defective, from the overkill of the good ones. Then `promise` is None, `promise_needs` says how
    many defective images one takes and `note` says what happened.

    Where no score lies between the threshold and `mask_threshold`, the threshold is raised to it:
    nothing changes on this split, and an image whose regions the rules drop stays under it.

    Args:
        score: (images,), of `decision.score` with the rules that are shipped.
        is_defect: (images,), bool or 0 / 1.
        spec: the method and its numbers.
        mask_threshold: the one that the scores were computed with.

    Raises:
        errors.DataError: the scores are empty or not finite, or the method cannot be met.
    """
    cuts = _cuts.sweep(score, is_defect, needs_defects=False)
    scores, defective = np.asarray(score, float), np.asarray(is_defect).astype(bool)
    method, threshold, note = _threshold(scores, defective, spec)
    if threshold < mask_threshold and not ((scores >= threshold) & (scores < mask_threshold)).any():
        threshold = mask_threshold
    if threshold > 1:
        note = f"{note} No probability reaches this threshold: no image would be NG.".strip()
    promise = None
    if method == "escape_rate":
        promise = Promise(
            max_escape_rate=spec.max_escape_rate,
            confidence=spec.confidence,
            observed_escapes=int((scores[defective] < threshold).sum()),
            defective=cuts.defective,
        )
    needs = None if promise else defects_needed(spec.max_escape_rate, spec.confidence)
    return OperatingPoint(
        threshold=threshold,
        review_from=threshold - spec.review_band if spec.review_band else None,
        mask_threshold=mask_threshold,
        method=method,
        parameters={name: float(getattr(spec, name)) for name in _PARAMETERS[method]},
        promise=promise,
        promise_needs=needs,
        note=note,
        counts={"images": int(scores.size), "defective": cuts.defective},
        tune=_measured(threshold, scores, defective),
    )


def best_mask_threshold(
    probabilities: Iterable[NDArray[Any]],
    masks: Iterable[NDArray[Any]],
    *,
    grid: Iterable[float] = _GRID,
) -> float:
    """Return the pixel threshold with the largest mean Dice over the defective images.

    `Dice = 2 |P and T| / (|P| + |T|)` per image. Images are read one at a time. Of equal thresholds
    it is the one nearest 0.5; without a defective image there is nothing to measure: 0.5.

    Args:
        probabilities: of each image (height, width), 0..1.
        masks: of each image (height, width), bool or 0 / 1: the defect's pixels.
        grid: the candidates, 0..1.

    Raises:
        errors.DataError: a map and its mask differ in size, or the numbers of both differ.
    """
    candidates = np.unique(np.fromiter(grid, dtype=np.float64))
    total = np.zeros(candidates.size)
    images = 0
    for probability, mask in itertools.zip_longest(probabilities, masks):
        if probability is None or mask is None:
            raise errors.DataError(
                "There must be one mask per probability map. Got more of one than of the other. "
                "Give the two in the same order."
            )
        truth = np.asarray(mask, bool)
        if probability.shape != truth.shape:
            raise errors.DataError(
                "A probability map and its mask must have one size. Got "
                f"{probability.shape} and {truth.shape}. Map both to the source image."
            )
        if truth.any():
            total += _dice(np.asarray(probability), truth, candidates)
            images += 1
    if not images:
        return 0.5
    best = np.flatnonzero(np.round(total, 9) == np.round(total, 9).max())
    return float(candidates[best[np.abs(candidates[best] - 0.5).argmin()]])


def _dice(
    probability: NDArray[Any], truth: NDArray[np.bool], candidates: NDArray[np.float64]
) -> NDArray[np.float64]:
    reached = np.searchsorted(candidates, probability, side="right")  # how many it is at or above
    bins = candidates.size + 1
    marked = np.bincount(reached.ravel(), minlength=bins)[::-1].cumsum()[::-1][1:]
    hit = np.bincount(reached[truth], minlength=bins)[::-1].cumsum()[::-1][1:]
    dice: NDArray[np.float64] = 2 * hit / (marked + truth.sum())
    return dice
