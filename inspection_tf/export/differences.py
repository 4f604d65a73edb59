"""What differs between a reference and a candidate on the same images: both gates read it.

The reference is the trained model for its export, and the float32 ONNX files for an engine.
"""

import math
from collections.abc import Mapping, Sequence

import numpy as np
from numpy.typing import NDArray

from inspection_tf import config, decision, thresholds
from inspection_tf.datasets.records import Record


class Flip(config.Section):
    """A verdict that a candidate changed."""

    id: str
    batch_size: int = 1
    """Images a call."""
    outcome_before: str
    outcome_after: str
    stage: str = ""
    """Of a cascade: the stage that changed it. Where a number beside the score did, such as a
    novelty: its name. Scores and margin are its own."""
    score_before: float | None
    score_after: float | None
    margin: float | None
    """Distance from the threshold that was crossed, of whichever score is further from it: before
    or after. None: none was, as where a score is not finite, or four corners are no field any
    more."""

    def in_words(self, *, digits: int = 4) -> str:
        """Return image, outcomes and scores before and after, and the stage.

        Args:
            digits: of the scores, after the point.
        """
        scores = (self.score_before, self.score_after)
        old, new = ("nan" if score is None else f"{score:.{digits}f}" for score in scores)
        words = f"{self.id} {self.outcome_before} {old} -> {self.outcome_after} {new}"
        return f"{words}, {self.stage}" if self.stage else words


class Differences:
    """What adds up over the images of one comparison.

    Attributes:
        stage_points: thresholds of the networks before the one that decides, by name.
        largest: difference of any number of an output; infinite where one is not finite.
        largest_score: difference of any score; infinite where one is not finite.
        distances: the largest of each further distance, by name.
        flips: the verdicts that differ.
    """

    def __init__(self, stage_points: Mapping[str, thresholds.OperatingPoint]) -> None:
        """Begin with nothing."""
        self.stage_points = stage_points
        self.largest = self.largest_score = 0.0
        self.distances: dict[str, float] = {}
        self.flips: list[Flip] = []
        self._total, self._count = 0.0, 0

    @property
    def mean(self) -> float:
        """The mean difference of an output's numbers, over the outputs."""
        return self._total / max(self._count, 1)

    def add_arrays(
        self, before: Sequence[NDArray[np.float32]], after: Sequence[NDArray[np.float32]]
    ) -> None:
        """Add what two sides say of an image, array by array."""
        for one, other in zip(before, after, strict=True):
            with np.errstate(invalid="ignore"):
                off = np.abs(np.asarray(one, np.float64) - other)
            off[~np.isfinite(off)] = math.inf
            self.largest = max(self.largest, float(off.max()))
            self._total += float(off.mean())
            self._count += 1

    def add_scores(self, before: Mapping[str, float], after: Mapping[str, float]) -> None:
        """Add the scores of an image by name; one that is not finite is far from all."""
        for name, one in before.items():
            off = abs(one - after[name])
            self.largest_score = max(self.largest_score, off if math.isfinite(off) else math.inf)

    def add_distances(self, distances: Mapping[str, float]) -> None:
        """Add what a task measures besides."""
        for name, distance in distances.items():
            self.distances[name] = max(self.distances.get(name, 0.0), distance)

    def add_verdicts(
        self,
        record: Record,
        before: decision.Verdict,
        after: decision.Verdict,
        *,
        batch_size: int = 1,
    ) -> None:
        """Add the verdicts on an image."""
        if before.outcome == after.outcome:
            return
        stage, scores, margin = changed_stage(before, after, self.stage_points)
        self.flips.append(
            Flip(
                id=record.id,
                batch_size=batch_size,
                outcome_before=before.outcome,
                outcome_after=after.outcome,
                stage=stage,
                score_before=finite(scores[0]),
                score_after=finite(scores[1]),
                margin=finite(margin),
            )
        )


def stage_scores(
    before: decision.Verdict, after: decision.Verdict
) -> tuple[dict[str, float], dict[str, float]]:
    """Return the scores of two verdicts that can be compared, by stage.

    Where one of the two stopped an image, the stages before that can.
    """
    names = [name for name in before.stages if name in after.stages]
    if not names:
        return {"": before.score}, {"": after.score}
    first, second = ({name: verdict.stages[name] for name in names} for verdict in (before, after))
    return first, second


def changed_stage(
    old: decision.Verdict,
    new: decision.Verdict,
    stage_points: Mapping[str, thresholds.OperatingPoint],
) -> tuple[str, tuple[float, float], float]:
    """Return the stage that changed a verdict, its scores, and the margin of the further one.

    Where one verdict stopped the image and the other did not, that is the stage that stops. Of two
    borders that were crossed it is the further one; nan where none was.
    """
    stops = [verdict.decided_by for verdict in (old, new) if verdict.decided_by in stage_points]
    stage = stops[0] if stops else old.decided_by
    point: thresholds.OperatingPoint | decision.Verdict = stage_points.get(stage, old)
    one, other = (verdict.stages.get(stage, verdict.score) for verdict in (old, new))
    borders = [b for b in (point.threshold, point.review_from) if b is not None]
    margins = [
        score - border
        for border in borders
        if (one >= border) != (other >= border)
        for score in (one, other)
    ]
    is_known = math.isfinite(one) and math.isfinite(other) and margins
    if not is_known and (crossed := _crossed_limit(old, new)):
        return crossed
    return stage, (one, other), max(margins, key=abs) if is_known else math.nan


def _crossed_limit(
    old: decision.Verdict, new: decision.Verdict
) -> tuple[str, tuple[float, float], float] | None:
    """Return the number beside the score that crossed its limit, as `changed_stage`; or None."""
    for name in old.limits.keys() & new.limits.keys():
        (one, border), (other, _) = old.limits[name], new.limits[name]
        if math.isfinite(one) and math.isfinite(other) and (one > border) != (other > border):
            return name, (one, other), max(one - border, other - border, key=abs)
    return None


def finite(value: float) -> float | None:
    """Return a number; None where it is not finite, as JSON has it."""
    return float(value) if math.isfinite(value) else None
