import dataclasses

import numpy as np
import pydantic
import pytest

from inspection_tf.synthesis import inserts

STILL = {"noise": 0, "blur_px": 0, "dirt": 0, "rotation_deg": 0, "shift": 0}
LEVEL = inserts.InsertSpec(
    size=(97, 131),
    corner_share=0,
    unworn_share=0,
    vb_um=(100.0, 100.0),
    vb_variation=0,
    roughness_um=0,
    engaged=(2.0, 2.0),
    **STILL,
)


def changed(spec, **values):
    return inserts.InsertSpec(**(spec.model_dump() | values))


def draw(index=0, *, seed=3, spec=LEVEL, broken_share=0.0):
    return inserts.draw(index, seed=seed, spec=spec, broken_share=broken_share)


def test_all_that_is_known_of_a_level_edge_follows_by_hand():
    found = draw()
    # The edge lies at 0.36 * 97 = 34.92; 100 um are 20 px: rows 35 to 54 (54.92 is the end).
    assert found.wear_mask[35:55].all()
    assert found.wear_mask.sum() == 20 * 131
    # It starts at 131 / 2 = 65.5: whole px along it lie at x = -0.5, 0.5, ... 129.5.
    np.testing.assert_allclose(np.sort(found.edge_xy[:, 0]), np.arange(131) - 0.5)
    np.testing.assert_allclose(found.edge_xy[:, 1], 34.92)
    np.testing.assert_allclose(found.vb_um, 100)
    # A quarter of 130 px is left out at either end: 33 to 97 of 0 to 130.
    np.testing.assert_array_equal(np.flatnonzero(found.zone_b), np.arange(33, 98))
    assert found.vb_mean_um == pytest.approx(100)
    assert found.vb_max_um == pytest.approx(100)
    assert found.chipping_um == 0
    assert not found.is_broken
    assert not found.chip_mask.any()


def test_the_mask_holds_the_integral_of_the_width():
    # Of a level edge without corner each column holds its own width, cut to whole px.
    spec = changed(LEVEL, vb_variation=0.3, engaged=(0.6, 1.1), roughness_um=18)
    for index in range(10):
        found = draw(index, spec=spec)
        left_um = np.clip(found.vb_um - found.missing_um, 0, None)
        assert abs(found.wear_mask.sum() - left_um.sum() / 5) <= len(found.vb_um)


def test_at_a_corner_the_mask_holds_the_integral_too():
    spec = inserts.InsertSpec(corner_share=1, unworn_share=0, vb_um=(50.0, 150.0), **STILL)
    for index in range(10):
        found = draw(index, spec=spec)
        # A strip of the width w on an arc of the radius r has the share 1 - w / (2 r) of its area;
        # so the straight part (constant row) is compared alone.
        is_straight = found.edge_xy[:, 1] < found.edge_xy[:, 1].min() + 1e-6
        x = found.edge_xy[is_straight, 0]
        columns = slice(int(np.ceil(x.min())), int(x.max()) + 1)
        left_um = np.clip(found.vb_um - found.missing_um, 0, None)[is_straight]
        assert abs(found.wear_mask[:, columns].sum() - left_um.sum() / 5) <= len(x)


@pytest.mark.parametrize("index", range(8))
def test_chipping_is_what_the_image_has_lost(index):
    spec = changed(LEVEL, roughness_um=10)
    whole, broken = draw(index, spec=spec), draw(index, spec=spec, broken_share=1.0)
    assert broken.is_broken
    depth = np.broadcast_to(np.arange(97)[:, None] - broken.edge_xy[0, 1], (97, 131))
    # What differs between the whole and the broken insert is the chip, to half a pixel.
    is_changed = whole.image != broken.image
    assert is_changed.any()
    assert depth[is_changed].max() <= broken.chipping_um / 5 + 0.5
    assert depth[is_changed].max() >= broken.chipping_um / 5 - 2
    # Between whole px the profile is a straight line, so its peak may lie between two centres.
    assert broken.chipping_um / 5 - 2.5 <= depth[broken.chip_mask].max() < broken.chipping_um / 5
    assert broken.missing_um.max() == broken.chipping_um
    # The land is the same but for what is broken away.
    np.testing.assert_array_equal(broken.wear_mask, whole.wear_mask & ~broken.chip_mask)


def test_labels_can_be_told_from_the_depth_of_chipping():
    spec = inserts.InsertSpec()
    found = [draw(index, spec=spec, broken_share=0.5) for index in range(40)]
    assert [one.is_broken for one in found] == [False, True] * 20
    for one in found:
        if one.is_broken:
            assert 90 <= one.chipping_um <= 340 + 1e-9
        else:
            assert one.chipping_um <= 18 < spec.chipping_tolerance_um


def test_where_all_of_the_land_is_broken_away_there_is_no_width():
    spec = changed(LEVEL, chipping_um=(200.0, 200.0))
    means = set()
    for index in range(12):
        found = draw(index, spec=spec, broken_share=1.0)
        is_gone = found.missing_um >= 100
        assert is_gone.any()
        np.testing.assert_allclose(found.vb_um, np.where(is_gone, 0, 100))
        # The mean is that of what is left to measure in zone B.
        expected = 0 if is_gone[found.zone_b].all() else 100
        assert found.vb_mean_um == pytest.approx(expected)
        means.add(expected)
    assert 100 in means


def test_an_unworn_edge_has_no_land():
    found = draw(spec=changed(LEVEL, unworn_share=1))
    assert not found.wear_mask.any()
    assert found.vb_mean_um == found.vb_max_um == 0
    assert found.zone_b.any()


def test_dirt_hides_pixels_and_changes_no_label():
    clean, dirty = (draw(5, spec=changed(LEVEL, dirt=dirt)) for dirt in (0, 40))
    assert (clean.image != dirty.image).sum() > 100
    np.testing.assert_array_equal(clean.wear_mask, dirty.wear_mask)
    np.testing.assert_array_equal(clean.chip_mask, dirty.chip_mask)
    assert clean.vb_mean_um == dirty.vb_mean_um


def test_the_wear_land_shows():
    spec = inserts.InsertSpec(unworn_share=0, vb_um=(80.0, 200.0), **STILL)
    worn = [draw(index, spec=spec) for index in range(6)]
    whole = [draw(index, spec=changed(spec, unworn_share=1)) for index in range(6)]
    for one, other in zip(worn, whole, strict=True):
        differs = np.abs(one.image.astype(int) - other.image) > 8
        assert differs[one.wear_mask].mean() > 0.5


@pytest.mark.parametrize("size", [(33, 47), (192, 256), (101, 64)])
def test_any_size_is_drawn(size):
    spec = inserts.InsertSpec(size=size)
    for index in range(6):
        found = draw(index, spec=spec, broken_share=0.5)
        assert found.image.shape == found.wear_mask.shape == found.chip_mask.shape == size
        assert found.image.dtype == np.uint8
        assert found.image.std() > 3
        assert found.edge_xy.shape == (len(found.vb_um), 2) == (len(found.zone_b), 2)
        assert found.chip_mask.any() or not found.is_broken


def test_lengths_follow_the_scale():
    found = draw(spec=changed(LEVEL, mm_per_px=0.01))
    assert found.wear_mask.sum() == 10 * 131
    assert found.vb_mean_um == pytest.approx(100)
    assert found.mm_per_px == 0.01


def test_a_photo_follows_from_seed_and_index_alone():
    spec = inserts.InsertSpec(size=(65, 90))
    one, again = (draw(4, spec=spec, broken_share=0.5) for _ in range(2))
    for field in dataclasses.fields(one):
        np.testing.assert_array_equal(getattr(one, field.name), getattr(again, field.name))
    assert (one.image != draw(4, seed=4, spec=spec, broken_share=0.5).image).any()
    assert (one.image != draw(6, spec=spec, broken_share=0.5).image).any()


def test_whether_a_mask_is_empty_is_known_without_drawing():
    spec = inserts.InsertSpec(size=(65, 90), unworn_share=0.5, vb_um=(0.0, 40.0))
    for index in range(30):
        known = inserts.is_worn(index, seed=3, spec=spec, broken_share=0.5)
        assert known == draw(index, spec=spec, broken_share=0.5).wear_mask.any()


@pytest.mark.parametrize(
    ("values", "told"),
    [
        ({"chipping_um": (20.0, 90.0)}, "chipping_um must lie above"),
        ({"roughness_um": 40}, "roughness_um may not exceed"),
        ({"corner_radius_um": (0.0, 9.0)}, "corner_radius_um must be above 0"),
        ({"engaged": (0.0, 1.0)}, "engaged must be at least 0.2"),
        ({"vb_um": (90.0, 20.0)}, "must not exceed the second"),
    ],
)
def test_a_spec_that_cannot_be_drawn_is_refused(values, told):
    with pytest.raises(pydantic.ValidationError, match=told):
        inserts.InsertSpec(**values)
