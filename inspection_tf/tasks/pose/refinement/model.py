"""What an image should be in a pose, and what of that is fitted beside the pose.

Light adds up, so all but pose and blur is linear: how bright the beam is and how much of each
energy it has, scatter that is wide or narrow, and a constant. Where a pose and a blur are given,
least squares say these at once, held near what the model says by how far they may be from it.

Source: Golub and Pereyra 1973, "The differentiation of pseudo-inverses and nonlinear least squares
problems whose variables separate"; Kaufman 1975 leaves out the smaller of two terms.
"""

import dataclasses
import math

import cv2
import numpy as np
from numpy.typing import NDArray

from inspection_tf import errors
from inspection_tf.projection import Pose, Setup, motions
from inspection_tf.projection.blur import blurred
from inspection_tf.tasks.pose.refinement.measurement import Measurement
from inspection_tf.tasks.pose.refinement.spec import RefinementSpec

_Floats = NDArray[np.float64]
_GAIN_SD = 0.3  # of the brightness
_CONSTANT_SD = 0.1  # of what lies over all of the image, in shares of the open beam
_WIDTHS = (0.05, 0.12, 0.3)  # of the image: how far scatter goes
_KNOWN = 1e-6  # standard deviation of what is known
_LEAST_BLUR = 1e-4  # px2


@dataclasses.dataclass(frozen=True)
class Solution:
    """The best linear part for a pose and a blur.

    Attributes:
        columns: (rows, linear), what each number adds to the image, by its weights; the last
            `linear` rows hold the numbers near what is known of them.
        numbers: (linear,): brightness, deviations of the energies, scatter, constant.
        residuals: (rows,), by the weights.
        light: (height, width), the image.
    """

    columns: _Floats
    numbers: _Floats
    residuals: _Floats
    light: _Floats


class ImageModel:
    """The image of a part near a pose, as a function of a motion and of the blur."""

    def __init__(
        self, measurement: Measurement, start: Pose, spec: RefinementSpec, *, samples: int
    ) -> None:
        """Take what the model is of.

        Args:
            measurement: what the image is compared with.
            start: the pose to move from.
            spec: what may change.
            samples: rays in each pixel.

        Raises:
            errors.DataError: an image shows none of the motions that the part may make.
        """
        self.measurement, self.start, self.spec = measurement, start, spec
        self.samples = samples
        setup = measurement.setup
        names = motions.NAMES[: motions.count(setup)]
        self.moves = np.array([names.index(move) for move in names if move in spec.moves], np.intp)
        if not len(self.moves):
            raise errors.DataError(
                f"A refinement needs a motion that an image shows: of {', '.join(names)}. "
                f"Got {', '.join(spec.moves)}. Add one to moves."
            )
        self.scales = motions.steps(setup, px=1.0)[self.moves]
        self._latest: tuple[bytes, Solution] | None = None

    def pose(self, unknowns: _Floats) -> Pose:
        """Return the pose of (n + 1,) unknowns: motions, in px, and the blur's square, px2."""
        motion = np.zeros(6)
        motion[self.moves] = unknowns[:-1] * self.scales
        return motions.moved(self.start, motion)

    def solved(self, unknowns: _Floats) -> Solution:
        """Return the best linear part; of the latest unknowns it is kept."""
        key = unknowns.tobytes()
        if self._latest is None or self._latest[0] != key:
            self._latest = key, self._solve(unknowns)
        return self._latest[1]

    def residuals(self, unknowns: _Floats) -> _Floats:
        """Return what is made small, by weights; the last row holds the blur near what is known."""
        solution = self.solved(unknowns)
        return np.append(solution.residuals, self._blur_off(unknowns[-1]))

    def derivatives(self, unknowns: _Floats, *, samples: int) -> _Floats:
        """Return how `residuals` change, (rows, n + 1), where the linear part follows."""
        measurement, solution = self.measurement, self.solved(unknowns)
        per_energy = motions.derivatives(
            measurement.setup, self.pose(unknowns), self.moves, samples=samples
        ) * self.scales.astype(np.float32).reshape(-1, 1, 1, 1)
        shares = shares_of(solution.numbers, measurement.setup).astype(np.float32)
        changes = blurred(np.einsum("mkhw,k->mhw", per_energy, shares), self._sigma(unknowns))
        # A Gaussian spreads as heat does: d/d(sigma^2) of it is half the Laplacian.
        spread = cv2.Laplacian(solution.light, cv2.CV_64F, borderType=cv2.BORDER_REPLICATE)
        spread *= 0.5 / measurement.factor**2
        rows = np.zeros((len(solution.columns), len(unknowns)))
        weighted = np.concatenate([changes, spread[None]]) * measurement.weights
        rows[: measurement.values.size] = weighted.reshape(len(unknowns), -1).T
        columns = solution.columns
        rows -= columns @ np.linalg.solve(columns.T @ columns, columns.T @ rows)
        blur = np.zeros((1, len(unknowns)))
        blur[0, -1] = 1 / self._blur_sd
        return np.concatenate([-rows, blur])

    @property
    def _blur_sd(self) -> float:
        return max(self.spec.blur_sd, _KNOWN)

    def _blur_off(self, square: float) -> float:
        return (square - self.spec.blur_px**2) / self._blur_sd

    def _sigma(self, unknowns: _Floats) -> float:
        return math.sqrt(max(float(unknowns[-1]), _LEAST_BLUR)) / self.measurement.factor

    def _solve(self, unknowns: _Floats) -> Solution:
        measurement, spec = self.measurement, self.spec
        setup = measurement.setup
        nominal = setup.spectrum.shares.astype(np.float32)
        passed = blurred(
            setup.passed(self.pose(unknowns), samples=self.samples), self._sigma(unknowns)
        )
        whole = np.tensordot(nominal, passed, axes=1)
        width = whole.shape[1]
        scatter = [blurred(1 - whole, share * width) for share in _WIDTHS]
        images = np.stack([whole, *passed, *scatter, np.ones_like(whole)])
        known = np.zeros(len(images))
        known[0] = 1.0
        sds = np.maximum(
            [
                _GAIN_SD,
                *[spec.spectrum_sd] * len(passed),
                *[spec.scatter_sd] * len(scatter),
                _CONSTANT_SD if spec.scatter_sd else 0.0,
            ],
            _KNOWN,
        )
        weights = measurement.weights.reshape(-1)
        rows = images.reshape(len(images), -1).T * weights[:, None]
        columns = np.concatenate([rows, np.diag(1 / sds)])
        target = np.concatenate([measurement.values.reshape(-1) * weights, known / sds])
        # Scaled: what is known has rows a million times as large as what is not.
        scale = np.linalg.norm(columns, axis=0)
        scaled = columns / scale
        numbers = np.linalg.solve(scaled.T @ scaled, scaled.T @ target) / scale
        light = np.tensordot(numbers, images, axes=1)
        return Solution(columns, numbers, target - columns @ numbers, light)


def shares_of(numbers: _Floats, setup: Setup) -> _Floats:
    """Return (k,), the light of each energy.

    Args:
        numbers: of a `Solution`.
        setup: whose spectrum they deviate from.
    """
    nominal = setup.spectrum.shares
    return np.asarray(numbers[0] * nominal + numbers[1 : 1 + len(nominal)])
