"""Every number that the talk on CNNs for cutting inserts states, found anew."""

import keras
import numpy as np
import pytest
import tensorflow as tf
from keras import layers

from inspection_tf.models import arithmetic


def correlate(image, kernel, **options):
    """Return what `tf.nn.conv2d` makes of one image and one kernel."""
    options = {"strides": 1, "padding": "VALID"} | options
    image, kernel = (np.asarray(value, np.float32) for value in (image, kernel))
    return tf.nn.conv2d(image[None, ..., None], kernel[..., None, None], **options)[0, ..., 0]


def sizes(*stack, shape):
    model = keras.Sequential([keras.Input(shape), *stack])
    return [tuple(layer.output.shape[1:]) for layer in model.layers]


# Deep learning on large images; fully connected against convolutional


def test_a_dense_layer_on_a_large_image_has_more_than_6_billion_weights():
    inputs = 1000 * 2000 * 3
    assert inputs == 6_000_000
    # 1000 x 6 M + 1000
    assert arithmetic.dense_parameters(inputs, 1000) == 6_000_001_000
    assert layers.Flatten().compute_output_shape((1, 1000, 2000, 3)) == (1, inputs)


def test_10_inputs_and_3_outputs_have_33_weights_where_the_slide_says_34():
    model = keras.Sequential([keras.Input((10,)), layers.Dense(3)])
    assert model.count_params() == arithmetic.dense_parameters(10, 3) == 10 * 3 + 3 == 33


def test_a_unit_that_slides_over_10_inputs_and_reads_3_has_4_weights():
    model = keras.Sequential([keras.Input((10, 1)), layers.Conv1D(1, 3)])
    assert model.count_params() == 3 + 1
    assert model.output_shape == (None, 8, 1)


# Convolution and cross-correlation

PATCH = [[59, 63, 69], [59, 62, 69], [57, 61, 70]]
SOBEL_V = np.array([[-1, 0, 1], [-2, 0, 2], [-1, 0, 1]])
SOBEL_H = np.array([[-1, -2, -1], [0, 0, 0], [1, 2, 1]])


def test_the_worked_example_gives_43():
    by_hand = (
        (-1) * 59 + 0 * 63 + 1 * 69 + (-2) * 59 + 0 * 62 + 2 * 69 + (-1) * 57 + 0 * 61 + 1 * 70
    )
    assert by_hand == np.sum(SOBEL_V * PATCH) == 43
    assert float(correlate(PATCH, SOBEL_V)[0, 0]) == 43


def test_a_true_convolution_turns_the_kernel_and_gives_minus_43():
    flipped = SOBEL_V[::-1, ::-1]
    np.testing.assert_array_equal(flipped, -SOBEL_V)
    assert float(correlate(PATCH, flipped)[0, 0]) == -43


def test_the_two_sobel_kernels_are_one_turned():
    np.testing.assert_array_equal(SOBEL_H, SOBEL_V.T)


@pytest.mark.parametrize(
    ("kernel", "total"),
    [
        ([[0, -1, 0], [-1, 4, -1], [0, -1, 0]], 0),  # Laplacian
        (SOBEL_H, 0),
        (SOBEL_V, 0),
        ([[-2, -1, 0], [-1, 1, 1], [0, 1, 2]], 1),  # emboss
        (np.ones((3, 3)) / 9, 1),  # blur
        ([[-1, -1, -1], [-1, 9, -1], [-1, -1, -1]], 1),  # enhancement
    ],
)
def test_on_a_flat_image_a_kernel_gives_its_sum(kernel, total):
    found = correlate(np.full((5, 7), 80.0), kernel)
    np.testing.assert_allclose(found, np.full((3, 5), 80.0 * total), atol=1e-4)


# How low level features are detected

CURVE = np.zeros((7, 7))
CURVE[[0, 1, 2, 3, 4, 5], [5, 4, 3, 3, 3, 3]] = 30
LOW = [
    [0, 0, 0, 0, 0, 0, 0],
    [0, 40, 0, 0, 0, 0, 0],
    [40, 0, 40, 0, 0, 0, 0],
    [40, 20, 0, 0, 0, 0, 0],
    [0, 50, 0, 0, 0, 0, 0],
    [0, 0, 50, 0, 0, 0, 0],
    [25, 25, 0, 50, 0, 0, 0],
]
HIGH = [
    [0, 0, 0, 0, 0, 0, 30],
    [0, 0, 0, 0, 50, 50, 50],
    [0, 0, 0, 20, 50, 0, 0],
    [0, 0, 0, 50, 50, 0, 0],
    [0, 0, 0, 50, 50, 0, 0],
    [0, 0, 0, 50, 50, 0, 0],
    [0, 0, 0, 50, 50, 0, 0],
]


def test_the_curve_filter_responds_to_its_curve_alone():
    assert float(correlate(LOW, CURVE)[0, 0]) == 0
    # Row 1 to 5 of the curve meet 50, 20, 50, 50 and 50; row 0 meets 0.
    expected = 50 * 30 + 20 * 30 + 50 * 30 + 50 * 30 + 50 * 30
    assert float(correlate(HIGH, CURVE)[0, 0]) == expected == 6600


# Output sizes, padding, stride


def test_6_x_6_by_3_x_3_gives_4_x_4():
    assert arithmetic.conv_output_size(6, 3) == 6 - 3 + 1 == 4
    assert correlate(np.zeros((6, 6)), np.zeros((3, 3))).shape == (4, 4)


def test_padding_of_1_makes_8_x_8_of_6_x_6_and_keeps_6_x_6():
    assert np.pad(np.zeros((6, 6)), 1).shape == (8, 8)
    assert arithmetic.same_padding(3) == 1
    assert arithmetic.conv_output_size(6, 3, 1) == 6 + 2 * 1 - 3 + 1 == 6
    assert correlate(np.zeros((6, 6)), np.zeros((3, 3)), padding="SAME").shape == (6, 6)


def test_zeros_on_both_borders_make_7_x_7_of_5_x_5_not_the_slides_6_x_6():
    assert np.pad(np.zeros((5, 5)), 1).shape == (7, 7)
    # On the bottom and the right alone it is the 6 x 6 of the slide.
    assert np.pad(np.zeros((5, 5)), ((0, 1), (0, 1))).shape == (6, 6)


def test_a_stride_of_2_halves_rounding_down():
    # floor((5 - 3) / 2) + 1, and floor((6 - 3) / 2) + 1: the last column is not seen.
    for n, expected in ((5, 2), (6, 2), (7, 3)):
        assert arithmetic.conv_output_size(n, 3, 0, 2) == expected
        assert correlate(np.zeros((n, n)), np.zeros((3, 3)), strides=2).shape == (expected,) * 2


# Convolutions over volumes


@pytest.mark.parametrize("filters", [1, 2])
def test_a_filter_over_a_volume_gives_a_flat_map_and_each_filter_one(filters):
    (found,) = sizes(layers.Conv2D(filters, 3), shape=(6, 6, 3))
    assert found == (4, 4, filters)


def test_a_filter_over_a_volume_sums_over_its_channels():
    rng = np.random.default_rng(0)
    volume, kernel = rng.normal(size=(6, 6, 3)), rng.normal(size=(3, 3, 3, 1))
    found = tf.nn.conv2d(volume[None], kernel, 1, "VALID")[0, ..., 0]
    summed = sum(correlate(volume[..., c], kernel[..., c, 0]) for c in range(3))
    np.testing.assert_allclose(found, summed, atol=1e-5)


@pytest.mark.parametrize("size", [(6, 6), (100, 75)])
def test_10_filters_of_3_x_3_x_3_have_280_parameters_whatever_the_image(size):
    assert arithmetic.conv_parameters(3, 3, 1) == 3 * 3 * 3 + 1 == 28
    assert arithmetic.conv_parameters(3, 3, 10) == 28 * 10 == 280
    assert keras.Sequential([keras.Input((*size, 3)), layers.Conv2D(10, 3)]).count_params() == 280


# The wrongly structured CNN, and pooling


def test_the_wrongly_structured_cnn_has_the_talks_712202_parameters():
    stack = [layers.Conv2D(32, 3), layers.Conv2D(64, 3), layers.Conv2D(128, 3), layers.Flatten()]
    model = keras.Sequential([keras.Input((28, 28, 1)), *stack, layers.Dense(10)])
    shapes = [tuple(layer.output.shape[1:]) for layer in model.layers]
    assert shapes == [(26, 26, 32), (24, 24, 64), (22, 22, 128), (61952,), (10,)]
    counts = [layer.count_params() for layer in model.layers]
    assert counts == [320, 18_496, 73_856, 0, 619_530]
    assert counts == [
        arithmetic.conv_parameters(3, 1, 32),  # (9 + 1) 32
        arithmetic.conv_parameters(3, 32, 64),  # (288 + 1) 64
        arithmetic.conv_parameters(3, 64, 128),  # (576 + 1) 128
        0,
        arithmetic.dense_parameters(22 * 22 * 128, 10),  # (61952 + 1) 10
    ]
    assert model.count_params() == sum(counts) == 712_202


def test_pooling_in_between_leaves_a_seventh_of_the_parameters():
    stack = [
        *(layers.Conv2D(32, 3), layers.MaxPooling2D(2), layers.Conv2D(64, 3)),
        *(layers.MaxPooling2D(2), layers.Conv2D(128, 3), layers.Flatten(), layers.Dense(10)),
    ]
    model = keras.Sequential([keras.Input((28, 28, 1)), *stack])
    # 28 -> 26 -> 13 -> 11 -> 5 -> 3: the dense layer reads 3 x 3 x 128 = 1152.
    assert model.layers[4].output.shape == (None, 3, 3, 128)
    assert model.count_params() == 320 + 18_496 + 73_856 + 11_530 == 104_202
    assert all(model.layers[at].count_params() == 0 for at in (1, 3))


def test_pooling_reduces_height_and_width_but_not_the_depth():
    (found,) = sizes(layers.MaxPooling2D(2), shape=(6, 4, 5))
    assert found == (3, 2, 5)


def test_a_feature_that_a_region_has_is_there_after_max_pooling():
    image = np.zeros((1, 4, 4, 1), np.float32)
    image[0, 1, 2] = 9
    kept = np.asarray(layers.MaxPooling2D(2)(image))[0, ..., 0]
    thinned = np.asarray(layers.AveragePooling2D(2)(image))[0, ..., 0]
    assert kept.tolist() == [[0, 9], [0, 0]]
    assert thinned.tolist() == [[0, 9 / 4], [0, 0]]


# Softmax


def test_the_probabilities_of_the_slide_and_of_a_softmax_add_up_to_1():
    slide = np.array([0.8, 0.1, 0.05, 0.05])
    assert slide.sum() == pytest.approx(1)
    # softmax(ln p) = p
    np.testing.assert_allclose(layers.Softmax()(np.log(slide)[None])[0], slide, atol=1e-6)
