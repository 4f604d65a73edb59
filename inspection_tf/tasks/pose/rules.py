"""A measured pose -> `Verdict`: is the part as its model, and does it lie as it should?

- **NG** where a place of the image differs from the model by more than its limit, or a number of
  the pose lies surely outside of its tolerance.
- **REVIEW** where the pose is refused, lies outside of the range that the bundle knows, or a number
  is too near to the end of its tolerance to tell.
- **OK** else: the pose is known, and nothing is wrong.
"""

import dataclasses
import math
from collections.abc import Iterator, Sequence

import numpy as np
from numpy.typing import NDArray

from inspection_tf import decision, thresholds
from inspection_tf.projection.poses import Pose
from inspection_tf.tasks.base import Context, Prepared
from inspection_tf.tasks.pose.measuring import Measured
from inspection_tf.tasks.pose.modes import Mode
from inspection_tf.tasks.pose.results import PoseFound
from inspection_tf.tasks.pose.settings import NAMES, UNITS, Settings

AT_LIMIT = 0.5
"""The score of what just reaches its limit."""


@dataclasses.dataclass(frozen=True, slots=True)
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


@dataclasses.dataclass(frozen=True, slots=True)
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

    @property
    def is_surely_out(self) -> bool:
        """Whether it lies outside, by more than it is known to."""
        return self.ratio >= 1 and not self.is_unsure


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
        scaled = zip(measured.deviations, settings.deviation_scale, strict=True)
        return PoseFound(
            measured.pose,
            tuple(one * scale for one, scale in scaled),
            output.modes,
            measured.chi2,
            measured.margin,
            measured.regions,
            measured.differs if settings.compare else None,
            measured.significance if settings.compare else None,
            measured.light,
        )
    if measured is None and output.modes:
        best = output.modes[0]
        return PoseFound(best.pose, best.deviations, output.modes)
    return PoseFound(None, modes=output.modes)


def score(output: PoseOutput, settings: Settings) -> float:
    """Return how far beyond its limits a part is, 0 to 1; nan where no pose was found."""
    result = found(output, settings)
    return _score(output, result, _tolerated(result, settings), settings)


def _score(
    output: PoseOutput, result: PoseFound, checked: Sequence[_Checked], settings: Settings
) -> float:
    if result.pose is None:
        return math.nan
    return score_of(max([_different(output, settings), *(one.ratio for one in checked)]))


def decide(output: PoseOutput, prepared: Prepared, context: Context) -> decision.Verdict:
    """Decide about one image: see above.

    Args:
        output: of network and refinement.
        prepared: the image.
        context: of the bundle.
    """
    settings, point = context.settings_as(Settings), context.operating_point
    if settings.decide_by == "limits" and point.threshold > AT_LIMIT:
        # A threshold that was set by hand may be stricter than the limits, and never hides them.
        start = point.review_from
        band = start if start is not None and start < AT_LIMIT else None
        point = point.model_copy(update={"threshold": AT_LIMIT, "review_from": band})
    result = found(output, settings)
    checked = _tolerated(result, settings)
    value = _score(output, result, checked, settings)
    outcome = decision.outcome_of(value, point)
    reasons = [*_reasons(output, result, checked, settings, point, value)]
    doubts = [*_doubts(output, result, settings)]
    is_surely_off = _different(output, settings) >= 1 or any(one.is_surely_out for one in checked)
    if doubts or (any(one.is_unsure for one in checked) and not is_surely_off):
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


def _tolerated(result: PoseFound, settings: Settings) -> list[_Checked]:
    """Return each number of a pose that has a tolerance.

    Of the poses in which the part looks alike it is the one that lies best.
    """
    if result.pose is None:
        return []
    every = [
        [*_checked(pose, result.deviations, settings)]
        for pose in result.pose.alike(settings.symmetry)
    ]
    return min(every, key=lambda checked: max((one.ratio for one in checked), default=0.0))


def _checked(pose: Pose, deviations: Sequence[float], settings: Settings) -> Iterator[_Checked]:
    """Yield each number of a pose that has a tolerance."""
    for place, name in enumerate(NAMES):
        span = getattr(settings.tolerances, name)
        if span is None:
            continue
        low, high = span
        value, deviation = getattr(pose, name), deviations[place]
        if name == "phi":
            high = low + (high - low) % 360
        half = (high - low) / 2
        off = value - (low + half)
        if name == "phi":
            off = (off + 180) % 360 - 180
        inside = half - abs(off)
        unit = UNITS[name]
        limits = f"its tolerance, {span[0]:g} to {span[1]:g} {unit}"
        is_unsure = not abs(inside) >= settings.sure * deviation
        where = f"too near to an end of {limits}, to tell" if is_unsure else f"outside of {limits}"
        reason = f"{name} {value:.4g} {unit} is {where}"
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
    elif all(span is None for _, span in settings.tolerances):
        yield "nothing was checked: the pose is not refined, and has no tolerance"
    if result.pose is not None and not _is_refused(output):
        alike = result.pose.alike(settings.symmetry)
        yield from min(([*_outside(pose, result.deviations, settings)] for pose in alike), key=len)


def _is_refused(output: PoseOutput) -> bool:
    """Return whether a pose was measured that is not to be trusted: its numbers say nothing."""
    return isinstance(output.measured, Measured) and bool(output.measured.refused)


def _outside(pose: Pose, deviations: Sequence[float], settings: Settings) -> Iterator[str]:
    """Yield which numbers lie outside of the range that the bundle knows."""
    poses, margin = settings.poses, 1 + settings.range_margin
    limits = {
        "theta": poses.theta_deg,
        "psi": poses.psi_deg,
        "x": poses.xy_mm,
        "y": poses.xy_mm,
        "z": poses.z_mm,
    }
    for name, most in limits.items():
        value, unit = getattr(pose, name), UNITS[name]
        room = most * margin + settings.sure * _known(deviations[NAMES.index(name)])
        if abs(value) > room:
            yield f"{name} is {value:.4g} {unit}, outside of -{most:g} to {most:g} {unit}"
    first, last = poses.phi_deg
    span, beyond = last - first, (pose.phi - first) % 360
    room = settings.range_margin * span
    if span < 360 and room < beyond - span and beyond < 360 - room:
        yield f"phi is {pose.phi:.4g} deg, outside of {first:g} to {last:g} deg"


def _known(deviation: float) -> float:
    """Return a deviation; 0 where a parallel beam shows no depth, which is then at its start."""
    return deviation if math.isfinite(deviation) else 0.0


def _reasons(
    output: PoseOutput,
    result: PoseFound,
    checked: Sequence[_Checked],
    settings: Settings,
    point: thresholds.OperatingPoint,
    value: float,
) -> Iterator[str]:
    """Yield what the decision rests on."""
    if result.pose is None:
        return
    is_refused = _is_refused(output)
    for one in checked:
        if not is_refused and (one.is_unsure or one.ratio >= 1):
            yield one.reason
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
        elif not is_refused:
            most = f"{output.measured.most_significant:.1f} standard deviations at most"
            if score_of(_different(output, settings)) < point.threshold:
                yield f"as its model: differs by {most}, under {least:g}"
            else:
                strict = f"enough for a threshold of {point.threshold:.3f}"
                yield f"differs from its model by {most}: under {least:g}, but {strict}"
    pose = result.pose
    side = "at or over" if value >= point.threshold else "under"
    yield (
        f"phi {pose.phi:.3f}, theta {pose.theta:.3f}, psi {pose.psi:.3f} deg; score {value:.3f}, "
        f"{side} {point.threshold:.3f}"
    )
