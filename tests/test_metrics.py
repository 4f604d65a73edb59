"""Every number is worked out on images of 2 x 2 px, in the order top left to bottom right."""

import keras
import numpy as np
import pytest

from inspection_tf import metrics

ALL = [metrics.DiceDefective, metrics.DiceAllImages, metrics.IouPooled]


def stack(*images, dtype="float32"):
    return np.array(images, dtype).reshape(-1, 2, 2, 1)


# Overlap 1 of areas 1 + 2; a clean hit of nothing; one false pixel; overlap 2 of areas 3 + 2.
TRUE = stack((1, 0, 0, 0), (0, 0, 0, 0), (0, 0, 0, 0), (1, 1, 1, 0), dtype="uint8")
PRED = stack((0.9, 0.5, 0.4, 0), (0.1, 0, 0, 0.49), (0.7, 0, 0, 0), (0.6, 0.6, 0.1, 0.2))


@pytest.mark.parametrize(
    ("metric", "expected"),
    [
        (metrics.DiceDefective, (2 / 3 + 4 / 5) / 2),
        (metrics.DiceAllImages, (2 / 3 + 1 + 0 + 4 / 5) / 4),
        (metrics.IouPooled, (1 + 2) / (2 + 0 + 1 + 3)),  # unions: 2, 0, 1, 3
    ],
)
def test_values_by_hand(metric, expected):
    measured = metric()
    measured.update_state(TRUE, PRED)
    assert float(measured.result()) == pytest.approx(expected, rel=1e-6)


def test_a_pixel_exactly_at_the_threshold_is_found():
    measured = metrics.IouPooled(threshold=0.75)
    measured.update_state(stack((1, 1, 0, 0)), stack((0.75, 0.7499, 0, 0)))
    assert float(measured.result()) == 0.5


@pytest.mark.parametrize("metric", ALL)
@pytest.mark.parametrize("sizes", [(1, 1, 1, 1), (3, 1), (1, 2, 1)])
def test_streaming_equals_one_update(metric, sizes):
    whole, streamed = metric(), metric()
    whole.update_state(TRUE, PRED)
    first = 0
    for size in sizes:
        streamed.update_state(TRUE[first : first + size], PRED[first : first + size])
        first += size
    assert float(streamed.result()) == float(whole.result())


@pytest.mark.parametrize("metric", ALL)
def test_nothing_seen_gives_0(metric):
    measured = metric()
    assert float(measured.result()) == 0
    measured.update_state(TRUE, PRED)
    measured.reset_state()
    assert float(measured.result()) == 0


@pytest.mark.parametrize(
    ("metric", "expected"),
    [(metrics.DiceDefective, 0), (metrics.DiceAllImages, 1), (metrics.IouPooled, 0)],
)
def test_a_set_without_defects_and_findings(metric, expected):
    measured = metric()
    measured.update_state(np.zeros((3, 2, 2, 1), np.uint8), np.zeros((3, 2, 2, 1), np.float32))
    assert float(measured.result()) == expected


@pytest.mark.parametrize("metric", ALL)
@pytest.mark.parametrize("dtype", ["bool", "int32", "float32"])
def test_masks_of_any_dtype_count_alike(metric, dtype):
    expected, measured = metric(), metric()
    expected.update_state(TRUE, PRED)
    measured.update_state(TRUE.astype(dtype), PRED)
    assert float(measured.result()) == float(expected.result())


@pytest.mark.parametrize("metric", ALL)
def test_a_weight_of_2_counts_an_image_twice(metric):
    weighted, doubled = metric(), metric()
    weighted.update_state(TRUE, PRED, sample_weight=np.array([1, 1, 1, 2]))
    doubled.update_state(np.concatenate([TRUE, TRUE[3:]]), np.concatenate([PRED, PRED[3:]]))
    assert float(weighted.result()) == float(doubled.result())


def test_pixels_are_counted_beyond_what_float32_can():
    measured = metrics.IouPooled()
    measured.below.assign(2.0**24)  # as after 64 images of 512x512, all of them defect
    measured.update_state(stack((1, 0, 0, 0)), stack((1, 0, 0, 0)))
    assert float(measured.below) == 2**24 + 1  # float32 would stay at 2**24


@pytest.mark.parametrize("metric", ALL)
def test_the_classes_of_a_map_count_together(metric):
    # Split between two classes, which add up to the map again; their ids do not matter.
    split = np.concatenate([PRED / 4, 3 * PRED / 4], axis=-1)
    expected, measured = metric(), metric()
    expected.update_state(TRUE, PRED)
    measured.update_state(2 * TRUE, split)
    assert float(measured.result()) == float(expected.result())


# Classes


def maps(*images):
    """Two classes: each pixel is (probability of class 1, of class 2)."""
    return np.array(images, "float32").reshape(-1, 2, 2, 2)


# Class 1 of the first image: true at pixel 0, found at 0 and 1, so 1 of 2. Of the second: true at 0
# and 1, found at 1 (at 0 both classes together are 0.4), so 1 of 2.
# Class 2 of the first image: true at 3, found at 2 and 3, so 1 of 2. Of the second: neither.
CLASS_TRUE = stack((1, 0, 0, 2), (1, 1, 0, 0), dtype="uint8")
CLASS_PRED = maps(
    ((0.6, 0.4), (0.5, 0.2), (0.25, 0.375), (0.0, 0.9)), ((0.2, 0.2), (0.9, 0.1), (0, 0), (0.1, 0))
)


def test_iou_of_classes_by_hand():
    measured = metrics.ClassIou(classes=2)
    measured.update_state(CLASS_TRUE, CLASS_PRED)
    assert measured.name == "iou_class_mean"
    assert float(measured.result()) == pytest.approx((2 / 4 + 1 / 2) / 2)
    each = metrics.ClassIou(classes=2, average=False)
    each.update_state(CLASS_TRUE, CLASS_PRED)
    np.testing.assert_allclose(each.result(), [2 / 4, 1 / 2])
    for row in (0, 1):  # the same in parts
        each.update_state(CLASS_TRUE[row : row + 1], CLASS_PRED[row : row + 1])
    np.testing.assert_allclose(each.result(), [2 / 4, 1 / 2])


def test_a_class_that_never_occurs_does_not_count_and_one_that_is_only_found_does():
    measured = metrics.ClassIou(classes=2)
    assert float(measured.result()) == 0
    only_first = stack((1, 1, 0, 0), dtype="uint8")
    measured.update_state(only_first, maps(((1, 0), (0, 0), (0, 0), (0, 0))))
    assert float(measured.result()) == 1 / 2
    measured.update_state(only_first, maps(((1, 0), (0, 0), (0, 1), (0, 0))))
    # Class 1: 2 of 4; class 2: 0 of 1.
    assert float(measured.result()) == (2 / 4 + 0) / 2


def test_iou_of_classes_takes_weights_and_survives_serialisation():
    weighted, doubled = (metrics.ClassIou(classes=2, threshold=0.45) for _ in range(2))
    weighted.update_state(CLASS_TRUE, CLASS_PRED, sample_weight=np.array([1, 2]))
    doubled.update_state(CLASS_TRUE[[0, 1, 1]], CLASS_PRED[[0, 1, 1]])
    assert float(weighted.result()) == float(doubled.result())
    twin = keras.metrics.deserialize(keras.metrics.serialize(weighted))
    assert (twin.classes, twin.average, twin.threshold) == (2, True, 0.45)


def test_pixels_of_a_class_are_counted_beyond_what_float32_can():
    measured = metrics.ClassIou(classes=2)
    measured.union.assign([2.0**24, 0])
    measured.update_state(stack((1, 0, 0, 0)), maps(((1, 0), (0, 0), (0, 0), (0, 0))))
    assert float(measured.union[0]) == 2**24 + 1


# Images that are OK or NG


@pytest.mark.parametrize("shape", [(4,), (4, 1)])
def test_ok_ng_accuracy_by_hand(shape):
    # NG from 1 - p = 0.5: right; NG though of another class: right; OK: missed; OK: right.
    label = np.array([1, 2, 1, 0], np.uint8).reshape(shape)
    p = np.array([[0.5, 0.3, 0.2], [0.1, 0.9, 0], [0.6, 0.2, 0.2], [0.8, 0.1, 0.1]], np.float32)
    measured = metrics.OkNgAccuracy()
    assert float(measured.result()) == 0
    measured.update_state(label, p)
    assert float(measured.result()) == 3 / 4
    lenient = metrics.OkNgAccuracy(threshold=0.3)
    lenient.update_state(label, p, sample_weight=np.array([1, 1, 2, 1]))
    assert float(lenient.result()) == 1


@pytest.mark.parametrize("metric", [*ALL, metrics.OkNgAccuracy])
def test_a_metric_survives_serialisation(metric):
    measured = metric(threshold=0.3, name="mine")
    twin = keras.metrics.deserialize(keras.metrics.serialize(measured))
    assert type(twin) is metric
    assert (twin.threshold, twin.name) == (0.3, "mine")


@pytest.mark.parametrize("metric", ALL)
def test_evaluate_gives_the_value_of_one_update_for_any_batch_size(metric):
    picture = keras.Input((2, 2, 1), name="image")
    probability = keras.layers.Identity(name="probability")(picture)
    model = keras.Model({"image": picture}, {"probability": probability})
    model.compile(loss={"probability": "mse"}, metrics={"probability": [metric(name="m")]})
    expected = metric()
    expected.update_state(TRUE, PRED)
    for batch_size in (1, 3):
        found = model.evaluate(
            {"image": PRED},
            {"probability": TRUE},
            batch_size=batch_size,
            verbose=0,
            return_dict=True,
        )
        assert found["m"] == float(expected.result())
