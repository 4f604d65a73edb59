"""What the detector should show of a part: without noise, blur and scatter."""

import dataclasses
from collections.abc import Mapping

import numpy as np
from numpy.typing import NDArray

from inspection_tf import errors
from inspection_tf.projection.attenuation import Spectrum
from inspection_tf.projection.parts import Part
from inspection_tf.projection.poses import Pose
from inspection_tf.projection.scanner import Scanner

_Floats = NDArray[np.float64]
_Images = NDArray[np.float32]
_LEAST = 1e-6  # share of the beam that is taken to pass at least
_COARSE = 4  # px: of what is seen of a part few of them show the share
_WIDER = 3  # times the sides of the detector, odd so that its pixels stay where they are


@dataclasses.dataclass(frozen=True)
class Setup:
    """A part before a scanner, and the beam that passes through it.

    Attributes:
        part: its shape and materials.
        scanner: which sees it.
        spectrum: of the beam.
        mu: (k,) 1/mm, attenuation of each material at the energies of the spectrum.

    Raises:
        errors.DataError: a material of the part has no attenuation, or not one for each energy.
    """

    part: Part
    scanner: Scanner
    spectrum: Spectrum
    mu: Mapping[str, _Floats]

    def __post_init__(self) -> None:
        """Check that each material has its attenuation."""
        count = len(self.spectrum.energies)
        for name in self.part.materials:
            found = self.mu.get(name)
            if found is None or found.shape != (count,) or not _is_attenuation(found):
                raise errors.DataError(
                    f"Each material needs its attenuation at {count} energies, 0 or more. Got "
                    f"{'none' if found is None else found.tolist()} of {name}. Compute it with "
                    "attenuation.coefficients."
                )

    def described(self) -> str:
        """Return in words how large the part is, and a pixel: a wrong unit shows here."""
        wide = self.scanner.pixel_mm
        return (
            f"the part reaches {self.part.reach:.3g} mm from its middle; a pixel is {wide:.3g} mm "
            f"wide, {wide / self.scanner.magnification:.3g} mm at the part"
        )

    def passed(self, pose: Pose, *, samples: int = 5) -> _Images:
        """Return the share of the beam that passes, at each energy.

        Args:
            pose: of the part.
            samples: rays in each pixel, of which the mean is taken.

        Returns:
            (k, height, width), over 0 to 1.

        Raises:
            errors.DataError: the part reaches the source.
        """
        # Of what has no sharp borders one ray shows all.
        samples = samples if self.part.is_sharp else 1
        lengths = self.part.path_lengths(self.scanner, pose, samples=samples)
        height, width = self.scanner.size
        found = np.ones((len(self.spectrum.energies), height, width), np.float32)
        window = _window(lengths, samples)
        if window is None:
            return found
        rows, columns = window
        fine = slice(rows.start * samples, rows.stop * samples), columns
        cut = {name: length[fine].astype(np.float32) for name, length in lengths.items()}
        for index in range(len(found)):
            taken = sum(np.float32(-self.mu[name][index]) * length for name, length in cut.items())
            shares = np.exp(taken).reshape(-1, samples, columns.stop - columns.start)
            found[index, rows, columns] = shares.mean(axis=1)
        return found

    def signal(self, pose: Pose, *, samples: int = 5) -> _Images:
        """Return the share of the signal that passes, (height, width): see `passed`."""
        shares = self.spectrum.shares.astype(np.float32)
        return np.tensordot(shares, self.passed(pose, samples=samples), axes=1)


def _is_attenuation(values: NDArray[np.float64]) -> bool:
    is_number = np.issubdtype(values.dtype, np.number)
    return is_number and bool(np.isfinite(values).all() and (values >= 0).all())


def cut_share(setup: Setup, pose: Pose) -> float:
    """Return the share of a part's attenuation that lies beside the detector, 0 to 1.

    Args:
        setup: part, scanner and beam.
        pose: of the part.
    """
    coarse = setup.scanner.coarser(min(_COARSE, *setup.scanner.size))
    height, width = coarse.size
    wide = coarse.model_copy(update={"size": (height * _WIDER, width * _WIDER)})
    signal = dataclasses.replace(setup, scanner=wide).signal(pose)
    attenuated = -np.log(np.maximum(signal.astype(np.float64), _LEAST))
    beside = (_WIDER - 1) // 2
    seen = attenuated[
        beside * height : (beside + 1) * height, beside * width : (beside + 1) * width
    ]
    whole = float(attenuated.sum())
    return 1.0 - float(seen.sum()) / whole if whole > 0 else 1.0


def _window(lengths: Mapping[str, _Floats], samples: int) -> tuple[slice, slice] | None:
    """Return the rows and columns of pixels that hold all rays which meet a part."""
    meets = np.zeros((), np.bool_)
    for length in lengths.values():
        meets = meets | (length > 0)
    rows, columns = (np.flatnonzero(meets.any(axis=axis)) for axis in (1, 0))
    if not len(rows):
        return None
    first, last = int(rows[0]) // samples, int(rows[-1]) // samples
    return slice(first, last + 1), slice(int(columns[0]), int(columns[-1]) + 1)
