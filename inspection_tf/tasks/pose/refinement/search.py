"""From a few poses that may be right to the one that is, coarse to fine."""

import dataclasses
from collections.abc import Sequence

import cv2
import numpy as np
from numpy.typing import NDArray

from inspection_tf import errors
from inspection_tf.projection import Pose, Setup
from inspection_tf.projection.blur import average
from inspection_tf.tasks.pose.refinement import measurement
from inspection_tf.tasks.pose.refinement.fit import Effort, Fit, fitted
from inspection_tf.tasks.pose.refinement.measurement import Pixels
from inspection_tf.tasks.pose.refinement.spec import RefinementSpec

EFFORTS = {
    4: Effort(samples=5, of_changes=2, tolerance=1e-2, reused=0.5, evaluations=12),
    2: Effort(samples=5, of_changes=2, tolerance=1e-2, reused=1.0, evaluations=12),
    1: Effort(samples=5, of_changes=None, tolerance=1e-3, reused=1.0, evaluations=12, polished=21),
}
"""How exactly a fit is computed where a pixel is so many px of the image wide."""
_SAME_POSE = 2.0  # degrees: fits that are nearer are one
_ALIKE = 2.0  # times the best sum of squares: at a coarse resolution, what may be the best
_OUTLIER = 6.0  # standard deviations from the model
_TOGETHER = 2.0  # px: standard deviation of what averages residuals
_HOPELESS = 100.0  # mean squared residual at the coarsest resolution: no pose is near
_AROUND = 5  # px: side of what is left out around a pixel that shows a flaw
_POLISHED_AGAIN = 9  # rays in each pixel, where a flaw is left out: it bends more than they do
_ROBUST_SHARE = 0.02  # of pixels that may be left out as outliers: more are no exceptions


@dataclasses.dataclass(frozen=True)
class Refined:
    """What a refinement found.

    Attributes:
        fit: the best, at the finest resolution.
        measured: what that was compared with.
        structure: of the residuals, averaged over a few pixels, the mean square: 1 where they are
            noise, more where neighbours differ from the model alike.
        margin: by how much the sum of squares of the next best pose is larger, where 1 is one
            standard deviation's square; infinite where all starts led to one pose, as one start
            always does.
        left_out: share of pixels that were left out, as dead or as far from the model.
    """

    fit: Fit
    measured: measurement.Measurement
    structure: float
    margin: float
    left_out: float


def refine(image: Pixels, setup: Setup, starts: Sequence[Pose], spec: RefinementSpec) -> Refined:
    """Return the pose in which the model is most like an image.

    Args:
        image: (height, width), of the size of the scanner.
        setup: part, scanner and beam.
        starts: poses near one of which the part lies, the likeliest first.
        spec: how the image was taken, and what may change.

    Raises:
        errors.DataError: there is no start, the image has another size or type, or from no start
            was a pose before the source found.
    """
    is_read = image.dtype in (np.uint8, np.uint16)
    if not starts or image.shape != setup.scanner.size or not is_read:
        raise errors.DataError(
            f"A refinement needs a pose to start from and an image of {setup.scanner.size} px, "
            f"uint8 or uint16. Got {len(starts)} poses and {image.shape}, {image.dtype}. "
            "Correct them."
        )
    poses, margin, is_hopeless = list(starts[: spec.starts]), float("inf"), False
    for level, factor in enumerate(measurement.factors(setup.scanner.size)):
        measured = measurement.measured(image, setup, spec, factor=factor)
        fits = _distinct(_fits(measured, poses, spec, is_hopeless=is_hopeless))
        is_hopeless = is_hopeless or fits[0].chi2 > _HOPELESS
        if len(fits) > 1:
            counted = np.count_nonzero(measured.weights)
            margin = float(counted * (fits[1].chi2 / fits[0].chi2 - 1))
        elif len(poses) > 1:  # they came to one
            margin = float("inf")
        # The coarsest resolution tells most poses apart; the next compares what it cannot.
        alike = [fit for fit in fits[1:2] if level == 0 and fit.chi2 < _ALIKE * fits[0].chi2]
        poses = [fit.pose for fit in [fits[0], *alike]]
    found = fits[0]
    outliers = _outliers(found, measured)
    if 0 < np.mean(outliers) <= _ROBUST_SHARE:
        measured = measured.without(outliers)
        found = fitted(measured, found.pose, spec, EFFORTS[measured.factor])
    left_out = float(np.mean(measured.weights == 0))
    return Refined(found, measured, _structure(found, measured), margin, left_out)


def without(found: Refined, leave_out: NDArray[np.bool_], spec: RefinementSpec) -> Refined:
    """Return the pose again, by the pixels that are left.

    Args:
        found: of `refine`.
        leave_out: (height, width), pixels that do not count, such as those that show a flaw; those
            around them do not either.
        spec: how the image was taken, and what may change.
    """
    wider = cv2.dilate(leave_out.astype(np.uint8), np.ones((_AROUND, _AROUND), np.uint8)) > 0
    measured = found.measured.without(wider)
    effort = dataclasses.replace(EFFORTS[measured.factor], polished=_POLISHED_AGAIN)
    again = fitted(measured, found.fit.pose, spec, effort)
    left_out = float(np.mean(measured.weights == 0))
    return dataclasses.replace(
        found,
        fit=again,
        measured=measured,
        structure=_structure(again, measured),
        left_out=left_out,
    )


def _fits(
    measured: measurement.Measurement,
    starts: Sequence[Pose],
    spec: RefinementSpec,
    *,
    is_hopeless: bool,
) -> list[Fit]:
    """Return the fits from starts, the best first; what is hopeless is told, and not improved.

    Raises:
        errors.DataError: each of them led to a part that reaches the source.
    """
    found, problems = [], []
    effort = EFFORTS[measured.factor]
    if is_hopeless:
        effort = dataclasses.replace(effort, evaluations=1, polished=0)
    for start in starts:
        try:
            found.append(fitted(measured, start, spec, effort))
        except errors.DataError as problem:
            problems.append(problem)
    if not found:
        raise problems[0]
    return sorted(found, key=lambda fit: fit.chi2)


def _distinct(fits: Sequence[Fit]) -> list[Fit]:
    """Return fits, the best first, without those whose pose a better one has."""
    found: list[Fit] = []
    for fit in fits:
        if all(fit.pose.turn_to(other.pose) > _SAME_POSE for other in found):
            found.append(fit)
    return found


def _structure(fit: Fit, measured: measurement.Measurement) -> float:
    """Return the mean square of residuals that a Gaussian averages, noise being 1."""
    seen = measured.weights > 0
    residuals = (measured.values - fit.light) * measured.weights
    sums, noise = average(residuals, seen, _TOGETHER)
    told = noise > 0
    return float(np.mean((sums[told] / noise[told]) ** 2)) if told.any() else float("nan")


def _outliers(fit: Fit, measured: measurement.Measurement) -> NDArray[np.bool_]:
    """Return (height, width), which pixels are far from the model."""
    off = np.abs(measured.values - fit.light) * measured.weights
    return np.asarray(off > _OUTLIER * max(1.0, fit.chi2) ** 0.5)
