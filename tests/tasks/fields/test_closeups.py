import numpy as np
import pytest

from inspection_tf import errors
from inspection_tf.tasks.fields import closeups

SQUARE = np.array([[20.0, 30.0], [60.0, 30.0], [60.0, 50.0], [20.0, 50.0]])


def spec(size_px=9, span=9 / 800**0.5):
    return closeups.CloseupSpec(size_px=size_px, span=span)


def test_a_close_up_lies_around_its_corner_with_the_field_to_its_lower_right():
    # span * sqrt(40 * 20) / 9 px = 1 px of the photo for one of the close-up; its middle is (4, 4).
    frames = closeups.frames(SQUARE, spec())
    np.testing.assert_allclose(closeups.to_photo(np.full((4, 2), 4.0), frames), SQUARE)
    # One to the right and two down in a close-up is one along and two across into the field.
    inside = closeups.to_photo(np.full((4, 2), 4.0) + np.array([1, 2]), frames)
    np.testing.assert_allclose(inside - SQUARE, [[1, 2], [-1, 2], [-1, -2], [1, -2]])


def test_points_come_back_from_where_they_were_sent():
    corners = np.array([[10.3, 12.1], [80.2, 20.4], [71.0, 61.5], [14.9, 47.2]])
    frames = closeups.frames(corners, spec(span=0.4))
    points = np.random.default_rng(0).uniform(0, 8, (4, 2))
    back = closeups.from_photo(closeups.to_photo(points, frames), frames)
    np.testing.assert_allclose(back, points, atol=1e-9)


def test_pixels_are_those_of_the_photo():
    image = np.random.default_rng(1).integers(0, 256, (90, 100), dtype=np.uint8)
    seen = closeups.cut(image, closeups.frames(SQUARE, spec()), spec())
    assert seen.shape == (4, 9, 9, 1)
    np.testing.assert_array_equal(seen[0, ..., 0], image[26:35, 16:25])
    np.testing.assert_array_equal(seen[1, ..., 0], image[26:35, 56:65][:, ::-1])
    np.testing.assert_array_equal(seen[2, ..., 0], image[46:55, 56:65][::-1, ::-1])
    np.testing.assert_array_equal(seen[3, ..., 0], image[46:55, 16:25][::-1])


def test_beyond_the_border_the_outermost_pixels_are_repeated():
    image = np.full((40, 50, 3), 7, np.uint8)
    image[:, 0] = 200
    at_border = np.array([[-0.5, 5.0], [30.0, 5.0], [30.0, 25.0], [-0.5, 25.0]])
    seen = closeups.cut(image, closeups.frames(at_border, spec()), spec())
    assert (seen[0, :, 0] == 200).all()


def test_a_large_photo_is_averaged_not_sampled():
    # Stripes of one pixel: sampled they would be black or white, averaged they are grey.
    image = np.zeros((400, 400), np.uint8)
    image[:, ::2] = 255
    corners = np.array([[50.0, 50.0], [350.0, 50.0], [350.0, 350.0], [50.0, 350.0]])
    wide = spec(size_px=10, span=0.4)  # 12 px of the photo for one of the close-up
    seen = closeups.cut(image, closeups.frames(corners, wide), wide)
    assert abs(seen.astype(int) - 127).max() <= 2


def test_a_feature_of_a_large_photo_stays_in_its_place():
    image = np.zeros((400, 400), np.uint8)
    image[150:, 100:] = 255  # its corner, between pixels, at (99.5, 149.5)
    corners = np.array([[99.5, 149.5], [339.5, 149.5], [339.5, 389.5], [99.5, 389.5]])
    wide = spec(size_px=16, span=0.4)  # 6 px for one
    seen = closeups.cut(image, closeups.frames(corners, wide), wide)[0, ..., 0].astype(float)
    # The share of a row beyond the corner that is bright tells where the step is: in the middle.
    assert (255 - seen[12]).sum() / 255 - 0.5 == pytest.approx(7.5, abs=0.1)
    assert (255 - seen[:, 12]).sum() / 255 - 0.5 == pytest.approx(7.5, abs=0.1)


@pytest.mark.parametrize(
    "corners", [SQUARE[[0, 2, 1, 3]], np.repeat(SQUARE[:1], 4, axis=0), SQUARE * [1, 0]]
)
def test_corners_without_an_area_have_no_close_up(corners):
    with pytest.raises(errors.DataError, match="convex quadrilateral"):
        closeups.frames(corners, spec())


def test_corners_that_are_not_finite_have_no_close_up():
    with pytest.raises(errors.DataError, match="finite"):
        closeups.frames(SQUARE * np.nan, spec())
