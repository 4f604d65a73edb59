"""Scores of the images that chose a threshold, and what any other threshold would make of them.

They travel in the bundle, so that a person can see what a threshold does without the images. The
page of the service counts in the same way in a browser; its tests hold the two together.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import pydantic
from numpy.typing import NDArray

from inspection_tf import config, thresholds
from inspection_tf.decision.verdict import OUTCOMES, Outcome
from inspection_tf.thresholds import parts

OPEN: tuple[Outcome, Outcome] = ("OK", "NG")
"""The bounds of an image of which the threshold alone decides."""


@dataclass(frozen=True, slots=True)
class Rate:
    """How often something happened, and what that bounds.

    Attributes:
        events: parts to which it happened.
        of: parts to which it could have.
        at_most: one-sided Clopper-Pearson upper bound of the rate among further parts, 0..1; 1
            where there is none.
    """

    events: int
    of: int
    at_most: float

    def to_dict(self) -> dict[str, float]:
        """Return plain values, ready for JSON."""
        return {"events": self.events, "of": self.of, "at_most": self.at_most}


@dataclass(frozen=True, slots=True)
class Tradeoff:
    """What thresholds make of the tune images, and what that says of further parts.

    Attributes:
        defective: number of defective images by outcome.
        good: number of good images by outcome.
        not_ng: defective parts that escape, REVIEW counted as an escape: what a bundle promises.
        passed: defective parts that escape where a person finds each one that is REVIEW.
        overkill: good parts that are NG.
    """

    defective: Mapping[Outcome, int]
    good: Mapping[Outcome, int]
    not_ng: Rate
    passed: Rate
    overkill: Rate

    def to_dict(self) -> dict[str, Any]:
        """Return plain values, ready for JSON."""
        return {
            "defective": dict(self.defective),
            "good": dict(self.good),
            "not_ng": self.not_ng.to_dict(),
            "passed": self.passed.to_dict(),
            "overkill": self.overkill.to_dict(),
        }


class TuneScores(config.Section):
    """Scores and labels of the images on which a threshold was chosen, image by image."""

    ids: tuple[str, ...]
    """The ids of the records, each once."""
    is_defect: tuple[bool, ...]
    """Whether each image is labelled as defective."""
    scores: tuple[pydantic.FiniteFloat | None, ...]
    """The score of each image's verdict; None: it was not finite."""
    parts: tuple[str, ...] | None = None
    """The part that each image shows; None: nothing is known of any."""
    part_escapes: thresholds.PartEscapes = "any"
    """A part escapes when any of its defective images does, or only when each does."""
    bounds: dict[str, tuple[Outcome, Outcome]] = pydantic.Field(default_factory=dict)
    """Some images are not decided by the threshold alone. This holds, by id, the outcome that no
    threshold lowers and the one that none exceeds: OK and OK where the first stage of a cascade
    stops an image, NG and NG over a limit of wear."""
    further_thresholds: int = pydantic.Field(default=0, ge=0)
    """Thresholds of stages before, which were chosen on the same images. Each bounds a block of its
    own (Tukey 1947; see `thresholds.joint`), and so counts in a bound as an escape more."""
    mask_threshold: float | None = pydantic.Field(default=None, gt=0, le=1)
    """Probability from which a pixel belonged to a region when the scores were measured; None:
    there are no regions."""
    mask_range: tuple[float, float] | None = None
    """A threshold that is set by hand is the pixel threshold too, as far as it lies between these:
    the lowest one, and that of the export."""
    threshold: float = pydantic.Field(default=0.5, allow_inf_nan=False)
    """The threshold under which the scores were measured: where a stage before stops an image, its
    score is scaled to lie under it."""
    review_from: float | None = pydantic.Field(default=None, allow_inf_nan=False)
    """The start of the review band under which they were measured; None: there was none."""

    @pydantic.model_validator(mode="after")
    def _of_one_length(self) -> "TuneScores":
        columns = [self.is_defect, self.scores, *([] if self.parts is None else [self.parts])]
        if any(len(column) != len(self.ids) for column in columns):
            raise ValueError("each image must have an id, a label, a score, and a part if any has")
        if not self.ids or len(set(self.ids)) < len(self.ids):
            raise ValueError("there must be images, each with an id of its own")
        if not set(self.bounds) <= set(self.ids):
            raise ValueError("there must be bounds of none but the images")
        return self

    def are_of(self, point: thresholds.OperatingPoint) -> bool:
        """Return whether a bundle that decides by a threshold would give these very scores."""
        if self.mask_threshold not in (None, point.mask_threshold):
            return False
        measured, asked = (self.threshold, self.review_from), (point.threshold, point.review_from)
        return not self.further_thresholds or measured == asked

    def outcomes(self, threshold: float, review_from: float | None = None) -> list[Outcome]:
        """Return what is decided about each image.

        Args:
            threshold: a score at or above it is NG.
            review_from: a score at or above it, and under the threshold, is REVIEW; None: none is.
        """
        start = threshold if review_from is None else review_from
        found: list[Outcome] = []
        for name, score in zip(self.ids, self.scores, strict=True):
            by_score: Outcome = "REVIEW"
            if score is not None:
                by_score = "NG" if score >= threshold else "REVIEW" if score >= start else "OK"
            lowest, highest = self.bounds.get(name, OPEN)
            found.append(
                max(lowest, min(by_score, highest, key=OUTCOMES.index), key=OUTCOMES.index)
            )
        return found

    def tradeoff(
        self, threshold: float, review_from: float | None = None, *, confidence: float = 0.95
    ) -> Tradeoff:
        """Count what thresholds decide about these images and parts, and bound the rates.

        A bound of escapes holds for the highest threshold at which it is reached, where the bound
        was settled before anybody looked (`thresholds.for_escape_rate`); that of overkills, and of
        escapes at a threshold that was chosen for another reason, is an estimate.

        Args:
            threshold: a score at or above it is NG.
            review_from: a score at or above it, and under the threshold, is REVIEW; None: none is.
            confidence: of each bound, 0..1.
        """
        outcome = np.array(self.outcomes(threshold, review_from))
        defective = np.array(self.is_defect, bool)
        of = parts.numbered(self.parts, len(self.ids)).of
        escapes_each = self.part_escapes == "each"

        def escaped(how: NDArray[np.bool]) -> Rate:
            more = self.further_thresholds
            return _rate(of, defective, how, every=escapes_each, confidence=confidence, more=more)

        return Tradeoff(
            defective=_counted(outcome[defective]),
            good=_counted(outcome[~defective]),
            not_ng=escaped(outcome != "NG"),
            passed=escaped(outcome == "OK"),
            overkill=_rate(of, ~defective, outcome == "NG", every=False, confidence=confidence),
        )


def _counted(outcome: NDArray[np.str_]) -> dict[Outcome, int]:
    return {name: int((outcome == name).sum()) for name in OUTCOMES}


def _rate(
    part: NDArray[np.int64],
    among: NDArray[np.bool],
    happened: NDArray[np.bool],
    *,
    every: bool,
    confidence: float,
    more: int = 0,
) -> Rate:
    """Return how many parts have an image among some that it happened to.

    Args:
        part: (images,), numbers.
        among: (images,), which images count.
        happened: (images,), to which it happened.
        every: it happens to a part only where it happens to each of these images.
        confidence: of the bound.
        more: events that the bound counts besides.
    """
    known = np.unique(part[among])
    if every:
        events = known.size - np.unique(part[among & ~happened]).size
    else:
        events = np.unique(part[among & happened]).size
    counted = min(int(events) + more, known.size)
    bound = thresholds.rate_upper_bound(counted, known.size, confidence=confidence)
    return Rate(int(events), int(known.size), bound)
