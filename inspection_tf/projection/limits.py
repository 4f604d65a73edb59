"""How well a pose can be known at all: the bound that the number of photons sets."""

import dataclasses

import numpy as np
from numpy.typing import NDArray

from inspection_tf import errors
from inspection_tf.projection import motions
from inspection_tf.projection.blur import blurred
from inspection_tf.projection.poses import Pose
from inspection_tf.projection.radiographs import Setup

_Floats = NDArray[np.float64]
_LEAST = 1e-6  # share of the beam that is taken to pass at least
_NOTHING = 1e-6  # share of a number in a sum: less is rounding
_SINGULAR = 1e-12  # of the largest information: less is rounding
_MORE = 1e-3  # attenuation, to see what a change of it does


@dataclasses.dataclass(frozen=True, slots=True)
class Deviations:
    """Standard deviations of a pose; infinite where an image does not show a number.

    Attributes:
        phi: degrees, as the others of `Pose`.
        theta: likewise.
        psi: likewise.
        x: mm, as the others.
        y: likewise.
        z: likewise.
    """

    phi: float
    theta: float
    psi: float
    x: float
    y: float
    z: float

    @classmethod
    def of(cls, pose: Pose, covariance: _Floats) -> "Deviations":
        """Return those of a pose from the covariance of its motions.

        Args:
            pose: where it was computed.
            covariance: (6, 6), or (5, 5) without depth, of `motions`: degrees and mm.
        """
        full = np.eye(len(covariance))
        full[:3, :3] = motions.angles_per_turn(pose)
        is_known = np.isfinite(np.diag(covariance))
        known = np.where(np.outer(is_known, is_known), covariance, 0.0)
        variances = np.diag(full @ known @ full.T).copy()
        variances[(np.abs(full[:, ~is_known]) > _NOTHING).any(axis=1)] = np.inf
        found = np.full(6, np.inf)
        found[: len(variances)] = np.sqrt(np.maximum(variances, 0.0))
        return cls(*found.tolist())


def pose_limit(
    setup: Setup, pose: Pose, photons: float, *, blur_px: float = 0.5, samples: int = 13
) -> Deviations:
    """Return the Cramer-Rao bound: no method without a bias has smaller standard deviations.

    It is that of an image whose pixels count photons, where besides the pose only the brightness
    and the attenuation as a whole are unknown, and scatter, blur and the form of the spectrum
    are known.

    Source: Rao 1945; of Poisson counts n with means m the information is
    `sum (dm/da) (dm/db) / m`.

    Args:
        setup: part, scanner and beam.
        pose: of the part.
        photons: a pixel counts on average where nothing is in the way.
        blur_px: standard deviation of the blur.
        samples: rays in each pixel.

    Raises:
        errors.DataError: the number of photons is not over 0, or the part reaches the source.
    """
    found = motion_limit(setup, pose, photons, blur_px=blur_px, samples=samples)
    return Deviations.of(pose, found)


def motion_limit(
    setup: Setup, pose: Pose, photons: float, *, blur_px: float = 0.5, samples: int = 13
) -> _Floats:
    """Return the bound of `pose_limit` as a covariance of motions, (6, 6); (5, 5) without depth.

    Args:
        setup: part, scanner and beam.
        pose: of the part.
        photons: a pixel counts on average where nothing is in the way.
        blur_px: standard deviation of the blur.
        samples: rays in each pixel.

    Raises:
        errors.DataError: the number of photons is not over 0, or the part reaches the source.
    """
    if not (np.isfinite(photons) and photons > 0):
        raise errors.DataError(
            f"A bound needs a number of photons over 0. Got {photons}. Use for example 10000."
        )
    shares = setup.spectrum.shares.astype(np.float32)
    signal = blurred(setup.signal(pose, samples=samples), blur_px)
    per_motion = np.einsum("mkhw,k->mhw", motions.derivatives(setup, pose, samples=samples), shares)
    denser = {name: values * (1 + _MORE) for name, values in setup.mu.items()}
    attenuated = dataclasses.replace(setup, mu=denser).signal(pose, samples=samples)
    per_density = (blurred(attenuated, blur_px) - signal) / _MORE
    changes = np.concatenate([blurred(per_motion, blur_px), [signal, per_density]])
    rows = changes.reshape(len(changes), -1).astype(np.float64)
    information = rows * (photons / np.maximum(signal, _LEAST).reshape(-1)) @ rows.T
    return covariance(information)[: len(per_motion), : len(per_motion)]


def covariance(information: _Floats) -> _Floats:
    """Return the inverse of an information matrix (n, n).

    What it says nothing of, by itself or by a sum of several, has an infinite variance.
    """
    found = np.diag(np.full(len(information), np.inf))
    scale = np.sqrt(np.diag(information))
    rows = np.flatnonzero(scale > 0)
    if not len(rows) or not np.isfinite(information).all():
        return found
    some = np.ix_(rows, rows)
    values, vectors = np.linalg.eigh(information[some] / np.outer(scale[rows], scale[rows]))
    is_told = values > values.max() * _SINGULAR
    inverse = (vectors[:, is_told] / values[is_told]) @ vectors[:, is_told].T
    found[some] = inverse / np.outer(scale[rows], scale[rows])
    unknown = rows[(np.abs(vectors[:, ~is_told]) > _NOTHING).any(axis=1)]
    found[unknown], found[:, unknown] = 0.0, 0.0
    found[unknown, unknown] = np.inf
    return found
