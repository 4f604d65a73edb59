import numpy as np
import pytest

from inspection_tf.synthesis import inserts
from inspection_tf.synthesis.inserts import damage, edge


def masks(placed, lost):
    along, depth = placed.coordinates(placed.plane())
    return damage.masks(depth, *lost.at(along))


def constant(vb_px, missing_px=0.0):
    return damage.Damage(-100, np.full(200, float(vb_px)), np.full(200, float(missing_px)))


def test_a_constant_land_is_its_width_times_its_length():
    # Depths 0..9 of 0 <= depth < 10: rows 20 to 29, 12 columns.
    land, missing = masks(edge.Edge((50, 12), (0.0, 20.0)), constant(10))
    assert land.sum() == 10 * 12
    assert land[20:30].all()
    assert not missing.any()
    # With the edge at 20.5 the depths are 0.5 to 9.5: rows 21 to 30.
    land, _ = masks(edge.Edge((50, 12), (0.0, 20.5)), constant(10))
    assert land.sum() == 10 * 12
    assert land[21:31].all()


def test_what_is_broken_away_is_no_land():
    land, missing = masks(edge.Edge((50, 12), (0.0, 20.0)), constant(10, 4))
    # 0 <= depth < 4 is missing: rows 20 to 23; the land is left on 24 to 29.
    assert missing[20:24].all()
    assert missing.sum() == 4 * 12
    assert land[24:30].all()
    assert land.sum() == 6 * 12
    land, missing = masks(edge.Edge((50, 12), (0.0, 20.0)), constant(10, 13))
    assert missing.sum() == 13 * 12
    assert not land.any()


def test_between_whole_px_a_profile_is_interpolated():
    lost = damage.Damage(3, np.array([0.0, 4.0, 4.0]), np.array([1.0, 1.0, 0.0]))
    vb, missing = lost.at(np.array([3.25, 4.5]))
    np.testing.assert_allclose(vb, [1, 4])
    np.testing.assert_allclose(missing, [1, 0.5])


def test_around_a_corner_the_land_is_a_ring():
    # A quarter ring between the radii 40 and 28: pi / 4 (40^2 - 28^2) = 640.9 px; right of the
    # start 12 px times 60 columns.
    placed = edge.Edge((60, 100), (40.0, 2.0), radius_px=40.0)
    vb_px = np.where(np.arange(-100, 100) >= -placed.arc_px, 12.0, 0.0)
    land, _ = masks(placed, damage.Damage(-100, vb_px, np.zeros(200)))
    assert land[:, 40:].sum() == 12 * 60
    assert land[:, :40].sum() == pytest.approx(640.9, abs=placed.arc_px)


def test_zone_b_leaves_out_a_quarter_at_either_end_of_what_has_cut():
    placed = edge.Edge((30, 60), (10.0, 5.0), radius_px=10.0)
    along, _ = placed.visible()
    # It has cut from 0, where the corner ends, to 40: zone B goes from 10 to 30.
    zone = along[damage.zone_b(placed, along, 40.0)]
    np.testing.assert_array_equal(zone, np.arange(10, 31))
    # Beyond the image nothing counts: it shows 0 to 49.
    zone = along[damage.zone_b(placed, along, np.inf)]
    np.testing.assert_array_equal(zone, np.arange(13, 37))


@pytest.mark.parametrize("size", [(33, 47), (192, 256)])
def test_the_deepest_visible_chip_is_as_deep_as_drawn(size):
    spec = inserts.InsertSpec(size=size, chipping_um=(90.0, 90.0), corner_share=1)
    for seed in range(30):
        placed = edge.place(np.random.default_rng(seed), spec)
        along = np.arange(-400, 400)
        depth = damage.chipping(np.random.default_rng(seed), placed, spec, along)
        visible, _ = placed.visible()
        # 90 um at 5 um per px.
        assert depth[np.isin(along, visible)].max() == pytest.approx(18)
        assert depth.max() == pytest.approx(18)
        assert depth.min() >= 0


def test_the_mean_in_zone_b_is_as_drawn():
    spec = inserts.InsertSpec(vb_um=(60.0, 60.0), unworn_share=0, corner_share=0)
    along = np.arange(-700, 700)
    for seed in range(20):
        rng = np.random.default_rng(seed)
        placed = edge.place(rng, spec)
        vb_px, engaged_px = damage.wear(rng, placed, spec, along)
        visible, _ = placed.visible()
        zone = damage.zone_b(placed, visible, engaged_px)
        # 60 um at 5 um per px.
        assert vb_px[np.isin(along, visible)][zone].mean() == pytest.approx(12)


def test_no_roughness_is_deeper_than_the_spec_says():
    spec = inserts.InsertSpec(roughness_um=20)
    along = np.arange(-300, 300)
    depths = [damage.roughness(np.random.default_rng(k), spec, along) for k in range(20)]
    assert 2 < np.max(depths) <= 4  # 20 um at 5 um per px
    assert np.min(depths) >= 0
