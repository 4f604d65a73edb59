import keras
import pytest
from keras import layers

from inspection_tf import errors
from inspection_tf.models import complexity


def model_of(*stack, size=(8, 6), channels=3):
    x = image = keras.Input((*size, channels))
    for layer in stack:
        x = layer(x)
    return keras.Model(image, x)


@pytest.mark.parametrize(
    ("layer", "macs"),
    [
        # kernel elements times positions of an 8 x 6 map of 3 channels
        (layers.Conv2D(4, 3, padding="same"), 3 * 3 * 3 * 4 * 48),
        (layers.Conv2D(4, 3), 3 * 3 * 3 * 4 * 6 * 4),
        (layers.Conv2D(4, 3, strides=2, padding="same"), 3 * 3 * 3 * 4 * 4 * 3),
        (layers.Conv2D(6, 3, groups=3, padding="same"), 3 * 3 * 1 * 6 * 48),
        (layers.DepthwiseConv2D(3, padding="same"), 3 * 3 * 3 * 48),
        (layers.DepthwiseConv2D(3, depth_multiplier=2, padding="same"), 3 * 3 * 3 * 2 * 48),
        (layers.SeparableConv2D(4, 3, padding="same"), (3 * 3 * 3 + 3 * 4) * 48),
        (layers.Conv2DTranspose(4, 2, strides=2), 2 * 2 * 3 * 4 * 48),
        (layers.Dense(5), 3 * 5 * 48),
    ],
)
def test_multiply_adds_are_kernel_elements_times_positions(layer, macs):
    assert complexity.count(model_of(layer)).macs == macs


def test_a_dense_layer_after_pooling_works_once_an_image():
    model = model_of(layers.GlobalAveragePooling2D(), layers.Dense(5))
    assert complexity.count(model) == complexity.Complexity(parameters=3 * 5 + 5, macs=3 * 5)


def test_norms_activations_and_pools_do_not_count():
    model = model_of(layers.BatchNormalization(), layers.ReLU(), layers.MaxPooling2D(2))
    assert complexity.count(model) == complexity.Complexity(parameters=4 * 3, macs=0)


def test_nested_models_count_in_functional_and_sequential_ones():
    inner = model_of(layers.Conv2D(4, 1))  # 3 * 4 * 48
    image = keras.Input((8, 6, 3), name="image")
    outer = keras.Model({"image": image}, {"y": layers.Conv2D(2, 1)(inner(image))})
    assert complexity.count(outer).macs == 3 * 4 * 48 + 4 * 2 * 48
    stack = keras.Sequential([keras.Input((8, 6, 3)), inner, layers.Conv2D(2, 1)])
    assert complexity.count(stack) == complexity.count(outer)


def test_a_shared_layer_counts_each_time_but_its_parameters_once():
    shared, image = layers.Conv2D(3, 1, use_bias=False), keras.Input((8, 6, 3))
    twice = keras.Model(image, shared(shared(image)))
    once = keras.Model(image, shared(image))
    assert complexity.count(twice) == complexity.Complexity(parameters=9, macs=2 * 9 * 48)
    assert complexity.count(once).macs == 9 * 48


def test_an_open_image_size_is_refused():
    model = model_of(layers.Conv2D(4, 3, name="first"), size=(None, None))
    with pytest.raises(errors.ConfigError, match=r"one image size\. Got 'first' on"):
        complexity.count(model)


def test_mobilenet_and_vgg16_have_the_numbers_of_the_talks_table():
    # Howard et al. 2017, table 8: 569 and 15300 million mult-adds, 4.2 and 138 million parameters.
    mobilenet = complexity.count(keras.applications.MobileNet(weights=None))
    assert mobilenet.macs == pytest.approx(569e6, rel=0.01)
    assert mobilenet.parameters == pytest.approx(4.2e6, rel=0.02)
    vgg16 = complexity.count(keras.applications.VGG16(weights=None))
    assert 15_300e6 <= vgg16.macs <= 15_500e6
    assert vgg16.parameters == pytest.approx(138e6, rel=0.01)
