"""Probabilities of classes -> `Verdict`: of which class an image is, and whether that is NG."""

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from inspection_tf import decision
from inspection_tf.engines.network import ng_score
from inspection_tf.tasks import preparation
from inspection_tf.tasks.base import Context, Prepared
from inspection_tf.tasks.classification.results import Classes
from inspection_tf.tasks.classification.settings import Settings

EVEN = 0.5
"""The threshold of the likeliest class: neither OK nor what is likeliest to be wrong is ahead."""


@dataclass(frozen=True, slots=True)
class ClassOutput:
    """What a classifier says of an image.

    Attributes:
        probability: (1 + classes,), 0..1, OK first.
        evidence: (rows, columns, 1 + classes), what each place adds to the logit of each class;
            None where the network does not return it.
        novelty: (1,), how unlike the training images it is, in units of the limit; likewise.
    """

    probability: NDArray[np.float32]
    evidence: NDArray[np.float32] | None = None
    novelty: NDArray[np.float32] | None = None

    def with_evidence(self, evidence: NDArray[np.float32]) -> "ClassOutput":
        """Return it with what each place adds."""
        return replace(self, evidence=evidence)

    def with_novelty(self, novelty: NDArray[np.float32]) -> "ClassOutput":
        """Return it with how unlike the training images the image is."""
        return replace(self, novelty=novelty)


def score(probability: NDArray[np.float32], settings: Settings) -> float:
    """Return how sure it is that an image is NG, 0..1; nan where a number is not finite.

    By a threshold it is the sum of all classes but OK. By the likeliest class it is the share of
    the likeliest of them in what it and OK have together: from 0.5 it is ahead of OK.

    Args:
        probability: (1 + classes,), OK first.
        settings: of the bundle.
    """
    if settings.decide_by == "threshold" or not np.isfinite(probability).all():
        return ng_score(probability)
    ok, wrong = float(probability[0]), float(probability[1:].max())
    return wrong / (ok + wrong) if ok + wrong > 0 else EVEN


def margin(probability: NDArray[np.float32]) -> float:
    """Return by how much the likeliest class is ahead of the next, 0..1."""
    second, first = np.sort(probability)[-2:].tolist()
    return float(first - second)


def decide(output: ClassOutput, prepared: Prepared, context: Context) -> decision.Verdict:
    """Decide about one image: **NG if and only if score >= threshold**, but for a small margin.

    Where two classes are nearly as likely, by the settings' margin, the image is left to a person,
    whatever its score; so it is where it is unlike the training images, by its novelty, where it
    shows next to nothing, and where a probability is not finite.

    Args:
        output: of the network.
        prepared: the image.
        context: of the bundle.
    """
    settings, point = context.settings_as(Settings), context.operating_point
    names = (settings.ok_name, *context.classes)
    probability = output.probability
    value = score(probability, settings)
    is_finite = math.isfinite(value)
    ahead = margin(probability) if is_finite else 0.0
    outcome = decision.outcome_of(value, point)
    reasons = [_reason(value, point.threshold, probability, names)]
    limits: dict[str, tuple[float, float]] = {}
    if is_finite and settings.min_margin:
        limits["margin"] = ahead, settings.min_margin
    if is_finite and ahead < settings.min_margin:
        outcome = "REVIEW"
        first, second = np.argsort(-probability, kind="stable")[:2]
        reasons.insert(
            0,
            f"{names[first]} is ahead of {names[second]} by {ahead:.2f}, under "
            f"{settings.min_margin:g}",
        )
    novelty = None if output.novelty is None else float(output.novelty[0])
    if novelty is not None and settings.max_novelty is not None:
        limits["novelty"] = novelty, settings.max_novelty
        if not novelty <= settings.max_novelty:  # nan too
            outcome = "REVIEW"
            reasons.insert(
                0,
                f"unlike the training images: novelty {novelty:.2f}, over {settings.max_novelty:g}",
            )
    if settings.min_gray_span:
        span = preparation.gray_span(prepared)
        if span < settings.min_gray_span:
            outcome = "REVIEW"
            reasons.insert(
                0,
                f"shows next to nothing: its grey values span {span}, under "
                f"{settings.min_gray_span}",
            )
    return decision.Verdict(
        outcome=outcome,
        score=value,
        threshold=point.threshold,
        reasons=tuple(reasons),
        review_from=point.review_from,
        image_size=prepared.placement.source_size,
        classes=context.classes,
        limits=limits,
        result=Classes(
            names=names,
            probability=tuple(probability.tolist()) if is_finite else None,
            evidence=output.evidence,
            placement=prepared.placement,
            novelty=novelty,
        ),
    )


def _reason(
    value: float, threshold: float, probability: NDArray[np.float32], names: Sequence[str]
) -> str:
    if math.isnan(value):
        return "a probability is not finite"
    likeliest = int(probability.argmax())
    side = "at or over" if value >= threshold else "under"
    return (
        f"{names[likeliest]} at {probability[likeliest]:.3f}; score {value:.3f}, {side} "
        f"{threshold:.3f}"
    )
