import math

import numpy as np
import pytest

from inspection_tf.synthesis import inserts
from inspection_tf.synthesis.inserts import edge

CORNER = edge.Edge((30, 40), (10.0, 5.0), radius_px=10.0)


def coordinates(placed):
    return placed.coordinates(placed.plane())


def test_along_a_level_edge_depth_counts_rows_and_along_counts_columns():
    along, depth = coordinates(edge.Edge((9, 7), (2.0, 3.5)))
    np.testing.assert_array_equal(depth[:, 0], np.arange(9) - 3.5)
    np.testing.assert_array_equal(along[0], np.arange(7) - 2)


def test_a_turned_edge_is_measured_across_itself():
    # 3-4-5: the edge goes 4 px right and 3 px down; across it is (-0.6, 0.8).
    placed = edge.Edge((12, 12), (1.0, 2.0), angle=math.atan2(3, 4))
    along, depth = coordinates(placed)
    assert depth[2 + 3, 1 + 4] == pytest.approx(0)
    assert along[2 + 3, 1 + 4] == pytest.approx(5)
    # From the start 1 px to the right and 7 px down: -0.6 + 5.6 and 0.8 + 4.2.
    assert depth[9, 2] == pytest.approx(5)
    assert along[9, 2] == pytest.approx(5)


def test_a_corner_is_measured_from_its_arc():
    # The arc about (10, 15) with radius 10: from (10, 5) to (0, 15), then down the side.
    along, depth = coordinates(CORNER)
    assert depth[5, 10] == 0
    # (4, 7) is 6 left of the centre and 8 above it: on the arc.
    assert depth[7, 4] == pytest.approx(0)
    assert along[7, 4] == pytest.approx(-10 * math.atan2(6, 8))
    # (7, 11) is 3 and 4 px from it: 5 px inside.
    assert depth[11, 7] == pytest.approx(5)
    # The side is the column 0; the arc is 10 pi / 2 long.
    assert depth[20, 3] == 3
    assert along[20, 3] == pytest.approx(-5 * math.pi - 5)
    # Outside the arc, 14.1 px from its centre.
    assert depth[5, 0] == pytest.approx(10 - math.hypot(10, 10))


def test_points_lie_on_the_edge():
    along = np.array([-5 * math.pi, -2.5 * math.pi, 0.0, 12.0])
    half = 10 * math.sqrt(0.5)
    expected = [[0, 15], [10 - half, 15 - half], [10, 5], [22, 5]]
    np.testing.assert_allclose(CORNER.points_xy(along), expected, atol=1e-9)


@pytest.mark.parametrize("radius", [None, 6.0])
def test_a_mirrored_edge_is_the_mirrored_image(radius):
    left = edge.Edge((21, 33), (9.0, 6.0), angle=0.1, radius_px=radius)
    right = edge.Edge((21, 33), (32 - 9.0, 6.0), angle=0.1, is_mirrored=True, radius_px=radius)
    for one, other in zip(coordinates(left), coordinates(right), strict=True):
        np.testing.assert_allclose(one, other[:, ::-1], atol=1e-12)
    np.testing.assert_allclose(
        left.visible()[1], right.visible()[1] * (-1, 1) + (32, 0), atol=1e-12
    )


def test_what_is_visible_lies_on_the_image():
    along, points = CORNER.visible()
    # 15 whole px of the arc (15.7 long), the start, and 29 to the right: x from 10 to 39.
    np.testing.assert_array_equal(along, np.arange(-15, 30))
    assert points.min() >= -0.5
    assert points[-1].tolist() == [39, 5]


@pytest.mark.parametrize("size", [(33, 47), (192, 256), (64, 301)])
def test_every_placed_edge_shows_a_straight_part(size):
    spec = inserts.InsertSpec(size=size, shift=0.2, rotation_deg=30)
    for seed in range(40):
        placed = edge.place(np.random.default_rng(seed), spec)
        along, points = placed.visible()
        assert (along >= placed.first_px).sum() > 10
        assert (points >= -0.5).all()
        assert (points < np.array(size)[::-1] - 0.5).all()
