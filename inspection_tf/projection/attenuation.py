"""How much of a beam passes: Beer and Lambert's law over a spectrum of a few energies."""

import dataclasses
from collections.abc import Mapping, Sequence

import numpy as np
from numpy.typing import ArrayLike, NDArray

from inspection_tf import errors
from inspection_tf.engines import installed

_Floats = NDArray[np.float64]
_PER_MM = 0.1  # one over a centimetre


@dataclasses.dataclass(frozen=True, slots=True)
class Spectrum:
    """Energies of a beam, and what share of the signal each one makes where nothing is in the way.

    Attributes:
        energies: (k,), keV, rising, over 0.
        shares: (k,), 0 or more; they add up to 1.

    Raises:
        errors.DataError: they are none.
    """

    energies: _Floats
    shares: _Floats

    def __post_init__(self) -> None:
        """Check energies and shares."""
        energies, shares = self.energies, self.shares
        if energies.ndim != 1 or not len(energies) or energies.shape != shares.shape:
            raise errors.DataError(
                "A spectrum needs one share for each energy. "
                f"Got {shares.shape} for {energies.shape}. Give as many."
            )
        rises = energies[0] > 0 and (np.diff(energies) > 0).all() and np.isfinite(energies).all()
        if not rises or not (shares >= 0).all() or not abs(shares.sum() - 1) < 1e-9:
            raise errors.DataError(
                "A spectrum needs rising energies over 0 keV, and shares that add up to 1. "
                f"Got {energies.tolist()} and {shares.tolist()}. Correct them."
            )

    @classmethod
    def of_tube(cls, kv: float, *, filter_mu: ArrayLike | None = None, bins: int = 8) -> "Spectrum":
        """Return the spectrum of a tube: Kramers' law, behind a filter, seen by its energy.

        A tube gives photons of the energy E in proportion to `kv / E - 1`. A detector that adds up
        energy sees each with the weight E. Characteristic lines are left out.

        Source: Kramers 1923, "On the theory of X-ray absorption and of the continuous X-ray
        spectrum".

        Args:
            kv: voltage of the tube, kV, which is the largest energy in keV.
            filter_mu: (bins,), what the filter takes at the middle of each bin: its attenuation
                times its thickness; None: there is none.
            bins: of equal width between a tenth of the voltage and the voltage.

        Raises:
            errors.DataError: the voltage is not over 0, or the filter has another shape.
        """
        if not (np.isfinite(kv) and kv > 0 and bins > 0):
            raise errors.DataError(
                f"A tube needs a voltage over 0 kV and one bin or more. Got {kv} and {bins}. "
                "Use for example 160 and 8."
            )
        energies = middles(kv, bins=bins)
        taken = np.zeros(bins) if filter_mu is None else np.asarray(filter_mu, np.float64)
        if taken.shape != (bins,):
            raise errors.DataError(
                f"The filter needs one number for each of {bins} bins. Got shape {taken.shape}. "
                "Compute them at attenuation.middles of the same voltage."
            )
        signal = (kv / energies - 1) * energies * np.exp(-taken)
        if not signal.sum() > 0:
            raise errors.DataError(
                f"The filter must let something of {kv:g} kV pass. Got one that takes "
                f"{taken.min():.3g} attenuations or more. Use a thinner one."
            )
        return cls(energies, signal / signal.sum())


def middles(kv: float, *, bins: int) -> _Floats:
    """Return (bins,), keV: the middle of each bin of `Spectrum.of_tube`."""
    borders = np.linspace(kv / 10, kv, bins + 1)
    return np.asarray((borders[1:] + borders[:-1]) / 2)


@dataclasses.dataclass(frozen=True, slots=True)
class Material:
    """What a body consists of.

    Attributes:
        formula: chemical, such as Al or Fe2O3.
        density: g/cm3.
    """

    formula: str
    density: float


def coefficients(
    materials: Mapping[str, Material], energies: Sequence[float] | _Floats
) -> Mapping[str, _Floats]:
    """Return the linear attenuation of materials by their names, (k,) 1/mm, from xraydb.

    Args:
        materials: by name.
        energies: (k,), keV.

    Raises:
        errors.DataError: a formula is none, or a density not over 0.
        errors.BundleError: xraydb is absent.
    """
    try:
        import xraydb
    except ImportError as problem:
        raise installed.missing("xraydb", "xray", "The attenuation of a material") from problem
    found = {}
    for name, material in materials.items():
        if not (np.isfinite(material.density) and material.density > 0):
            raise errors.DataError(
                f"The density of {name} must be over 0 g/cm3. Got {material.density}. Correct it."
            )
        try:
            per_cm = xraydb.material_mu(
                material.formula, 1000.0 * np.asarray(energies, np.float64), material.density
            )
        except (ValueError, ZeroDivisionError) as problem:  # of an empty one
            raise errors.DataError(
                f"The formula of {name} must be chemical, such as Al or Fe2O3. "
                f"Got {material.formula!r}. Correct it."
            ) from problem
        found[name] = np.asarray(per_cm, np.float64) * _PER_MM
        if not np.isfinite(found[name]).all():
            raise errors.DataError(
                f"The formula of {name} must be of elements in numbers over 0, such as Al or "
                f"Fe2O3. Got {material.formula!r}. Correct it."
            )
    return found


def transmission(
    path_lengths: Mapping[str, _Floats], mu: Mapping[str, _Floats], spectrum: Spectrum
) -> _Floats:
    """Return the share of the signal that passes: `sum_k share_k exp(-sum_m mu_mk length_m)`.

    Args:
        path_lengths: mm, of one shape, by the names of the materials.
        mu: (k,) 1/mm, of each of these at the energies of the spectrum.
        spectrum: of the beam.

    Returns:
        Of the same shape, over 0 to 1.

    Raises:
        errors.DataError: a material has no attenuation.
    """
    if absent := sorted(set(path_lengths) - set(mu)):
        raise errors.DataError(
            f"Each material needs its attenuation. Got none of {', '.join(absent)}. "
            "Name it in the materials."
        )
    passed: _Floats = np.zeros(())
    for index, share in enumerate(spectrum.shares):
        taken = sum(mu[name][index] * length for name, length in path_lengths.items())
        passed = passed + share * np.exp(-np.asarray(taken))
    return np.asarray(passed)
