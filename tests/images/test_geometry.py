import numpy as np
import pytest

from inspection_tf import errors
from inspection_tf.images import geometry


def test_resizing_moves_border_to_border_and_not_centre_to_centre():
    scale_xy, offset_xy = geometry.resize_scale_offset((3, 5), (9, 10))

    # x: 10 / 5 = 2, offset 0.5 * 2 - 0.5; y: 9 / 3 = 3, offset 0.5 * 3 - 0.5
    assert scale_xy == (2.0, 3.0)
    assert offset_xy == (0.5, 1.0)
    # The left border -0.5 stays at -0.5; the right border 4.5 goes to 9.5.
    assert [x * scale_xy[0] + offset_xy[0] for x in (-0.5, 4.5)] == [-0.5, 9.5]


def test_points_follow_scale_and_offset():
    matrix = geometry.scale_offset_matrix((2.0, 3.0), (0.5, 1.0))

    # (1, 2) -> (1*2 + 0.5, 2*3 + 1)
    np.testing.assert_array_equal(geometry.transform_points([[1, 2]], matrix), [[2.5, 7.0]])


def test_a_homography_divides_by_the_last_coordinate():
    matrix = np.array([[1.0, 0.0, 0.0], [0.0, 1.0, 0.0], [1.0, 0.0, 1.0]])

    # (1, 4) -> (1, 4, 1*1 + 1) -> (0.5, 2)
    np.testing.assert_array_equal(geometry.transform_points([[1, 4]], matrix), [[0.5, 2.0]])


def test_no_points_stay_no_points():
    assert geometry.transform_points(np.empty((0, 2)), np.eye(3)).shape == (0, 2)


@pytest.mark.parametrize("points", [[1.0, 2.0], [[1.0, 2.0, 3.0]]])
def test_points_of_another_shape_are_refused(points):
    with pytest.raises(errors.DataError, match=r"must have shape \(n, 2\)"):
        geometry.transform_points(points, np.eye(3))
