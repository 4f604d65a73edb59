"""A measured pose -> `Verdict`: is the part as its model, and does it lie as it should?

- **NG** where a place of the image differs from the model by more than its limit, or a number of
  the pose lies surely outside of its tolerance.
- **REVIEW** where the pose is refused, lies outside of the range that the bundle knows, or a number
  is too near to the end of its tolerance to tell.
- **OK** else: the pose is known, and nothing is wrong.
"""

import math
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from inspection_tf import decision, thresholds
from inspection_tf.tasks.base import Context, Prepared
from inspection_tf.tasks.pose.measuring import Measured
from inspection_tf.tasks.pose.modes import Mode
from inspection_tf.tasks.pose.results import PoseFound, numbers_of
from inspection_tf.tasks.pose.settings import ANGLES, NAMES, Settings

AT_LIMIT = 0.5
"""The score of what just reaches its limit."""


@dataclass(frozen=True, slots=True)
class PoseOutput:
    """What network and refinement say of an image.

    Attributes:
        modes: poses that it may show, the likeliest first; none where a number is not finite.
        rows: (modes, 13) of the network.
        measured: by the refinement; why it found nothing; None where there is none.
    """

    modes: tuple[Mode, ...]
    rows: NDArray[np.float32]
    measured: Measured | str | None


@dataclass(frozen=True, slots=True)
class _Checked:
    """One number beside its tolerance.

    Attributes:
        ratio: 0 in the middle of the tolerance, 1 at its ends.
        reason: in words.
        is_unsure: whether it is nearer to an end than it is known.
    """

    ratio: float
    reason: str
    is_unsure: bool


def score_of(ratio: float) -> float:
    """Return a score of 0 to 1 from what breaks its limit most, as a share of that limit.

    It is 0.5 at the limit, nearer to 1 the further beyond.
    """
    if math.isinf(ratio):
        return 1.0
    return ratio / (1 + ratio)


def found(output: PoseOutput, settings: Settings) -> PoseFound:
    """Return what a verdict says of the pose."""
    measured = output.measured
    if isinstance(measured, Measured):
        least = settings.difference.min_significance
        scaled = zip(measured.deviations, settings.deviation_scale, strict=True)
        return PoseFound(
            measured.pose,
            tuple(one * scale for one, scale in scaled),
            output.modes,
            measured.chi2,
            measured.margin,
            measured.regions,
            measured.significance if settings.compare else None,
            measured.light,
            least if settings.compare else math.inf,
        )
    if measured is None and output.modes:
        best = output.modes[0]
        return PoseFound(best.pose, best.deviations, output.modes)
    return PoseFound(None, modes=output.modes)


def score(output: PoseOutput, settings: Settings) -> float:
    """Return how far beyond its limits a part is, 0 to 1; nan where no pose was found."""
    result = found(output, settings)
    if result.pose is None:
        return math.nan
    ratios = [checked.ratio for checked in _tolerated(result, settings)]
    return score_of(max([_different(output, settings), *ratios], default=0.0))


def decide(output: PoseOutput, prepared: Prepared, context: Context) -> decision.Verdict:
    """Decide about one image: see above.

    Args:
        output: of network and refinement.
        prepared: the image.
        context: of the bundle.
    """
    settings, point = context.settings_as(Settings), context.operating_point
    result, value = found(output, settings), score(output, settings)
    outcome = decision.outcome_of(value, point)
    reasons = [*_reasons(output, result, settings, point, value)]
    doubts = [*_doubts(output, result, settings)]
    if doubts:
        outcome = "REVIEW"
    unsure = [one.reason for one in _tolerated(result, settings) if one.is_unsure]
    if unsure and not (outcome == "NG" and _different(output, settings) >= 1):
        outcome = "REVIEW"
    return decision.Verdict(
        outcome=outcome,
        score=value,
        threshold=point.threshold,
        reasons=(*doubts, *reasons),
        review_from=point.review_from,
        image_size=prepared.placement.source_size,
        classes=context.classes,
        result=result,
    )


def _different(output: PoseOutput, settings: Settings) -> float:
    """Return what differs most from the model, as a share of its limit."""
    if not isinstance(output.measured, Measured) or not settings.compare:
        return 0.0
    least = settings.difference.min_significance
    surest = max((region.significance for region in output.measured.regions), default=None)
    if surest is not None:
        return surest / least
    # What is too small to count is under the limit, however sure it is.
    return min(output.measured.most_significant / least, 1 - 1e-6)


def _tolerated(result: PoseFound, settings: Settings) -> Iterator[_Checked]:
    """Yield each number of a pose that has a tolerance."""
    if result.pose is None:
        return
    values = numbers_of(result.pose)
    for place, name in enumerate(NAMES):
        span = getattr(settings.tolerances, name)
        if span is None:
            continue
        low, high = span
        value, deviation = values[place], result.deviations[place]
        if name == "phi":
            high = low + (high - low) % 360
        half = (high - low) / 2
        off = value - (low + half)
        if name == "phi":
            period = 360 / settings.symmetry
            off = (off + period / 2) % period - period / 2
        inside = half - abs(off)
        unit = "deg" if name in ANGLES else "mm"
        told = f"{name} {value:.4g} {unit}, tolerance {span[0]:g} to {span[1]:g} {unit}"
        is_unsure = not abs(inside) >= settings.sure * deviation
        reason = f"{told}: too near to its end to tell" if is_unsure else told
        yield _Checked(abs(off) / half, reason, is_unsure)


def _doubts(output: PoseOutput, result: PoseFound, settings: Settings) -> Iterator[str]:
    """Yield why the pose is not to be trusted."""
    measured = output.measured
    if isinstance(measured, str):
        yield f"no pose was found: {measured}"
    elif result.pose is None:
        yield "a number of the network is not finite"
    elif isinstance(measured, Measured):
        yield from measured.refused
    if result.pose is not None:
        yield from _outside(result, settings)


def _outside(result: PoseFound, settings: Settings) -> Iterator[str]:
    """Yield which numbers lie outside of the range that the bundle knows."""
    pose, poses, margin = result.pose, settings.poses, 1 + settings.range_margin
    if pose is None:
        return
    limits = {
        "theta": (pose.theta, poses.theta_deg, "deg"),
        "psi": (pose.psi, poses.psi_deg, "deg"),
        "x": (pose.x, poses.xy_mm, "mm"),
        "y": (pose.y, poses.xy_mm, "mm"),
        "z": (pose.z, poses.z_mm, "mm"),
    }
    for name, (value, most, unit) in limits.items():
        place = NAMES.index(name)
        room = most * margin + settings.sure * _known(result.deviations[place])
        if abs(value) > room:
            yield f"{name} is {value:.4g} {unit}, outside of -{most:g} to {most:g} {unit}"
    first, last = poses.phi_deg
    period, span = 360 / settings.symmetry, last - first
    beyond = (pose.phi - first) % period
    room = settings.range_margin * span
    if span < period and room < beyond - span and beyond < period - room:
        yield f"phi is {pose.phi:.4g} deg, outside of {first:g} to {last:g} deg"


def _known(deviation: float) -> float:
    """Return a deviation; 0 where a parallel beam shows no depth, which is then at its start."""
    return deviation if math.isfinite(deviation) else 0.0


def _reasons(
    output: PoseOutput,
    result: PoseFound,
    settings: Settings,
    point: thresholds.OperatingPoint,
    value: float,
) -> Iterator[str]:
    """Yield what the decision rests on."""
    if result.pose is None:
        return
    for checked in _tolerated(result, settings):
        if checked.is_unsure or checked.ratio >= 1:
            yield checked.reason
    if settings.compare and isinstance(output.measured, Measured):
        count, least = len(result.differences), settings.difference.min_significance
        if count:
            worst = result.differences[0]
            more = "more" if worst.depth_mm > 0 else "less"
            yield (
                f"differs from its model in {count} place{'s' * (count > 1)}: "
                f"{abs(worst.depth_mm):.2g} mm {more} at ({worst.xy[0]:.0f}, {worst.xy[1]:.0f}) "
                f"px, {worst.significance:.1f} standard deviations, over {least:g}"
            )
        else:
            yield (
                f"as its model: differs by {output.measured.most_significant:.1f} standard "
                f"deviations at most, under {least:g}"
            )
    pose = result.pose
    side = "at or over" if value >= point.threshold else "under"
    yield (
        f"phi {pose.phi:.3f}, theta {pose.theta:.3f}, psi {pose.psi:.3f} deg; score {value:.3f}, "
        f"{side} {point.threshold:.3f}"
    )
