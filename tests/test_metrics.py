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
