from typing import get_args

import keras
import numpy as np
import product_checks
import pytest
import tensorflow as tf

from inspection_tf import errors, runtime
from inspection_tf.export import onnx
from inspection_tf.models import backbones, blocks, segmenter, unet


@pytest.mark.parametrize(("channels", "groups"), [(16, 8), (12, 4), (6, 2), (5, 1)])
def test_group_normalisation_takes_as_many_groups_as_divide_the_channels(channels, groups):
    x = keras.Input((4, 4, channels))
    blocks.normalize(x, kind="group", name="a")
    built = keras.Model(x, blocks.normalize(x, kind="group", name="b"))
    assert built.get_layer("b_norm").groups == groups


# What each makes of -2 and of 1.
ACTIVATED = {
    "relu": (0.0, 1.0),
    "leaky_relu": (-0.4, 1.0),  # a fifth of what is negative
    "tanh": (-0.964028, 0.761594),
    "sigmoid": (0.119203, 0.731059),  # 1 / (1 + e^2) and 1 / (1 + 1 / e)
    "silu": (-2 * 0.119203, 0.731059),  # x sigmoid(x)
}


@pytest.mark.parametrize("kind", get_args(blocks.Activation))
def test_an_activation_is_its_function_and_is_named_after_it(kind):
    x = keras.Input((2,))
    model = keras.Model(x, blocks.activate(x, kind=kind, name="level1"))
    assert model.layers[-1].name == f"level1_{kind}"
    found = model(np.array([[-2.0, 1.0]], np.float32))
    np.testing.assert_allclose(found, [ACTIVATED[kind]], atol=1e-5)


def test_an_unknown_activation_is_refused():
    with pytest.raises(errors.ConfigError, match=r"one of relu, .* silu\. Got 'swish'\. Choose"):
        blocks.activate(keras.Input((2,)), kind="swish", name="level1")


def test_a_relu_is_the_layer_that_it_always_was():
    x = keras.Input((4, 4, 1))
    model = keras.Model(x, blocks.conv(x, 2, normalization="batch", name="conv1"))
    assert [type(layer).__name__ for layer in model.layers[1:]] == [
        "Conv2D",
        "BatchNormalization",
        "ReLU",
    ]
    assert [layer.name for layer in model.layers[1:]] == ["conv1", "conv1_norm", "conv1_relu"]
    linear = keras.Model(x, blocks.conv(x, 2, activation=None, name="conv1"))
    assert [layer.name for layer in linear.layers[1:]] == ["conv1"]


def test_every_activation_is_the_same_in_onnx():
    image = keras.Input((4, 6, 1), name="image", dtype="uint8")
    x = keras.layers.Rescaling(1 / 64, -2.0)(image)
    for kind in get_args(blocks.Activation):
        x = blocks.double_conv(
            x,
            3,
            normalization="none",
            residual=kind == "tanh",
            activation=kind,
            initializer="glorot_uniform",
            name=kind,
        )
    x = keras.layers.Conv2D(1, 1, name="probability")(x)
    model = keras.Model({"image": image}, {"probability": x})
    value = np.random.default_rng(0).integers(0, 256, (2, 4, 6, 1), dtype=np.uint8)
    expected = np.asarray(model({"image": value})["probability"])
    assert expected.std() > 1e-3
    found = runtime.Engine(onnx.convert(model)).run(value)
    np.testing.assert_allclose(found, expected, atol=1e-5)


def kinds_of(model):
    """Return the kinds of its activations, but for the probabilities at its end."""
    found = {"relu" for layer in model.layers if isinstance(layer, keras.layers.ReLU)}
    return found | {
        layer.activation.__name__
        for layer in model.layers
        if isinstance(layer, keras.layers.Activation) and layer.name != "probability"
    }


@pytest.mark.parametrize("name", ["vgg10", "resnet18", "mobilenet"])
def test_the_activation_of_a_model_is_that_of_all_its_convolutions(name):
    of_unet = unet.build(
        image_size=(16, 16), filters=(2, 4), activation="tanh", working_stride=2, residual=True
    )
    assert kinds_of(of_unet) == {"tanh"}
    of_decoder = segmenter.build(
        image_size=(16, 16),
        decoder_filters=(2, 4),
        activation="silu",
        backbone={"name": name, "strides": (2,), "activation": "leaky_relu"},
    )
    assert kinds_of(of_decoder) == {"silu"}
    assert kinds_of(of_decoder.get_layer("backbone")) == {"leaky_relu"}


def test_a_backbone_of_keras_keeps_its_activation():
    with pytest.raises(errors.ConfigError, match=r"belongs to vgg10, .* Got tanh for keras_vgg16"):
        backbones.build(
            image_size=(32, 32), channels=3, name="keras_vgg16", strides=(2,), activation="tanh"
        )


def test_residual_without_a_change_of_channels_has_no_weights_of_its_own():
    x = keras.Input((4, 4, 8))
    y = blocks.double_conv(
        x, 8, normalization="none", residual=True, initializer="zeros", name="level"
    )
    model = keras.Model(x, y)
    assert model.count_params() == 2 * (9 * 8 * 8 + 8)
    value = np.random.default_rng(0).random((1, 4, 4, 8), dtype=np.float32)
    # With kernels of zeros the block is the identity.
    np.testing.assert_array_equal(model(value), value)


def test_nearest_upsampling_repeats_each_cell():
    x = keras.Input((1, 2, 1))
    y = blocks.upsample(x, 1, kind="nearest", initializer="ones", name="up")
    found = keras.Model(x, y)(np.array([[[[1.0], [2.0]]]], np.float32))
    assert np.asarray(found)[0, ..., 0].tolist() == [[1, 1, 2, 2], [1, 1, 2, 2]]


def test_an_unknown_upsampling_is_refused():
    with pytest.raises(errors.ConfigError, match=r"transposed, bilinear, .* nearest\. Got 'cubic'"):
        blocks.upsample(keras.Input((4, 4, 2)), 2, kind="cubic", initializer="ones", name="up")


def aligned(values, factor=2):
    layer = blocks.AlignedUpSampling2D(factor)
    return np.asarray(layer(np.asarray(values, np.float32)[None, ..., None]))[0, ..., 0]


def test_aligned_upsampling_keeps_the_corners():
    # Two columns become four, at 0, 1/3, 2/3 and 1 of the way.
    np.testing.assert_allclose(aligned([[0, 3], [6, 9]])[0], [0, 1, 2, 3], atol=1e-6)
    np.testing.assert_allclose(aligned([[0, 3], [6, 9]])[:, 0], [0, 2, 4, 6], atol=1e-6)
    # Three become six, at 0, 2/5, 4/5, 6/5, 8/5 and 2.
    found = aligned([[0, 10, 30]])
    np.testing.assert_allclose(found, [[0, 4, 8, 14, 22, 30]] * 2, atol=1e-5)


def interpolate(values, row, column):
    """Interpolate between the four cells around a place."""
    top, left = int(row), int(column)
    bottom, right = min(top + 1, len(values) - 1), min(left + 1, len(values[0]) - 1)
    down, across = row - top, column - left
    upper = values[top][left] * (1 - across) + values[top][right] * across
    lower = values[bottom][left] * (1 - across) + values[bottom][right] * across
    return upper * (1 - down) + lower * down


@pytest.mark.parametrize("factor", [2, 3])
@pytest.mark.parametrize(("height", "width"), [(3, 5), (4, 2), (1, 6), (1, 1)])
def test_aligned_upsampling_is_bilinear_between_the_four_cells_around(height, width, factor):
    values = np.random.default_rng(0).random((height, width))
    found = aligned(values, factor)
    assert found.shape == (factor * height, factor * width)
    for row in range(factor * height):
        for column in range(factor * width):
            expected = interpolate(
                values,
                row * (height - 1) / (factor * height - 1),
                column * (width - 1) / (factor * width - 1),
            )
            assert found[row, column] == pytest.approx(expected, abs=1e-6)


def test_aligned_upsampling_treats_images_and_channels_apart():
    values = np.random.default_rng(0).random((2, 3, 4, 5), dtype=np.float32)
    found = np.asarray(blocks.AlignedUpSampling2D()(values))
    for image in range(2):
        for channel in range(5):
            np.testing.assert_allclose(
                found[image, ..., channel], aligned(values[image, ..., channel]), atol=1e-6
            )


def test_aligned_upsampling_in_half_precision_stays_in_half_precision():
    layer = blocks.AlignedUpSampling2D(dtype="mixed_float16")
    values = np.arange(4, dtype=np.float32).reshape(1, 2, 2, 1)
    found = layer(values)
    assert found.dtype == "float16"
    np.testing.assert_allclose(found, blocks.AlignedUpSampling2D()(values), atol=2e-3)


def test_aligned_upsampling_is_rebuilt_from_its_configuration():
    layer = blocks.AlignedUpSampling2D(3, name="resize")
    twin = keras.saving.deserialize_keras_object(keras.saving.serialize_keras_object(layer))
    assert (type(twin), twin.factor, twin.name) == (blocks.AlignedUpSampling2D, 3, "resize")


@pytest.mark.parametrize("factor", [2, 3, 8])
@pytest.mark.parametrize("shape", [(2, 3, 5, 1), (1, 4, 2, 3), (1, 1, 6, 2), (1, 1, 1, 1)])
def test_bilinear_upsampling_by_matrices_is_that_of_keras(shape, factor):
    values = np.random.default_rng(0).normal(size=shape).astype(np.float32)
    reference = keras.layers.UpSampling2D(factor, interpolation="bilinear")
    layer = blocks.BilinearUpSampling2D(factor)
    expected = np.asarray(reference(values))
    found = np.asarray(layer(values))
    assert found.shape == expected.shape == tuple(layer.compute_output_shape(shape))
    np.testing.assert_allclose(found, expected, atol=1e-5)


def test_bilinear_upsampling_by_hand():
    # Cells of 2 px: their centres lie at 0.5 and 2.5, the pixels at 0, 1, 2, 3.
    layer = blocks.BilinearUpSampling2D(2)
    found = np.asarray(layer(np.array([[[[0.0], [4.0]]]], np.float32)))
    np.testing.assert_allclose(found[0, ..., 0], [[0, 1, 3, 4]] * 2, atol=1e-6)


def test_bilinear_upsampling_multiplies_no_stack_of_images_by_one_matrix():
    layer = blocks.BilinearUpSampling2D(2)
    values = np.random.default_rng(0).normal(size=(8, 64, 64, 1)).astype(np.float32)

    @tf.function
    def slope(values):
        with tf.GradientTape() as tape:
            tape.watch(values)
            made = layer(values)
            cost = tf.reduce_sum(made * made) / 2
        return made, tape.gradient(cost, values)

    graph = slope.get_concrete_function(tf.TensorSpec((None, 64, 64, 1))).graph
    products = [op for op in graph.get_operations() if op.type.startswith("BatchMatMul")]
    assert len(products) >= 4  # two there and two back
    assert product_checks.stacks_by_one_matrix(graph) == []
    made, found = slope(values)
    # What is made is linear in the values, so the cost is a quadratic form: its slope times the
    # values is twice the cost.
    np.testing.assert_allclose(np.sum(found * values), np.sum(np.square(made)), rtol=1e-4)


def test_bilinear_upsampling_in_half_precision_stays_in_half_precision():
    layer = blocks.BilinearUpSampling2D(dtype="mixed_float16")
    assert layer(np.ones((1, 2, 2, 1), np.float32)).dtype == "float16"


def test_bilinear_upsampling_is_rebuilt_from_its_configuration():
    layer = blocks.BilinearUpSampling2D(3, name="resize")
    twin = keras.saving.deserialize_keras_object(keras.saving.serialize_keras_object(layer))
    assert (type(twin), twin.factor, twin.name) == (blocks.BilinearUpSampling2D, 3, "resize")
