import dataclasses

import numpy as np
import pytest

from inspection_tf import config, errors
from inspection_tf.synthesis import surface


def rng(*seed):
    return np.random.default_rng(seed)


def spec_of(**fields):
    return surface.SurfaceSpec(**{"size": (97, 131), "max_defects": 1, **fields})


def dilated(mask, *, radius):
    reach = range(-radius, radius + 1)
    padded = np.pad(mask, radius)
    height, width = mask.shape
    return np.any(
        [
            padded[radius + y : radius + y + height, radius + x : radius + x + width]
            for y in reach
            for x in reach
        ],
        axis=0,
    )


def assert_same(one, other):
    for field in dataclasses.fields(surface.Sample):
        np.testing.assert_array_equal(getattr(one, field.name), getattr(other, field.name))


@pytest.mark.parametrize("defect", surface.DEFECTS)
@pytest.mark.parametrize("texture", surface.TEXTURES)
def test_each_texture_takes_each_defect_at_an_odd_size(texture, defect):
    spec = spec_of(textures=(texture,), defects=(defect,), contrast=(1.0, 1.0))
    sample = surface.render(rng(1), spec, is_defect=True)
    clean = surface.render(rng(1), spec, is_defect=False)

    assert sample.image.shape == sample.mask.shape == sample.ellipse.shape == (97, 131)
    assert sample.image.dtype == np.uint8
    assert sample.mask.dtype == sample.ellipse.dtype == bool
    assert (sample.texture, sample.defects, sample.contrast) == (texture, (defect,), 1.0)
    assert sample.mask.any()
    # What lies in the mask has changed visibly: by 3 grey values on average at full contrast.
    change = np.abs(sample.image.astype(int) - clean.image)
    assert change[sample.mask].mean() > 3
    assert clean.image.std() > 8


@pytest.mark.parametrize("defect", surface.DEFECTS)
def test_the_image_is_untouched_outside_the_support_of_the_mask(defect):
    for seed in range(4):
        spec = spec_of(size=(128, 128), defects=(defect,))
        clean = surface.render(rng(seed), spec, is_defect=False)
        sample = surface.render(rng(seed), spec, is_defect=True)
        # The weight falls from MASK_SHARE to 0 within the soft rim, here 0.12 * 128 = 15 px wide
        # for the softest and largest families and 3 px for strokes.
        radius = 3 if defect in ("scratch", "line", "spot") else 15
        outside = ~dilated(sample.mask, radius=radius)
        assert outside.any()
        np.testing.assert_array_equal(sample.image[outside], clean.image[outside])


def test_the_ellipse_holds_the_mask_and_is_not_much_larger():
    for seed in range(40):
        sample = surface.render(rng(seed), spec_of(), is_defect=True)
        assert sample.ellipse[sample.mask].mean() >= 0.95
        assert sample.ellipse.mean() < 0.5


def test_more_contrast_changes_more():
    for defect in surface.DEFECTS:
        totals = []
        for contrast in (0.1, 0.3, 0.6, 1.0):
            spec = spec_of(textures=("weave",), defects=(defect,), contrast=(contrast, contrast))
            clean = surface.render(rng(5), spec, is_defect=False)
            sample = surface.render(rng(5), spec, is_defect=True)
            totals.append(np.abs(sample.image.astype(int) - clean.image).sum())
        assert totals == sorted(totals)
        assert totals[0] < 0.4 * totals[-1]


def test_contrast_leaves_the_mask_as_it_is():
    masks = [
        surface.render(rng(2), spec_of(contrast=(value, value)), is_defect=True).mask
        for value in (0.1, 1.0)
    ]
    np.testing.assert_array_equal(*masks)


def test_zero_contrast_gives_the_clean_image():
    spec = spec_of(contrast=(0.0, 0.0))
    clean = surface.render(rng(2), spec, is_defect=False)
    np.testing.assert_array_equal(surface.render(rng(2), spec, is_defect=True).image, clean.image)


def test_one_generator_state_gives_one_sample():
    spec = spec_of(max_defects=3)
    one = surface.render(rng(11), spec, is_defect=True)
    assert_same(one, surface.render(rng(11), spec, is_defect=True))
    other = surface.render(rng(12), spec, is_defect=True)
    assert (one.image != other.image).any()


def test_a_good_surface_has_empty_labels():
    sample = surface.render(rng(3), spec_of(), is_defect=False)
    assert not sample.mask.any()
    assert not sample.ellipse.any()
    assert sample.defects == ()
    assert sample.contrast == 0


def test_the_number_of_defects_stays_within_the_spec():
    counts = {
        len(surface.render(rng(seed), spec_of(max_defects=3), is_defect=True).defects)
        for seed in range(30)
    }
    assert counts == {1, 2, 3}


def test_defects_grow_with_the_smaller_side():
    # A round fade whose long axis is half of the smaller side, without margin to speak of:
    # its area grows with the square of that side, 4 times from 64 to 128.
    areas = []
    for size in ((64, 90), (128, 180)):
        fields = {"extent": (0.5, 0.5), "aspect": (1.0, 1.0), "defects": ("fade",)}
        spec = spec_of(size=size, **fields)
        found = [surface.render(rng(seed), spec, is_defect=True).mask.sum() for seed in range(12)]
        areas.append(np.median(found))
    assert 2.8 < areas[1] / areas[0] < 5.6


def test_a_wider_margin_widens_the_ellipse_only():
    tight = surface.render(rng(4), spec_of(margin=(0.1, 0.1), defects=("fade",)), is_defect=True)
    wide = surface.render(rng(4), spec_of(margin=(1.0, 1.0), defects=("fade",)), is_defect=True)
    np.testing.assert_array_equal(tight.mask, wide.mask)
    assert wide.ellipse.sum() > 1.5 * tight.ellipse.sum()
    assert (wide.ellipse | ~tight.ellipse).all()


def test_fade_attenuates_the_texture_and_keeps_the_mean():
    checks = np.indices((128, 128)).sum(axis=0) % 2
    image = (90 + 60 * checks).astype(np.uint8)  # mean 120, deviation 30
    spec = spec_of(defects=("fade",), contrast=(1.0, 1.0), extent=(0.5, 0.5), aspect=(1.0, 1.0))
    for seed in range(5):
        sample = surface.on_image(rng(seed), image, spec)
        core = ~dilated(~sample.mask, radius=8)
        assert sample.image[core].std() < 0.5 * 30
        assert abs(sample.image[core].mean() - 120) < 0.6 * 30


def test_on_image_changes_all_channels_alike():
    gray = surface.render(rng(6), spec_of(), is_defect=False).image
    image = np.stack([gray // 2 + 40, gray // 2 + 60, gray // 2 + 50], axis=2)
    before = image.copy()
    sample = surface.on_image(rng(7), image, spec_of())
    change = sample.image.astype(int) - image
    np.testing.assert_array_equal(image, before)
    assert sample.image.shape == image.shape
    assert change.any()
    inside = ((sample.image > 0) & (sample.image < 255)).all(axis=2)  # clipping may differ
    np.testing.assert_array_equal(change[inside, 0], change[inside, 1])
    assert sample.texture == "image"


def test_on_image_shows_defects_on_a_blank_image():
    blank = np.full((64, 64), 128, np.uint8)
    spec = spec_of(defects=("spot",), contrast=(1.0, 1.0))
    sample = surface.on_image(rng(0), blank, spec)
    # A spot is at least 2 deviations deep; a blank image counts as having a deviation of 4.
    assert np.abs(sample.image.astype(int) - 128).max() >= 8
    assert (sample.image[~sample.ellipse] == 128).all()


@pytest.mark.parametrize(
    "image",
    [
        np.zeros((64, 64), np.uint16),
        np.zeros((64, 64, 4), np.uint8),
        np.zeros((64,), np.uint8),
        np.zeros((64, 31), np.uint8),
    ],
)
def test_on_image_refuses_what_it_cannot_compose_onto(image):
    with pytest.raises(errors.ImageError, match="uint8 images of at least 32 px"):
        surface.on_image(rng(0), image, spec_of())


@pytest.mark.parametrize(
    "fields",
    [
        {"contrast": [0.8, 0.2]},
        {"contrast": [0.5, 1.5]},
        {"textures": []},
        {"textures": ["marble"]},
        {"max_defects": 0},
        {"size": [16, 64]},
        {"margin": [-0.1, 0.2]},
    ],
)
def test_a_wrong_spec_is_refused_with_the_field(fields):
    with pytest.raises(errors.ConfigError, match=next(iter(fields))):
        config.validate(surface.SurfaceSpec, fields, origin="test.yaml")
