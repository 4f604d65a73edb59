"""An inspector on perturbed images: how often it is right, by perturbation and strength.

Only OK and NG are compared. What should be NG stays NG however it is perturbed, so that no mask or
corner has to follow the pixels, and every task can be tried.
"""

import dataclasses
from collections.abc import Sequence

import numpy as np

from inspection_tf import errors, process
from inspection_tf.datasets.records import Record
from inspection_tf.evaluation import intervals, outcomes
from inspection_tf.evaluation.image_results import ImageResult
from inspection_tf.evaluation.intervals import Estimate
from inspection_tf.evaluation.measurement import ContextT, Inspector
from inspection_tf.evaluation.robustness import perturbations
from inspection_tf.images import Image, Orientation

ACCURACY = "ok_ng_accuracy"


@dataclasses.dataclass(frozen=True, slots=True)
class Plan:
    """What is tried.

    Attributes:
        strengths: over 0 to 1, rising.
        perturbations: names out of `PERTURBATIONS`.
        seed: with the number of an image and the perturbation, of what is drawn for it.
        confidence: of every interval, 0..1.
    """

    strengths: tuple[float, ...] = (0.25, 0.5, 0.75, 1.0)
    perturbations: tuple[str, ...] = tuple(perturbations.PERTURBATIONS)
    seed: int = 0
    confidence: float = 0.95


USUAL = Plan()
"""What is tried where nothing else is asked for."""


@dataclasses.dataclass(frozen=True, slots=True)
class Point:
    """How verdicts fare on images that are perturbed one way by one strength.

    Attributes:
        perturbation: its name.
        strength: 0..1; at 0 the images are as they are.
        images: their number.
        rates: `ok_ng_accuracy`, `escape_rate`, `overkill_rate`, `review_rate`, with intervals.
    """

    perturbation: str
    strength: float
    images: int
    rates: dict[str, Estimate]


def trial(
    inspector: Inspector[ContextT],
    labelled: Sequence[Record],
    rows: Sequence[ImageResult],
    *,
    plan: Plan = USUAL,
    progress: process.Progress | None = None,
) -> tuple[Point, ...]:
    """Inspect perturbed images, and say how often the verdict is right.

    Where a bundle compares an image with its template, the template stays as it is. What mixes in
    another image takes one that should have the same outcome.

    Args:
        inspector: of a bundle.
        labelled: the records.
        rows: of `measure` on them, in the same order: what is true of each, and strength 0.
        plan: what is tried.
        progress: called with (done, of), in inspections.

    Returns:
        By perturbation, then by strength from 0 on.

    Raises:
        errors.ConfigError: the plan names an unknown perturbation, or a strength that is none.
        errors.DataError: there is no record, or the rows are not those of the records.
        errors.ImageError: an image cannot be read.
    """
    _require(labelled, rows, plan)
    orientation = inspector.context.preprocessing.orientation
    tried: dict[tuple[str, float], list[ImageResult]] = {
        (name, strength): [] for name in plan.perturbations for strength in plan.strengths
    }
    total = len(tried) * len(labelled)
    for index, (record, row) in enumerate(zip(labelled, rows, strict=True)):
        image, template = record.read_pair(orientation=orientation)
        other = _other(labelled, rows, index, plan.seed, orientation=orientation)
        for (name, strength), found in tried.items():
            rng = np.random.default_rng([plan.seed, index, _number(name)])
            perturbed = perturbations.perturb(name, image, strength, rng, other=other)
            if template is None:
                verdict = inspector.inspect(perturbed)
            else:
                verdict = inspector.inspect(perturbed, template=template)
            found.append(
                dataclasses.replace(
                    row,
                    outcome=verdict.outcome,
                    score=float(verdict.score),
                    reasons=tuple(verdict.reasons),
                    decided_by=verdict.decided_by,
                    result=None,
                )
            )
            if progress is not None:
                progress(sum(map(len, tried.values())), total)
    points = []
    for name in plan.perturbations:
        points.append(_point(name, 0.0, rows, plan.confidence))
        for strength in plan.strengths:
            points.append(_point(name, strength, tried[name, strength], plan.confidence))
    return tuple(points)


def _number(name: str) -> int:
    return list(perturbations.PERTURBATIONS).index(name)


def _require(labelled: Sequence[Record], rows: Sequence[ImageResult], plan: Plan) -> None:
    unknown = set(plan.perturbations) - set(perturbations.PERTURBATIONS)
    strengths = list(plan.strengths)
    rising = bool(strengths) and strengths == sorted(set(strengths))
    if (
        unknown
        or not plan.perturbations
        or not rising
        or not 0 < strengths[0] <= strengths[-1] <= 1
    ):
        raise errors.ConfigError(
            f"A plan must name some of {', '.join(perturbations.PERTURBATIONS)}, and strengths "
            f"that rise, over 0 to 1. Got {list(plan.perturbations)} and {strengths}. Correct it."
        )
    ids = [record.id for record in labelled]
    if not ids or ids != [row.id for row in rows]:
        raise errors.DataError(
            "Perturbed images must have been measured as they are, at least one, in the same "
            f"order. Got {len(ids)} records and {len(rows)} rows. Give those of evaluation.measure."
        )


def _other(
    labelled: Sequence[Record],
    rows: Sequence[ImageResult],
    index: int,
    seed: int,
    *,
    orientation: Orientation,
) -> Image | None:
    """Return another image that should have the same outcome; None where there is none."""
    alike = [
        number
        for number, row in enumerate(rows)
        if number != index and row.is_ng == rows[index].is_ng
    ]
    if not alike:
        return None
    chosen = alike[int(np.random.default_rng([seed, index]).integers(len(alike)))]
    return labelled[chosen].read_image(orientation=orientation)


def _point(name: str, strength: float, rows: Sequence[ImageResult], confidence: float) -> Point:
    group_of = outcomes.groups(rows)
    rates = {
        rate: intervals.clustered_rate(event, among, group_of, confidence=confidence)
        for rate, (event, among) in outcomes.rates(rows).items()
    }
    return Point(name, strength, len(rows), {ACCURACY: rates.pop(ACCURACY), **rates})
