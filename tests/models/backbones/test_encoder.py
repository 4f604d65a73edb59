from pathlib import Path

import keras
import numpy as np
import pytest
from backbone_checks import assert_same, build, each, normalized, run, shake
from keras import layers

from inspection_tf import config, errors, runtime
from inspection_tf.export import onnx
from inspection_tf.models import backbones
from inspection_tf.models.backbones import pretrained

# Stride in px -> channels of its last layer.
FEATURES = {
    "vgg10": {1: 32, 2: 64, 4: 128, 8: 256, 16: 256},
    "vgg16_talk": {1: 32, 2: 64, 4: 128, 8: 256, 16: 256, 32: 256},
    "vgg16": {1: 64, 2: 128, 4: 256, 8: 512, 16: 512, 32: 512},
    "cnn": {1: 16, 2: 32, 4: 64, 8: 64, 16: 64},
    "resnet18": {2: 64, 4: 64, 8: 128, 16: 256, 32: 512},
    "mobilenet": {1: 32, 2: 64, 4: 128, 8: 256, 16: 512},
    "keras_vgg16": {1: 64, 2: 128, 4: 256, 8: 512, 16: 512, 32: 512},
    "keras_vgg19": {1: 64, 2: 128, 4: 256, 8: 512, 16: 512, 32: 512},
    "keras_resnet50": {2: 64, 4: 256, 8: 512, 16: 1024, 32: 2048},
    "keras_mobilenet": {2: 64, 4: 128, 8: 256, 16: 512, 32: 1024},
    # What an inverted residual block of 16, 24, 32 or 96 (40, 112) channels expands to: 6 times.
    "keras_mobilenet_v2": {2: 96, 4: 144, 8: 192, 16: 576, 32: 320},
    "keras_efficientnet_b0": {2: 96, 4: 144, 8: 240, 16: 672, 32: 1280},
    "keras_xception": {2: 128, 4: 256, 8: 728, 16: 1024, 32: 2048},
    "keras_inception_v3": {2: 64, 4: 192, 8: 288, 16: 768, 32: 2048},
}


every_backbone = each(FEATURES)


@pytest.fixture(scope="module")
def default():
    """Give a backbone of 32 x 32 grey px with default options; each is made once."""
    made = {}

    def get(name):
        if name not in made:
            made[name] = build(name)
        return made[name]

    return get


@every_backbone
def test_features_halve_the_image_up_to_the_deepest_stride(name):
    strides = tuple(FEATURES[name])
    model = backbones.build(image_size=(64, 96), channels=2, name=name, strides=strides)
    assert model.name == "backbone"
    assert (model.input.name, model.input.shape) == ("normalized", (None, 64, 96, 2))
    assert model.input.dtype == "float32"
    assert list(model.output) == [f"stride{stride}" for stride in strides]  # finest first
    for stride, filters in FEATURES[name].items():
        shape = model.output[f"stride{stride}"].shape
        assert shape == (None, 64 // stride, 96 // stride, filters)


@every_backbone
def test_by_default_all_features_up_to_stride_16_are_returned_and_no_deeper_layer_is_kept(
    name, default
):
    model = default(name)
    deepest = 8 if name == "vgg10" else 16
    assert list(model.output) == [f"stride{s}" for s in FEATURES[name] if s <= deepest]
    feature = model.output[f"stride{deepest}"]
    # Every layer is on a path to the deepest feature, which is the last.
    last = keras.Model(model.input, feature)
    assert {layer.name for layer in model.layers} == {layer.name for layer in last.layers}


@every_backbone
def test_names_of_layers_are_unique_and_do_not_depend_on_the_session_or_the_cut(name, default):
    names = [layer.name for layer in default(name).layers]
    assert len(set(names)) == len(names)
    layers.Add(), layers.Conv2D(1, 1), layers.Activation("relu")  # Keras counts these
    other = [layer.name for layer in build(name, strides=(4,)).layers]
    assert set(other) < set(names)


def test_vgg10_has_ten_convolutions_of_3x3_each_with_a_norm(default):
    model = default("vgg10")
    convolutions = [layer for layer in model.layers if isinstance(layer, layers.Conv2D)]
    assert [layer.filters for layer in convolutions] == [32] * 2 + [64] * 2 + [128] * 3 + [256] * 3
    assert {layer.kernel_size for layer in convolutions} == {(3, 3)}
    kinds = [type(layer).__name__ for layer in model.layers]
    assert kinds.count("BatchNormalization") == kinds.count("ReLU") == 10
    assert kinds.count("MaxPooling2D") == 3  # between the four blocks


@pytest.mark.parametrize(
    ("name", "filters"),
    [
        ("vgg16_talk", (32, 32, 64, 64, *[128] * 3, *[256] * 6)),
        pytest.param("vgg16", (64, 64, 128, 128, *[256] * 3, *[512] * 6), marks=pytest.mark.slow),
    ],
)
def test_vgg16_comes_in_the_talks_and_the_standard_width(name, filters):
    # A 3x3 convolution without bias: 9ab; its norm: 4b.
    before = (3, *filters[:-1])
    expected = sum(9 * a * b + 4 * b for a, b in zip(before, filters, strict=True))
    assert build(name, channels=3).count_params() == expected


def test_resnet18_has_the_parameters_of_the_original():
    model = build("resnet18", channels=3, strides=(32,))
    # 11,689,512 less the classifier of 512 * 1000 + 1000.
    assert sum(np.prod(weight.shape) for weight in model.trainable_weights) == 11_176_512


def test_resnet18_takes_blocks_of_each_stage_and_the_stride_of_its_first_convolution():
    model = build("resnet18", blocks=(2, 2, 2, 1), first_stride=1)
    assert list(model.output) == [f"stride{s}" for s in (1, 2, 4, 8, 16)]  # four halvings
    assert model.output["stride16"].shape[-1] == 512
    blocks = {layer.name.rsplit("_", 1)[0] for layer in model.layers if "_block" in layer.name}
    assert "conv5_block1" in blocks
    assert "conv5_block2" not in blocks


def test_mobilenet_is_half_as_wide_as_mobilenet_v1():
    half = keras.applications.MobileNet(alpha=0.5, include_top=False, weights=None)
    assert build("mobilenet", channels=3).count_params() == half.count_params()
    assert "stride1" not in build("mobilenet", first_stride=2).output


@every_backbone
def test_any_number_of_channels_changes_the_first_convolution_alone(name, default):
    one, six = default(name), build(name, channels=6)
    first = one.get_layer(pretrained.first_convolution(one).name)
    height, width, _, filters = first.kernel.shape
    assert six.count_params() - one.count_params() == 5 * height * width * filters
    assert six.get_layer(first.name).kernel.shape == (height, width, 6, filters)


@every_backbone
def test_a_backbone_survives_its_configuration_and_its_file(name, default, tmp_path):
    model, image = default(name), normalized(32, 1)
    expected = run(model, image)
    twin = keras.Model.from_config(model.get_config())
    twin.set_weights(model.get_weights())
    assert_same(run(twin, image), expected, 1e-6)
    model.save(tmp_path / "backbone.keras")
    loaded = keras.saving.load_model(tmp_path / "backbone.keras")
    assert_same(run(loaded, image), expected, 1e-6)
    assert list(loaded.output) == list(model.output)


@pytest.mark.slow
@each(FEATURES)
def test_a_backbone_nested_in_a_model_exports_to_onnx(name):
    backbone = build(name, strides=(2, 8))
    shake(backbone)
    image = keras.Input((32, 32, 1), dtype="uint8", name="image")
    features = backbone(layers.Rescaling(1 / 64, -2.0, name="scaling")(image))
    deep = layers.UpSampling2D(4, name="resize")(features["stride8"])
    x = layers.Concatenate(name="concat")([deep, features["stride2"]])
    x = layers.Conv2D(1, 1, kernel_initializer="glorot_uniform", name="logits")(x)
    x = layers.Activation("tanh", dtype="float32", name="probability")(x)
    model = keras.Model({"image": image}, {"probability": x})
    assert model.get_layer("backbone") is backbone
    pixels = np.random.default_rng(0).integers(0, 256, (2, 32, 32, 1), dtype=np.uint8)
    expected = np.asarray(model({"image": pixels}, training=False)["probability"])
    found = runtime.Engine(onnx.convert(model)).run(pixels)
    np.testing.assert_allclose(found, expected, atol=1e-4)


def test_a_training_step_moves_the_backbone():
    model = build("mobilenet", strides=(16,))
    before = model.get_layer("conv1").get_weights()[0]
    model.compile("sgd", loss={"stride16": "mse"})
    model.train_on_batch(normalized(32, 1), {"stride16": np.ones((1, 2, 2, 512), np.float32)})
    assert not np.array_equal(model.get_layer("conv1").get_weights()[0], before)


# --- refusals


@pytest.mark.parametrize(
    ("size", "strides", "multiple", "nearest"),
    [
        ((500, 500), None, 8, (504, 504)),
        ((30, 32), (2, 4), 4, (32, 32)),
        ((0, 16), (16,), 16, (16, 16)),
    ],
)
def test_a_size_that_does_not_divide_names_the_nearest_larger_one(size, strides, multiple, nearest):
    with pytest.raises(errors.ConfigError) as caught:
        backbones.build(image_size=size, channels=1, strides=strides)
    assert str(caught.value) == (
        f"image_size must be divisible by {multiple}. Got {size}; "
        f"the nearest larger size is {nearest}."
    )


@pytest.mark.parametrize(
    ("options", "match"),
    [
        ({"name": "vgg11"}, "name must be valid. Got 'vgg11'"),
        ({"stride": (2,)}, "Perhaps you meant 'strides'"),
        ({"strides": (2, 3)}, r"strides must be rising .*vgg10 has. Got \(2, 3\)"),
        ({"strides": (4, 2)}, r"Got \(4, 2\)"),
        ({"strides": (2, 2)}, r"Got \(2, 2\)"),
        ({"strides": ()}, r"Got \(\)"),
        ({"name": "keras_resnet50", "strides": (1, 2)}, r"out of \(2, 4, 8, 16, 32\)"),
        ({"name": "mobilenet", "strides": (32,)}, r"out of \(1, 2, 4, 8, 16\)"),
        ({"blocks": (1, 1, 1, 1)}, "blocks belong to resnet18"),
        ({"name": "resnet18", "blocks": (2, 2, 2, 0)}, "blocks must be 1 or more"),
        ({"first_stride": 1}, "first_stride belongs to resnet18 and mobilenet"),
        ({"channels": 0}, "channels must be 1 or more. Got 0"),
        ({"weights": "imagenet"}, "weights='imagenet' exist for keras_vgg16"),
        ({"weights": "absent.weights.h5"}, "weights must be a file. Got 'absent.weights.h5'"),
        ({"weights": "vgg.pth"}, "weights must be a .weights.h5 or .h5 file. Got 'vgg.pth'"),
    ],
)
def test_an_option_that_is_not_valid_is_refused(options, match):
    with pytest.raises(errors.ConfigError, match=match):
        build(**options)


def test_options_survive_yaml(tmp_path):
    for options in (
        backbones.Options(name="resnet18", blocks=(2, 2, 2, 1), first_stride=1, strides=(2, 4)),
        backbones.Options(weights="imagenet"),
        backbones.Options(weights=Path("folder/some.weights.h5")),
    ):
        (tmp_path / "options.yaml").write_text(config.to_yaml(options))
        assert config.load(backbones.Options, tmp_path / "options.yaml") == options
