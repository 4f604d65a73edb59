"""The gate of engines: one is let through when it decides as the float32 ONNX files do.

Every tune and test image goes through both, at several batch sizes. What a low precision may
change is bounded: outputs move, so verdicts may change where the score lies at the threshold, and
nowhere else.
"""

import copy
import math
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import pydantic
from numpy.typing import NDArray

from inspection_tf import bundle, config, decision, errors, evaluation, process, runtime
from inspection_tf.datasets.records import Record, Records

# Rates of verdicts have no limit of their own: `GateSpec` bounds how many verdicts may change.
RATES = ("escape_rate", "overkill_rate", "review_rate", "ok_ng_accuracy")


class GateSpec(config.Section):
    """What an engine may change."""

    band: float = pydantic.Field(default=0.02, gt=0)
    """Distance of both scores from the threshold within which a verdict may change."""
    flipped_share: float = pydantic.Field(default=0.01, ge=0)
    """Share of all parts with a verdict that may change within the band; a part is an image where
    no two show the same."""
    metric_drop: float = pydantic.Field(default=0.005, gt=0)
    """How much worse any metric of pixels, regions or scores may be. Rates of verdicts are bounded
    by the changed verdicts, and errors in px by the ones in shares of the width."""
    corner_error_rise: float = pydantic.Field(default=0.0005, gt=0)
    """How much larger the mean and the median error of corners may be, in shares of the width."""
    batch_sizes: tuple[pydantic.PositiveInt, ...] = pydantic.Field(default=(1, 4), min_length=2)
    """Images a call, two numbers or more, each compared on all images."""

    @pydantic.field_validator("batch_sizes")
    @classmethod
    def _differ(cls, sizes: tuple[int, ...]) -> tuple[int, ...]:
        if len(set(sizes)) < len(sizes):
            raise ValueError("batch_sizes must differ from each other, as 1 and 4 do")
        return sizes


class EngineFlip(config.Section):
    """A verdict that an engine changed."""

    id: str
    batch_size: int
    outcome_before: str
    outcome_after: str
    stage: str = ""
    """Of a cascade: the stage that changed it. Scores and margin are that stage's own."""
    score_before: float | None
    score_after: float | None
    margin: float | None
    """Distance from the threshold that was crossed, of whichever score is further from it: before
    or after. None: none was, as where a score is not finite, or four corners are no field any
    more."""


class EngineParity(config.Section):
    """How far an engine is from the float32 ONNX files, on every tune and test image."""

    reference: str = "onnx float32"
    images: int
    groups: int | None = None
    """Parts that the images show; None: in bundles from before they were counted."""
    splits: tuple[str, ...]
    batch_sizes: tuple[int, ...]
    max_output_difference: float | None
    """None: an output was not finite."""
    mean_output_difference: float | None
    max_score_difference: float | None
    changes: dict[str, dict[str, float | None]]
    """Metric to what it changed by, with the 95 % interval, at the batch size where it is worst."""
    changed_verdicts: tuple[EngineFlip, ...]
    limits: GateSpec
    failures: tuple[str, ...]
    """In words; empty: the engine is let through."""
    attempts: int = 1
    """Engines that were compared on these images: int8 that was refused is tried anew with more in
    float32, and this is about the last."""

    @property
    def passed(self) -> bool:
        """Whether the engine is let through."""
        return not self.failures

    def require(self, name: str) -> None:
        """Refuse an engine that decides differently.

        Raises:
            errors.GateError: it went over a limit; its `report` is this.
        """
        if self.failures:
            problem = errors.GateError(
                f"The engine {name} must decide as the float32 ONNX files do. Got "
                f"{'; '.join(self.failures)}, on {self.images} images. The bundle is as it was; "
                "calibrate with more images, or choose a higher precision."
            )
            problem.report = self.model_dump(mode="json")
            raise problem


class _Replay:
    """Gives verdicts that were reached before, to whatever measures an inspector."""

    def __init__(self, verdicts: Sequence[decision.Verdict]) -> None:
        self._left = iter(verdicts)

    def inspect(self, _source: Any, /, *, template: Any = None) -> decision.Verdict:
        del template
        return next(self._left)


class Tally:
    """What adds up over the batches of one comparison.

    Attributes:
        stage_points: thresholds of the stages before the one that decides, by name.
        worst: the largest difference of any output.
        total: sum of the mean differences of all outputs.
        count: number of these outputs.
        worst_score: the largest difference of any score.
        flips: the verdicts that changed.
    """

    def __init__(self, stage_points: Mapping[str, Any] | None = None) -> None:
        """Begin with nothing; `stage_points` are those of the manifest."""
        self.stage_points = stage_points or {}
        self.worst = self.total = self.worst_score = 0.0
        self.count = 0
        self.flips: list[EngineFlip] = []

    def add_outputs(
        self, first: Sequence[NDArray[np.float32]], second: Sequence[NDArray[np.float32]]
    ) -> None:
        """Add the outputs of every network for one image, before and after."""
        for one, other in zip(first, second, strict=True):
            with np.errstate(invalid="ignore"):
                apart = np.abs(np.asarray(one, np.float64) - other)
            apart[~np.isfinite(apart)] = math.inf
            self.worst = max(self.worst, float(apart.max()))
            self.total += float(apart.mean())
            self.count += 1

    def add_verdicts(
        self,
        records: Sequence[Record],
        before: Sequence[decision.Verdict],
        after: Sequence[decision.Verdict],
        batch_size: int,
    ) -> None:
        """Add the verdicts on a batch of images, before and after."""
        for record, old, new in zip(records, before, after, strict=True):
            # Where one of the two stopped an image, the stages before that can be compared.
            pairs = [
                (old.stages[name], new.stages[name]) for name in old.stages if name in new.stages
            ]
            for one, other in pairs or [(old.score, new.score)]:
                off = abs(one - other)
                self.worst_score = max(self.worst_score, math.inf if math.isnan(off) else off)
            if old.outcome != new.outcome:
                stage, (one, other), margin = changed_stage(old, new, self.stage_points)
                flip = EngineFlip(
                    id=record.id,
                    batch_size=batch_size,
                    outcome_before=old.outcome,
                    outcome_after=new.outcome,
                    stage=stage,
                    score_before=_finite(one),
                    score_after=_finite(other),
                    margin=_finite(margin),
                )
                self.flips.append(flip)


def changed_stage(
    old: decision.Verdict, new: decision.Verdict, stage_points: Mapping[str, Any]
) -> tuple[str, tuple[float, float], float]:
    """Return the stage that changed a verdict, its scores, and the margin of the further one.

    Where one verdict stopped the image and the other did not, that is the stage that stops. Of two
    borders that were crossed it is the further one; nan where none was.
    """
    stops = [verdict.decided_by for verdict in (old, new) if verdict.decided_by in stage_points]
    stage = stops[0] if stops else old.decided_by
    point = stage_points.get(stage, old)
    one, other = (verdict.stages.get(stage, verdict.score) for verdict in (old, new))
    borders = [b for b in (point.threshold, point.review_from) if b is not None]
    margins = [
        score - border
        for border in borders
        if (one >= border) != (other >= border)
        for score in (one, other)
    ]
    is_known = math.isfinite(one) and math.isfinite(other) and margins
    return stage, (one, other), max(margins, key=abs) if is_known else math.nan


def _finite(value: float) -> float | None:
    return float(value) if math.isfinite(value) else None


def compare(
    reference: runtime.Inspector,
    candidate: runtime.Inspector,
    splits: dict[str, Records],
    spec: GateSpec,
    progress: process.Progress | None = None,
) -> EngineParity:
    """Run an engine and the float32 ONNX files on the same images.

    Args:
        reference: of the bundle's own ONNX files.
        candidate: the same bundle on the engine.
        splits: name of each split to its records.
        spec: what may change.
        progress: called with (done, of).

    Raises:
        errors.DataError: there is no image to compare on.
    """
    records = [record for split in splits.values() for record in split]
    if not records:
        raise errors.DataError(
            "The gate needs tune or test images. Got none. Give the data of the bundle."
        )
    manifest = reference.manifest
    tally = Tally(manifest.stage_points)
    steps = len(records) * len(spec.batch_sizes)
    done = 0
    of_sizes: list[dict[str, evaluation.Estimate]] = []
    for size in spec.batch_sizes:
        sides = at_batch_size(reference, size), at_batch_size(candidate, size)
        before: list[evaluation.ImageResult] = []
        after: list[evaluation.ImageResult] = []
        for first in range(0, len(records), size):
            chunk = records[first : first + size]
            pair = _compare_batch(*sides, chunk, tally, size)
            before += pair[0]
            after += pair[1]
            done += len(chunk)
            if progress is not None:
                progress(done, steps)
        of_sizes.append(evaluation.changes(before, after, classes=manifest.classes))
    measures = reference.task.measures
    changes = _worst(of_sizes, measures)
    part_of = {record.id: record.group or record.id for record in records}
    return EngineParity(
        images=len(records),
        groups=len(set(part_of.values())),
        splits=tuple(splits),
        batch_sizes=spec.batch_sizes,
        max_output_difference=_finite(tally.worst),
        mean_output_difference=_finite(tally.total / max(tally.count, 1)),
        max_score_difference=_finite(tally.worst_score),
        changes={name: estimate.to_dict() for name, estimate in changes.items()},
        changed_verdicts=tuple(tally.flips),
        limits=spec,
        failures=tuple(failures(tally, changes, spec, part_of, measures)),
    )


def at_batch_size(inspector: runtime.Inspector, size: int) -> runtime.Inspector:
    """Return an inspector that also gives its networks this many tiles a call."""
    changed = copy.copy(inspector)
    changed.context = inspector.task.at_batch_size(inspector.context, size)
    return changed


def _compare_batch(
    reference: runtime.Inspector,
    candidate: runtime.Inspector,
    records: Sequence[Record],
    tally: Tally,
    batch_size: int,
) -> list[list[evaluation.ImageResult]]:
    """Add a batch to the tally; return its rows of the reports, before and after."""
    turn, sides = reference.preprocessing.orientation, (reference, candidate)
    prepared = [
        reference.prepare_decoded(*record.read_pair(orientation=turn)) for record in records
    ]
    ran = [side.run(prepared, every_stage=True) for side in sides]
    for pair in zip(*ran, strict=True):
        tally.add_outputs(*(reference.task.arrays(output) for output in pair))
    before, after = (
        [side.decide(output, item) for output, item in zip(outputs, prepared, strict=True)]
        for side, outputs in zip(sides, ran, strict=True)
    )
    tally.add_verdicts(records, before, after, batch_size)
    return [
        evaluation.inspect_records(
            _Replay(found), records, task=reference.task, context=reference.context
        )
        for found in (before, after)
    ]


def _worst(
    each: Sequence[dict[str, evaluation.Estimate]], measures: evaluation.Measures
) -> dict[str, evaluation.Estimate]:
    """Return of each metric the change that is worst."""

    def loss(name: str, change: evaluation.Estimate) -> float:
        if change.value is None:
            return -math.inf
        return evaluation.worsening(name, change.value, measures)

    return {
        name: max((changes[name] for changes in each), key=lambda change: loss(name, change))
        for name in each[0]
    }


def failures(
    tally: Tally,
    changes: dict[str, evaluation.Estimate],
    spec: GateSpec,
    parts: Mapping[str, str],
    measures: evaluation.Measures,
) -> list[str]:
    """Return in words which limits were passed.

    Args:
        tally: of all batches.
        changes: of metrics, at the batch size where each is worst.
        spec: the limits.
        parts: id of each image to the part it shows.
        measures: of the task.
    """
    found = []
    if not math.isfinite(tally.worst):
        found.append("outputs that are not finite")
    far = [flip for flip in tally.flips if flip.margin is None or abs(flip.margin) > spec.band]
    if far:
        named = "; ".join(_in_words(flip) for flip in far[:3])
        found.append(
            f"{len(far)} changed verdicts further than {spec.band:g} from the threshold ({named})"
        )
    near = {flip.id for flip in tally.flips} - {flip.id for flip in far}
    # Images of one part are not so many chances: what counts is how many parts are decided anew.
    moved, every = {parts[name] for name in near}, set(parts.values())
    if len(moved) > spec.flipped_share * len(every):
        unit = "images" if len(every) == len(parts) else f"{len(every)} parts"
        of = "" if len(every) == len(parts) else f" of {len(moved)} parts"
        found.append(
            f"{len(near)} changed verdicts{of} within {spec.band:g} of the threshold, more than "
            f"{spec.flipped_share:.0%} of the {unit}"
        )
    for name, limit in _limits(changes, spec, measures).items():
        worse = evaluation.worsening(name, changes[name].value or 0.0, measures)
        if worse > limit:
            found.append(f"{name} worse by {worse:.4f}, more than {limit:g}")
    return found


def _limits(
    changes: Mapping[str, object], spec: GateSpec, measures: evaluation.Measures
) -> dict[str, float]:
    """Return how much worse each metric may be, of those that have a limit."""
    bounds = measures.bounds
    return {
        name: spec.corner_error_rise if bounds.get(name) == "exact" else spec.metric_drop
        for name in changes
        if bounds.get(name) != "none" and name not in RATES
    }


def worst_drop(parity: EngineParity, measures: evaluation.Measures) -> float:
    """Return how much worse the metric became that comes nearest to its limit; 0 if none did.

    On the scale of metrics whose limit is `GateSpec.metric_drop`; what became worse of another
    metric is scaled by the ratio of the two limits.

    Args:
        parity: of an engine.
        measures: of the task.
    """
    drops = [0.0]
    for name, limit in _limits(parity.changes, parity.limits, measures).items():
        value = parity.changes[name]["value"] or 0.0
        worse = evaluation.worsening(name, value, measures)
        drops.append(worse * parity.limits.metric_drop / limit)
    return max(drops)


def _in_words(flip: EngineFlip) -> str:
    old, new = ("nan" if s is None else f"{s:.4f}" for s in (flip.score_before, flip.score_after))
    sentence = f"{flip.id} {flip.outcome_before} {old} -> {flip.outcome_after} {new}"
    return f"{sentence}, {flip.stage}" if flip.stage else sentence


def inspector(
    manifest: bundle.Manifest, networks: dict[str, runtime.Network], name: str
) -> runtime.Inspector:
    """Join a manifest and the networks of an engine."""
    return runtime.Inspector(manifest, networks, model_sha256="", engine_name=name)
