import numpy as np
import pytest

from inspection_tf.synthesis import part_defects, surface

SIZE = (160, 96)


@pytest.fixture(scope="module")
def part():
    """A ground part: streaks that run from top to bottom."""
    rng = np.random.default_rng(4)
    streaks = rng.normal(0, 14, (1, SIZE[1])) + rng.normal(0, 4, SIZE)
    return np.clip(120 + streaks, 0, 255).astype(np.uint8)


def drawn(part, family, seed):
    spec = surface.SurfaceSpec(defects=(family,), max_defects=1, contrast=(1.0, 1.0))
    return surface.on_image(np.random.default_rng([7, seed]), part, spec)


@pytest.mark.parametrize("family", part_defects.PART_DEFECTS)
def test_what_lies_in_the_mask_has_changed_and_far_from_it_nothing_has(part, family):
    for seed in range(8):
        sample = drawn(part, family, seed)
        change = np.abs(sample.image.astype(int) - part)
        assert sample.mask.any()
        assert change[sample.mask].mean() > 3
        assert (change[~sample.mask] > 0).mean() < 0.1
        again = drawn(part, family, seed)
        np.testing.assert_array_equal(sample.image, again.image)
        np.testing.assert_array_equal(sample.mask, again.mask)


def test_pits_and_cracks_are_dark_and_small(part):
    for family in ("pit", "crack"):
        for seed in range(8):
            sample = drawn(part, family, seed)
            assert sample.image[sample.mask].mean() < part[sample.mask].mean() - 8
            assert sample.mask.mean() < 0.05


def test_a_crack_is_longer_than_wide(part):
    longest = []
    for seed in range(8):
        rows, columns = np.nonzero(drawn(part, "crack", seed).mask)
        length = np.hypot(np.ptp(rows), np.ptp(columns)) + 1
        longest.append(length**2 / rows.size)  # a full square has 2
    assert np.median(longest) > 5


def test_a_chip_touches_a_border(part):
    for seed in range(12):
        mask = drawn(part, "chip", seed).mask
        assert mask[0].any() or mask[-1].any() or mask[:, 0].any() or mask[:, -1].any()


@pytest.mark.parametrize("turned", [False, True])
def test_a_step_reaches_from_border_to_border_across_the_grain(part, turned):
    image = np.ascontiguousarray(part.T) if turned else part
    for seed in range(12):
        mask = drawn(image, "step", seed).mask
        mask = mask.T if turned else mask
        assert mask[0].all() or mask[-1].all()
        assert 0.03 < mask.mean() < 0.97


def test_a_bare_area_lies_along_the_grain_and_is_smoother_than_the_part(part):
    for seed in range(8):
        sample = drawn(part, "bare", seed)
        rows, columns = np.nonzero(sample.mask)
        assert rows.std() > columns.std()
        inside = sample.image.astype(float)[sample.mask]
        assert inside.std() < part[sample.mask].std()
