"""The share of heat inside boxes and masks."""

import numpy as np
import pytest

from inspection_tf import errors
from inspection_tf.evaluation import evidence
from inspection_tf.evaluation.evidence import Evidence

EVEN = np.ones((7, 7))


def test_even_heat_has_inside_what_the_region_covers():
    # A box of 4 x 5 px in 10 x 12.
    found = evidence.inside_share(EVEN, [[2, 3, 6, 8]], (10, 12))
    assert found.area == pytest.approx(20 / 120)
    assert found.inside == pytest.approx(20 / 120)
    assert found.ratio == pytest.approx(1)


def test_heat_lies_where_its_cells_lie():
    # One pixel becomes 2 x 2 on 4 x 4 px. Between the centres 0.5 and 2.5 heat falls from 1 to 0:
    # pixels 0 to 3 have their centres at 0.25, 0.75, 1.25 and 1.75 cells: 1, 0.75, 0.25 and 0 of
    # the left cell. Sum 2 across; of that the left half has 1.75.
    heat = np.array([[1.0, 0.0], [1.0, 0.0]])
    assert evidence.upsampled(heat, (4, 4))[0].tolist() == [1, 0.75, 0.25, 0]
    found = evidence.inside_share(heat, [[0, 0, 2, 4]], (4, 4))
    assert found == Evidence(1.75 / 2, 0.5)
    # Turned: rows are rows.
    found = evidence.inside_share(heat.T, [[0, 0, 4, 2]], (4, 4))
    assert found == Evidence(1.75 / 2, 0.5)


def test_odd_sizes_keep_the_middle_in_the_middle():
    heat = np.zeros((3, 5))
    heat[1, 2] = 1
    spread = evidence.upsampled(heat, (33, 57))
    rows, columns = np.mgrid[:33, :57]
    assert (spread * rows).sum() / spread.sum() == pytest.approx(16)
    assert (spread * columns).sum() / spread.sum() == pytest.approx(28)


def test_boxes_that_overlap_count_once_and_are_clipped():
    boxes = [[-5, -5, 4, 5], [2, 0, 6, 5]]
    found = evidence.inside_share(EVEN, boxes, (5, 10))
    assert found.area == pytest.approx(6 / 10)  # columns 0 to 5
    assert found.inside == pytest.approx(6 / 10)


def test_a_box_is_widened_by_a_share_of_its_own_size():
    # 10 x 20 px, half again as large: 2.5 px and 5 px on each side; clipped at the left.
    found = evidence.inside_share(EVEN, [[10, 10, 20, 30]], (100, 100), widen=0.5)
    # Centres from 7.5 up to but not at 22.5, columns 7 to 21, and rows 5 to 34.
    assert found.area == pytest.approx(15 * 30 / 1e4)
    found = evidence.inside_share(EVEN, [[0, 10, 10, 30]], (100, 100), widen=1.0)
    assert found.area == pytest.approx(15 * 40 / 1e4)


def test_a_mask_is_taken_as_it_is():
    mask = np.zeros((4, 4), bool)
    mask[:, :2] = True
    heat = np.array([[1.0, 0.0], [1.0, 0.0]])
    assert evidence.inside_share(heat, mask, (4, 4)) == Evidence(1.75 / 2, 0.5)


def test_without_heat_nothing_is_inside():
    assert evidence.inside_share(np.zeros((3, 3)), [[0, 0, 2, 4]], (4, 4)) == Evidence(0.0, 0.5)
    assert Evidence(0.0, 0.5).ratio == 0


@pytest.mark.parametrize(
    ("heat", "region", "match"),
    [
        (-EVEN, [[0, 0, 2, 2]], "not negative"),
        (EVEN * np.nan, [[0, 0, 2, 2]], "finite"),
        (np.ones(4), [[0, 0, 2, 2]], r"shape \(4,\)"),
        (EVEN, [[5, 5, 5, 9]], "must hold a pixel"),
        (EVEN, [[30, 30, 40, 40]], "must hold a pixel"),
        (EVEN, np.zeros((9, 9), bool), "must hold a pixel"),
        (EVEN, np.ones((8, 9), bool), r"shape \(8, 9\)"),
        (EVEN, [0, 0, 2, 2], r"boxes \(n, 4\)"),
        (EVEN, [[4, 0, 2, 2]], "x0 <= x1"),
    ],
)
def test_what_is_no_heat_or_region_is_refused(heat, region, match):
    with pytest.raises(errors.DataError, match=match):
        evidence.inside_share(heat, region, (9, 9))


def test_only_boxes_are_widened():
    with pytest.raises(errors.ConfigError, match=r"Got 0.1 for a mask"):
        evidence.inside_share(EVEN, np.ones((9, 9), bool), (9, 9), widen=0.1)
    with pytest.raises(errors.ConfigError, match=r"Got -0.1 for boxes"):
        evidence.inside_share(EVEN, [[0, 0, 2, 2]], (9, 9), widen=-0.1)
