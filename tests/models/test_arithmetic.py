import itertools

import keras
import pytest
from keras import layers

from inspection_tf import errors
from inspection_tf.models import arithmetic

SIZES = [
    (n, f, p, s)
    for n, f, p, s in itertools.product((1, 5, 6, 7, 28), (1, 2, 3, 5), (0, 1, 2), (1, 2, 3))
    if f <= n + 2 * p
]


def padded(p):
    return layers.ZeroPadding2D(p)


@pytest.mark.parametrize(("n", "f", "p", "s"), SIZES)
def test_the_output_of_a_convolution_is_as_large_as_in_keras(n, f, p, s):
    shape = padded(p).compute_output_shape((1, n, n + 4, 1))
    convolved = layers.Conv2D(2, f, strides=s).compute_output_shape(shape)
    pooled = layers.MaxPooling2D(f, strides=s).compute_output_shape(shape)
    expected = tuple(arithmetic.conv_output_size(side, f, p, s) for side in (n, n + 4))
    assert tuple(convolved[1:3]) == tuple(pooled[1:3]) == expected


@pytest.mark.parametrize("f", [1, 3, 5, 7])
@pytest.mark.parametrize(("n", "s"), [(5, 1), (5, 2), (6, 2), (7, 2), (7, 3), (28, 3)])
def test_same_padding_gives_the_size_of_keras_same(n, f, s):
    layer = layers.Conv2D(1, f, strides=s, padding="same")
    found = arithmetic.conv_output_size(n, f, arithmetic.same_padding(f), s)
    assert found == layer.compute_output_shape((1, n, n, 1))[1] == -(-n // s)  # ceil(n / s)


def test_the_layers_really_make_maps_of_that_size():
    x = image = keras.Input((13, 10, 1))
    x = layers.Conv2D(2, 4, strides=3)(padded(2)(x))
    # (13 + 4 - 4) // 3 + 1 = 5 and (10 + 4 - 4) // 3 + 1 = 4
    found = keras.Model(image, x)(keras.ops.zeros((1, 13, 10, 1)))
    assert tuple(found.shape) == (1, 5, 4, 2)
    assert [arithmetic.conv_output_size(n, 4, 2, 3) for n in (13, 10)] == [5, 4]


@pytest.mark.parametrize("f", [0, 2, 4])
def test_an_even_filter_keeps_no_size(f):
    with pytest.raises(errors.ConfigError, match=rf"odd side\. Got {f}\. Use {f + 1}\."):
        arithmetic.same_padding(f)


@pytest.mark.parametrize("sizes", [(0, 3, 0, 1), (6, 0, 0, 1), (6, 3, -1, 1), (6, 3, 0, 0)])
def test_sizes_that_are_none_are_refused(sizes):
    with pytest.raises(errors.ConfigError, match=r"1 or more, and p 0 or more\. Got n="):
        arithmetic.conv_output_size(*sizes)


def test_a_filter_that_does_not_fit_is_refused():
    with pytest.raises(errors.ConfigError, match=r"padded map of 4 cells\. Got one of 5\."):
        arithmetic.conv_output_size(2, 5, 1)


@pytest.mark.parametrize("bias", [True, False])
@pytest.mark.parametrize(("f", "channels", "filters"), [(1, 1, 1), (3, 3, 10), (5, 4, 7)])
def test_a_convolution_has_the_parameters_of_keras(f, channels, filters, bias):
    model = keras.Sequential(
        [keras.Input((9, 8, channels)), layers.Conv2D(filters, f, use_bias=bias)]
    )
    assert arithmetic.conv_parameters(f, channels, filters, bias=bias) == model.count_params()


@pytest.mark.parametrize("bias", [True, False])
@pytest.mark.parametrize(("inputs", "units"), [(1, 1), (10, 3), (75, 20)])
def test_a_dense_layer_has_the_parameters_of_keras(inputs, units, bias):
    model = keras.Sequential([keras.Input((inputs,)), layers.Dense(units, use_bias=bias)])
    assert arithmetic.dense_parameters(inputs, units, bias=bias) == model.count_params()
