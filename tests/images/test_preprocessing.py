"""From an image to the network's input and back."""

import numpy as np
import pytest
import yaml

from inspection_tf import config, errors, images

RNG = np.random.default_rng(5)


def spec(**fields) -> images.Preprocessing:
    return images.Preprocessing(**{"size": (4, 6), **fields})


@pytest.mark.parametrize("dtype", [np.uint8, np.uint16])
def test_gray_follows_the_stated_formula_to_the_count(dtype):
    colour = RNG.integers(0, np.iinfo(dtype).max + 1, (37, 51, 3)).astype(dtype)
    expected = (colour.astype(np.int64) @ [9798, 19235, 3735] + 16384) >> 15
    np.testing.assert_array_equal(images.to_gray(colour), expected)


@pytest.mark.parametrize("dtype", [np.uint8, np.uint16])
def test_gray_stored_as_colour_gives_the_same_gray(dtype):
    gray = RNG.integers(0, np.iinfo(dtype).max + 1, (37, 51)).astype(dtype)
    np.testing.assert_array_equal(images.to_gray(np.dstack([gray] * 3)), gray)


def test_a_window_is_mapped_rounded_and_clipped():
    counts = np.array([[0, 1000, 1001, 2000, 3000, 65535]], np.uint16)
    # (1001 - 1000) * 255/2000 = 0.1275 -> 0; (2000 - 1000) * 255/2000 = 127.5 -> even: 128
    expected = [[0, 0, 0, 128, 255, 255]]
    np.testing.assert_array_equal(images.to_uint8(counts, window=(1000, 3000)), expected)


def test_the_full_range_divides_by_257():
    counts = np.array([[0, 128, 129, 257, 65535]], np.uint16)
    # 128/257 = 0.498 -> 0; 129/257 = 0.502 -> 1
    np.testing.assert_array_equal(images.to_uint8(counts), [[0, 0, 1, 1, 255]])


def test_exact_gives_the_pixels_with_a_channel_axis():
    image = RNG.integers(0, 256, (4, 6), dtype=np.uint8)
    result, where = images.preprocess(image, spec())
    assert result.shape == (4, 6, 1)
    assert where.is_identity
    np.testing.assert_array_equal(result[:, :, 0], image)


def test_exact_refuses_another_size_with_both_sizes_and_the_way_out():
    with pytest.raises(errors.ImageError, match=r"4 x 6 px.*Got 6 x 4.*stretch or letterbox"):
        images.preprocess(np.zeros((6, 4), np.uint8), spec())


def test_rgb_repeats_gray_and_keeps_colour():
    gray = RNG.integers(0, 256, (4, 6), dtype=np.uint8)
    result, _ = images.preprocess(gray, spec(channels="rgb"))
    np.testing.assert_array_equal(result, np.dstack([gray] * 3))
    colour = RNG.integers(0, 256, (4, 6, 3), dtype=np.uint8)
    np.testing.assert_array_equal(images.preprocess(colour, spec(channels="rgb"))[0], colour)


def test_gray_comes_before_the_window():
    colour = np.full((4, 6, 3), (1000, 2000, 3000), np.uint16)
    # (9798*1000 + 19235*2000 + 3735*3000 + 16384) >> 15 = 1815; (1815 - 1000) * 255/1000 = 207.8
    result, _ = images.preprocess(colour, spec(window=(1000, 2000)))
    assert set(result.ravel().tolist()) == {208}


def test_a_window_refuses_eight_bit_images():
    with pytest.raises(errors.ImageError, match="must be 16 bit for the window"):
        images.preprocess(np.zeros((4, 6), np.uint8), spec(window=(0, 4095)))


@pytest.mark.parametrize("window", [(5, 5), (7, 3), (-1, 5), (0, 65536)])
def test_a_window_must_rise_within_16_bit(window):
    with pytest.raises(errors.ConfigError, match="0 <= low < high <= 65535"):
        config.validate(images.Preprocessing, {"size": (4, 6), "window": window}, origin="x.yaml")


def test_shrinking_averages():
    image = np.array([[0, 100, 10, 20], [0, 100, 30, 40]], np.uint8)
    # (0 + 100 + 0 + 100) / 4 = 50; (10 + 20 + 30 + 40) / 4 = 25
    result, _ = images.preprocess(image, spec(size=(1, 2), fit="stretch"))
    np.testing.assert_array_equal(result[:, :, 0], [[50, 25]])


def test_letterbox_centres_on_black_and_keeps_the_aspect():
    image = np.full((3, 9), 200, np.uint8)
    result, where = images.preprocess(image, spec(size=(6, 6), fit="letterbox"))
    # scale min(6/3, 6/9) = 2/3: 2 rows x 6 columns, (6 - 2) // 2 = 2 rows above
    assert where.box_xyxy == (0, 2, 6, 4)
    assert result[2:4].min() == 200
    assert result[:2].max() == result[4:].max() == 0


def test_points_go_where_their_pixels_go():
    where = images.placement((3, 9), spec(size=(6, 6), fit="letterbox"))
    # x: 2/3*x - 1/6, y: 2/3*y - 1/6 + 2: the centre (4, 1) of the source goes to (2.5, 2.5)
    np.testing.assert_allclose(where.points_to_input([[4, 1]]), [[2.5, 2.5]])
    np.testing.assert_allclose(where.points_to_source([[2.5, 2.5]]), [[4, 1]])


@pytest.mark.parametrize("fit", ["stretch", "letterbox"])
@pytest.mark.parametrize(("source", "size"), [((31, 57), (64, 48)), ((90, 37), (32, 48))])
def test_a_spot_is_found_again_where_it_was(source, size, fit):
    image = np.zeros(source, np.uint8)
    image[10:16, 20:26] = 255  # centre (22.5, 12.5)
    result, where = images.preprocess(image, spec(size=size, fit=fit))
    weights = result[:, :, 0].astype(float)
    rows, columns = np.indices(size)
    centre = [(columns * weights).sum() / weights.sum(), (rows * weights).sum() / weights.sum()]
    np.testing.assert_allclose(where.points_to_source([centre]), [[22.5, 12.5]], atol=0.1)

    back = where.map_to_source((weights / 255).astype(np.float32))
    assert back.shape == source
    assert back.dtype == np.float32
    expected = image > 0
    overlap = (where.mask_to_source(where.mask_to_input(expected)) & expected).sum()
    assert overlap >= 0.6 * expected.sum()


@pytest.mark.parametrize("fit", ["exact", "stretch", "letterbox"])
def test_nothing_is_copied_when_the_sizes_agree(fit):
    where = images.placement((4, 6), spec(fit=fit))
    score_map, mask = np.zeros((4, 6), np.float32), np.zeros((4, 6), np.bool_)
    assert where.map_to_source(score_map) is score_map
    assert where.mask_to_source(mask) is mask
    assert where.mask_to_input(mask) is mask
    np.testing.assert_array_equal(where.points_to_input([[3, 2]]), [[3, 2]])


def test_enlarging_a_map_is_linear_between_pixel_centres():
    where = images.placement((1, 4), spec(size=(1, 2), fit="stretch"))
    # source centres 0..3 lie at input -0.25, 0.25, 0.75, 1.25; beyond the centres it is constant
    expected = [[0.0, 0.25, 0.75, 1.0]]
    np.testing.assert_allclose(where.map_to_source(np.array([[0, 1]], np.float32)), expected)


def test_half_covered_pixels_belong_to_a_mask():
    mask = np.array([[True, True, True, False, False, True, False, False]])
    where = images.placement((1, 8), spec(size=(1, 4), fit="stretch"))
    # pairs: 2/2, 1/2, 1/2, 0/2
    assert where.mask_to_input(mask).tolist() == [[True, True, True, False]]


def test_a_thin_defect_does_not_vanish_from_its_mask():
    mask = np.zeros((8, 8), np.bool_)
    mask[:, 5] = True  # covers 1/4 of each 4 x 4 block in the right half
    where = images.placement((8, 8), spec(size=(2, 2), fit="stretch"))
    assert where.mask_to_input(mask).tolist() == [[False, True], [False, True]]
    assert not where.mask_to_input(np.zeros((8, 8), np.bool_)).any()


def test_maps_and_masks_of_another_size_are_refused():
    where = images.placement((4, 6), spec())
    with pytest.raises(errors.ImageError, match="The map must be 4 x 6 px"):
        where.map_to_source(np.zeros((6, 4), np.float32))
    with pytest.raises(errors.ImageError, match="The mask must be 4 x 6 px"):
        where.mask_to_input(np.zeros((4, 5), np.bool_))


def test_a_specification_survives_yaml():
    original = spec(fit="letterbox", window=(10.0, 4095.0))
    values = yaml.safe_load(config.to_yaml(original))
    assert config.validate(images.Preprocessing, values, origin="x.yaml") == original
