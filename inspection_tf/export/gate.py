"""The gate: an export is let through when it decides as the trained model does."""

import dataclasses
import math
from collections.abc import Sequence
from typing import Any

import keras
import numpy as np
from numpy.typing import NDArray

from inspection_tf import decision, errors, process, runtime
from inspection_tf.datasets.records import Record
from inspection_tf.export import onnx, operating_points
from inspection_tf.tasks.fields import looks

MAX_SCORE_DIFFERENCE = 1e-4
MAX_CORNER_DIFFERENCE_PX = 0.1


@dataclasses.dataclass(frozen=True, slots=True)
class Flip:
    """A verdict that the export changed."""

    id: str
    outcome_before: str
    outcome_after: str
    score_before: float
    score_after: float
    margin: float  # distance of the score before from the threshold

    def to_dict(self) -> dict[str, Any]:
        """Return plain values, ready for JSON."""
        return dataclasses.asdict(self)


@dataclasses.dataclass(frozen=True, slots=True)
class Parity:
    """How far an export is from its reference, on every tune and test image.

    `max_corner_difference_px`, in px of the source, is None where no field is located; where no
    field was found there are no corners to compare.
    """

    images: int
    max_score_difference: float
    max_probability_difference: float
    mean_probability_difference: float
    flips: tuple[Flip, ...]
    limit: float = MAX_SCORE_DIFFERENCE
    max_corner_difference_px: float | None = None

    @property
    def passed(self) -> bool:
        """True without a changed verdict, within the limits; False if an output is not finite."""
        corners = self.max_corner_difference_px or 0.0
        is_near = self.max_score_difference <= self.limit and corners <= MAX_CORNER_DIFFERENCE_PX
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
            "changed_verdicts": [flip.to_dict() for flip in self.flips],
            "passed": self.passed,
            **(
                {}
                if self.max_corner_difference_px is None
                else {"max_corner_difference_px": self.max_corner_difference_px}
            ),
        }

    def require(self) -> None:
        """Refuse an export that decides differently.

        Raises:
            errors.GateError: a verdict changed, or a score moved by more than the limit.
        """
        if self.passed:
            return
        named = "; ".join(
            f"{f.id} {f.outcome_before} {f.score_before:.6f} "
            f"-> {f.outcome_after} {f.score_after:.6f}"
            for f in self.flips[:3]
        )
        corners = limit = ""
        if self.max_corner_difference_px is not None:
            limit = f" and corners within {MAX_CORNER_DIFFERENCE_PX:g} px"
            corners = f" and of {self.max_corner_difference_px:.3g} px"
        raise errors.GateError(
            f"The export must decide as the trained model and keep scores within {self.limit:g}"
            f"{limit}. Got {len(self.flips)} changed verdicts and a difference of "
            f"{self.max_score_difference:.3g}{corners} on {self.images} images"
            f"{f' ({named})' if named else ''}. No bundle was written; "
            "train with another seed or leave out the layer that differs."
        )


def _difference(first: float, second: float) -> float:
    """Return the distance of two scores; one that is not finite is far from all, itself as well."""
    return abs(first - second) if math.isfinite(first) and math.isfinite(second) else math.inf


class KerasNetwork:
    """A trained model, run as an engine runs its export, in float32 whatever it trained in."""

    def __init__(self, model: keras.Model) -> None:
        """Wrap a model; one of mixed precision is rebuilt in float32, the precision shipped."""
        self.model = model if onnx.is_float32(model) else onnx.rebuild_float32(model)

    def run(
        self, batch: NDArray[np.uint8], template: NDArray[np.uint8] | None = None
    ) -> NDArray[np.float32]:
        """Return the model's output for a batch."""
        inputs = {onnx.IMAGE: batch}
        if template is not None:
            inputs[onnx.TEMPLATE] = template
        # Compiled: called layer by layer a model takes five times as long.
        (output,) = self.model.predict_on_batch(inputs).values()
        return np.asarray(output, dtype=np.float32)


def compare(
    model: keras.Model,
    inspector: runtime.Inspector,
    records: Sequence[Record],
    *,
    classifier: keras.Model | None = None,
    refiner: keras.Model | None = None,
    progress: process.Progress | None = None,
) -> Parity:
    """Run trained models and their exports on the same images and compare their verdicts.

    The verdicts are those of the whole bundle; scores and maps are compared stage by stage, the
    segmenter's also on images that the classifier stops. A second look is compared on the very same
    close-ups: one that is cut a millionth of a pixel aside can differ in a rounded grey value.

    Args:
        model: the trained model.
        inspector: runs the export with the operating point and rules of the bundle to be.
        records: the tune and test images; each is decoded anew, as at inspection.
        classifier: the trained model of the first stage, where there is one.
        refiner: the trained model of the second look, where there is one.
        progress: called with (done, of).

    Raises:
        errors.DataError: there is no image to compare on.
    """
    reference = runtime.Inspector(
        inspector.manifest,
        KerasNetwork(model),
        model_sha256="",
        classifier=KerasNetwork(classifier) if classifier is not None else None,
        refiner=KerasNetwork(refiner) if refiner is not None else None,
    )
    is_located = inspector.manifest.is_located
    worst_score = worst_map = worst_px = total = 0.0
    flips: list[Flip] = []
    count = 0
    for record in records:
        prepared = operating_points.prepare(inspector, record)
        trained, exported = _run_both(reference, inspector, prepared)
        worst_score = max(worst_score, *map(_difference, trained.scores, exported.scores))
        with np.errstate(invalid="ignore"):
            apart = np.abs(trained.probability - exported.probability)
        apart[np.isnan(apart)] = np.inf
        worst_map = max(worst_map, float(apart.max()))
        total += float(apart.mean())
        if is_located:
            worst_px = max(worst_px, _corners_apart(trained, exported, prepared))
        count += 1
        if progress is not None:
            progress(count, len(records))
        if trained.verdict.outcome != exported.verdict.outcome:
            flips.append(_flip(record.id, trained.verdict, exported.verdict))
    if not count:
        raise errors.DataError(
            "The gate needs tune or test images. Got none. Give data.tune or data.test a share."
        )
    return Parity(
        count,
        worst_score,
        worst_map,
        total / count,
        tuple(flips),
        max_corner_difference_px=worst_px if is_located else None,
    )


@dataclasses.dataclass(frozen=True, slots=True)
class _Ran:
    """What all networks of one side say of an image."""

    probability: NDArray[np.float32]
    scores: tuple[float, ...]
    verdict: decision.Verdict


def _run_both(
    reference: runtime.Inspector, inspector: runtime.Inspector, prepared: runtime.Prepared
) -> tuple[_Ran, _Ran]:
    if not inspector.manifest.is_located:
        return _run(reference, prepared), _run(inspector, prepared)
    coarse = inspector.engine.run(prepared.image)[0]
    first = reference.engine.run(prepared.image)[0]
    exported, seen = inspector.located(prepared, coarse), reference.located(prepared, coarse)
    whole = reference.conclude(reference.located(prepared, first), prepared)
    # Of the first look the whole, and of the second one what both say of the same close-ups.
    return _both_looks(inspector, prepared, first, seen, whole), _both_looks(
        inspector, prepared, coarse, exported, inspector.conclude(exported, prepared)
    )


def _both_looks(
    judge: runtime.Inspector,
    prepared: runtime.Prepared,
    coarse: NDArray[np.float32],
    seen: NDArray[np.float32],
    verdict: decision.Verdict,
) -> _Ran:
    scores = judge.conclude(seen, prepared).score, 1.0 - float(coarse[8])
    return _Ran(np.stack([coarse, seen]), scores, verdict)


def _corners_apart(trained: _Ran, exported: _Ran, prepared: runtime.Prepared) -> float:
    """Return the largest distance of two corners in px of the source; both looks.

    Where neither side finds a field there are no corners.
    """
    if trained.verdict.corners_xy is None and exported.verdict.corners_xy is None:
        return 0.0
    off = _corners_px(trained, prepared) - _corners_px(exported, prepared)
    apart = float(np.hypot(off[:, 0], off[:, 1]).max())
    return math.inf if math.isnan(apart) else apart


def _corners_px(ran: _Ran, prepared: runtime.Prepared) -> NDArray[np.float64]:
    """Return (8, 2) px of the source: the corners of both looks."""
    placed = prepared.placement
    coarse = placed.points_to_source(
        looks.FieldCorners.from_row(ran.probability[0]).to_px(placed.size)
    )
    return np.concatenate(
        [coarse, looks.FieldCorners.from_row(ran.probability[1]).to_px(placed.source_size)]
    )


def _run(inspector: runtime.Inspector, prepared: runtime.Prepared) -> _Ran:
    probability = inspector.output(prepared)
    verdict = inspector.conclude(probability, prepared)
    if inspector.classifier is None:
        return _Ran(probability, (verdict.score,), verdict)
    first = inspector.ng_score(prepared)
    whole = inspector.stopped(first, prepared.placement.source_size) or verdict
    return _Ran(probability, (verdict.score, first), whole)


def _flip(name: str, before: decision.Verdict, after: decision.Verdict) -> Flip:
    return Flip(
        id=name,
        outcome_before=before.outcome,
        outcome_after=after.outcome,
        score_before=before.score,
        score_after=after.score,
        margin=before.score - before.threshold,
    )
