"""Scores of the images that chose the thresholds of a bundle, as its verdicts have them."""

import dataclasses
import math
from collections.abc import Sequence

from inspection_tf import decision, runtime, thresholds
from inspection_tf.datasets.records import Record, Records
from inspection_tf.tasks import once

_LOWEST = math.ulp(0.0)  # every score but 0 reaches it
_HIGHEST = 1e9  # no score reaches it


@once.keeping()
def measured(
    tuned: Sequence[tuple[runtime.Inspector, Records]],
    *,
    part_escapes: thresholds.PartEscapes,
    exported: thresholds.OperatingPoint | None = None,
) -> decision.TuneScores:
    """Inspect the tune images, by the thresholds and rules of the bundle.

    What is decided under any other threshold follows from the scores, and from what is decided
    under the lowest and the highest one.

    Args:
        tuned: inspectors, and the images whose scores they may give.
        part_escapes: when a part of several images escapes.
        exported: the operating point that the bundle was exported with; None: it is being so.

    Raises:
        errors.ImageError: an image cannot be read.
    """
    rows = [(record, *_judged(inspector, record)) for inspector, part in tuned for record in part]
    inspector = tuned[0][0]
    point = inspector.context.operating_point
    pixel = (exported or point).mask_threshold
    lowest_pixel = inspector.task.pixel_threshold(pixel, _LOWEST)
    has_map = lowest_pixel < pixel
    has_parts = any(part.parts is not None for _, part in tuned)
    return decision.TuneScores(
        ids=tuple(record.id for record, _, _ in rows),
        is_defect=tuple(record.is_defect for record, _, _ in rows),
        scores=tuple(score if math.isfinite(score) else None for _, score, _ in rows),
        parts=tuple(group for _, part in tuned for group in part.groups) if has_parts else None,
        part_escapes=part_escapes,
        further_thresholds=len(inspector.context.stage_points),
        bounds={record.id: bounds for record, _, bounds in rows if bounds != decision.OPEN},
        mask_threshold=point.mask_threshold if has_map else None,
        mask_range=(lowest_pixel, pixel) if has_map else None,
        threshold=point.threshold,
        review_from=point.review_from,
    )


def _judged(
    inspector: runtime.Inspector, record: Record
) -> tuple[float, tuple[decision.Outcome, decision.Outcome]]:
    """Return the score of an image, and what is decided about it at the least and at the most."""
    context, turn = inspector.context, inspector.preprocessing.orientation
    prepared = inspector.prepare_decoded(*record.read_pair(orientation=turn))
    (output,) = inspector.run([prepared], every_stage=True)
    found = inspector.decide(output, prepared)

    def outcome(threshold: float) -> decision.Outcome:
        point = context.operating_point.model_copy(
            update={"threshold": threshold, "review_from": None}
        )
        other = dataclasses.replace(context, operating_point=point)
        return inspector.task.decide(output, prepared, other).outcome

    lowest, highest = outcome(_HIGHEST), outcome(_LOWEST)
    if highest == "OK" and not found.score >= _LOWEST and found.outcome == "OK":
        highest = "NG"  # a score of 0, which no threshold is under: by the score alone, too
    return float(found.score), (lowest, highest)
