"""Corners move with the pixels they mark, eagerly and in `Dataset.map`."""

import numpy as np
import pytest
import tensorflow as tf

from inspection_tf.datasets.loading import augment

NONE = augment.NONE
HARD = augment.AugmentSpec(
    resampled_share=1.0,
    rotation_deg=30,
    scale=0.2,
    aspect=0.1,
    shift=0.1,
    perspective=0.3,
    brightness=0,
    contrast=0,
    noise=0,
)
SIZE = (97, 130)  # odd and even
CORNERS = np.array([[30, 25], [95, 30], [90, 70], [33, 64]], np.float32)


def dotted(corners):
    """A black image with a soft dot on each corner, a channel for each: their centres are exact."""
    y, x = np.mgrid[: SIZE[0], : SIZE[1]]
    dots = [np.exp(-((x - cx) ** 2 + (y - cy) ** 2) / (2 * 2.5**2)) for cx, cy in corners]
    return np.rint(255 * np.stack(dots, axis=-1)).astype(np.uint8)


def rows(spec, count, seed=1):
    return np.stack(
        [augment.draw(spec, seed=seed, epoch=0, position=p, size=SIZE) for p in range(count)]
    )


def centres(image):
    """The centres of mass of the channels, px."""
    y, x = np.mgrid[: SIZE[0], : SIZE[1]]
    weight = image.astype(float)
    total = weight.sum(axis=(0, 1))
    return (
        np.stack(
            [(weight * x[..., None]).sum(axis=(0, 1)), (weight * y[..., None]).sum(axis=(0, 1))], -1
        )
        / total[:, None]
    )


def to_px(target):
    return target[:, :8].reshape(-1, 4, 2) * (SIZE[1], SIZE[0]) - 0.5


def eagerly(image, corners, has_field, parameters, spec):
    found = augment.apply_to_corners(image, corners, has_field, parameters, spec)
    return tuple(value.numpy() for value in found)


def in_dataset(image, corners, has_field, parameters, spec):
    batches = tf.data.Dataset.from_tensors((image, corners, has_field, parameters)).map(
        lambda i, c, h, p: augment.apply_to_corners(i, c, h, p, spec)
    )
    return next(iter(batches.as_numpy_iterator()))


@pytest.mark.parametrize("run", [eagerly, in_dataset])
@pytest.mark.parametrize(
    "spec",
    [
        HARD,
        HARD.model_copy(update={"flips": "vertical"}),
        *(NONE.model_copy(update={"flips": f}) for f in (True, "horizontal", "vertical", "none")),
    ],
)
def test_dots_lie_where_the_corners_say(run, spec):
    count = 40
    image = np.repeat(dotted(CORNERS)[None], count, axis=0)
    corners = np.repeat(CORNERS[None], count, axis=0)
    drawn = rows(spec, count)
    moved, target = run(image, corners, np.ones(count, bool), drawn, spec)
    to_input = np.concatenate([drawn[:, :8], np.ones((count, 1))], axis=1).reshape(-1, 3, 3)
    compared = 0
    for picture, found, label, matrix in zip(moved, to_px(target), target, to_input, strict=True):
        if label[8] == 0 or (found < 8).any() or (found > np.array(SIZE[::-1]) - 9).any():
            continue  # a dot that is cut off has its centre elsewhere
        # Channel 0 is the dot of the top left corner; in a mirror that is the top right one.
        order = [1, 0, 3, 2] if np.linalg.det(matrix) < 0 else [0, 1, 2, 3]
        np.testing.assert_allclose(centres(picture)[order], found, atol=0.5)
        compared += 1
    assert compared >= 10


def test_a_mirror_swaps_left_and_right_so_that_corners_keep_their_meaning():
    # x' = 129 - x: the eight numbers map output to input pixels.
    row = np.zeros((1, augment.WIDTH), np.float32)
    row[0, :8] = [-1, 0, 129, 0, 1, 0, 0, 0]
    moved, shown = augment.move_corners(CORNERS[None], row, size=SIZE)
    # The top right corner (95, 30) comes to (34, 30) and is the top left one now.
    expected = [[34, 30], [99, 25], [96, 64], [39, 70]]
    np.testing.assert_allclose(moved.numpy()[0], expected, atol=1e-4)
    assert shown.numpy().tolist() == [True]


def test_a_page_upside_down_in_a_mirror_keeps_the_names_of_its_corners():
    # y' = 96 - y, as "vertical" draws it. The page is seen from behind and stands on its head: the
    # top left corner of its text is what was the top right one, (95, 30), and lies at the bottom.
    spec = NONE.model_copy(update={"flips": "vertical"})
    row = next(row for row in rows(spec, 8) if row[4] < 0)
    np.testing.assert_array_equal(row[:8], [1, 0, 0, 0, -1, 96, 0, 0])
    moved, _ = augment.move_corners(CORNERS[None], row[None], size=SIZE)
    expected = [[95, 66], [30, 71], [33, 32], [90, 26]]
    np.testing.assert_allclose(moved.numpy()[0], expected, atol=1e-4)


def test_a_field_of_which_a_part_leaves_the_image_is_not_shown():
    row = np.zeros((2, augment.WIDTH), np.float32)
    row[:, [0, 4]] = 1
    row[1, 2] = 31  # output 0 shows input 31: the corner at 30 has left by one pixel
    _, shown = augment.move_corners(np.repeat(CORNERS[None], 2, axis=0), row, size=SIZE)
    assert shown.numpy().tolist() == [True, False]


def test_a_corner_on_the_very_border_is_shown():
    border = np.array([[-0.5, -0.5], [129.5, -0.5], [129.5, 96.5], [-0.5, 96.5]], np.float32)
    row = np.zeros((1, augment.WIDTH), np.float32)
    row[:, [0, 4]] = 1
    moved, shown = augment.move_corners(border[None], row, size=SIZE)
    assert shown.numpy().all()
    target = augment.corner_target(moved, shown, size=SIZE).numpy()[0]
    # Shares of the sides: 0 on the left and upper border, 1 on the others.
    np.testing.assert_allclose(target, [0, 0, 1, 0, 1, 1, 0, 1, 1], atol=1e-6)


def test_a_target_of_a_photo_without_a_field_says_so():
    target = augment.corner_target(CORNERS[None], np.array([False]), size=SIZE).numpy()[0]
    assert target[8] == 0


def test_perspective_changes_nothing_where_it_is_off():
    with_none = HARD.model_copy(update={"perspective": 0.0})
    drawn = rows(with_none, 20)
    assert (drawn[:, 6:8] == 0).all()
    assert (rows(HARD, 20)[:, 6:8] != 0).any()
    others = [c for c in range(augment.WIDTH) if c >= 8]
    np.testing.assert_array_equal(drawn[:, others], rows(HARD, 20)[:, others])
