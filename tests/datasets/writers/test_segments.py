"""What was found, piece by piece: pixels, and outlines along the borders of pixels."""

import numpy as np
import pytest

from inspection_tf.datasets.writers import segments


def inside(points, size):
    """Return which centres of pixels lie inside a polygon, by counting crossings of a ray."""
    y, x = np.mgrid[: size[0], : size[1]] + 0.5
    found = np.zeros(size, bool)
    for (x0, y0), (x1, y1) in zip(points, np.roll(points, -1, axis=0), strict=True):
        crosses = (y0 > y) != (y1 > y)
        with np.errstate(divide="ignore", invalid="ignore"):
            found ^= crosses & (x < x0 + (y - y0) * (x1 - x0) / (y1 - y0))
    return found


def test_a_rectangle_is_outlined_along_its_borders():
    pixels = np.zeros((4, 6), bool)
    pixels[1:3, 2:5] = True  # rows 1 and 2, columns 2 to 4: from (2, 1) to (5, 3)
    corners = {tuple(point) for point in segments.outline(pixels).tolist()}
    assert corners == {(2.0, 1.0), (5.0, 1.0), (5.0, 3.0), (2.0, 3.0)}
    assert segments.area_px(segments.outline(pixels)) == 6.0  # 2 x 3


@pytest.mark.parametrize("shape", [(1, 1), (1, 5), (3, 1)])
def test_a_piece_as_thin_as_a_pixel_has_an_area(shape):
    points = segments.outline(np.ones(shape, bool))
    assert len(points) == 4
    assert segments.area_px(points) == shape[0] * shape[1]


def test_a_hollow_corner_is_a_corner():
    pixels = np.array([[1, 0], [1, 1]], bool)  # an L: 6 corners, 3 px
    points = segments.outline(pixels)
    assert sorted(map(tuple, points.tolist())) == [
        (0.0, 0.0), (0.0, 2.0), (1.0, 0.0), (1.0, 1.0), (2.0, 1.0), (2.0, 2.0),
    ]  # fmt: skip
    assert segments.area_px(points) == 3.0


def test_pixels_that_touch_at_a_corner_are_one_piece():
    pixels = np.eye(3, dtype=bool)
    assert segments.area_px(segments.outline(pixels)) == 3.0
    np.testing.assert_array_equal(inside(segments.outline(pixels), (3, 3)), pixels)


def test_a_hole_is_inside_the_outline():
    pixels = np.ones((3, 3), bool)
    pixels[1, 1] = False
    assert segments.area_px(segments.outline(pixels)) == 9.0


def test_any_piece_is_read_back_from_its_outline():
    import cv2

    rng = np.random.default_rng(0)
    for size in ((7, 5), (13, 29), (31, 17)):
        noise = (rng.random(size) < 0.55).astype(np.uint8)
        count, labels = cv2.connectedComponents(noise, connectivity=8)
        for number in range(1, count):
            pixels = labels == number
            # Holes: what is not reached from outside by steps along rows and columns.
            around = np.pad(~pixels, 1).astype(np.uint8)
            around[[0, -1]], around[:, [0, -1]] = 1, 1
            _, outer = cv2.connectedComponents(around, connectivity=4)
            filled = ~(outer == outer[0, 0])[1:-1, 1:-1]
            np.testing.assert_array_equal(inside(segments.outline(pixels), size), filled)


def test_an_outline_of_fewer_points_is_near_and_never_a_line():
    slope = np.tri(40, dtype=bool)
    points = segments.outline(slope)
    fewer = segments.simplified(points, within_px=0.75)
    assert len(fewer) < 6 < len(points)
    # A triangle of 40 x 40 / 2 px and half a pixel more for each of its 40 steps.
    assert segments.area_px(points) == 820.0
    assert abs(segments.area_px(fewer) - 820) < 0.75 * 40 * np.sqrt(2)
    one = segments.outline(np.ones((1, 1), bool))
    np.testing.assert_array_equal(segments.simplified(one, within_px=0.75), one)
