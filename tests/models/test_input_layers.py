import keras
import numpy as np
import pytest

from inspection_tf import errors
from inspection_tf.models import input_layers

SCALING = {"input_mean": 100.0, "input_scale": 50.0}


def pair(image, template, **options):
    """Run the inputs of a pair of one pixel; returns what the first layer reads."""
    inputs, x = input_layers.build_inputs(
        image_size=(1, 1), channels=len(image), template=True, **SCALING, **options
    )
    model = keras.Model(inputs, x)
    values = {"image": image, "template": template}
    found = model({name: np.array([[[value]]], np.uint8) for name, value in values.items()})
    return np.asarray(found)[0, 0, 0]


def test_an_image_is_scaled_by_mean_and_scale():
    inputs, x = input_layers.build_inputs(image_size=(1, 3), channels=1, **SCALING)
    assert list(inputs) == ["image"]
    found = keras.Model(inputs, x)({"image": np.array([[[[0], [100], [200]]]], np.uint8)})
    np.testing.assert_allclose(np.ravel(found), [-2, 0, 2], atol=1e-6)  # (0 - 100) / 50 = -2


def test_a_pair_is_joined_image_first_in_one_scale():
    found = pair([0, 100, 200], [100, 150, 250])
    np.testing.assert_allclose(found, [-2, 0, 2, 0, 1, 3], atol=1e-6)


def test_the_difference_is_that_of_floats_not_of_bytes():
    # 10 - 20 is 246 in uint8; in floats it is -10 grey values, -0.2 units, whatever the mean.
    found = pair([10], [20], difference=True)
    np.testing.assert_allclose(found, [-1.8, -1.6, -0.2], atol=1e-6)


def test_the_mix_is_a_linear_convolution_over_the_pair():
    inputs, x = input_layers.build_inputs(
        image_size=(2, 2), channels=3, template=True, **SCALING, difference=True, mix_filters=5
    )
    layer = keras.Model(inputs, x).get_layer("mix")
    assert x.shape == (None, 2, 2, 5)
    assert layer.count_params() == 3 * 3 * 5 + 5
    assert (layer.kernel_size, layer.activation) == ((1, 1), keras.activations.linear)


def test_the_mix_keeps_the_variance_of_normalised_images():
    keras.utils.set_random_seed(0)
    inputs, x = input_layers.build_inputs(
        image_size=(64, 64),
        channels=1,
        template=True,
        input_mean=127.5,
        input_scale=255 / 12**0.5,  # the deviation of equally likely grey values
        mix_filters=64,
    )
    rng = np.random.default_rng(0)
    images = {name: rng.integers(0, 256, (4, 64, 64, 1), dtype=np.uint8) for name in inputs}
    assert np.var(keras.Model(inputs, x)(images)) == pytest.approx(1, abs=0.2)


@pytest.mark.parametrize("field", [{"template_difference": True}, {"template_mix": 3}])
def test_options_of_a_pair_need_a_template(field):
    options = input_layers.Options(**field)
    input_layers.check(options, template=True)
    with pytest.raises(errors.ConfigError, match=r"need a model with a template\. Got none"):
        input_layers.check(options, template=False)


def test_an_unknown_initializer_is_refused():
    with pytest.raises(errors.ConfigError, match=r"Keras initializer\. Got 'he_norml'"):
        input_layers.check(input_layers.Options(kernel_initializer="he_norml"), template=False)


@pytest.mark.parametrize(
    ("size", "nearest"), [((500, 512), (512, 512)), ((0, 16), (16, 16)), ((17, 33), (32, 48))]
)
def test_a_size_that_does_not_divide_names_the_nearest_larger_one(size, nearest):
    with pytest.raises(errors.ConfigError) as caught:
        input_layers.check_size(size, multiple=16)
    assert str(caught.value) == (
        f"image_size must be divisible by 16. Got {size}; the nearest larger size is {nearest}."
    )
