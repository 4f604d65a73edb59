"""Augmentation of class ids, of templates beside their images, and of exposure."""

import numpy as np
import pytest
import tensorflow as tf

from inspection_tf.datasets.loading import augment

NONE = augment.NONE
RIGID = NONE.model_copy(update={"flips": True, "right_angles": True})
RESAMPLED = augment.AugmentSpec(
    resampled_share=1, rotation_deg=180, brightness=0, contrast=0, noise=0
)
SIZES = pytest.mark.parametrize("size", [(33, 33), (31, 44), (48, 29)])


def rows(spec, count, size):
    return np.stack(
        [augment.draw(spec, seed=1, epoch=0, position=p, size=size) for p in range(count)]
    )


def eagerly(function, *arrays):
    return tuple(value.numpy() for value in function(*arrays))


def mapped(function, *arrays):
    batches = tf.data.Dataset.from_tensors(arrays).map(function)
    return next(iter(batches.as_numpy_iterator()))


BOTH = pytest.mark.parametrize("call", [eagerly, mapped], ids=["eagerly", "in Dataset.map"])


def move_ids(call, ids, parameters, spec, *, classes):
    """Augment a batch whose every mask is `ids` (height, width); the image shows it in gray."""
    stack = np.repeat(ids.astype(np.uint8)[None, ..., None], len(parameters), axis=0)

    def function(image, mask, row):
        return augment.apply(image, mask, row, spec, classes=classes)

    return call(function, stack * 20, stack, parameters)


def move_pair(call, image, template, parameters, spec):
    def function(image, template, row):
        moved, _ = augment.apply(image, tf.zeros_like(image), row, spec)
        return moved, augment.apply_to_template(template, row, spec)

    return call(function, image, template, parameters)


def picture(size, *, seed=0):
    return np.random.default_rng(seed).integers(0, 256, size, dtype=np.uint8)


def repeated(image, count):
    return np.repeat(image[None, ..., None], count, axis=0)


def test_a_row_is_that_of_runs_in_the_field():
    # Written down when a row had 13 numbers: an unfinished run resumes with the same images.
    row = augment.draw(
        augment.AugmentSpec(blur=0.5), seed=3, epoch=2, position=5, size=(48, 64)
    )  # fmt: skip
    expected = [
        *(-1.04376924, -0.17385407, 71.464302, 0.17147964, -1.05822194, 44.9666061, 0, 0),
        *(3.44832659, 0.950090647, 0.32074222, 0.0936851203, 2114988),
    ]
    np.testing.assert_allclose(row[:13], expected, rtol=1e-6)
    # No other exposure, no misalignment.
    assert row[13:].tolist() == [1, 0, 0]


def test_exposure_and_misalignment_leave_the_other_draws_alone():
    more = augment.AugmentSpec(gamma=0.3, misalignment_px=2)
    for size in ((24, 24), (24, 31)):
        one, other = rows(more, 16, size), rows(augment.AugmentSpec(), 16, size)
        np.testing.assert_array_equal(one[:, :13], other[:, :13])
        assert (one[:, 13:] != other[:, 13:]).any(axis=0).all()


# Exposure


@pytest.mark.parametrize(
    ("exponent", "expected"),
    [
        # 255 * (64 / 255) ** 2 = 16.1 and 255 * (128 / 255) ** 2 = 64.3
        (2.0, [0, 16, 64, 255]),
        # 255 * sqrt(64 / 255) = 127.7 and 255 * sqrt(128 / 255) = 180.7
        (0.5, [0, 128, 181, 255]),
        (1.0, [0, 64, 128, 255]),
    ],
)
def test_gamma_is_the_exponent_of_the_gray_values(exponent, expected):
    row = rows(NONE, 1, (1, 4))
    row[:, augment.GAMMA] = exponent
    image = np.array([[0, 64, 128, 255]], np.uint8)[None, ..., None]
    spec = NONE.model_copy(update={"gamma": 1})
    assert augment.photometric(image, row, spec).numpy().ravel().tolist() == expected


def test_exponents_lie_between_the_largest_and_its_inverse():
    exponent = rows(NONE.model_copy(update={"gamma": 0.5}), 200, (8, 8))[:, augment.GAMMA]
    assert 1 / 1.5 <= exponent.min() < 0.7
    assert 1.45 < exponent.max() <= 1.5
    # Uniform in its logarithm: darker as often as lighter, 100 +- 3 * sqrt(200) / 2.
    assert abs((exponent > 1).sum() - 100) < 22


# Classes


def quarters(size):
    """Four classes that touch in the middle and leave no background."""
    down, right = np.indices(size)
    return 1 + (right >= size[1] // 2) + 2 * (down >= size[0] // 2)


@BOTH
@SIZES
def test_ids_are_turned_and_flipped_unchanged(call, size):
    ids = quarters(size)
    ids[:3] = 0
    _, moved = move_ids(call, ids, rows(RIGID, 24, size), RIGID, classes=4)
    turns = range(4) if size[0] == size[1] else (0, 2)
    expected = {
        np.rot90(image, turn).astype(np.uint8).tobytes()
        for image in (ids, ids[:, ::-1])
        for turn in turns
    }
    found = {mask.tobytes() for mask in moved[..., 0]}
    assert moved.dtype == np.uint8
    assert found <= expected
    assert len(found) > 2


@BOTH
@SIZES
def test_no_id_arises_between_two_others(call, size):
    # Interpolated as numbers, 1 beside 3 would make 2.
    ids = np.where(np.indices(size)[1] < size[1] // 2, 1, 3)
    ids[: size[0] // 4] = 0
    image, moved = move_ids(call, ids, rows(RESAMPLED, 16, size), RESAMPLED, classes=3)
    assert set(np.unique(moved)) == {0, 1, 3}
    # Of the gray values 0, 20 and 60 the ends are no mixture: there image and ids agree.
    assert (moved[image == 0] == 0).all()
    assert (moved[image == 60] == 3).all()


@BOTH
@SIZES
def test_classes_that_touch_leave_no_background_between_them(call, size):
    # Where four classes meet none covers half a pixel; together they cover it whole.
    _, moved = move_ids(call, quarters(size), rows(RESAMPLED, 16, size), RESAMPLED, classes=4)
    assert moved.min() == 1


@SIZES
def test_classes_together_move_as_one_would(size):
    ids = quarters(size)
    ids[:7], ids[:, :7] = 0, 0
    parameters = rows(RESAMPLED, 16, size)
    _, several = move_ids(eagerly, ids, parameters, RESAMPLED, classes=4)
    _, one = move_ids(eagerly, ids > 0, parameters, RESAMPLED, classes=1)
    np.testing.assert_array_equal(several > 0, one == 1)


def test_of_two_classes_that_cover_half_a_pixel_each_the_higher_has_it():
    ids = np.array([[0, 1, 2, 2, 0]])
    row = rows(NONE, 1, ids.shape)
    row[:, 2] = 0.5  # output x shows input x + 0.5: the mean of two neighbours
    # 0 and 1: half covered; 1 and 2: half each; 2 and 2; 2 and 0: half; 0 and its mirror.
    _, moved = move_ids(eagerly, ids, row, NONE, classes=2)
    assert moved.ravel().tolist() == [1, 2, 2, 2, 0]


def test_the_last_of_many_classes_keeps_its_id():
    ids = np.full((5, 6), 255)
    _, moved = move_ids(eagerly, ids, rows(RESAMPLED, 2, ids.shape), RESAMPLED, classes=255)
    assert (moved == 255).all()


# Templates


@BOTH
@SIZES
def test_an_equal_pair_stays_equal_but_for_noise(call, size):
    spec = RESAMPLED.model_copy(
        update={"brightness": 0.1, "contrast": 0.3, "blur": 0.5, "gamma": 0.4}
    )
    image = repeated(picture(size), 8)
    moved, template = move_pair(call, image, image, rows(spec, 8, size), spec)
    np.testing.assert_array_equal(template, moved)
    assert (moved != image).any(axis=(1, 2, 3)).all()


@BOTH
@pytest.mark.parametrize(("flips", "axis"), [("horizontal", 1), ("vertical", 0)])
def test_a_template_is_mirrored_with_its_image_along_the_axis_that_is_named(call, flips, axis):
    spec = NONE.model_copy(update={"flips": flips})
    image, other = picture((7, 10)), picture((7, 10), seed=1)
    pairs = repeated(image, 24), repeated(other, 24)
    found = {
        (moved.tobytes(), template.tobytes())
        for moved, template in zip(
            *move_pair(call, *pairs, rows(spec, 24, (7, 10)), spec), strict=True
        )
    }
    mirrored = np.flip(image, axis).tobytes(), np.flip(other, axis).tobytes()
    assert found == {(image.tobytes(), other.tobytes()), mirrored}


def test_image_and_template_have_noise_of_their_own():
    spec = NONE.model_copy(update={"noise": 8})
    flat = repeated(np.full((60, 60), 128, np.uint8), 1)
    row = rows(spec, 1, (60, 60))
    row[:, augment.NOISE] = 8
    moved, template = move_pair(eagerly, flat, flat, row, spec)
    difference = moved.astype(float) - template
    assert moved.std() == pytest.approx(8, rel=0.06)
    assert template.std() == pytest.approx(8, rel=0.06)
    # Independent: sqrt(8 ** 2 + 8 ** 2); one draw for both would give 0.
    assert difference.std() == pytest.approx(8 * 2**0.5, rel=0.06)


@BOTH
@pytest.mark.parametrize("size", [(5, 7), (8, 6)])
def test_misalignment_moves_the_template_by_whole_pixels_and_nothing_else(call, size):
    spec = NONE.model_copy(update={"misalignment_px": 3})
    parameters = rows(spec, 48, size)
    shift_xy = parameters[:, augment.MISALIGNMENT]
    assert set(shift_xy.ravel().tolist()) == {-3, -2, -1, 0, 1, 2, 3}
    image = picture(size)
    moved, template = move_pair(
        call, repeated(image, 48), repeated(image, 48), parameters, spec
    )  # fmt: skip
    np.testing.assert_array_equal(moved[..., 0], np.stack([image] * 48))
    wide = np.pad(image, 3, mode="symmetric")
    for (x, y), found in zip(shift_xy.astype(int), template[..., 0], strict=True):
        expected = wide[3 + y : 3 + y + size[0], 3 + x : 3 + x + size[1]]
        np.testing.assert_array_equal(found, expected)


@BOTH
@pytest.mark.parametrize("size", [(9, 9), (9, 12)])
def test_misalignment_turns_with_its_image(call, size):
    spec = RIGID.model_copy(update={"misalignment_px": 2})
    parameters = rows(spec, 32, size)
    template = picture(size)
    wide = np.pad(template, 2, mode="symmetric")
    # Images that show the template where the misalignment of their row puts it.
    shown = np.stack(
        [
            wide[2 + y : 2 + y + size[0], 2 + x : 2 + x + size[1]]
            for x, y in parameters[:, augment.MISALIGNMENT].astype(int)
        ]
    )
    moved, found = move_pair(call, shown[..., None], repeated(template, 32), parameters, spec)
    np.testing.assert_array_equal(found, moved)


def test_misalignment_of_resampled_images_is_a_part_of_a_pixel():
    spec = RESAMPLED.model_copy(update={"misalignment_px": 1.5})
    shift_xy = rows(spec, 200, (24, 24))[:, augment.MISALIGNMENT]
    assert (shift_xy != np.round(shift_xy)).all()
    assert 1.4 < np.abs(shift_xy).max() <= 1.5
    assert np.abs(shift_xy.mean(axis=0)).max() < 0.2  # 3 * (1.5 / sqrt(3)) / sqrt(200)


def test_a_template_in_colour_keeps_its_channels():
    spec = RIGID.model_copy(update={"misalignment_px": 1})
    image = np.random.default_rng(0).integers(0, 256, (3, 6, 8, 3), dtype=np.uint8)
    found = augment.apply_to_template(image, rows(spec, 3, (6, 8)), spec)
    assert found.shape == (3, 6, 8, 3)
    assert found.dtype == tf.uint8
