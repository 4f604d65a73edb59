import numpy as np
import pytest

from inspection_tf import errors
from inspection_tf.images import geometry

SQUARE = np.array([[0.0, 0.0], [2.0, 0.0], [2.0, 2.0], [0.0, 2.0]])


def test_a_homography_sends_each_point_to_its_own():
    target = np.array([[10.0, 3.0], [50.5, 8.0], [44.0, 40.25], [2.0, 31.0]])
    matrix = geometry.homography(SQUARE, target)
    np.testing.assert_allclose(geometry.transform_points(SQUARE, matrix), target, atol=1e-10)


def test_a_homography_keeps_where_diagonals_cross():
    # A straight line stays straight: the middle of the square is where the diagonals cross.
    target = np.array([[0.0, 0.0], [6.0, 0.0], [4.0, 4.0], [2.0, 4.0]])
    (x, y) = geometry.transform_points([[1.0, 1.0]], geometry.homography(SQUARE, target))[0]
    # (0, 0) + t (4, 4) = (6, 0) + s (-4, 4): t = s and 4 t = 6 - 4 t, t = 3 / 4
    assert (x, y) == pytest.approx((3.0, 3.0))


def test_points_on_one_line_have_no_homography():
    line = np.array([[0.0, 0.0], [1.0, 1.0], [2.0, 2.0], [0.0, 5.0]])
    with pytest.raises(errors.DataError, match="no three lie on one line"):
        geometry.homography(line, SQUARE)


@pytest.mark.parametrize("corners", [np.zeros((3, 2)), np.full((4, 2), np.nan)])
def test_corners_are_four_finite_points(corners):
    with pytest.raises(errors.DataError, match="four finite"):
        geometry.check_corners(corners)


@pytest.mark.parametrize(
    ("order", "convex", "sign"),
    [([0, 1, 2, 3], True, 1), ([3, 2, 1, 0], True, -1), ([0, 2, 1, 3], False, 0)],
)
def test_the_order_of_corners_tells_convex_mirrored_and_crossed(order, convex, sign):
    corners = SQUARE[order]
    assert geometry.is_convex(corners) == convex
    # Sides of length 2 at right angles: the product is 4.
    found = geometry.turns(corners)
    assert found.tolist() == [4.0 * sign] * 4 if sign else set(np.sign(found)) == {-1, 1}


def test_a_hollow_quadrilateral_is_not_convex():
    assert not geometry.is_convex([[0, 0], [4, 0], [1, 1], [0, 4]])
    assert not geometry.is_convex([[0, 0], [1, 0], [2, 0], [3, 0]])


def test_the_overlap_by_hand():
    # Shifted by 1 of 2: they share 1 x 2 of 2 x 2 + 2 x 2 - 1 x 2 = 6.
    assert geometry.quadrilateral_iou(SQUARE, SQUARE + np.array([1, 0])) == pytest.approx(1 / 3)
    assert geometry.quadrilateral_iou(SQUARE, SQUARE) == pytest.approx(1)
    assert geometry.quadrilateral_iou(SQUARE, SQUARE + np.array([2.5, 0])) == 0


def test_the_overlap_is_exact_far_from_the_origin():
    far = SQUARE + 90_000.25
    assert geometry.quadrilateral_iou(far, far + np.array([1, 0])) == pytest.approx(1 / 3)


def test_a_crossed_quadrilateral_overlaps_nothing():
    assert geometry.quadrilateral_iou(SQUARE[[0, 2, 1, 3]], SQUARE) == 0


def test_the_area_by_hand():
    # A trapezium: (4 + 2) / 2 * 3
    assert geometry.area([[0, 0], [4, 0], [3, 3], [1, 3]]) == pytest.approx(9)
