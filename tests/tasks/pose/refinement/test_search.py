import dataclasses

import numpy as np
import pytest
from pose_images import FREE, KNOWN, drawn, near, off
from xray_parts import IDEAL, MU, POSE, SCANNER, SETUP, image

from inspection_tf import errors
from inspection_tf.projection import (
    Assembly,
    Body,
    Box,
    Exposure,
    Pose,
    Setup,
    Spectrum,
    Volume,
    pose_limit,
)
from inspection_tf.tasks.pose.refinement import refine

NEAR = near(POSE, np.random.default_rng(1))


def bound(pose, photons=1e4, setup=SETUP, blur_px=0.5):
    return np.array(dataclasses.astuple(pose_limit(setup, pose, photons, blur_px=blur_px)))


def test_a_pose_is_found_to_what_photons_allow():
    rng = np.random.default_rng(7)
    shares, stated = [], []
    for truth, pixels in drawn(6, seed=7, samples=55):
        found = refine(pixels, SETUP, [near(truth, rng)], KNOWN)
        shares.append(off(found.fit.pose, truth) / bound(truth))
        stated.append(dataclasses.astuple(found.fit.deviations) / bound(truth))
    # 36 numbers that should have a mean square of 1: within four standard deviations of it.
    assert np.mean(np.square(shares)) == pytest.approx(1, abs=4 * np.sqrt(2 / 36))
    assert np.mean(stated) == pytest.approx(1, abs=0.15)


def test_spectrum_scatter_and_blur_need_not_be_known():
    # Harder light, scatter, and a wider source than the model has.
    other = Setup(
        SETUP.part,
        SCANNER,
        Spectrum(SETUP.spectrum.energies, np.array([0.1, 0.4, 0.5])),
        MU,
    )
    exposure = Exposure(focal_spot_mm=2.5, scatter=0.12, scatter_px=20.0)
    rng = np.random.default_rng(8)
    free, fixed = [], []
    for truth, pixels in drawn(4, seed=8, setup=other, exposure=exposure):
        start = near(truth, rng)
        free.append(off(refine(pixels, SETUP, [start], FREE).fit.pose, truth))
        fixed.append(off(refine(pixels, SETUP, [start], KNOWN).fit.pose, truth))
    assert np.abs(free)[:, :3].mean() < 0.04
    assert np.abs(fixed)[:, :3].mean() > 2 * np.abs(free)[:, :3].mean()


def test_the_right_one_of_several_starts_wins():
    twin = dataclasses.replace(POSE, phi=180 - POSE.phi)
    found = refine(image(POSE), SETUP, [twin, NEAR], KNOWN)
    assert np.abs(off(found.fit.pose, POSE)[:3]).max() < 0.1
    assert found.margin > 1000


def test_starts_beyond_the_number_of_starts_are_left_out():
    twin = dataclasses.replace(POSE, phi=180 - POSE.phi)
    one = KNOWN.model_copy(update={"starts": 1})
    found = refine(image(POSE), SETUP, [twin, NEAR], one)
    assert np.abs(off(found.fit.pose, POSE)[:3]).max() > 1
    assert found.margin == np.inf


def test_two_poses_of_a_symmetric_part_fit_alike():
    block = dataclasses.replace(SETUP, part=Assembly([Body(Box(30.0, 20.0, 14.0), "aluminium")]))
    truth = Pose(40.0, 3.0, 2.0)
    # Half a turn about its own vertical axis changes nothing.
    turned = Pose.of(truth.rotation @ Pose(phi=180).rotation)
    found = refine(image(truth, setup=block), block, [truth, turned], KNOWN)
    assert found.margin < 25


def test_dead_and_hot_pixels_change_nothing():
    pixels = image(POSE)
    rng = np.random.default_rng(3)
    broken = pixels.copy()
    dead = rng.random(pixels.shape) < 0.004
    broken[dead] = np.where(rng.random(dead.sum()) < 0.5, 0, 65535)
    whole, mended = (refine(p, SETUP, [NEAR], KNOWN) for p in (pixels, broken))
    deviations = np.array(dataclasses.astuple(whole.fit.deviations))
    assert (np.abs(off(mended.fit.pose, whole.fit.pose)) < deviations).all()
    assert mended.left_out == pytest.approx(dead.mean(), abs=0.001)


def test_a_hole_that_should_not_be_there_does_not_pull_the_part():
    drilled = Assembly([*SETUP.part.bodies, Body(Box(1.5, 1.5, 60.0), None, Pose(x=5.0, y=-6.0))])
    pixels = image(POSE, setup=dataclasses.replace(SETUP, part=drilled))
    found = refine(pixels, SETUP, [NEAR], KNOWN)
    assert np.abs(off(found.fit.pose, POSE)[:3]).max() < 0.1
    assert found.left_out > 0


@pytest.mark.parametrize("size", [(95, 113), (97, 111), (130, 99)])
def test_any_size_of_image_works(size):
    scanner = SCANNER.model_copy(update={"size": size})
    setup = dataclasses.replace(SETUP, scanner=scanner)
    found = refine(image(POSE, setup=setup), setup, [NEAR], KNOWN)
    assert (np.abs(off(found.fit.pose, POSE)) < 5 * bound(POSE, setup=setup)).all()


def test_eight_bits_say_less_than_sixteen():
    exposure = IDEAL.model_copy(update={"bits": 8, "photons": 1e5})
    spec = KNOWN.model_copy(update={"photons": 1e5, "open_value": exposure.open_value})
    found = refine(image(POSE, exposure=exposure), SETUP, [NEAR], spec)
    deviations = np.array(dataclasses.astuple(found.fit.deviations))
    assert (deviations > 1.1 * bound(POSE, 1e5)).all()
    assert found.fit.chi2 == pytest.approx(1, abs=0.1)


def test_a_parallel_beam_leaves_the_depth_as_it_was():
    parallel = dataclasses.replace(
        SETUP, scanner=SCANNER.model_copy(update={"beam": "parallel", "pixel_mm": 0.56})
    )
    start = dataclasses.replace(NEAR, z=POSE.z)
    found = refine(image(POSE, setup=parallel), parallel, [start], KNOWN)
    assert found.fit.deviations.z == np.inf
    error = np.abs(off(found.fit.pose, POSE))
    assert (error[:5] < 5 * bound(POSE, setup=parallel)[:5]).all()


def test_what_may_not_move_stays():
    spec = KNOWN.model_copy(update={"moves": ("turn_y", "x")})
    start = dataclasses.replace(POSE, phi=POSE.phi + 2, x=POSE.x + 0.5)
    found = refine(image(POSE), SETUP, [start], spec).fit
    kept = off(found.pose, start)[[1, 2, 4, 5]]
    np.testing.assert_allclose(kept, 0, atol=1e-9)
    assert found.deviations.y == 0
    moved = off(found.pose, POSE)[[0, 3]]
    assert (np.abs(moved) < 5 * bound(POSE)[[0, 3]]).all()


def test_a_volume_is_refined_too():
    rng = np.random.default_rng(0)
    values = np.zeros((24, 20, 28), np.float32)
    values[4:20, 3:16, 5:22] = 0.03
    values[8:12, 5:9, 8:13] = 0.0
    values[12:18, 10:14, 14:19] = 0.08
    setup = dataclasses.replace(
        SETUP,
        part=Volume(values, 1.5, "scan"),
        mu={"scan": np.array([1.4, 1.0, 0.7])},
        scanner=SCANNER.model_copy(update={"size": (64, 72), "pixel_mm": 1.2}),
    )
    found = refine(image(POSE, setup=setup, samples=1), setup, [near(POSE, rng)], KNOWN)
    assert (np.abs(off(found.fit.pose, POSE)) < 5 * bound(POSE, setup=setup)).all()


def test_an_image_of_another_size_is_refused():
    with pytest.raises(errors.DataError, match="image of"):
        refine(np.zeros((5, 5), np.uint16), SETUP, [POSE], KNOWN)
    with pytest.raises(errors.DataError, match="0 poses"):
        refine(image(POSE), SETUP, [], KNOWN)
    with pytest.raises(errors.DataError, match="uint8 or uint16"):
        refine(image(POSE).astype(float), SETUP, [POSE], KNOWN)


def test_starts_in_the_source_are_passed_over():
    inside = dataclasses.replace(POSE, z=-415.0)
    found = refine(image(POSE), SETUP, [inside, NEAR], KNOWN)
    assert np.abs(off(found.fit.pose, POSE)[:3]).max() < 0.1
    with pytest.raises(errors.DataError, match="between the source"):
        refine(image(POSE), SETUP, [inside], KNOWN)


@pytest.mark.slow
def test_the_bound_is_the_spread_of_many_refinements():
    rng = np.random.default_rng(11)
    found = []
    for index in range(200):
        pixels = image(POSE, seed=[5, index])
        found.append(off(refine(pixels, SETUP, [near(POSE, rng, 0.5, 0.2)], KNOWN).fit.pose, POSE))
    spread = np.sqrt(np.mean(np.square(found), axis=0))
    np.testing.assert_allclose(spread, bound(POSE), rtol=0.15)


def test_a_motion_that_no_image_shows_is_refused():
    parallel = dataclasses.replace(
        SETUP, scanner=SCANNER.model_copy(update={"beam": "parallel", "pixel_mm": 0.56})
    )
    with pytest.raises(errors.DataError, match="motion that an image shows"):
        refine(
            image(POSE, setup=parallel, samples=5),
            parallel,
            [POSE],
            KNOWN.model_copy(update={"moves": ("z",)}),
        )
