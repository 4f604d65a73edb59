"""Least squares of an image in a pose, from one start and at one resolution."""

import dataclasses

import numpy as np
from numpy.typing import NDArray

from inspection_tf.projection import Deviations, Pose, motions
from inspection_tf.projection.limits import covariance
from inspection_tf.tasks.pose.refinement.measurement import Measurement
from inspection_tf.tasks.pose.refinement.model import ImageModel
from inspection_tf.tasks.pose.refinement.spec import RefinementSpec

_Floats = NDArray[np.float64]


@dataclasses.dataclass(frozen=True, slots=True)
class Effort:
    """How exactly a fit is computed.

    Attributes:
        samples: rays in each pixel.
        of_changes: rays likewise, for how the image changes; None: those of the spec.
        tolerance: the fit ends where the sum of squares falls by a smaller share.
        reused: px: as long as the part moved less, how the image changes is not computed again.
        evaluations: images of the model at most.
        polished: rays in each pixel for one last step; 0: there is none.
    """

    samples: int
    of_changes: int | None
    tolerance: float
    reused: float
    evaluations: int
    polished: int = 0


@dataclasses.dataclass(frozen=True)
class Fit:
    """What a fit found.

    Attributes:
        pose: of the part.
        chi2: sum of squared residuals over their number: 1 where the model is right.
        deviations: of the pose, as photons set them.
        covariance: likewise of its motions, which are about and along axes of the scanner.
        condition: of the unknowns, each scaled to 1: large where two of them look alike.
        blur_px: standard deviation of the blur.
        numbers: of the linear part: see `model.Solution`.
        light: (height, width), the image as shares of the open beam.
    """

    pose: Pose
    chi2: float
    deviations: Deviations
    covariance: _Floats
    condition: float
    blur_px: float
    numbers: _Floats
    light: _Floats


def fitted(measurement: Measurement, start: Pose, spec: RefinementSpec, effort: Effort) -> Fit:
    """Return the pose near a start in which the model is most like an image.

    Args:
        measurement: of the image.
        start: a pose.
        spec: what may change.
        effort: how exactly.

    Raises:
        errors.DataError: the part came to reach the source.
    """
    model, unknowns, rows = _minimised(measurement, start, spec, effort)
    information = rows.T @ rows
    scale = np.append(model.scales, 1.0)
    spread = covariance(information) * np.outer(scale, scale)
    # What may not move is known.
    of_motions = np.zeros((motions.count(measurement.setup),) * 2)
    of_motions[np.ix_(model.moves, model.moves)] = spread[:-1, :-1]
    pose, solution = model.pose(unknowns), model.solved(unknowns)
    counted = max(int(np.count_nonzero(measurement.weights)), 1)
    return Fit(
        pose,
        float(np.square(model.residuals(unknowns)).sum()) / counted,
        Deviations.of(pose, of_motions),
        of_motions,
        _condition(information),
        float(np.sqrt(max(unknowns[-1], 0.0))),
        solution.numbers,
        solution.light,
    )


def _minimised(
    measurement: Measurement, start: Pose, spec: RefinementSpec, effort: Effort
) -> tuple[ImageModel, _Floats, _Floats]:
    """Return the model, its best unknowns, and how its residuals change there."""
    from scipy import optimize

    model = ImageModel(measurement, start, spec, samples=effort.samples)
    change_rays = effort.of_changes or spec.change_rays
    latest: list[tuple[_Floats, _Floats]] = []

    def changes(unknowns: _Floats) -> _Floats:
        if not latest or np.abs(unknowns - latest[0][0])[:-1].max() > effort.reused:
            found = model.derivatives(unknowns, samples=change_rays)
            latest[:] = [(unknowns.copy(), found)]
        return latest[0][1]

    found = optimize.least_squares(
        model.residuals,
        np.append(np.zeros(len(model.scales)), spec.blur_px**2),
        jac=changes,
        method="lm",
        ftol=effort.tolerance,
        xtol=1e-6,
        gtol=1e-12,
        max_nfev=effort.evaluations,
    )
    unknowns, rows = found.x, changes(found.x)
    if effort.polished:
        # With more rays the least squares lie a little aside: one step of Gauss and Newton away.
        model = ImageModel(measurement, start, spec, samples=effort.polished)
        spread = covariance(rows.T @ rows)
        known = np.where(np.isfinite(spread), spread, 0.0)
        residuals = model.residuals(unknowns)
        further = unknowns - known @ (rows.T @ residuals)
        if np.square(model.residuals(further)).sum() < np.square(residuals).sum():
            unknowns = further
    return model, unknowns, rows


def _condition(information: _Floats) -> float:
    """Return the condition of an information matrix whose diagonal is scaled to 1."""
    scale = np.sqrt(np.diag(information))
    if not (scale > 0).all() or not np.isfinite(information).all():
        return float("inf")
    return float(np.linalg.cond(information / np.outer(scale, scale)))
