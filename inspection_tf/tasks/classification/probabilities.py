"""Probabilities of classes -> `Verdict`: of which class an image is, and whether that is NG."""

import math
from collections.abc import Iterator, Sequence
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
_MARGIN, _NOVELTY, _SPAN = "margin", "novelty", "gray_span"
_BEYOND = {
    _MARGIN: "{first} is ahead of {second} by {found:.2f}, under {limit:g}",
    _NOVELTY: "unlike the training images: novelty {found:.3g}, over {limit:g}",
    _SPAN: "shows next to nothing: its grey values span {found:g}, under {limit:g}",
}


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
    outcome = decision.outcome_of(value, point)
    reasons = [_reason(value, point.threshold, probability, names)]
    limits = dict(_limits(output, margin(probability) if is_finite else None, prepared, settings))
    for name, (found, limit) in limits.items():
        is_within = found <= limit if name == _NOVELTY else found >= limit
        if not is_within:  # nan too
            outcome = "REVIEW"
            first, second = (names[k] for k in np.argsort(-probability, kind="stable")[:2])
            told = _BEYOND[name].format(found=found, limit=limit, first=first, second=second)
            reasons.insert(0, told)
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
            novelty=None if output.novelty is None else float(output.novelty[0]),
        ),
    )


def _limits(
    output: ClassOutput, ahead: float | None, prepared: Prepared, settings: Settings
) -> Iterator[tuple[str, tuple[float, float]]]:
    """Yield what leaves an image to a person beside its score: name, number and limit."""
    if ahead is not None and settings.min_margin:
        yield _MARGIN, (ahead, settings.min_margin)
    if output.novelty is not None and settings.max_novelty is not None:
        yield _NOVELTY, (float(output.novelty[0]), settings.max_novelty)
    if settings.min_gray_span is not None:
        yield _SPAN, (float(preparation.gray_span(prepared)), float(settings.min_gray_span))


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
