import cv2
import numpy as np
import pytest
import tensorflow as tf

from inspection_tf import config, errors
from inspection_tf.datasets.loading import augment

NONE = augment.NONE
FULL = augment.AugmentSpec(resampled_share=1.0, blur=0.5)
GEOMETRY = FULL.model_copy(update={"brightness": 0, "contrast": 0, "blur": 0, "noise": 0})
PHOTOMETRY = NONE.model_copy(update={"brightness": 0.1, "contrast": 0.3, "blur": 1, "noise": 4})


def rows(spec, count, size, *, seed=1, epoch=0):
    return np.stack(
        [augment.draw(spec, seed=seed, epoch=epoch, position=p, size=size) for p in range(count)]
    )


def run(image, mask, parameters, spec):
    return tuple(value.numpy() for value in augment.apply(image, mask, parameters, spec))


def in_dataset(image, mask, parameters, spec):
    batches = tf.data.Dataset.from_tensors((image, mask, parameters)).map(
        lambda i, m, p: augment.apply(i, m, p, spec)
    )
    return next(iter(batches.as_numpy_iterator()))


def plain_row(**columns):
    """Parameters that change nothing, but for the named columns."""
    row = np.zeros(augment.WIDTH, np.float32)
    row[[0, 4, augment.CONTRAST]] = 1
    for name, value in columns.items():
        row[getattr(augment, name)] = value
    return row[None]


def outcomes(spec, image):
    """Every picture the spec makes of one image (height, width), as bytes."""
    count = 64
    stack = np.repeat(image[None, ..., None], count, axis=0)
    moved, mask = run(stack, (stack > 99).astype(np.uint8), rows(spec, count, image.shape), spec)
    np.testing.assert_array_equal(mask, moved > 99)
    return {picture.tobytes() for picture in moved[..., 0]}


def numbered(height, width):
    return np.arange(height * width, dtype=np.uint8).reshape(height, width) * 5


@pytest.mark.parametrize("size", [(3, 4), (5, 5), (6, 3)])
def test_flips_are_exact(size):
    image = numbered(*size)
    expected = {i.tobytes() for i in (image, image[::-1], image[:, ::-1], image[::-1, ::-1])}
    assert outcomes(NONE.model_copy(update={"flips": True}), image) == expected


@pytest.mark.parametrize(
    ("flips", "axes"),
    [
        ("horizontal", [(), 1]),
        ("vertical", [(), 0]),
        ("both", [(), 0, 1, (0, 1)]),
        ("none", [()]),
        (True, [(), 0, 1, (0, 1)]),
        (False, [()]),
    ],
)
@pytest.mark.parametrize("size", [(3, 4), (5, 5)])
def test_flips_go_along_the_axes_that_are_named(flips, axes, size):
    image = numbered(*size)
    expected = {np.flip(image, axis).tobytes() for axis in axes}
    assert outcomes(NONE.model_copy(update={"flips": flips}), image) == expected


@pytest.mark.parametrize("apply", [run, in_dataset], ids=["eagerly", "in Dataset.map"])
@pytest.mark.parametrize(("flips", "axis"), [("horizontal", 1), ("vertical", 0)])
def test_half_of_the_images_are_mirrored_with_their_masks(apply, flips, axis):
    spec = NONE.model_copy(update={"flips": flips})
    image, mask = painted(64, (12, 17))
    moved, labels = apply(image, mask, rows(spec, 64, (12, 17)), spec)
    is_mirrored = [(picture == np.flip(image[0], axis)).all() for picture in moved]
    for mirrored, picture, label in zip(is_mirrored, moved, labels, strict=True):
        np.testing.assert_array_equal(picture, np.flip(image[0], axis) if mirrored else image[0])
        np.testing.assert_array_equal(label, np.flip(mask[0], axis) if mirrored else mask[0])
    # 64 draws at 1/2: deviation 4; three of them are allowed.
    assert 20 <= sum(is_mirrored) <= 44


@pytest.mark.parametrize(("old", "new"), [(True, "both"), (False, "none")])
def test_flips_of_configurations_before_draw_what_the_words_draw(old, new):
    size = (24, 31)
    before, after = (rows(FULL.model_copy(update={"flips": f}), 16, size) for f in (old, new))
    np.testing.assert_array_equal(before, after)


def test_one_axis_mirrors_the_images_that_both_mirror_along_it():
    both, across = (
        rows(NONE.model_copy(update={"flips": f}), 32, (9, 9)) for f in (True, "horizontal")
    )
    np.testing.assert_array_equal(across[:, 0], both[:, 0])
    assert (across[:, 4] == 1).all()


def test_flips_are_kept_as_they_are_written():
    # An unfinished run resumes only with the very text of its configuration.
    for flips in (True, False, "horizontal", "none"):
        assert augment.AugmentSpec(flips=flips).model_dump()["flips"] is flips


@pytest.mark.parametrize("flips", ["up", "", None, 2, ["horizontal"]])
def test_flips_that_are_none_of_these_are_refused(flips):
    match = "flips must be valid.*horizontal, vertical, both, none, or true or false"
    with pytest.raises(errors.ConfigError, match=match):
        config.validate(augment.AugmentSpec, {"flips": flips}, origin="a.yaml")


@pytest.mark.parametrize("side", [2, 5, 6])
def test_right_angles_are_exact(side):
    image = numbered(side, side)
    expected = {np.rot90(image, k).tobytes() for k in range(4)}
    assert outcomes(NONE.model_copy(update={"right_angles": True}), image) == expected


@pytest.mark.parametrize("size", [(3, 5), (6, 4)])
def test_images_that_are_not_square_turn_by_half_turns_only(size):
    image = numbered(*size)
    expected = {image.tobytes(), np.rot90(image, 2).tobytes()}
    assert outcomes(NONE.model_copy(update={"right_angles": True}), image) == expected


def test_shifts_are_whole_pixels_and_mirror_the_rim():
    spec, image = NONE.model_copy(update={"shift": 0.4}), numbered(5, 7)
    parameters = rows(spec, 32, image.shape)
    shift_xy = parameters[:, [2, 5]].astype(int)
    assert set(shift_xy[:, 0]) == {-3, -2, -1, 0, 1, 2, 3}  # at most round(0.4 * 7) = 3
    assert set(shift_xy[:, 1]) == {-2, -1, 0, 1, 2}  # at most 0.4 * 5 = 2
    stack = np.repeat(image[None, ..., None], 32, axis=0)
    moved, _ = run(stack, np.zeros_like(stack), parameters, spec)
    wide = np.pad(image, 3, mode="symmetric")
    for (x, y), picture in zip(shift_xy, moved[..., 0], strict=True):
        np.testing.assert_array_equal(picture, wide[3 + y : 8 + y, 3 + x : 10 + x])


def test_a_spec_of_nothing_changes_nothing():
    image = np.random.default_rng(0).integers(0, 256, (4, 9, 13, 3), dtype=np.uint8)
    mask = np.random.default_rng(1).integers(0, 2, (4, 9, 13, 1), dtype=np.uint8)
    for apply in (run, in_dataset):
        after = apply(image, mask, rows(NONE, 4, (9, 13)), NONE)
        np.testing.assert_array_equal(after[0], image)
        np.testing.assert_array_equal(after[1], mask)
        assert [array.dtype for array in after] == [np.uint8, np.uint8]


def painted(count, size, channels=1):
    """Dark images with a bright defect, whose mask is exactly the bright pixels."""
    mask = np.zeros(size, np.uint8)
    cv2.ellipse(mask, (size[1] // 3, size[0] // 2), (size[1] // 4, size[0] // 7), 20, 0, 360, 1, -1)
    image = np.where(mask, 255, 0).astype(np.uint8)
    stack = np.repeat(image[None, ..., None], channels, axis=-1)
    return np.repeat(stack, count, axis=0), np.repeat(mask[None, ..., None], count, axis=0)


@pytest.mark.parametrize("apply", [run, in_dataset], ids=["eagerly", "in Dataset.map"])
@pytest.mark.parametrize("size", [(33, 33), (31, 44), (48, 29)])
def test_the_mask_moves_with_its_image(apply, size):
    image, mask = painted(16, size, channels=3)
    moved, labels = apply(image, mask, rows(GEOMETRY, 16, size), GEOMETRY)
    # Both cross one half (127.5 rounds to 128) at the same place: they were resampled as one.
    np.testing.assert_array_equal(moved[..., :1] >= 128, labels == 1)
    assert len({label.tobytes() for label in labels}) == 16
    assert labels.any(axis=(1, 2, 3)).all()


@pytest.mark.parametrize("apply", [run, in_dataset], ids=["eagerly", "in Dataset.map"])
@pytest.mark.parametrize("size", [(33, 33), (31, 44)])
def test_the_mask_still_marks_the_defect_after_light_and_noise(apply, size):
    image, mask = painted(16, size)
    moved, labels = apply(image, mask, rows(FULL, 16, size), FULL)
    kernel = np.ones((5, 5), np.uint8)  # away from the edge, which is soft
    for picture, label in zip(moved[..., 0], labels[..., 0], strict=True):
        inside, outside = cv2.erode(label, kernel) > 0, cv2.dilate(label, kernel) == 0
        assert picture[inside].min() > picture[outside].max()


def test_a_dataset_gives_what_eager_calls_give():
    image, mask = painted(5, (21, 30))
    parameters = rows(FULL, 5, (21, 30))
    eager, mapped = (f(image, mask, parameters, FULL) for f in (run, in_dataset))
    np.testing.assert_array_equal(eager[0], mapped[0])
    np.testing.assert_array_equal(eager[1], mapped[1])


def test_light_and_noise_leave_the_mask_alone():
    image, mask = painted(6, (17, 20))
    after, labels = run(image, mask, rows(PHOTOMETRY, 6, (17, 20)), PHOTOMETRY)
    np.testing.assert_array_equal(labels, mask)
    assert (after != image).any()


def photometric(image, row, **ranges):
    batch = np.array(image, np.uint8)[None, ..., None]
    spec = NONE.model_copy(update=ranges)
    return augment.photometric(batch, row, spec).numpy()[0, ..., 0].tolist()


def test_brightness_is_an_offset_that_saturates():
    # 100 + 20 and 250 + 20 = 270, clipped.
    assert photometric([[100, 250]], plain_row(BRIGHTNESS=20), brightness=0.1) == [[120, 255]]


def test_contrast_spreads_grey_values_around_the_mean():
    # Mean 150: 150 + 1.5 * (100 - 150) = 75 and 150 + 1.5 * (200 - 150) = 225.
    assert photometric([[100, 200]], plain_row(CONTRAST=1.5), contrast=0.5) == [[75, 225]]


def test_blur_is_binomial():
    spot = np.zeros((5, 5), np.uint8)
    spot[2, 2] = 160
    # Weights (1 2 1)/4 each way: 160 * (1 2 4)/16.
    expected = np.zeros((5, 5), int)
    expected[1:4, 1:4] = [[10, 20, 10], [20, 40, 20], [10, 20, 10]]
    assert photometric(spot, plain_row(BLUR=1), blur=1) == expected.tolist()
    # Half the weight: the centre keeps 160 - 0.5 * (160 - 40) = 100.
    assert photometric(spot, plain_row(BLUR=0.5), blur=1)[2][2] == 100


def test_noise_has_the_deviation_that_was_drawn():
    flat = np.full((60, 60), 128, np.uint8)
    noisy = np.array(photometric(flat, plain_row(NOISE=8, NOISE_SEED=5), noise=8))
    # 3600 draws: the deviation's own error is 8 / sqrt(7200), 1.2 %.
    assert noisy.std() == pytest.approx(8, rel=0.06)
    assert noisy.mean() == pytest.approx(128, abs=0.5)


def test_parameters_follow_from_seed_epoch_and_position_alone():
    def draw(seed=1, epoch=2, position=3):
        return augment.draw(FULL, seed=seed, epoch=epoch, position=position, size=(20, 30))

    np.testing.assert_array_equal(draw(), draw())
    assert len({draw(**c).tobytes() for c in ({}, {"seed": 2}, {"epoch": 3}, {"position": 4})}) == 4


def test_an_image_is_moved_alike_alone_and_in_a_batch():
    image, mask = painted(4, (21, 30))
    spec = FULL.model_copy(update={"noise": 0})  # which is drawn for the batch
    parameters = rows(spec, 4, (21, 30))
    together = run(image, mask, parameters, spec)
    for n in range(4):
        alone = run(image[n : n + 1], mask[n : n + 1], parameters[n : n + 1], spec)
        np.testing.assert_array_equal(alone[0][0], together[0][n])
        np.testing.assert_array_equal(alone[1][0], together[1][n])


@pytest.mark.parametrize("off", ["flips", "right_angles", "resampled_share", "noise"])
def test_switching_one_range_off_leaves_the_others_alone(off):
    size = (24, 24)
    full, less = rows(FULL, 8, size), rows(FULL.model_copy(update={off: 0}), 8, size)
    light = [augment.BRIGHTNESS, augment.CONTRAST, augment.BLUR, augment.NOISE_SEED]
    np.testing.assert_array_equal(full[:, light], less[:, light])
    if off != "noise":
        np.testing.assert_array_equal(full[:, augment.NOISE], less[:, augment.NOISE])


def test_only_the_share_asked_for_is_resampled():
    size = (24, 24)
    spec = GEOMETRY.model_copy(update={"resampled_share": 0.25, "shift": 0.0})
    matrix = rows(spec, 400, size)[:, [0, 1, 3, 4]]
    is_kept = np.isin(matrix, (-1, 0, 1)).all(axis=1)
    # 400 draws at 0.75: deviation sqrt(0.75 * 0.25 / 400) = 0.022; three of them are allowed.
    assert is_kept.mean() == pytest.approx(0.75, abs=0.065)


def test_rotation_and_scale_stay_in_their_ranges():
    spec = NONE.model_copy(update={"resampled_share": 1.0, "rotation_deg": 15, "scale": 0.1})
    matrix = rows(spec, 200, (24, 24))[:, [0, 1, 3, 4]].reshape(-1, 2, 2)
    angle = np.rad2deg(np.arctan2(matrix[:, 1, 0], matrix[:, 0, 0]))
    zoom = 1 / np.sqrt(np.linalg.det(matrix))
    assert np.abs(angle).max() <= 15.001
    assert np.abs(angle).max() > 13
    assert zoom.min() >= 1 / 1.1001
    assert zoom.max() <= 1.1001
    assert zoom.max() - zoom.min() > 0.15
