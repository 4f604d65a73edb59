"""The part of an image that a network sees, on its way to the input and back."""

import numpy as np
import pytest

from inspection_tf import config, errors, images
from inspection_tf.images import focus, preprocessing, registration


def spec(**fields):
    asked = {"size": (2, 4), "fit": "stretch", "focus": {"method": "edge_corner"}}
    return images.Preprocessing(**asked | fields)


@pytest.fixture
def look_at(monkeypatch):
    """Return a function after which every image is looked at in one box."""

    def fix(box):
        monkeypatch.setattr(preprocessing, "find_view", lambda image, spec: focus.View(box))

    return fix


def wedge(size=(200, 240), tip=(90, 70)):
    """Bright to the right of and below a tip."""
    image = np.random.default_rng(1).normal(50, 4, size)
    image[tip[1] :, tip[0] :] += 130
    return np.rint(image).astype(np.uint8)


# Where the window lies


def test_the_window_lies_further_inside_the_insert_than_outside():
    view = focus.find_view(wedge(), focus.FocusSpec(method="edge_corner", size=(80, 80)))
    # The tip's pixels begin at (89.5, 69.5). The centre is 0.35 * 80 = 28 px right of and below it:
    # (117.5, 97.5), and the window reaches from 117.5 - 39.5 = 78 to 158, and from 58 to 138.
    np.testing.assert_allclose(view.box_xyxy, (78, 58, 158, 138), atol=3)
    x0, y0, x1, y1 = view.box_xyxy
    assert (x1 - x0, y1 - y0) == (80, 80)
    assert view.is_found


def test_a_window_is_shifted_into_the_image():
    view = focus.find_view(
        wedge(tip=(190, 150)), focus.FocusSpec(method="edge_corner", size=(120, 100))
    )
    # Around (190 + 35, 150 + 42) it would reach beyond 240 x 200.
    assert view.box_xyxy == (140, 80, 240, 200)


def test_an_image_that_is_smaller_than_the_window_is_seen_whole_along_that_axis():
    view = focus.find_view(wedge(), focus.FocusSpec(method="edge_corner", size=(300, 100)))
    x0, y0, x1, y1 = view.box_xyxy
    assert (y0, y1) == (0, 200)
    assert x1 - x0 == 100
    assert focus.find_view(wedge(), focus.FocusSpec(method="edge_corner")).box_xyxy == (
        0,
        0,
        240,
        200,
    )


def test_where_nothing_is_found_the_window_lies_in_the_middle_and_says_so():
    where = images.locate(
        np.zeros((50, 71), np.uint8), spec(focus={"method": "edge_corner", "size": (20, 31)})
    )
    # (71 - 31) / 2 = 20, (50 - 20) / 2 = 15
    assert where.view == focus.View((20, 15, 51, 35), is_found=False)


@pytest.mark.parametrize("channels", ["gray", "rgb"])
def test_grey_and_colour_are_looked_at_in_one_place(channels):
    grey = wedge()
    colour = np.dstack([grey] * 3)
    asked = spec(channels=channels, focus={"method": "edge_corner", "size": (80, 80)})
    assert images.locate(grey, asked) == images.locate(colour, asked)


def test_sixteen_bit_is_looked_at_through_its_window():
    deep = wedge().astype(np.uint16) + 1000
    asked = spec(window=(1000, 1255), focus={"method": "edge_corner", "size": (80, 80)})
    eight = spec(focus={"method": "edge_corner", "size": (80, 80)})
    assert images.locate(deep, asked) == images.locate(wedge(), eight)
    # all 65536 counts: 255 of them are one grey value
    assert not images.locate(deep, eight).view.is_found


# There and back: 8 x 4 px from (6, 2) become 4 x 2, half the scale


BOX = (6, 2, 14, 6)
SOURCE = (10, 20)


@pytest.fixture
def placed(look_at):
    look_at(BOX)
    return images.locate(np.zeros(SOURCE, np.uint8), spec())


def test_points_go_through_the_window_both_ways(placed):
    # x: (9.5 - 6 + 0.5) / 2 - 0.5 = 1.5; y: (3.5 - 2 + 0.5) / 2 - 0.5 = 0.5
    # (6, 2), the window's first pixel: (0 + 0.5) / 2 - 0.5 = -0.25
    points, laid = [[9.5, 3.5], [6, 2]], [[1.5, 0.5], [-0.25, -0.25]]
    np.testing.assert_allclose(placed.points_to_input(points), laid)
    np.testing.assert_allclose(placed.points_to_source(laid), points)


def test_the_window_fills_the_input(placed):
    assert placed.window_xyxy == BOX
    assert placed.box_xyxy == (0, 0, 4, 2)
    assert placed.rim_px == 0
    assert not placed.is_identity


def test_a_letterbox_lays_the_window_between_its_rims(look_at):
    look_at(BOX)
    where = images.locate(np.zeros(SOURCE, np.uint8), spec(size=(4, 4), fit="letterbox"))
    assert where.box_xyxy == (0, 1, 4, 3)  # 2 rows, (4 - 2) / 2 = 1 above
    assert where.rim_px == 8
    np.testing.assert_allclose(where.points_to_input([[9.5, 3.5]]), [[1.5, 1.5]])


def test_the_pixels_of_the_window_are_averaged_and_no_others(look_at):
    look_at(BOX)
    image = np.full(SOURCE, 255, np.uint8)
    image[2:6, 6:14] = np.repeat([[10], [20], [30], [40]], 8, axis=1)
    # (10 + 20) / 2 = 15, (30 + 40) / 2 = 35
    result, _ = images.preprocess(image, spec())
    assert result[..., 0].tolist() == [[15] * 4, [35] * 4]


def test_exact_takes_the_window_pixel_by_pixel(look_at):
    look_at(BOX)
    image = np.random.default_rng(0).integers(0, 256, (*SOURCE, 3), dtype=np.uint8)
    exact = spec(size=(4, 8), fit="exact", channels="rgb")
    result, where = images.preprocess(image, exact)
    np.testing.assert_array_equal(result, image[2:6, 6:14])
    assert result.flags.c_contiguous
    assert not where.is_identity
    with pytest.raises(errors.ImageError, match=r"What is kept of the image must be 4 x 9 px.*4 x"):
        images.preprocess(image, spec(size=(4, 9), fit="exact"))


def test_a_mask_is_seen_through_the_window(placed):
    mask = np.zeros(SOURCE, bool)
    mask[2:4, 6:8] = True  # the first pixel of the input
    mask[4:6, 9:10] = True  # half of the pixel (1, 1): its columns are 8 and 9
    mask[0:2, :] = mask[:, 14:] = True  # outside
    assert placed.mask_to_input(mask).tolist() == [
        [True, False, False, False],
        [False, True, False, False],
    ]


def test_a_mask_outside_of_the_window_is_not_seen(placed):
    mask = np.ones(SOURCE, bool)
    mask[2:6, 6:14] = False
    assert not placed.mask_to_input(mask).any()


def test_maps_come_back_to_the_window_and_are_0_elsewhere(placed):
    back = placed.map_to_source(np.ones((2, 4), np.float32))
    expected = np.zeros(SOURCE)
    expected[2:6, 6:14] = 1
    np.testing.assert_array_equal(back, expected)
    assert back.dtype == np.float32
    np.testing.assert_array_equal(placed.mask_to_source(np.ones((2, 4), bool)), expected > 0)


def test_a_map_that_is_not_scaled_keeps_its_numbers(look_at):
    look_at(BOX)
    where = images.locate(np.zeros(SOURCE, np.uint8), spec(size=(4, 8), fit="exact"))
    found = np.random.default_rng(0).random((4, 8), np.float32)
    np.testing.assert_array_equal(where.map_to_source(found)[2:6, 6:14], found)
    mask = np.random.default_rng(1).random(SOURCE) < 0.5
    np.testing.assert_array_equal(where.mask_to_input(mask), mask[2:6, 6:14])


def test_a_window_in_the_size_of_image_and_input_is_the_image(look_at):
    look_at((0, 0, 20, 10))
    where = images.locate(np.zeros(SOURCE, np.uint8), spec(size=SOURCE, fit="exact"))
    assert where.is_identity


@pytest.mark.parametrize("fit", ["stretch", "letterbox"])
def test_a_window_of_the_whole_image_changes_nothing(look_at, fit):
    look_at((0, 0, 57, 31))
    image = np.random.default_rng(0).integers(0, 256, (31, 57), dtype=np.uint8)
    sized = {"size": (24, 40), "fit": fit}
    found, where = images.preprocess(image, spec(**sized))
    plain, all_of_it = images.preprocess(image, images.Preprocessing(**sized))
    np.testing.assert_array_equal(found, plain)
    assert where.box_xyxy == all_of_it.box_xyxy
    assert where.scale_xy == all_of_it.scale_xy
    assert where.offset_xy == all_of_it.offset_xy


# Configuration


def test_a_preprocessing_without_a_focus_is_written_as_ever():
    plain = images.Preprocessing(size=(4, 6))
    assert list(plain.model_dump()) == ["size", "channels", "fit", "window", "orientation"]
    assert "focus" not in config.to_yaml(plain)


def test_a_focus_is_written_and_read_again():
    asked = spec(focus={"method": "edge_corner", "size": (200, 300)})
    assert images.Preprocessing.model_validate_json(asked.model_dump_json()) == asked
    assert asked.model_dump(mode="json")["focus"] == {"method": "edge_corner", "size": [200, 300]}


@pytest.mark.parametrize("focus", [{"method": "tip"}, {"size": (0, 5)}, {"side": 3}])
def test_a_focus_that_is_not_known_is_refused(focus):
    with pytest.raises(errors.ConfigError, match=r"focus\.|'focus"):
        config.validate(images.Preprocessing, {"size": (4, 6), "focus": focus}, origin="x.yaml")


def test_a_focus_and_templates_exclude_each_other():
    image = np.zeros((8, 8), np.uint8)
    with pytest.raises(errors.ConfigError, match=r"focus must be none.*templates.*Leave it out"):
        registration.prepare(image, image, spec(), registration.AlignSpec())
