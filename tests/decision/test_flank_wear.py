"""Flank wear on masks drawn from known profiles."""

import json

import numpy as np
import pytest

from inspection_tf import errors
from inspection_tf.decision import wear

UM = 0.005  # mm per px


def band(top=20, bottom=40, left=0, right=101, size=(60, 101)):
    mask = np.zeros(size, bool)
    mask[top:bottom, left:right] = True
    return mask


def land(vb, *, chip=None, degrees=0.0, noise=None, sag=0.0, size=(300, 600)):
    """Draw a wear land whose edge lies 60 px above the middle and is turned about it.

    Args:
        vb: (n,) px, width below the ideal edge at each px of it; its middle is the image's.
        chip: (n,) px, depth to which material is missing.
        degrees: of the turn, clockwise.
        noise: draws -1, 0 or 1 px for both borders at each px of the edge.
        sag: px, how far the ends of the edge hang below its middle.
        size: (height, width).
    """
    count = len(vb)
    upper = np.zeros(count) if chip is None else chip
    lower = np.maximum(vb, upper)
    if noise is not None:
        upper = upper + noise.integers(-1, 2, count)
        lower = lower + noise.integers(-1, 2, count)
    y, x = (np.mgrid[: size[0], : size[1]] + 0.5) - np.array(size)[:, None, None] / 2
    turn = np.deg2rad(degrees)
    along, under = x * np.cos(turn) + y * np.sin(turn), y * np.cos(turn) - x * np.sin(turn) + 60
    under = under - sag * (2 * along / count) ** 2
    place = np.floor(along + count / 2).astype(int)
    inside = (place >= 0) & (place < count)
    place = place.clip(0, count - 1)
    return inside & (under >= upper[place]) & (under < lower[place])


# By hand


def test_a_band_is_as_wide_as_it_is_high():
    found = wear.measure(band(), mm_per_px=UM)
    # 20 px of 5 um
    assert found.vb_mean_um == pytest.approx(100, abs=1e-9)
    assert found.vb_max_um == pytest.approx(100, abs=1e-9)
    assert found.chipping_um == 0
    assert found.length_um == pytest.approx(505)  # 101 px
    assert found.edge_side == "top"
    # Row 20 begins half a px above its centre; so do the columns.
    assert np.array(found.edge_xy) == pytest.approx(np.array([[-0.5, 19.5], [100.5, 19.5]]))
    assert found.profile_um == pytest.approx(np.full(101, 100))


@pytest.mark.parametrize("side", ["top", "bottom", "left", "right"])
def test_the_edge_lies_on_the_side_that_is_named(side):
    mask = band(left=10, right=91)
    wedge = np.arange(60)[:, None] < 30 + np.arange(101) / 10  # rows 20 to 30 and 40: 15 px wide
    mask &= wedge
    turned = {"top": mask, "bottom": mask[::-1], "left": mask.T, "right": mask[::-1].T}[side]
    found = wear.measure(turned, edge_side=side, zone=(0, 1))
    # Column x holds the rows from 20 to under 30 + x / 10: 11 of them at the left end, 19 at the
    # right one.
    rows = np.array([int(np.ceil(30 + x / 10)) - 20 for x in range(10, 91)])
    assert found.vb_mean_px == pytest.approx(rows.mean())
    assert found.vb_max_px == pytest.approx(rows.max())
    edge = np.array(found.edge_xy)
    expected = {
        "top": [[9.5, 19.5], [90.5, 19.5]],
        "bottom": [[9.5, 39.5], [90.5, 39.5]],  # row 20 of 60 is row 39 from below; its lower end
        "left": [[19.5, 9.5], [19.5, 90.5]],
        "right": [[39.5, 9.5], [39.5, 90.5]],
    }[side]
    assert edge == pytest.approx(np.array(expected))
    (foot_x, foot_y), (deep_x, deep_y) = found.widest_xy
    assert np.hypot(deep_x - foot_x, deep_y - foot_y) == pytest.approx(rows.max())


def test_of_two_long_sides_auto_takes_the_smoother_one_and_else_the_first():
    ragged = np.array([0, 4, 1, 7, 2, 5, 0, 6, 3] * 11)
    mask = np.arange(60)[:, None] < 30 + ragged
    mask &= np.arange(60)[:, None] >= 20
    for turned, side in (
        (mask, "top"),
        (mask[::-1], "bottom"),
        (mask.T, "left"),
        (mask[::-1].T, "right"),
        (band(), "top"),
        (band().T, "left"),
        (band(0, 9, 0, 9, (9, 9)), "top"),
    ):
        assert wear.measure(turned).edge_side == side


def test_a_chip_has_its_depth_and_does_not_narrow_the_wear():
    mask = band()
    mask[20:27, 30:50] = False  # 7 px deep
    found = wear.measure(mask, mm_per_px=UM, edge_side="top")
    assert found.chipping_um == pytest.approx(35)
    assert found.vb_mean_um == pytest.approx(100)  # from the ideal edge, as ISO 3685 has it
    assert found.profile_um == pytest.approx(np.full(101, 100))
    mask[20:27, 30:50] = True
    mask[20:29, 3:7] = False  # outside of zone B
    assert wear.measure(mask, mm_per_px=UM, edge_side="top").chipping_um == pytest.approx(45)


def test_a_flat_chip_on_more_than_half_of_the_edge_does_not_pull_it():
    mask = band()
    mask[20:32, 15:75] = False  # 60 of 101 px: most of the border lies on its bottom
    found = wear.measure(mask, mm_per_px=UM, edge_side="top")
    assert found.chipping_um == pytest.approx(60)
    assert found.vb_mean_um == pytest.approx(100)


def test_a_dip_within_the_noise_of_a_border_is_no_chip():
    mask = band()
    mask[20, 30:32] = False
    assert wear.measure(mask).chipping_px == 0


def test_where_the_border_leaves_the_ideal_edge_for_good_the_edge_ends():
    mask = band(left=10, right=91)
    for step in range(8):  # both upper corners cut off at 45 degrees
        mask[20 + step, 10 : 18 - step] = mask[20 + step, 83 + step : 91] = False
    found = wear.measure(mask, edge_side="top")
    assert found.chipping_px == 0
    assert found.vb_max_px == pytest.approx(20, abs=0.1)
    # 81 columns, less 8 at either end; the next one is 1 px lower, within the noise of a border.
    assert found.length_px == pytest.approx(81 - 2 * 7)


def test_the_corner_of_a_tool_does_not_count():
    y, x = np.mgrid[:200, :301] + 0.5
    corner = np.hypot(x - 241, y - 80) < 60  # of 60 px radius: it begins at x = 241
    inside = (y > 20) & ((x < 241) | corner) & (x < 301)
    land = inside & ((y < 50) | (np.hypot(x - 241, y - 80) > 30) & (x >= 241)) & (y < 80)
    found = wear.measure(land, edge_side="top", zone=(0, 1))
    # A circle of 60 px lies 1.5 px under its tangent after sqrt(2 * 60 * 1.5) = 13 px.
    assert found.length_px == pytest.approx(241 + 13, abs=3)
    # To there the land is 30 px wide, or a few more under the circle.
    assert found.vb_mean_px == pytest.approx(30, abs=0.1)
    assert found.chipping_px == 0


def test_holes_are_filled():
    mask = band()
    mask[25:30, 40:60] = False
    mask[27, 45] = True
    found = wear.measure(mask)
    assert found.vb_mean_px == pytest.approx(20)


def test_several_blobs_are_one_wear_land_and_between_them_there_is_no_width():
    mask = band(right=40) | band(left=60)
    found = wear.measure(mask)
    assert found.vb_mean_px == pytest.approx(20)
    assert found.vb_max_px == pytest.approx(20)
    assert found.length_px == pytest.approx(101)
    assert (found.profile_px[40:60] == 0).all()
    between = wear.measure(mask, zone=(0.45, 0.55))
    assert (between.vb_mean_px, between.vb_max_px) == (0, 0)


def test_specks_and_blobs_far_from_the_edge_do_not_count():
    mask = band(bottom=24, left=20, right=80)  # 240 px
    mask[10:12, 5] = True  # 2 px: under 1 %
    mask[40:44, 30:60] = True  # begins 20 px under the edge: deeper than the land reaches
    found = wear.measure(mask)
    assert found.vb_mean_px == pytest.approx(4)
    assert found.length_px == pytest.approx(60)


@pytest.mark.parametrize(
    ("mask", "width", "length"),
    [
        (band(20, 21), 1, 101),
        (band(20, 21, 7, 8), 1, 1),
        (band(0, 60), 60, 101),
        (band(3, 5, 4, 6), 2, 2),
        (np.ones((1, 1), bool), 1, 1),
        (np.ones((1, 7), np.uint8) * 255, 1, 7),
        (np.ones((7, 1), bool), 1, 7),  # higher than wide: its edge is on the left
    ],
)
def test_small_and_thin_lands_are_measured(mask, width, length):
    found = wear.measure(mask)
    assert found.vb_mean_px == pytest.approx(width)
    assert found.vb_max_px == pytest.approx(width)
    assert found.length_px == pytest.approx(length)
    assert found.chipping_px == 0
    assert np.isfinite(found.profile_px).all()


@pytest.mark.parametrize("size", [(60, 101), (1, 1), (0, 0), (0, 5)])
def test_without_a_wear_land_there_is_no_wear_and_no_edge(size):
    found = wear.measure(np.zeros(size, bool), mm_per_px=UM)
    assert (found.vb_mean_um, found.vb_max_um, found.chipping_um, found.length_um) == (0, 0, 0, 0)
    assert found.edge_xy == found.widest_xy == ()
    assert found.profile_um.shape == (0,)


@pytest.mark.parametrize("scale", [None, float("nan"), float("inf"), 0.0, -1.0])
def test_without_a_scale_widths_are_in_px_alone(scale):
    found = wear.measure(band(), mm_per_px=scale)
    assert found.vb_mean_px == pytest.approx(20)
    assert found.mm_per_px is found.vb_mean_um is found.vb_max_um is found.profile_um is None
    assert found.to_dict()["vb_mean_um"] is None
    assert json.loads(json.dumps(found.to_dict(), allow_nan=False)) == found.to_dict()


def test_zone_b_is_a_share_of_the_edge():
    mask = band(right=100, size=(60, 100))
    mask[30:40, 50:] = False  # the right half is 10 px wide
    both, left, right = (
        wear.measure(mask, edge_side="top", zone=zone) for zone in ((0, 1), (0, 0.5), (0.5, 1))
    )
    assert (both.vb_mean_px, both.vb_max_px) == pytest.approx((15, 20))
    assert (left.vb_mean_px, left.vb_max_px) == pytest.approx((20, 20))
    assert (right.vb_mean_px, right.vb_max_px) == pytest.approx((10, 10))
    assert len(left.profile_px) == 100
    mask[30:40] = True
    mask[40:44, 75:] = True  # the last quarter is no part of zone B by default
    assert wear.measure(mask, edge_side="top").vb_max_px == pytest.approx(20)


def test_what_is_no_mask_and_no_zone_is_refused():
    with pytest.raises(errors.DataError, match=r"shape \(height, width\).*Got \(60, 101, 1\)"):
        wear.measure(band()[..., None])
    for zone in ((0.5, 0.5), (0.6, 0.4), (-0.1, 1), (0, 1.1)):
        with pytest.raises(errors.ConfigError, match="two rising shares"):
            wear.measure(band(), zone=zone)


# Against known profiles


@pytest.mark.parametrize("degrees", [-10, -6.3, -1, 0.5, 3, 10])
def test_a_turned_band_is_as_wide_as_it_is(degrees):
    found = wear.measure(land(np.full(400, 20.0), degrees=degrees), mm_per_px=UM)
    # The rounding of the mask to pixels cancels out along the edge.
    assert found.vb_mean_um == pytest.approx(100, abs=0.5)
    assert found.vb_max_um == pytest.approx(100, abs=5)
    assert found.chipping_um == 0
    assert found.length_um == pytest.approx(2000, abs=15)
    (x0, y0), (x1, y1) = found.edge_xy
    assert np.rad2deg(np.arctan2(y1 - y0, x1 - x0)) == pytest.approx(degrees, abs=0.1)


@pytest.mark.parametrize("degrees", [-10, 10])
def test_a_turned_band_that_the_image_cuts_off_is_as_wide_as_it_is(degrees):
    mask = land(np.full(400, 20.0), degrees=degrees, size=(200, 64))
    assert wear.measure(mask, mm_per_px=UM).vb_mean_um == pytest.approx(100, abs=1)


def test_errors_on_ragged_turned_and_chipped_lands_keep_the_bar():
    rng = np.random.default_rng(19)
    off = []
    for number in range(40):
        place = np.linspace(0, 1, int(rng.integers(300, 501)))
        waves, phase = rng.uniform(0.5, 3), rng.uniform(0, 2 * np.pi)
        vb = rng.uniform(15, 50) + rng.uniform(0, 12) * np.sin(2 * np.pi * waves * place + phase)
        chip = np.zeros(len(vb))
        if number % 2:
            first, length = rng.integers(40, 200), rng.integers(20, 80)
            chip[first : first + length] = np.minimum(rng.uniform(4, 14), vb.min() - 1)
        mask = land(vb, chip=chip, degrees=rng.uniform(-10, 10), noise=rng)
        found = wear.measure(mask, mm_per_px=UM, edge_side="top", zone=(0, 1))
        true = 5 * np.array([vb.mean(), vb.max(), chip.max()])
        off.append([found.vb_mean_um, found.vb_max_um, found.chipping_um] - true)
    mean = np.abs(off).mean(axis=0)
    # Noise of 1 px, 5 um, shifts a mean hardly, and each maximum by up to itself and its rounding.
    assert mean[0] <= 1.5
    assert mean[1] <= 10
    assert mean[2] <= 10


def test_a_slightly_curved_edge_is_followed():
    vb = np.full(400, 20.0)
    found = wear.measure(land(vb, sag=24), mm_per_px=UM)
    assert len(found.edge_xy) > 2
    # Along the chord the land is 20 px high; perpendicular to a slope of up to 0.24 it is at most
    # 3 % less, on average 1 %.
    assert found.vb_mean_um == pytest.approx(99, abs=1)
    assert found.chipping_um == 0
    y = np.array(found.edge_xy)[:, 1]
    assert y[[0, -1]] - y.min() == pytest.approx(np.full(2, 24), abs=1)


def test_a_curved_edge_with_a_chip_keeps_its_curve():
    vb, chip = np.full(400, 30.0), np.zeros(400)
    chip[90:150] = 12
    found = wear.measure(land(vb, chip=chip, sag=24, degrees=4), mm_per_px=UM, edge_side="top")
    assert found.chipping_um == pytest.approx(60, abs=6)
    assert found.vb_mean_um == pytest.approx(149, abs=2)


def test_a_hollow_is_no_curved_edge_but_a_chip():
    vb = np.full(400, 40.0)
    chip = 30 * (1 - np.linspace(-1, 1, 400) ** 2)  # a parabola over all of the edge: 30 px deep
    found = wear.measure(land(vb, chip=chip), mm_per_px=UM, edge_side="top")
    assert len(found.edge_xy) == 2


def test_a_straight_edge_stays_a_line_beside_a_rounded_chip():
    vb, chip = np.full(400, 40.0), np.zeros(400)
    chip[100:300] = 30 * (1 - np.linspace(-1, 1, 200) ** 2)  # a parabola over half of the edge
    found = wear.measure(land(vb, chip=chip), mm_per_px=UM, edge_side="top")
    assert len(found.edge_xy) == 2
    assert found.chipping_um == pytest.approx(150, abs=5)
    assert found.vb_mean_um == pytest.approx(200, abs=1)


def test_a_mask_of_many_pixels_takes_little_memory_and_is_as_wide():
    mask = np.zeros((900, 2000), bool)
    mask[100:] = True  # 1.6 M px: a grid as fine as for few would have 16 times as many cells
    found = wear.measure(mask, edge_side="top")
    assert found.vb_mean_px == pytest.approx(800)
    assert len(found.profile_px) == 2000


def test_equal_masks_give_equal_wear():
    first, second = (wear.measure(land(np.full(300, 20.0), degrees=3)) for _ in "12")
    assert first == second
    assert hash(first) == hash(second)
    assert (first.profile_px == second.profile_px).all()
