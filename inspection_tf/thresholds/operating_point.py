"""The sections of thresholds: how they are chosen, and the operating point that came of it."""

from typing import Literal

import pydantic

from inspection_tf import config
from inspection_tf.thresholds.parts import PartEscapes

Method = Literal["escape_rate", "precision", "recall", "f_beta", "cost", "overkill_rate"]

PARAMETERS: dict[str, tuple[str, ...]] = {
    "escape_rate": ("max_escape_rate", "confidence"),
    "precision": ("min_precision",),
    "recall": ("min_recall",),
    "f_beta": ("beta",),
    "cost": ("escape_cost", "overkill_cost"),
    "overkill_rate": ("max_overkill_rate", "confidence"),
    # Not to be asked for: what f_beta and cost become where no image is good.
    "region_f_beta": ("beta",),
}


WEIGHED = ("precision", "recall", "f_beta", "cost")
"""Methods that count images, or on request parts: what is promised is of parts anyway."""


RESAMPLED = ("f_beta", "cost")
"""Methods that look for the best cut, and may take the mean of those of many resamples."""


class Promise(config.Section):
    """With this confidence, at most this share of defective parts escapes."""

    max_escape_rate: float = pydantic.Field(gt=0, lt=1)
    """Upper bound of the escape rate, 0..1."""
    confidence: float = pydantic.Field(gt=0, lt=1)
    """Probability, over tuning splits, that the bound holds."""
    observed_escapes: int = pydantic.Field(ge=0)
    """Parts of the tuning split that escape."""
    defective: int = pydantic.Field(ge=1)
    """Defective images of the tuning split."""
    defective_groups: int | None = pydantic.Field(default=None, ge=1)
    """Parts that these images show; None: each image shows one of its own."""
    part_escapes: PartEscapes = "any"
    """A part escapes when `any` of its defective images is judged OK, or only when `each` is."""

    @pydantic.model_serializer(mode="wrap")
    def _without_parts_where_there_are_none(
        self, write: pydantic.SerializerFunctionWrapHandler
    ) -> dict[str, object]:
        values: dict[str, object] = write(self)
        if self.defective_groups is None:  # as every bundle without groups was written
            for name in ("defective_groups", "part_escapes"):
                values.pop(name, None)  # left out already where defaults are
        return values

    def in_words(self, *, defective: str = "") -> str:
        """Return what is promised, of which unit, and on how many of them it rests.

        Args:
            defective: what is defective, in the plural; by default defective parts, or images.
        """
        is_single = self.defective_groups is None
        count = self.defective if self.defective_groups is None else self.defective_groups
        how = rests = ""
        if not is_single:
            how = f" by {self.part_escapes} of their images"
            rests = f"; {_counted(count, 'part')}, {_counted(self.defective, 'image')}"
        return (
            f"at most {self.max_escape_rate:.3g} of "
            f"{defective or ('defective images' if is_single else 'defective parts')} escape{how}, "
            f"at {self.confidence:.3g} confidence ({self.observed_escapes} of {count} "
            f"escaped{rests})"
        )


def _counted(number: int, unit: str) -> str:
    return f"{number} {unit}{'' if number == 1 else 's'}"


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
    """Without a promise: the defective parts that one would need (with no escape among them)."""
    note: str = ""
    """In words: what was fallen back to, and what is not promised."""
    counts: dict[str, int] = pydantic.Field(default_factory=dict)
    """Tuning split: `images`, `defective`; where parts have several, also `groups` and
    `defective_groups`."""
    tune: dict[str, float] = pydantic.Field(default_factory=dict)
    """Tuning split: `escape_rate`, `recall`, `overkill_rate`, `precision` of images, absent if
    0 / 0; where parts have several, `escape_rate_parts` and `overkill_rate_parts`."""

    def review_after(self, mark: str) -> str:
        """Return from which score on an image is REVIEW, to follow a sentence; "" if none is.

        Args:
            mark: what stands between them, such as `"; "`.
        """
        return "" if self.review_from is None else f"{mark}REVIEW from {self.review_from:.6g}"

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
    """f_beta, and the fallback of escape_rate: recall counts beta times as much as precision. Where
    no image is good, a single network's is of regions."""
    escape_cost: float = pydantic.Field(default=10.0, ge=0, allow_inf_nan=False)
    """cost: price of one escape, any currency."""
    overkill_cost: float = pydantic.Field(default=1.0, ge=0, allow_inf_nan=False)
    """cost: price of one overkill, the same currency."""
    max_overkill_rate: float = pydantic.Field(default=0.05, gt=0, lt=1)
    """overkill_rate, and every method when no image is defective: upper bound, 0..1."""
    part_escapes: PartEscapes = "any"
    """Where several images show one part, it escapes when any of its defective images is judged OK;
    each: only when each of them is, for lines that reject a part for one image."""
    weigh_parts: bool = False
    """precision, recall, f_beta, cost: each part counts the same, however many images show it."""
    resamples: int = pydantic.Field(default=0, ge=0, le=10_000)
    """f_beta, cost: the threshold is the mean of those of so many resamples of whole parts, as the
    best cut of few parts is a matter of chance; 0: it is the best cut."""
    review_band: float = pydantic.Field(default=0.0, ge=0, allow_inf_nan=False)
    """Scores this far under the threshold are REVIEW; 0: none."""
    review_share: float = pydantic.Field(default=0.0, ge=0, lt=1)
    """In place of a band: scores so far under the threshold are REVIEW that at most this share of
    the good parts of the tuning split is; 0: none."""

    @pydantic.model_validator(mode="after")
    def _one_review(self) -> "ThresholdSpec":
        if self.review_band and self.review_share:
            raise ValueError(
                f"review_band must go without review_share, got {self.review_band} and "
                f"{self.review_share}"
            )
        return self
