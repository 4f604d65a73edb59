"""The gate of engines: one is let through when it decides as the float32 ONNX files do.

Every tune and test image goes through both, at several batch sizes. What a low precision may
change is bounded: outputs move, so verdicts may change where the score lies at the threshold, and
nowhere else.
"""

import copy
import math
from collections.abc import Mapping, Sequence
from typing import Any

import pydantic

from inspection_tf import bundle, config, decision, errors, evaluation, process, runtime
from inspection_tf.datasets.records import Record, Records
from inspection_tf.export.differences import Differences, Flip, finite, stage_scores
from inspection_tf.tasks import once

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
    changed_verdicts: tuple[Flip, ...]
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


@once.keeping()
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
    found = Differences(manifest.stage_points)
    steps = len(records) * len(spec.batch_sizes)
    done = 0
    of_sizes: list[dict[str, evaluation.Estimate]] = []
    for size in spec.batch_sizes:
        sides = at_batch_size(reference, size), at_batch_size(candidate, size)
        before: list[evaluation.ImageResult] = []
        after: list[evaluation.ImageResult] = []
        for first in range(0, len(records), size):
            chunk = records[first : first + size]
            pair = _compare_batch(*sides, chunk, found, size)
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
        max_output_difference=finite(found.largest),
        mean_output_difference=finite(found.mean),
        max_score_difference=finite(found.largest_score),
        changes={name: estimate.to_dict() for name, estimate in changes.items()},
        changed_verdicts=tuple(found.flips),
        limits=spec,
        failures=tuple(failures(found, changes, spec, part_of, measures)),
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
    differences: Differences,
    batch_size: int,
) -> list[list[evaluation.ImageResult]]:
    """Add a batch to the tally; return its rows of the reports, before and after."""
    turn, sides = reference.preprocessing.orientation, (reference, candidate)
    prepared = [
        reference.prepare_decoded(*record.read_pair(orientation=turn)) for record in records
    ]
    ran = [side.run(prepared, every_stage=True) for side in sides]
    for pair in zip(*ran, strict=True):
        differences.add_arrays(*(reference.task.arrays(output) for output in pair))
    before, after = (
        [side.decide(output, item) for output, item in zip(outputs, prepared, strict=True)]
        for side, outputs in zip(sides, ran, strict=True)
    )
    for record, *verdicts in zip(records, before, after, strict=True):
        differences.add_scores(*stage_scores(*verdicts))
        differences.add_verdicts(record, *verdicts, batch_size=batch_size)
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
    differences: Differences,
    changes: dict[str, evaluation.Estimate],
    spec: GateSpec,
    parts: Mapping[str, str],
    measures: evaluation.Measures,
) -> list[str]:
    """Return in words which limits were passed.

    Args:
        differences: of all batches.
        changes: of metrics, at the batch size where each is worst.
        spec: the limits.
        parts: id of each image to the part it shows.
        measures: of the task.
    """
    exceeded, flips = [], differences.flips
    if not math.isfinite(differences.largest):
        exceeded.append("outputs that are not finite")
    far = [flip for flip in flips if flip.margin is None or abs(flip.margin) > spec.band]
    if far:
        named = "; ".join(flip.in_words() for flip in far[:3])
        exceeded.append(
            f"{len(far)} changed verdicts further than {spec.band:g} from the threshold ({named})"
        )
    near = {flip.id for flip in flips} - {flip.id for flip in far}
    # Images of one part are not so many chances: what counts is how many parts are decided anew.
    moved, every = {parts[name] for name in near}, set(parts.values())
    if len(moved) > spec.flipped_share * len(every):
        unit = "images" if len(every) == len(parts) else f"{len(every)} parts"
        of = "" if len(every) == len(parts) else f" of {len(moved)} parts"
        exceeded.append(
            f"{len(near)} changed verdicts{of} within {spec.band:g} of the threshold, more than "
            f"{spec.flipped_share:.0%} of the {unit}"
        )
    for name, limit in _limits(changes, spec, measures).items():
        worse = evaluation.worsening(name, changes[name].value or 0.0, measures)
        if worse > limit:
            exceeded.append(f"{name} worse by {worse:.4f}, more than {limit:g}")
    return exceeded


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


def inspector(
    manifest: bundle.Manifest, networks: dict[str, runtime.Network], name: str
) -> runtime.Inspector:
    """Join a manifest and the networks of an engine."""
    return runtime.Inspector(manifest, networks, model_sha256="", engine_name=name)
