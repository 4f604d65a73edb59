"""The gate: an export is let through when it decides as the trained model does."""

import dataclasses
from collections.abc import Mapping, Sequence
from typing import Any

from inspection_tf import errors, process
from inspection_tf.datasets.records import Record
from inspection_tf.export.differences import Differences, Flip
from inspection_tf.runtime.runner import Runner
from inspection_tf.tasks import once
from inspection_tf.tasks.base import Limit

MAX_SCORE_DIFFERENCE = 1e-4


@dataclasses.dataclass(frozen=True, slots=True)
class Parity:
    """How far an export is from its reference, on every tune and test image.

    Attributes:
        images: that were compared.
        max_score_difference: of all networks' scores.
        max_probability_difference: of all numbers that golden samples keep of an output: of defects
            the map in the size of the source.
        mean_probability_difference: of an image, over the images.
        flips: the verdicts that differ.
        limit: how far a score may be off.
        distances: how far the rest is off, by the names of `limits`.
        limits: how far that may be off; those of the task.
    """

    images: int
    max_score_difference: float
    max_probability_difference: float
    mean_probability_difference: float
    flips: tuple[Flip, ...]
    limit: float = MAX_SCORE_DIFFERENCE
    distances: Mapping[str, float] = dataclasses.field(default_factory=dict)
    limits: Mapping[str, Limit] = dataclasses.field(default_factory=dict)

    @property
    def passed(self) -> bool:
        """True without a changed verdict, within the limits; False if an output is not finite."""
        is_near = self.max_score_difference <= self.limit and all(
            self.distances[name] <= limit.at_most for name, limit in self.limits.items()
        )
        return not self.flips and bool(is_near)

    def to_dict(self) -> dict[str, Any]:
        """Return plain values, ready for JSON."""
        return {
            "reference": "keras float32",
            "images": self.images,
            "max_score_difference": self.max_score_difference,
            "limit": self.limit,
            "max_probability_difference": self.max_probability_difference,
            "mean_probability_difference": self.mean_probability_difference,
            "changed_verdicts": [flip.model_dump(mode="json") for flip in self.flips],
            "passed": self.passed,
            **{f"max_{name}": distance for name, distance in self.distances.items()},
        }

    def require(self) -> None:
        """Refuse an export that decides differently.

        Raises:
            errors.GateError: a verdict changed, or a score moved by more than the limit.
        """
        if self.passed:
            return
        named = "; ".join(flip.in_words(digits=6) for flip in self.flips[:3])
        limits = "".join(
            f" and {limit.words} within {limit.at_most:g} {limit.unit}"
            for limit in self.limits.values()
        )
        distances = "".join(
            f" and of {self.distances[name]:.3g} {limit.unit}"
            for name, limit in self.limits.items()
        )
        raise errors.GateError(
            f"The export must decide as the trained model and keep scores within {self.limit:g}"
            f"{limits}. Got {len(self.flips)} changed verdicts and a difference of "
            f"{self.max_score_difference:.3g}{distances} on {self.images} images"
            f"{f' ({named})' if named else ''}. No bundle was written; "
            "train with another seed or leave out the layer that differs."
        )


@once.keeping()
def compare(
    reference: Runner,
    candidate: Runner,
    records: Sequence[Record],
    *,
    progress: process.Progress | None = None,
) -> Parity:
    """Run trained models and their exports on the same images and compare their verdicts.

    The verdicts are those of the whole bundle; scores and outputs are compared network by network,
    also on images that an early one stops, and of networks that see what one before them found on
    the very same inputs.

    Args:
        reference: the trained models under the operating point and rules of the bundle to be.
        candidate: their exports, likewise.
        records: the tune and test images; each is decoded anew, as at inspection.
        progress: called with (done, of).

    Raises:
        errors.BundleError: one side has networks that the other has not.
        errors.DataError: there is no image to compare on.
    """
    if set(reference.networks) != set(candidate.networks):
        raise errors.BundleError(
            f"The trained models must have the networks {', '.join(candidate.networks)}. "
            f"Got {', '.join(reference.networks)}. Give one for each export."
        )
    if not records:
        raise errors.DataError(
            "The gate needs tune or test images. Got none. Give data.tune or data.test a share."
        )
    task, context = reference.task, reference.context
    differences = Differences(context.stage_points)
    differences.add_distances(dict.fromkeys(task.limits, 0.0))
    for count, record in enumerate(records, start=1):
        prepared = candidate.prepare_decoded(
            *record.read_pair(orientation=context.preprocessing.orientation)
        )
        (exported,) = candidate.run([prepared], every_stage=True)
        trained, alike = task.follow(reference.networks, prepared, exported, context)
        sides = (alike, exported)
        differences.add_scores(*(task.scores(output, prepared, context) for output in sides))
        differences.add_arrays(*([task.as_array(output, prepared, context)] for output in sides))
        differences.add_distances(task.distances(alike, exported, prepared, context))
        differences.add_verdicts(
            record, reference.decide(trained, prepared), candidate.decide(exported, prepared)
        )
        if progress is not None:
            progress(count, len(records))
    return Parity(
        len(records),
        differences.largest_score,
        differences.largest,
        differences.mean,
        tuple(differences.flips),
        distances=differences.distances,
        limits=task.limits,
    )
