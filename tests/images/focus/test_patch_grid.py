"""Patches that cover a window."""

import numpy as np
import pytest

from inspection_tf import errors
from inspection_tf.images import focus


def test_patches_begin_at_equal_steps():
    found = focus.patches((0, 0, 320, 320), (128, 128), 0.5)
    # steps of 128 * (1 - 0.5) = 64 px, the last one at 320 - 128 = 192
    starts = [0, 64, 128, 192]
    assert found == [(x, y, x + 128, y + 128) for y in starts for x in starts]


def test_the_last_patch_is_shifted_inwards_and_the_window_may_lie_anywhere():
    found = focus.patches((10, 20, 110, 60), (40, 48), 0.25)
    # x: steps of 36 from 0; 36 + 48 = 84 < 100, so one more at 100 - 48 = 52. y: 40 px are one row
    assert found == [(10, 20, 58, 60), (46, 20, 94, 60), (62, 20, 110, 60)]


@pytest.mark.parametrize("overlap", [0.0, 0.3, 0.5, 0.75, 0.99])
@pytest.mark.parametrize("window", [(0, 0, 97, 131), (5, 7, 38, 40), (3, 1, 36, 90)])
def test_patches_cover_each_pixel_and_nothing_else(window, overlap):
    x0, y0, x1, y1 = window
    seen = np.zeros((140, 110), int)
    for left, top, right, bottom in focus.patches(window, (33, 33), overlap):
        assert (right - left, bottom - top) == (33, 33)
        seen[top:bottom, left:right] += 1
    assert seen[y0:y1, x0:x1].min() >= 1
    assert seen.sum() == seen[y0:y1, x0:x1].sum()


def test_no_patch_comes_twice():
    found = focus.patches((0, 0, 100, 100), (32, 32), 0.9)
    assert len(set(found)) == len(found)


@pytest.mark.parametrize("overlap", [-0.1, 1.0, 1.5, float("nan")])
def test_an_overlap_out_of_range_is_refused(overlap):
    with pytest.raises(errors.ConfigError, match="overlap must be from 0 up to but not 1"):
        focus.patches((0, 0, 64, 64), (32, 32), overlap)


@pytest.mark.parametrize("size", [(65, 32), (32, 65), (0, 32)])
def test_a_patch_that_does_not_fit_is_refused(size):
    with pytest.raises(errors.ConfigError, match="must fit into its window of 64 x 64 px"):
        focus.patches((0, 0, 64, 64), size, 0.5)
