import dataclasses

import numpy as np
import pytest
from xray_parts import MU, PART, POSE, SCANNER, SETUP, SPECTRUM

from inspection_tf import errors
from inspection_tf.projection import Assembly, Body, Box, Pose, Scanner, Setup, Spectrum


def test_a_slab_lets_through_what_beer_and_lambert_say():
    slab = Assembly([Body(Box(100.0, 100.0, 10.0), "iron")])
    scanner = Scanner(beam="parallel", size=(5, 7), pixel_mm=1.0)
    spectrum = Spectrum(np.array([50.0, 80.0]), np.array([0.4, 0.6]))
    setup = Setup(slab, scanner, spectrum, {"iron": np.array([0.2, 0.1])})
    passed = setup.passed(Pose())
    # 10 mm: exp(-2) and exp(-1)
    np.testing.assert_allclose(passed[0], np.exp(-2), rtol=1e-6)
    np.testing.assert_allclose(passed[1], np.exp(-1), rtol=1e-6)
    np.testing.assert_allclose(setup.signal(Pose()), 0.4 * np.exp(-2) + 0.6 * np.exp(-1), rtol=1e-6)


def test_a_pixel_shows_the_mean_of_what_its_rays_let_through():
    block = Assembly([Body(Box(3.0, 100.0, 10.0), "iron")])
    scanner = Scanner(beam="parallel", size=(3, 5), pixel_mm=1.0)
    setup = Setup(block, scanner, Spectrum(np.array([50.0]), np.ones(1)), {"iron": np.array([0.1])})
    # Moved by a quarter of a pixel the block covers three of four rays of the first pixel.
    passed = setup.signal(Pose(x=0.25), samples=4)[1]
    inside = np.exp(-1)
    expected = [1, 0.25 + 0.75 * inside, inside, inside, 0.75 + 0.25 * inside]
    np.testing.assert_allclose(passed, expected, rtol=1e-6)


def test_beside_the_part_all_passes():
    far = Pose(x=1000.0)
    np.testing.assert_array_equal(SETUP.passed(far), np.ones((3, *SCANNER.size), np.float32))


def test_several_materials_take_together():
    two = Assembly(
        [Body(Box(9.0, 9.0, 2.0), "a", Pose(z=-3.0)), Body(Box(9.0, 9.0, 3.0), "b", Pose(z=3.0))]
    )
    scanner = Scanner(beam="parallel", size=(3, 3), pixel_mm=1.0)
    mu = {"a": np.array([0.5]), "b": np.array([0.1])}
    setup = Setup(two, scanner, Spectrum(np.array([50.0]), np.ones(1)), mu)
    # 2 mm of a and 3 mm of b: 1.0 + 0.3
    np.testing.assert_allclose(setup.signal(Pose())[1, 1], np.exp(-1.3), rtol=1e-6)


@pytest.mark.parametrize(
    "mu",
    [{}, {"aluminium": np.ones(2)}, {"aluminium": -np.ones(3)}, {"aluminium": np.full(3, np.nan)}],
)
def test_a_material_needs_its_attenuation(mu):
    with pytest.raises(errors.DataError, match="attenuation at 3 energies"):
        Setup(PART, SCANNER, SPECTRUM, mu)


def test_a_source_inside_the_part_is_refused():
    near = dataclasses.replace(SETUP, mu=MU)
    with pytest.raises(errors.DataError, match="between the source and the detector"):
        near.passed(dataclasses.replace(POSE, z=-415.0))
