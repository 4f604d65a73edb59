"""A first guess without a network: projections in many poses, and which are most like an image.

An image and a projection are compared by what attenuates, wherever on the image it is: the largest
of their correlations over all shifts, computed through their spectra, says how alike they are, and
the shift where the part lies.
"""

import dataclasses
from collections.abc import Sequence

import numpy as np
import pydantic
from numpy.typing import NDArray

from inspection_tf import config, errors
from inspection_tf.projection import Pose, Setup
from inspection_tf.projection.pose_ranges import PoseRange
from inspection_tf.tasks.pose.refinement.measurement import pooled

_Floats = NDArray[np.float32]
_SIDE = 56  # px: of a smaller image the part is known as well, and the bank is small
_LEAST = 0.01  # share of the beam: what passes less is noise
_ROOM = 1.3  # times the image's side: what leaves on one side must not come in on the other
_AT_ONCE = 256  # spectra that are multiplied at once, which bounds the memory


class BankSpec(config.Section):
    """Which projections a bank holds."""

    phi_step_deg: float = pydantic.Field(default=6.0, gt=0, le=60)
    """Between neighbours, about the vertical axis."""
    tilt_step_deg: float = pydantic.Field(default=5.0, gt=0, le=60)
    """Likewise about the other two."""
    apart_deg: float = pydantic.Field(default=12.0, gt=0, le=90)
    """Between poses that are given as different ones."""


@dataclasses.dataclass(frozen=True, slots=True)
class Match:
    """A pose that an image may show.

    Attributes:
        pose: of the part.
        likeness: 0 to 1: the correlation of what attenuates.
    """

    pose: Pose
    likeness: float


class Bank:
    """Projections of a part in many poses."""

    def __init__(self, setup: Setup, poses: PoseRange, spec: BankSpec) -> None:
        """Compute the projections; some seconds for a thousand of them.

        Args:
            setup: part, scanner and beam.
            poses: which are possible.
            spec: how many are tried.

        Raises:
            errors.DataError: the part reaches the source.
        """
        self._size = setup.scanner.size
        self._factor = max(1, min(self._size) // _SIDE)
        self._setup = dataclasses.replace(setup, scanner=setup.scanner.coarser(self._factor))
        self._spec = spec
        self.poses = poses.grid(phi_step=spec.phi_step_deg, tilt_step=spec.tilt_step_deg)
        self._padded = tuple(int(np.ceil(side * _ROOM)) for side in self._setup.scanner.size)
        found = [self._spectrum(_attenuation(self._setup.signal(pose))) for pose in self.poses]
        self._spectra = np.conj(np.stack([spectrum for spectrum, _ in found]))
        self._norms = np.array([norm for _, norm in found])

    def best(self, signal: _Floats, count: int) -> list[Match]:
        """Return the poses that an image is most like, the likeliest first.

        Args:
            signal: (height, width), of the size of the scanner, shares of the open beam.
            count: poses at most; fewer where the range holds no more that differ.

        Raises:
            errors.DataError: the image has another size.
        """
        if signal.shape != self._size:
            raise errors.DataError(
                f"A bank needs an image of {self._size} px, as of its scanner. Got {signal.shape}. "
                "Give an image of that size."
            )
        small = pooled(signal, self._factor).astype(np.float32)
        spectrum, norm = self._spectrum(_attenuation(small / _open_beam(small)))
        peaks = [
            self._peaks(spectrum, slice(first, first + _AT_ONCE))
            for first in range(0, len(self.poses), _AT_ONCE)
        ]
        likeness = np.concatenate([value for value, _ in peaks]) / np.maximum(
            self._norms * norm, np.finfo(np.float32).tiny
        )
        shifts = np.concatenate([shift for _, shift in peaks])
        found: list[int] = []
        for index in np.argsort(-likeness, kind="stable").tolist():
            pose = self.poses[index]
            if all(pose.turn_to(self.poses[other]) >= self._spec.apart_deg for other in found):
                found.append(index)
            if len(found) == count:
                break
        return [
            Match(self._shifted(index, shifts[index]), float(likeness[index])) for index in found
        ]

    def _spectrum(self, attenuation: _Floats) -> tuple[NDArray[np.complex64], float]:
        """Return the spectrum of an image, and the root of the sum of its squares."""
        from scipy import fft

        found = fft.rfft2(attenuation, self._padded)
        return np.asarray(found, np.complex64), float(np.linalg.norm(attenuation))

    def _peaks(
        self, spectrum: NDArray[np.complex64], some: slice
    ) -> tuple[_Floats, NDArray[np.intp]]:
        """Return the largest correlation with some projections, and (n, 2) the shift there, px."""
        from scipy import fft

        correlated = fft.irfft2(self._spectra[some] * spectrum, self._padded)
        flat = correlated.reshape(len(correlated), -1)
        places = flat.argmax(axis=1)
        values = np.take_along_axis(flat, places[:, None], axis=1)[:, 0]
        shift = np.stack(np.unravel_index(places, self._padded), axis=1)
        # Beyond half of the padded image a shift is one to the other side.
        sides = np.array(self._padded)
        return values, np.where(shift > sides // 2, shift - sides, shift)

    def _shifted(self, index: int, shift: NDArray[np.intp]) -> Pose:
        """Return the pose of a projection that lies (down, right) px from the middle."""
        scanner = self._setup.scanner
        down, right = shift * scanner.pixel_mm / scanner.magnification
        return dataclasses.replace(self.poses[index], x=float(right), y=float(down))


def likeliest(matches: Sequence[Match]) -> list[Pose]:
    """Return the poses of matches."""
    return [match.pose for match in matches]


def _open_beam(signal: _Floats) -> float:
    """Return what passes where nothing is in the way: the median of the image's border."""
    border = np.concatenate([signal[0], signal[-1], signal[:, 0], signal[:, -1]])
    return max(float(np.median(border)), _LEAST)


def _attenuation(signal: _Floats) -> _Floats:
    return np.asarray(-np.log(np.clip(signal, _LEAST, 1.0)), np.float32)
