"""Every number is worked out on one image of 2 x 2 px, in the order top left to bottom right."""

import math

import keras
import numpy as np
import pytest
from loss_checks import each, gradient

from inspection_tf import errors, losses

ALL = sorted(losses.SEGMENTATION)
EMPTY = (0, 0, 0, 0)


def image(*pixels, dtype="float32"):
    return np.array(pixels, dtype).reshape(1, 2, 2, 1)


def batch(*images):
    return np.concatenate(images)


def test_soft_dice_by_hand():
    # sum(y p) = 0.5, sum(y) = 1, sum(p) = 0.5 + 0.25
    # 1 - (2 * 0.5 + 1) / (1 + 0.75 + 1) = 0.75 / 2.75
    found = each(losses.SoftDice(), image(1, 0, 0, 0), image(0.5, 0.25, 0, 0))
    assert found == pytest.approx([0.75 / 2.75])


def test_soft_dice_treats_each_image_by_itself():
    # A perfect image costs 0; a missed one 1 - 1 / (2 + 1). Pooled it would be 1 - 5 / 7.
    y_true = batch(image(1, 1, 0, 0), image(1, 1, 0, 0))
    y_pred = batch(image(1, 1, 0, 0), image(*EMPTY))
    assert each(losses.SoftDice(), y_true, y_pred) == pytest.approx([0, 2 / 3])
    assert float(losses.SoftDice()(y_true, y_pred)) == pytest.approx(1 / 3)


def test_soft_dice_on_a_defect_free_image_costs_half_at_smooth_false_pixels():
    # s = 2 and sum(p) = 2 -> 1 - 2 / (2 + 2)
    assert each(losses.SoftDice(smooth=2), image(*EMPTY), image(1, 1, 0, 0)) == pytest.approx([0.5])


@pytest.mark.parametrize(("total", "pixels"), [(0.0, EMPTY), (1.0, (0.25, 0.25, 0.5, 0))])
def test_soft_dice_pulls_on_every_pixel_of_a_defect_free_image(total, pixels):
    # d/dp (1 - s / (sum(p) + s)) = s / (sum(p) + s)^2, the same for each pixel
    slope = gradient(losses.SoftDice(), image(*EMPTY), image(*pixels))
    np.testing.assert_allclose(slope, np.full((1, 2, 2, 1), 1 / (total + 1) ** 2), rtol=1e-6)


def test_keras_dice_does_not_pull_there():
    # Why this package has its own.
    assert not gradient(keras.losses.Dice(), image(*EMPTY), image(0.5, 0.5, 0, 0)).any()


def test_bce_dice_by_hand():
    # BCE: (3 * -ln 0.5 - ln 0.75 - ln 1 - ln 1) / 4; Dice as above 0.75 / 2.75
    loss = losses.BceDice(bce_weight=2, dice_weight=0.5, positive_weight=3)
    bce = (3 * math.log(2) - math.log(0.75)) / 4
    found = each(loss, image(1, 0, 0, 0), image(0.5, 0.25, 0, 0))
    assert found == pytest.approx([2 * bce + 0.5 * 0.75 / 2.75])


def test_bce_dice_can_leave_dice_out_on_defect_free_images():
    y_true = batch(image(*EMPTY), image(1, 0, 0, 0))
    y_pred = batch(image(0.5, 0, 0, 0), image(0.5, 0, 0, 0))
    # BCE of both: ln 2 / 4. Dice of the second: 1 - (1 + 1) / (1.5 + 1) = 0.2
    found = each(losses.BceDice(dice_on_good=False), y_true, y_pred)
    assert found == pytest.approx([math.log(2) / 4, math.log(2) / 4 + 0.2])
    # With it, the first: 1 - 1 / 1.5 on top.
    found = each(losses.BceDice(), y_true, y_pred)
    assert found == pytest.approx([math.log(2) / 4 + 1 / 3, math.log(2) / 4 + 0.2])


def test_bce_agrees_with_keras():
    rng = np.random.default_rng(0)
    y_true = rng.integers(0, 2, (2, 5, 3, 1)).astype("float32")
    y_pred = rng.uniform(0.01, 0.99, (2, 5, 3, 1)).astype("float32")
    found = float(losses.BceDice(dice_weight=0)(y_true, y_pred))
    assert found == pytest.approx(
        float(keras.losses.BinaryCrossentropy()(y_true, y_pred)), rel=1e-6
    )


def test_focal_by_hand():
    # Defect at 0.5: 0.25 * 0.5^2 * ln 2; good at 0.75: 0.75 * 0.75^2 * -ln 0.25; mean over 4 px.
    found = each(losses.Focal(), image(1, 0, 0, 0), image(0.5, 0.75, 0, 0))
    expected = (0.25 * 0.25 * math.log(2) + 0.75 * 0.5625 * math.log(4)) / 4
    assert found == pytest.approx([expected])


def test_focal_agrees_with_keras():
    rng = np.random.default_rng(0)
    y_true = rng.integers(0, 2, (2, 5, 3, 1)).astype("float32")
    y_pred = rng.uniform(0.01, 0.99, (2, 5, 3, 1)).astype("float32")
    reference = keras.losses.BinaryFocalCrossentropy(apply_class_balancing=True)
    found = float(losses.Focal()(y_true, y_pred))
    assert found == pytest.approx(float(reference(y_true, y_pred)), rel=1e-5)


def test_focal_without_focus_is_half_of_cross_entropy():
    y_true, y_pred = image(1, 0, 0, 1), image(0.5, 0.25, 0.1, 0.8)
    focal = each(losses.Focal(alpha=0.5, gamma=0), y_true, y_pred)
    assert focal == pytest.approx(each(losses.BceDice(dice_weight=0), y_true, y_pred) / 2)


def test_tversky_by_hand():
    # TP = 0.5, FP = 0.25, FN = 0.5 -> 1 - 1.5 / (0.5 + 0.3*0.25 + 0.7*0.5 + 1) = 0.425 / 1.925
    found = each(losses.Tversky(), image(1, 0, 0, 0), image(0.5, 0.25, 0, 0))
    assert found == pytest.approx([0.425 / 1.925])


def test_tversky_makes_a_missed_pixel_dearer_than_a_false_one():
    missed = each(losses.Tversky(), image(1, 1, 0, 0), image(1, 0, 0, 0))
    false = each(losses.Tversky(), image(1, 0, 0, 0), image(1, 1, 0, 0))
    # 1 - 2 / (1 + 0.7 + 1) and 1 - 2 / (1 + 0.3 + 1)
    assert [*missed, *false] == pytest.approx([0.7 / 2.7, 0.3 / 2.3])


def test_symmetric_tversky_is_soft_dice_with_twice_the_smoothing():
    y_true, y_pred = image(1, 0, 0, 1), image(0.5, 0.25, 0.1, 0.8)
    tversky = losses.Tversky(false_positive_weight=0.5, false_negative_weight=0.5, smooth=1.5)
    assert each(tversky, y_true, y_pred) == pytest.approx(
        each(losses.SoftDice(smooth=3), y_true, y_pred)
    )


def test_adaptive_is_cross_entropy_while_dice_is_bad():
    # Pooled Dice loss: sum(y p) = 0.5, areas 2 + 0.5 -> 1 - 2 / 3.5 = 0.43, not below 0.3
    y_true = batch(image(1, 0, 0, 0), image(1, 0, 0, 0))
    y_pred = batch(image(0.5, 0, 0, 0), image(*EMPTY))
    # The second image's missed pixel costs -ln 1e-7.
    found = each(losses.AdaptiveBceDice(), y_true, y_pred)
    assert found == pytest.approx([math.log(2) / 4, -math.log(1e-7) / 4])


def test_adaptive_is_the_dice_of_the_batch_once_that_is_good():
    # sum(y p) = 1.5, areas 2 + 1.5 -> 1 - 4 / 4.5 = 1/9, below 0.3, for every image of the batch
    y_true = batch(image(1, 0, 0, 0), image(1, 0, 0, 0))
    y_pred = batch(image(0.5, 0, 0, 0), image(1, 0, 0, 0))
    assert each(losses.AdaptiveBceDice(), y_true, y_pred) == pytest.approx([1 / 9, 1 / 9])
    bce = each(losses.AdaptiveBceDice(switch_at=0.1), y_true, y_pred)
    assert bce == pytest.approx([math.log(2) / 4, 0])


@pytest.mark.parametrize("name", ALL)
def test_nothing_found_where_nothing_is_costs_exactly_nothing(name):
    assert each(losses.SEGMENTATION[name](), image(*EMPTY), image(*EMPTY)).tolist() == [0.0]


@pytest.mark.parametrize("name", ALL)
def test_a_perfect_prediction_costs_exactly_nothing(name):
    assert each(losses.SEGMENTATION[name](), image(1, 0, 0, 1), image(1, 0, 0, 1)).tolist() == [0.0]


@pytest.mark.parametrize("name", ALL)
def test_a_false_pixel_on_a_defect_free_image_is_pulled_down(name):
    slope = gradient(losses.SEGMENTATION[name](), image(*EMPTY), image(0.5, 0.1, 0.1, 0.1))
    assert (slope > 0).all()


@pytest.mark.parametrize("options", [{}, {"gamma": 0.0}, {"gamma": 0.5}, {"gamma": 1.0}])
def test_focal_has_a_finite_gradient_where_the_sigmoid_saturates(options):
    loss = losses.Focal(**options)
    assert np.isfinite(gradient(loss, image(1, 0, 0, 1), image(1, 0, 1, 0))).all()


@pytest.mark.parametrize("name", ALL)
def test_value_and_gradient_stay_finite_at_certain_mistakes(name):
    y_true, y_pred = image(1, 1, 0, 0), image(0, 0, 1, 1)
    loss = losses.SEGMENTATION[name]()
    assert np.isfinite(each(loss, y_true, y_pred)).all()
    assert np.isfinite(gradient(loss, y_true, y_pred)).all()


@pytest.mark.parametrize("name", ALL)
@pytest.mark.parametrize("dtype", ["uint8", "bool", "int32"])
def test_masks_of_any_dtype_count_alike(name, dtype):
    loss, y_pred = losses.SEGMENTATION[name](), image(0.5, 0.25, 0.1, 0)
    expected = float(loss(image(1, 0, 0, 0), y_pred))
    assert float(loss(image(1, 0, 0, 0, dtype=dtype), y_pred)) == expected


@pytest.mark.parametrize("name", ALL)
def test_with_one_class_every_id_is_a_defect(name):
    loss, y_pred = losses.SEGMENTATION[name](), image(0.5, 0.25, 0.1, 0.8)
    expected = float(loss(image(1, 0, 0, 1), y_pred))
    assert float(loss(image(2, 0, 0, 6, dtype="uint8"), y_pred)) == expected


@pytest.mark.parametrize("name", ALL)
def test_sample_weights_weigh_images(name):
    loss = losses.SEGMENTATION[name]()
    y_true = batch(image(1, 0, 0, 0), image(1, 1, 0, 0))
    y_pred = batch(image(0.5, 0, 0, 0), image(0.25, 0, 0.5, 0))
    first, second = each(loss, y_true, y_pred)
    # Keras divides the weighted sum by the number of images.
    found = float(loss(y_true, y_pred, sample_weight=np.array([3.0, 1.0])))
    assert found == pytest.approx((3 * first + second) / 2, rel=1e-6)


@pytest.mark.parametrize(
    "loss",
    [
        losses.SoftDice(smooth=2.5, name="mine"),
        losses.BceDice(
            bce_weight=0.8,
            dice_weight=0.2,
            positive_weight=3,
            class_weights=[2],
            smooth=2,
            dice_on_good=False,
            kind_weight=0.5,
        ),
        losses.Focal(alpha=0.6, gamma=1.5, class_weights=(2.0,)),
        losses.Tversky(false_positive_weight=0.2, false_negative_weight=0.8, smooth=3),
        losses.AdaptiveBceDice(switch_at=0.1, smooth=2, class_weights=(2.0,)),
    ],
    ids=lambda loss: type(loss).__name__,
)
def test_a_loss_survives_serialisation_with_all_its_options(loss):
    twin = keras.losses.deserialize(keras.losses.serialize(loss))
    assert type(twin) is type(loss)
    assert twin.get_config() == loss.get_config()
    # Every argument of the constructor is in the configuration.
    names = set(vars(loss)) & set(type(loss).__init__.__kwdefaults__)
    assert names <= set(loss.get_config())
    y_true, y_pred = image(1, 0, 0, 0), image(0.5, 0.25, 0.1, 0)
    assert float(twin(y_true, y_pred)) == float(loss(y_true, y_pred))


@pytest.mark.parametrize("name", ALL)
def test_fit_takes_a_loss_with_uint8_masks_and_lowers_it(name):
    keras.utils.set_random_seed(0)
    picture = keras.Input((4, 4, 1), dtype="uint8", name="image")
    x = keras.layers.Rescaling(1 / 255)(picture)
    probability = keras.layers.Conv2D(1, 1, activation="sigmoid", name="probability")(x)
    model = keras.Model({"image": picture}, {"probability": probability})
    model.compile(keras.optimizers.SGD(0.1), loss={"probability": losses.SEGMENTATION[name]()})
    mask = (np.arange(32).reshape(2, 4, 4, 1) % 5 == 0).astype(np.uint8)
    history = model.fit(
        {"image": 200 * mask}, {"probability": mask}, epochs=5, batch_size=2, verbose=0
    )
    values = history.history["loss"]
    assert np.isfinite(values).all()
    assert values[-1] < values[0]


@pytest.mark.parametrize(
    ("name", "options", "match"),
    [
        ("soft_dice", {"smooth": 0}, "smooth must lie in"),
        ("bce_dice", {"smooth": -1}, "smooth must lie in"),
        ("bce_dice", {"positive_weight": -1}, "positive_weight must lie in 0..inf. Got -1"),
        ("bce_dice", {"kind_weight": -1}, "kind_weight must lie in 0..inf. Got -1"),
        ("focal", {"alpha": 1.5}, "alpha must lie in 0..1. Got 1.5"),
        ("focal", {"gamma": -1}, "gamma must lie in"),
        ("tversky", {"false_negative_weight": math.nan}, "false_negative_weight must lie in"),
        ("adaptive_bce_dice", {"switch_at": 2}, "switch_at must lie in"),
        ("bce_dice", {"class_weights": (1, -1)}, "class_weights must lie in 0..inf. Got -1"),
    ],
)
def test_options_out_of_range_are_refused(name, options, match):
    with pytest.raises(errors.ConfigError, match=match):
        losses.SEGMENTATION[name](**options)
