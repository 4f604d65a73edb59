import sys

import numpy as np
import pytest

from inspection_tf import errors
from inspection_tf.projection import attenuation
from inspection_tf.projection.attenuation import Material, Spectrum

ALUMINIUM = {"part": Material("Al", 2.699)}
ONE = Spectrum(np.array([60.0]), np.array([1.0]))


@pytest.mark.parametrize(
    ("formula", "density", "kev", "per_gram"),
    # Mass attenuation of NIST's tables (Hubbell and Seltzer), cm2/g.
    [("Al", 2.699, 60, 0.2778), ("Al", 2.699, 100, 0.1704), ("Fe", 7.874, 100, 0.3717)],
)
def test_attenuation_is_that_of_the_tables(formula, density, kev, per_gram):
    pytest.importorskip("xraydb")
    found = attenuation.coefficients({"part": Material(formula, density)}, [kev])
    assert found["part"] == pytest.approx([per_gram * density / 10], rel=0.02)


def test_of_one_energy_the_logarithm_is_the_length():
    lengths = {"part": np.array([[0.0, 1.0], [10.0, 3.0]])}
    found = attenuation.transmission(lengths, {"part": np.array([0.05])}, ONE)
    np.testing.assert_allclose(-np.log(found) / 0.05, lengths["part"], atol=1e-12)


def test_materials_add_up():
    lengths = {"part": np.array([2.0]), "inlay": np.array([1.0])}
    mu = {"part": np.array([0.1]), "inlay": np.array([0.3])}
    assert attenuation.transmission(lengths, mu, ONE) == pytest.approx([np.exp(-0.5)])


def test_what_is_soft_goes_first():
    # Of two energies with mu 1 and 0.1: near the surface the mean counts, deep inside the smaller.
    spectrum = Spectrum(np.array([30.0, 90.0]), np.array([0.5, 0.5]))
    mu = {"part": np.array([1.0, 0.1])}
    lengths = {"part": np.array([0.0, 1e-6, 40.0, 41.0])}
    passed = attenuation.transmission(lengths, mu, spectrum)
    assert passed[0] == 1
    assert (1 - passed[1]) / 1e-6 == pytest.approx(0.55, rel=1e-5)
    assert np.log(passed[2] / passed[3]) == pytest.approx(0.1, rel=1e-9)


def test_the_spectrum_of_a_tube_is_that_of_kramers():
    spectrum = Spectrum.of_tube(100.0, bins=9)
    np.testing.assert_allclose(spectrum.energies, np.arange(15, 100, 10))
    # (kv / E - 1) E = kv - E: a straight line from 85 to 5.
    np.testing.assert_allclose(spectrum.shares, np.arange(85, 0, -10) / 405)


def test_a_filter_takes_what_is_soft():
    pytest.importorskip("xraydb")
    energies = attenuation.middles(160.0, bins=8)
    taken = attenuation.coefficients({"filter": Material("Cu", 8.96)}, energies)["filter"] * 0.5
    plain, filtered = (Spectrum.of_tube(160.0, filter_mu=mu) for mu in (None, taken))
    assert filtered.shares.sum() == pytest.approx(1)
    assert filtered.energies @ filtered.shares > plain.energies @ plain.shares + 10
    assert filtered.shares[0] < 1e-3


@pytest.mark.parametrize(
    ("make", "match"),
    [
        (lambda: Spectrum(np.array([]), np.array([])), "one share for each energy"),
        (lambda: Spectrum(np.array([60.0]), np.array([0.5])), "add up to 1"),
        (lambda: Spectrum(np.array([60.0, 50.0]), np.array([0.5, 0.5])), "rising energies"),
        (lambda: Spectrum(np.array([0.0, 50.0]), np.array([0.5, 0.5])), "over 0 keV"),
        (lambda: Spectrum.of_tube(0.0), "voltage over 0"),
        (lambda: Spectrum.of_tube(100.0, filter_mu=[1.0], bins=2), "each of 2 bins"),
        (lambda: attenuation.transmission({"a": np.ones(1)}, {}, ONE), "Got none of a"),
    ],
)
def test_what_is_no_beam_is_refused(make, match):
    with pytest.raises(errors.DataError, match=match):
        make()


@pytest.mark.parametrize(
    ("material", "match"),
    [
        (Material("Xy", 1.0), "formula of part must be chemical"),
        (Material("", 1.0), "formula of part must be chemical"),
        (Material("Al", 0.0), "density of part must be over 0"),
        (Material("Al", float("nan")), "density of part"),
    ],
)
def test_what_is_no_material_is_refused(material, match):
    pytest.importorskip("xraydb")
    with pytest.raises(errors.DataError, match=match):
        attenuation.coefficients({"part": material}, [60.0])


def test_without_xraydb_its_extra_is_named(monkeypatch):
    monkeypatch.setitem(sys.modules, "xraydb", None)
    with pytest.raises(errors.BundleError, match=r'pip install "inspection-tf\[xray\]"'):
        attenuation.coefficients(ALUMINIUM, [60.0])
