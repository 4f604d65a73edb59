import numpy as np
import pydantic
import pytest
from xray_parts import IDEAL, POSE, SCANNER, SETUP

from inspection_tf.projection import Exposure
from inspection_tf.projection.blur import blurred


def test_the_source_blurs_by_what_the_part_is_magnified():
    exposure = Exposure(focal_spot_mm=2.355, detector_blur_px=0.0)
    # A standard deviation of 1 mm, magnified (600 - 420) / 420 and seen by px of 0.8 mm.
    assert exposure.blur_px(SCANNER) == pytest.approx(180 / 420 / 0.8, rel=1e-3)


def test_counts_scatter_about_the_expected_as_photons_do():
    exposure = IDEAL.model_copy(update={"photons": 400.0})
    light = np.full((200, 300), 0.25, np.float32)
    image = exposure.render(np.random.default_rng(1), light) / exposure.open_value
    # 100 photons: a mean of 0.25 of the open beam, a standard deviation of 10 / 400.
    assert image.mean() == pytest.approx(0.25, abs=4 * 0.025 / np.sqrt(image.size))
    assert image.std() == pytest.approx(0.025, rel=0.02)


def test_scatter_adds_what_the_part_took():
    wide = np.full((64, 64), 0.2, np.float32)

    class Even:
        scanner = SCANNER

        def signal(self, pose, *, samples):
            return wide

    found = Exposure(scatter=0.1, detector_blur_px=0, focal_spot_mm=0).expected(Even(), POSE)
    # 0.2 pass, a tenth of 0.8 comes back.
    np.testing.assert_allclose(found, 0.28, rtol=1e-5)


def test_gain_and_dead_pixels_are_as_given():
    light = np.full((200, 200), 0.5, np.float32)
    exposure = Exposure(photons=1e8, gain=0.02, dead=0.01)
    image = exposure.render(np.random.default_rng(2), light) / exposure.open_value
    dead = image == 0
    assert dead.mean() == pytest.approx(0.01, abs=0.003)
    assert (image[~dead] / 0.5).std() == pytest.approx(0.02, rel=0.05)


@pytest.mark.parametrize(("bits", "dtype", "most"), [(8, np.uint8, 255), (16, np.uint16, 65535)])
def test_levels_end_where_the_detector_does(bits, dtype, most):
    exposure = Exposure(bits=bits, open_level=0.8)
    image = exposure.render(np.random.default_rng(0), np.full((4, 4), 2.0, np.float32))
    assert image.dtype == dtype
    assert (image == most).all()
    assert exposure.open_value == pytest.approx(0.8 * most)


def test_an_image_follows_from_its_seed():
    one, same, other = (
        IDEAL.render(np.random.default_rng(seed), IDEAL.expected(SETUP, POSE)) for seed in (3, 3, 4)
    )
    np.testing.assert_array_equal(one, same)
    assert (one != other).any()


@pytest.mark.parametrize("changes", [{"bits": 12}, {"photons": 0}, {"dead": 1.0}, {"scatter": -1}])
def test_what_no_detector_does_is_refused(changes):
    with pytest.raises(pydantic.ValidationError):
        Exposure(**changes)


@pytest.mark.parametrize("sigma", [0.5, 3.0, 20.0])
def test_blur_keeps_the_light_and_spreads_it(sigma):
    image = np.zeros((241, 261), np.float32)
    image[120, 130] = 1.0
    found = blurred(image, sigma).astype(float)
    assert found.sum() == pytest.approx(1, rel=0.01)
    rows = np.arange(241) - 120
    # A kernel of a few pixels is not as wide as the Gaussian that it samples.
    assert (found.sum(axis=1) * rows**2).sum() == pytest.approx(sigma**2, rel=0.15)
    both = blurred(np.stack([image, image]), sigma)
    np.testing.assert_array_equal(both[1], blurred(image, sigma))


def test_no_blur_changes_nothing():
    image = np.arange(12, dtype=np.float32).reshape(3, 4)
    assert blurred(image, 0.0) is image
