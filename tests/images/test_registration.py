import os
import subprocess
import sys
from pathlib import Path

import cv2
import numpy as np
import pytest

from inspection_tf import errors, images
from inspection_tf.images import geometry, registration

FINE = 8  # subpixels a pixel, from which pictures are averaged: their shifts are exact
SIZE = (121, 155)
MARGIN = 24  # px beyond the picture, which a shift brings in
METHODS = ("phase", "ecc_translation", "ecc_euclidean", "ecc_affine")


def texture(size=SIZE, seed=0):
    """Cloudy gray of the size and a margin, FINE times as fine."""
    height, width = (side + 2 * MARGIN for side in size)
    clouds = np.random.default_rng(seed).normal(size=(height, width)).astype(np.float32)
    clouds = cv2.GaussianBlur(clouds, (0, 0), 1.5)
    fine = cv2.resize(clouds, (width * FINE, height * FINE), interpolation=cv2.INTER_CUBIC)
    return np.clip(128 + 250 * fine, 0, 255)


def traces(size=SIZE, seed=0):
    """Black traces and pads on white."""
    height, width = ((side + 2 * MARGIN) * FINE for side in size)
    fine = np.full((height, width), 255, np.float32)
    rng = np.random.default_rng(seed)
    for number in range(12):
        x, y = int(rng.integers(0, width)), int(rng.integers(0, height))
        length, breadth = int(rng.integers(30, 90)) * FINE, int(rng.integers(4, 9)) * FINE
        across, down = (length, breadth) if number % 2 else (breadth, length)
        fine[y : y + down, x : x + across] = 0
        cv2.circle(fine, (x, y), breadth, 0, -1)
    return fine


def lay(fine, matrix, size=SIZE):
    """Photograph a fine picture that a matrix (3, 3) has moved, px."""
    height, width = size
    to_fine = np.array([[FINE, 0, (FINE - 1) / 2], [0, FINE, (FINE - 1) / 2], [0, 0, 1]])
    margin = np.array([[1, 0, MARGIN], [0, 1, MARGIN], [0, 0, 1]])
    back = to_fine @ margin @ np.linalg.inv(matrix) @ np.linalg.inv(to_fine)
    moved = cv2.warpAffine(
        fine.astype(np.float32),
        back[:2],
        (width * FINE, height * FINE),
        flags=cv2.INTER_LINEAR | cv2.WARP_INVERSE_MAP,
    )
    return np.rint(cv2.resize(moved, (width, height), interpolation=cv2.INTER_AREA)).astype(
        np.uint8
    )


def moved(x, y, *, degrees=0.0, size=SIZE):
    """Matrix of a turn around the middle, then a shift."""
    turn = np.eye(3)
    turn[:2] = cv2.getRotationMatrix2D(((size[1] - 1) / 2, (size[0] - 1) / 2), degrees, 1.0)
    turn[:2, 2] += x, y
    return turn


def error_px(found, true, size=SIZE):
    """Farthest that one matrix sends a corner from where the other does."""
    corners = np.array([[0, 0], [size[1] - 1, 0], [0, size[0] - 1], [size[1] - 1, size[0] - 1]])
    steps = geometry.transform_points(corners, found) - geometry.transform_points(corners, true)
    return np.linalg.norm(steps, axis=1).max()


def align(template, image, method="phase", **fields):
    return registration.align(template, image, registration.AlignSpec(method=method, **fields))


@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize("draw", [texture, traces])
@pytest.mark.parametrize("shift", [(0.5, 0.5), (3.0, 0.0), (-2.3, 1.6), (9.6, -10.2)])
def test_a_shift_is_found_to_a_tenth_of_a_pixel(draw, shift, method):
    fine = draw()
    true = moved(*shift)
    found = align(lay(fine, np.eye(3)), lay(fine, true), method)
    assert found.is_aligned
    assert found.response > 0.9
    assert found.shift_xy == pytest.approx(shift, abs=0.1)
    if method != "ecc_affine":  # six numbers from a dozen edges: the corners are less sure
        assert error_px(found.matrix, true) < 0.15


@pytest.mark.parametrize("method", ["ecc_euclidean", "ecc_affine"])
@pytest.mark.parametrize(("draw", "degrees"), [(texture, 1.0), (texture, -2.0), (traces, 1.0)])
def test_a_turn_is_found(draw, degrees, method):
    fine = draw(seed=1)
    true = moved(1.5, -0.7, degrees=degrees)
    found = align(lay(fine, np.eye(3)), lay(fine, true), method)
    assert found.shift_xy == pytest.approx((1.5, -0.7), abs=0.1)
    assert error_px(found.matrix, true) < 0.2


def test_affine_finds_a_stretch():
    fine = texture(seed=2)
    true = np.array([[1.01, 0.004, -0.6], [0.0, 0.99, 0.9], [0.0, 0.0, 1.0]])
    found = align(lay(fine, np.eye(3)), lay(fine, true), "ecc_affine")
    assert error_px(found.matrix, true) < 0.1


@pytest.mark.parametrize("method", METHODS[:3])
@pytest.mark.parametrize("draw", [texture, traces])
def test_a_defect_does_not_pull_the_template(draw, method):
    fine = draw(seed=3)
    image = lay(fine, moved(3.4, -2.2))
    cv2.circle(image, (50, 40), 8, 0, -1)
    cv2.circle(image, (90, 80), 6, 255, -1)
    found = align(lay(fine, np.eye(3)), image, method)
    assert found.shift_xy == pytest.approx((3.4, -2.2), abs=0.1)


def test_binary_pictures_are_aligned_too():
    fine = traces(seed=4)
    template, image = lay(fine, np.eye(3)), lay(fine, moved(3, -4))
    template, image = (
        np.where(part > 127, np.uint8(255), np.uint8(0)) for part in (template, image)
    )
    found = align(template, image)
    assert found.shift_xy == (3.0, -4.0)
    assert set(np.unique(found.template)) == {0, 255}


def test_a_whole_shift_copies_pixels_and_repeats_the_border():
    image = np.random.default_rng(5).integers(0, 256, (40, 51), dtype=np.uint8)
    template = np.roll(image, (-2, 3), axis=(0, 1))
    found = align(template, image)
    np.testing.assert_array_equal(found.matrix, [[1, 0, -3], [0, 1, 2], [0, 0, 1]])
    np.testing.assert_array_equal(found.template[2:, :-3], image[2:, :-3])
    np.testing.assert_array_equal(found.template[0, :-3], template[0, 3:])  # row -2 is row 0
    np.testing.assert_array_equal(found.template[2:, -1], template[:-2, -1])


@pytest.mark.parametrize("method", METHODS)
def test_a_template_that_lies_well_is_returned_as_it_is(method):
    image = lay(texture(seed=6), np.eye(3))
    template = image.copy()
    found = align(template, image, method)
    assert found.is_aligned
    assert found.response == pytest.approx(1)
    assert error_px(found.matrix, np.eye(3)) < 0.01
    if method in ("phase", "ecc_translation"):
        assert found.template is template


@pytest.mark.parametrize("size", [(61, 83), (37, 128), (97, 97)])
def test_odd_sizes_are_aligned(size):
    fine = texture(size, seed=7)
    found = align(lay(fine, np.eye(3), size), lay(fine, moved(2.5, -1.25), size))
    assert found.shift_xy == pytest.approx((2.5, -1.25), abs=0.1)
    assert found.template.shape == size


@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize("size", [(1, 1), (5, 60), (60, 80)])
def test_nothing_to_see_leaves_the_template_as_it_was(size, method):
    blank = np.full(size, 90, np.uint8)
    noisy = np.random.default_rng(8).integers(0, 256, size, dtype=np.uint8)
    for template, image in ((blank, blank), (blank, noisy), (noisy, blank)):
        found = align(template, image, method)
        assert found.template is template
        np.testing.assert_array_equal(found.matrix, np.eye(3))
        assert found.reason == "image or template is featureless"


@pytest.mark.parametrize("method", METHODS)
def test_a_template_of_something_else_is_left_as_it_was(method):
    template, image = lay(texture(seed=9), np.eye(3)), lay(texture(seed=10), np.eye(3))
    found = align(template, image, method)
    assert not found.is_aligned
    assert found.template is template
    assert "under 0.5" in found.reason


def test_a_shift_over_the_limit_is_not_made():
    fine = texture(seed=11)
    template, image = lay(fine, np.eye(3)), lay(fine, moved(8, 0))
    assert align(template, image).shift_xy == pytest.approx((8, 0), abs=0.1)
    found = align(template, image, max_shift_px=4)
    assert found.template is template
    assert not found.is_aligned


def test_a_straight_edge_is_not_moved_along_itself():
    image = np.where(np.arange(64)[:, None] < 30, 20, 200).repeat(80, 1).astype(np.uint8)
    template = np.roll(image, 3, axis=0)
    template[:3] = 20
    found = align(template, image)
    assert found.shift_xy == pytest.approx((0, -3), abs=0.1)


def test_depth_and_channels_may_differ():
    fine = texture(seed=12)
    template, image = lay(fine, np.eye(3)), lay(fine, moved(3.0, -1.5))
    for first in (template.astype(np.uint16) * 16, np.dstack([template] * 3)):
        for second in (image.astype(np.uint16) * 257, np.dstack([image] * 3)):
            found = align(first, second)
            assert found.shift_xy == pytest.approx((3.0, -1.5), abs=0.1)
            assert (found.template.dtype, found.template.shape) == (first.dtype, first.shape)


def test_none_moves_nothing():
    template, image = lay(texture(), np.eye(3)), lay(texture(), moved(3, 0))
    found = align(template, image, "none")
    assert found.template is template
    assert found.reason == "method none"


def test_the_same_pair_gives_the_same_pixels():
    fine = texture(seed=13)
    template, image = lay(fine, np.eye(3)), lay(fine, moved(1.3, -0.6, degrees=0.5))
    for method in METHODS:
        first, *others = (align(template, image, method).template for _ in range(4))
        assert all(np.array_equal(first, other) for other in others)


def test_a_template_of_another_size_is_refused():
    with pytest.raises(errors.ImageError, match=r"must be 10 x 20 px.*another size, 10 x 21"):
        align(np.zeros((10, 21), np.uint8), np.zeros((10, 20), np.uint8))


def test_an_array_that_is_no_image_is_refused():
    with pytest.raises(errors.ImageError, match="must be uint8 or uint16"):
        align(np.zeros((10, 20), np.float32), np.zeros((10, 20), np.uint8))


def test_prepare_aligns_on_source_pixels_and_makes_both_inputs():
    fine = texture(seed=14)
    template, image = lay(fine, np.eye(3)), lay(fine, moved(4, 2))
    preprocessing = images.Preprocessing(size=(64, 64), fit="letterbox")
    spec = registration.AlignSpec()
    first, second, placement = registration.prepare(image, template, preprocessing, spec)
    aligned = align(template, image).template
    np.testing.assert_array_equal(first, images.preprocess(image, preprocessing)[0])
    laid = images.preprocess(aligned, preprocessing)[0]
    inner = np.s_[8:-8, 8:-8]  # the rim is that of the letterbox and what the template left
    np.testing.assert_array_equal(second[inner], laid[inner])
    assert first.shape == second.shape == (64, 64, 1)
    assert placement == images.placement(SIZE, preprocessing)


@pytest.mark.parametrize("channels", ["gray", "rgb"])
def test_where_the_template_left_the_border_there_is_no_difference(channels):
    fine = texture(seed=15)
    image = lay(fine, np.eye(3))
    # The camera stood 6 px farther right and 3 px farther down: there the template ends earlier.
    template = np.roll(image, (-3, -6), axis=(0, 1))
    template[-3:] = 255
    template[:, -6:] = 255
    preprocessing = images.Preprocessing(size=image.shape[:2], channels=channels, fit="exact")
    spec = registration.AlignSpec()
    first, second, _ = registration.prepare(image, template, preprocessing, spec)
    assert align(template, image).shift_xy == pytest.approx((6, 3))
    np.testing.assert_array_equal(second[:3], first[:3])
    np.testing.assert_array_equal(second[:, :6], first[:, :6])
    np.testing.assert_array_equal(second[3:, 6:], first[3:, 6:])
    # Not so where the template was left as it was: what differs is seen up to the border.
    _, left, _ = registration.prepare(
        image, template, preprocessing, registration.AlignSpec(method="none")
    )
    np.testing.assert_array_equal(left, images.preprocess(template, preprocessing)[0])


def test_a_pair_of_16_bit_is_windowed_after_it_was_aligned():
    fine = texture(seed=16)
    image, template = (lay(fine, matrix) for matrix in (np.eye(3), moved(3, 2)))
    deep = [picture.astype(np.uint16) * 16 for picture in (image, template)]
    spec = registration.AlignSpec()
    windowed = images.Preprocessing(size=image.shape[:2], fit="exact", window=(0, 16 * 255))
    plain = images.Preprocessing(size=image.shape[:2], fit="exact")
    assert align(deep[1], deep[0]).template is not deep[1]
    found = registration.prepare(*deep, windowed, spec)
    expected = registration.prepare(image, template, plain, spec)
    for one, other in zip(found[:2], expected[:2], strict=True):
        np.testing.assert_allclose(one.astype(int), other, atol=1)


def test_importing_it_costs_no_scipy():
    code = "import sys, inspection_tf.images.registration; print('scipy' in sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "False"


@pytest.mark.skipif(
    "INSPECTION_DATA" not in os.environ,
    reason="needs INSPECTION_DATA, the folder of the real data sets",
)
def test_a_real_template_lies_on_its_board():
    folder = Path(os.environ["INSPECTION_DATA"]) / "deeppcb" / "group13000"
    image, template = (images.read(folder / f"13000014_{name}.jpg") for name in ("test", "temp"))
    found = align(template, image)
    assert found.is_aligned
    assert found.shift_xy[0] == pytest.approx(-7, abs=0.5)

    def difference(shown):
        return np.abs(images.to_gray(shown).astype(float) - images.to_gray(image)).mean()

    assert difference(found.template) < difference(template) / 4
