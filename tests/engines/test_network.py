"""What every network is fed, and what its answer must be."""

import math

import numpy as np
import pytest

from inspection_tf import errors, images
from inspection_tf.engines import network

BATCH = np.zeros((2, 4, 4, 1), np.uint8)


def test_a_network_that_compares_is_fed_image_and_template():
    assert list(network.named_inputs(BATCH)) == ["image"]
    inputs = network.named_inputs(BATCH, BATCH + 1)
    assert {name: int(array.max()) for name, array in inputs.items()} == {"image": 0, "template": 1}


def test_an_output_of_another_shape_or_dtype_is_refused():
    output = np.zeros((2, 9), np.float32)
    assert network.checked(output, (2, 9)) is output
    for odd in (output[:1], output.astype(np.float64)):
        with pytest.raises(errors.BundleError, match=r"must return float32 of shape \(2, 9\)"):
            network.checked(odd, (2, 9))


def test_the_score_is_the_probability_of_all_that_is_not_ok():
    assert network.ng_score(np.array([0.7, 0.1, 0.2])) == pytest.approx(0.3)  # 0.1 + 0.2
    assert math.isnan(network.ng_score(np.array([math.nan, 0.1, 0.2])))


@pytest.mark.parametrize(("channels", "count"), [("gray", 1), ("rgb", 3)])
def test_the_preprocessing_knows_the_shape_that_the_network_is_fed(channels, count):
    spec = images.Preprocessing(size=(48, 64), channels=channels)
    assert spec.channel_count == count
    assert spec.input_shape == (48, 64, count)
