"""Losses of whole images: every number is worked out on one or two of them."""

import math

import keras
import numpy as np
import pytest

from inspection_tf import errors, losses

ALL = sorted(losses.CLASSIFICATION)
LABEL = np.array([[1], [0]], np.uint8)
P = np.array([[0.5, 0.25, 0.25], [0.8, 0.1, 0.1]], np.float32)


def each(loss, y_true=LABEL, y_pred=P):
    """Return the loss of each image."""
    return np.asarray(loss.call(y_true, y_pred))


def test_cross_entropy_by_hand():
    assert each(losses.CrossEntropy()) == pytest.approx([-math.log(0.25), -math.log(0.8)])


def test_cross_entropy_with_smoothing_by_hand():
    # A tenth of 0.3 for each of three classes, and 0.7 more for the true one.
    first = -(0.1 * math.log(0.5) + 0.8 * math.log(0.25) + 0.1 * math.log(0.25))
    second = -(0.8 * math.log(0.8) + 0.2 * math.log(0.1))
    assert each(losses.CrossEntropy(label_smoothing=0.3)) == pytest.approx([first, second])


def test_cross_entropy_with_smoothing_agrees_with_keras():
    rng = np.random.default_rng(0)
    label, p = rng.integers(0, 4, 20), rng.dirichlet(np.ones(4), 20).astype("float32")
    reference = keras.losses.CategoricalCrossentropy(label_smoothing=0.2)
    found = float(losses.CrossEntropy(label_smoothing=0.2)(label, p))
    assert found == pytest.approx(float(reference(np.eye(4)[label], p)), rel=1e-5)


def test_class_focal_by_hand():
    # (1 - 0.25)^2 and (1 - 0.8)^2 times the cross-entropy.
    expected = [0.75**2 * -math.log(0.25), 0.2**2 * -math.log(0.8)]
    assert each(losses.ClassFocal()) == pytest.approx(expected, rel=1e-5)


def test_class_focal_without_focus_is_cross_entropy():
    assert each(losses.ClassFocal(gamma=0)) == pytest.approx(each(losses.CrossEntropy()))


@pytest.mark.parametrize("name", ALL)
def test_weights_weigh_images_by_their_true_class(name):
    plain, weighted = (
        losses.CLASSIFICATION[name](),
        losses.CLASSIFICATION[name](class_weights=(3, 0.5, 9)),
    )
    # The first is of class 1, the second of class 0, OK.
    assert each(weighted) == pytest.approx(each(plain) * [0.5, 3])


@pytest.mark.parametrize("name", ALL)
def test_a_sure_and_right_prediction_costs_exactly_nothing(name):
    assert each(
        losses.CLASSIFICATION[name](), LABEL, np.eye(3, dtype="float32")[[1, 0]]
    ).tolist() == [0, 0]


@pytest.mark.parametrize(
    "loss",
    [
        losses.CrossEntropy(),
        losses.CrossEntropy(label_smoothing=0.1),
        losses.ClassFocal(),
        losses.ClassFocal(gamma=0.5),
    ],
    ids=["cross_entropy", "with smoothing", "class_focal", "with little focus"],
)
def test_value_and_gradient_stay_finite_at_certain_predictions(loss):
    import tensorflow as tf

    p = tf.constant(np.eye(3, dtype="float32")[[0, 0]])  # sure: once wrong, once right
    with tf.GradientTape() as tape:
        tape.watch(p)
        value = loss(LABEL, p)
    assert np.isfinite(float(value))
    assert np.isfinite(tape.gradient(value, p)).all()


@pytest.mark.parametrize("name", ALL)
@pytest.mark.parametrize("label", [LABEL[:, 0], LABEL.astype("int64"), LABEL.astype("float32")])
def test_labels_of_any_dtype_with_or_without_an_axis_count_alike(name, label):
    loss = losses.CLASSIFICATION[name]()
    assert float(loss(label, P)) == float(loss(LABEL, P))


@pytest.mark.parametrize("name", ALL)
def test_sample_weights_weigh_images(name):
    loss = losses.CLASSIFICATION[name]()
    first, second = each(loss)
    # Keras divides the weighted sum by the number of images.
    found = float(loss(LABEL, P, sample_weight=np.array([3.0, 1.0])))
    assert found == pytest.approx((3 * first + second) / 2, rel=1e-6)


@pytest.mark.parametrize(
    "loss",
    [
        losses.CrossEntropy(label_smoothing=0.1, class_weights=[1, 2, 3], name="mine"),
        losses.ClassFocal(gamma=1.5, class_weights=(1, 2, 3)),
    ],
    ids=lambda loss: type(loss).__name__,
)
def test_a_loss_survives_serialisation_with_all_its_options(loss):
    twin = keras.losses.deserialize(keras.losses.serialize(loss))
    assert type(twin) is type(loss)
    assert twin.get_config() == loss.get_config()
    names = set(vars(loss)) & set(type(loss).__init__.__kwdefaults__)
    assert names <= set(loss.get_config())
    assert float(twin(LABEL, P)) == float(loss(LABEL, P))


@pytest.mark.parametrize("name", ALL)
def test_fit_takes_a_loss_with_uint8_labels_and_lowers_it(name):
    keras.utils.set_random_seed(0)
    value = keras.Input((3,), name="image")
    p = keras.layers.Dense(3, activation="softmax", name="class_probability")(value)
    model = keras.Model({"image": value}, {"class_probability": p})
    model.compile(
        keras.optimizers.SGD(0.5), loss={"class_probability": losses.CLASSIFICATION[name]()}
    )
    label = np.array([[0], [1], [2], [1]], np.uint8)
    image = np.eye(3, dtype="float32")[label[:, 0]]
    history = model.fit(
        {"image": image}, {"class_probability": label}, epochs=5, batch_size=4, verbose=0
    )
    values = history.history["loss"]
    assert np.isfinite(values).all()
    assert values[-1] < values[0]


@pytest.mark.parametrize(
    ("name", "options", "match"),
    [
        ("cross_entropy", {"label_smoothing": 1.5}, "label_smoothing must lie in 0..1. Got 1.5"),
        ("cross_entropy", {"class_weights": (1, math.nan)}, "class_weights must lie in"),
        ("class_focal", {"gamma": -1}, "gamma must lie in"),
    ],
)
def test_options_out_of_range_are_refused(name, options, match):
    with pytest.raises(errors.ConfigError, match=match):
        losses.CLASSIFICATION[name](**options)


@pytest.mark.parametrize("name", ALL)
def test_there_is_one_weight_for_each_class(name):
    with pytest.raises(errors.ConfigError, match="one weight for each of the 3 classes"):
        losses.CLASSIFICATION[name](class_weights=(1, 2))(LABEL, P)
