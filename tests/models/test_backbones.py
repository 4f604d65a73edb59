import os
from pathlib import Path

import keras
import numpy as np
import pytest
from keras import layers
from keras.src.utils import file_utils

from inspection_tf import config, errors, runtime
from inspection_tf.export import onnx
from inspection_tf.models import _backbone_keras, _backbone_weights, backbones

# Stride in px -> channels of its last layer.
FEATURES = {
    "vgg10": {1: 32, 2: 64, 4: 128, 8: 256, 16: 256},
    "vgg16_talk": {1: 32, 2: 64, 4: 128, 8: 256, 16: 256, 32: 256},
    "vgg16": {1: 64, 2: 128, 4: 256, 8: 512, 16: 512, 32: 512},
    "resnet18": {2: 64, 4: 64, 8: 128, 16: 256, 32: 512},
    "mobilenet": {1: 32, 2: 64, 4: 128, 8: 256, 16: 512},
    "keras_vgg16": {1: 64, 2: 128, 4: 256, 8: 512, 16: 512, 32: 512},
    "keras_vgg19": {1: 64, 2: 128, 4: 256, 8: 512, 16: 512, 32: 512},
    "keras_resnet50": {2: 64, 4: 256, 8: 512, 16: 1024, 32: 2048},
    "keras_mobilenet": {2: 64, 4: 128, 8: 256, 16: 512, 32: 1024},
    # What an inverted residual block of 16, 24, 32 or 96 (40, 112) channels expands to: 6 times.
    "keras_mobilenet_v2": {2: 96, 4: 144, 8: 192, 16: 576, 32: 1280},
    "keras_efficientnet_b0": {2: 96, 4: 144, 8: 240, 16: 672, 32: 1280},
    "keras_xception": {2: 128, 4: 256, 8: 728, 16: 1024, 32: 2048},
    "keras_inception_v3": {2: 64, 4: 192, 8: 288, 16: 768, 32: 2048},
}
QUICK = {"vgg10", "resnet18", "mobilenet", "keras_vgg16", "keras_mobilenet"}


def each(names):
    """Run for each backbone; those that take seconds to build go to the slow tests."""
    marked = [pytest.param(x, marks=() if x in QUICK else pytest.mark.slow) for x in names]
    return pytest.mark.parametrize("name", marked)


every_backbone, every_application = each(FEATURES), each(_backbone_keras.NETWORKS)
MEAN, DEVIATION = _backbone_weights.RGB_MEAN, _backbone_weights.RGB_DEVIATION


def build(name="vgg10", *, side=32, channels=1, **options):
    return backbones.build(image_size=(side, side), channels=channels, name=name, **options)


def normalized(side, channels, seed=0):
    rng = np.random.default_rng(seed)
    return rng.normal(size=(1, side, side, channels)).astype(np.float32)


def run(model, image):
    return {key: np.asarray(value) for key, value in model(image, training=False).items()}


def assert_same(found, expected, tolerance=1e-4):
    assert found.keys() == expected.keys()
    for key in found:
        largest = np.abs(expected[key]).max()
        assert largest > 0
        np.testing.assert_allclose(
            found[key], expected[key], rtol=0, atol=tolerance * largest, err_msg=key
        )


def shake(model):
    """Give biases and norms values that matter."""
    rng = np.random.default_rng(1)
    for layer in model.layers:
        if isinstance(layer, layers.BatchNormalization):
            layer.set_weights([rng.uniform(0.5, 1.5, value.shape) for value in layer.get_weights()])
        elif getattr(layer, "use_bias", False):
            layer.bias.assign(rng.normal(size=layer.bias.shape))


def reference_of(name):
    """Return the keras.applications network with random weights that stand for pretrained ones."""
    keras.utils.set_random_seed(2)
    constructor = _backbone_keras.NETWORKS[name].constructor
    model = constructor(include_top=False, weights=None, input_shape=(None, None, 3))
    shake(model)
    return model


def saved(model, folder):
    path = folder / "pretrained.weights.h5"
    model.save_weights(path)
    return path


@pytest.fixture(scope="module")
def pretrained(tmp_path_factory):
    """Give a keras.applications network and the file of its weights; each is made once."""
    made = {}

    def get(name):
        if name not in made:
            model = reference_of(name)
            made[name] = model, saved(model, tmp_path_factory.mktemp(name))
        return made[name]

    return get


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
    first = one.get_layer(_backbone_weights.first_convolution(one).name)
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


# --- the first convolution


def test_kernels_are_summed_for_grey_and_shared_between_images():
    rgb = np.array([3.0, 6.0, 12.0]).reshape(1, 1, 3, 1)

    def adapted(kernel, channels):
        return _backbone_weights.adapt(kernel, channels).ravel().tolist()

    assert adapted(rgb, 3) == [3, 6, 12]
    assert adapted(rgb, 1) == [21]  # 3 + 6 + 12
    assert adapted(rgb, 2) == [10.5, 10.5]
    assert adapted(rgb, 6) == [1.5, 3, 6, 1.5, 3, 6]
    pair = np.array([1.0, 2, 3, 4, 5, 6]).reshape(1, 1, 6, 1)
    assert adapted(pair, 3) == [5, 7, 9]  # 1 + 4, 2 + 5, 3 + 6
    assert adapted(pair, 1) == [21]
    assert adapted(np.array([8.0]).reshape(1, 1, 1, 1), 4) == [2, 2, 2, 2]


@every_application
def test_a_grey_image_gives_what_it_gives_as_three_equal_channels(name, pretrained):
    _, file = pretrained(name)
    strides = tuple(FEATURES[name])
    grey = normalized(64, 1)

    def features(channels):
        model = build(name, side=64, channels=channels, weights=file, strides=strides)
        return run(model, np.tile(grey, (1, 1, 1, channels)))

    expected = features(3)
    for channels in (1, 2, 6):
        assert_same(features(channels), expected)


def test_a_pair_of_colour_images_that_are_equal_gives_what_one_gives(pretrained):
    _, file = pretrained("keras_mobilenet")
    image = normalized(32, 3)
    one = build("keras_mobilenet", channels=3, weights=file)
    two = build("keras_mobilenet", channels=6, weights=file)
    assert_same(run(two, np.concatenate([image, image], axis=-1)), run(one, image))


# A 3x3 convolution without padding moves its map up and left by one cell. Xception has one of
# stride 2; InceptionV3 has one of stride 2 and, between its pools, one of stride 4: 2 + 4 px. Here
# they are padded, so the reference must see the image that much further down and right.
MOVED = {"keras_xception": 2, "keras_inception_v3": 2}
MOVED_AT = {("keras_inception_v3", 4): 6}
PREPROCESS = {
    "keras_vgg16": keras.applications.vgg16.preprocess_input,
    "keras_vgg19": keras.applications.vgg19.preprocess_input,
    "keras_resnet50": keras.applications.resnet.preprocess_input,
    "keras_mobilenet": keras.applications.mobilenet.preprocess_input,
    "keras_mobilenet_v2": keras.applications.mobilenet_v2.preprocess_input,
    "keras_xception": keras.applications.xception.preprocess_input,
    "keras_inception_v3": keras.applications.inception_v3.preprocess_input,
}


def reference_feature(reference, name, stride, image):
    """Return what the network gives for the normalised image under its own preprocessing."""
    moved = MOVED_AT.get((name, stride), MOVED.get(name, 0))
    pixels = PREPROCESS[name]((image * DEVIATION + MEAN).astype(np.float32))
    pixels = np.pad(pixels, ((0, 0), (moved, 0), (moved, 0), (0, 0)))
    stable = _backbone_weights.stable_names(layer.name for layer in reference.layers)
    names = {new: old for old, new in stable.items()}
    layer = names[_backbone_keras.NETWORKS[name].features[stride]]
    return np.asarray(keras.Model(reference.input, reference.get_layer(layer).output)(pixels))


def assert_same_inside(model, reference, name, strides, *, side, border):
    """Compare what lies `border` px or more from the edge of the image."""
    image = normalized(side, 3)
    found = run(model, image)
    for stride in strides:
        inside = slice(border // stride, (side - border) // stride)
        expected = reference_feature(reference, name, stride, image)[:, inside, inside]
        cells = (side - 2 * border) // stride
        assert expected.shape[1:3] == (cells, cells)
        assert_same({"": found[f"stride{stride}"][:, inside, inside]}, {"": expected})


@each(PREPROCESS)
def test_a_normalised_image_gives_what_the_network_gives_with_its_own_preprocessing(
    name, pretrained
):
    reference, file = pretrained(name)
    model = build(name, side=96, channels=3, weights=file, strides=(2, 4))
    assert_same_inside(model, reference, name, (2, 4), side=96, border=32)


def efficientnet(mean, variance):
    model = reference_of("keras_efficientnet_b0")
    normalization = next(x for x in model.layers if isinstance(x, layers.Normalization))
    normalization.load_own_variables({"0": np.array(mean), "1": np.array(variance), "2": 0})
    return model


def test_efficientnets_own_scaling_moves_into_its_kernel(tmp_path):
    # Its own layers make (grey / 255 - mean) / deviation, which is the normalised image: equal to
    # the border, at every stride.
    reference = efficientnet(MEAN / 255, (DEVIATION / 255) ** 2)
    image, strides = normalized(64, 3), (2, 4, 8, 16, 32)
    model = build(
        "keras_efficientnet_b0",
        side=64,
        channels=3,
        weights=saved(reference, tmp_path),
        strides=strides,
    )
    kinds = {type(layer) for layer in model.layers}
    assert not kinds & {layers.Rescaling, layers.Normalization}
    names = _backbone_keras.NETWORKS["keras_efficientnet_b0"].features
    outputs = {f"stride{s}": reference.get_layer(names[s]).output for s in strides}
    grey = (image * DEVIATION + MEAN).astype(np.float32)
    assert_same(run(model, image), run(keras.Model(reference.input, outputs), grey))


@pytest.mark.slow
def test_efficientnets_imagenet_file_holds_deviations_where_variances_belong(tmp_path):
    image = normalized(32, 3)
    features = []
    for variance in ((DEVIATION / 255) ** 2, DEVIATION / 255):
        file = saved(efficientnet(MEAN / 255, variance), tmp_path)
        features.append(run(build("keras_efficientnet_b0", channels=3, weights=file), image))
    assert_same(features[1], features[0])


@pytest.mark.slow
def test_efficientnets_scaling_that_was_never_adapted_is_grey_over_255(pretrained):
    reference, file = pretrained("keras_efficientnet_b0")
    model = build("keras_efficientnet_b0", channels=3, weights=file, strides=(2,))
    image = normalized(32, 3)
    grey = (image * DEVIATION + MEAN).astype(np.float32)

    def stem(network, pixels):
        layer = network.get_layer("stem_activation")
        # One tap of padding reaches one cell of the border.
        return {"": np.asarray(keras.Model(network.input, layer.output)(pixels))[:, 1:-1, 1:-1]}

    assert_same(stem(model, image), stem(reference, grey))


@pytest.mark.skipif(
    "INSPECTION_DATA" not in os.environ,
    reason="needs INSPECTION_DATA, the folder of the real data sets",
)
def test_imagenets_mobilenet_v2_reads_normalised_grey_and_colour_images():
    name = "keras_mobilenet_v2"
    file = Path(os.environ["INSPECTION_DATA"]) / "weights/mobilenet_v2_imagenet_notop.weights.h5"
    strides = (2, 4, 8, 16, 32)
    colour = build(name, side=128, channels=3, weights=file, strides=strides)
    grey = build(name, side=128, weights=file, strides=strides)
    image = normalized(128, 1)
    assert_same(run(grey, image), run(colour, np.tile(image, (1, 1, 1, 3))))
    reference = keras.applications.MobileNetV2(
        include_top=False, weights=file, input_shape=(None, None, 3)
    )
    assert_same_inside(colour, reference, name, (2, 4, 8), side=128, border=32)


# --- weights of backbones of this package


@each(["vgg10", "resnet18", "mobilenet", "keras_mobilenet_v2", "keras_inception_v3"])
def test_weights_of_a_backbone_serve_one_of_other_channels_and_depth(name, tmp_path):
    colour = build(name, channels=3, strides=tuple(FEATURES[name])[:5])
    shake(colour)
    file = saved(colour, tmp_path)
    image = normalized(32, 1)
    strides = (2, 8)
    grey = build(name, weights=file, strides=strides)
    expected = run(colour, np.tile(image, (1, 1, 1, 3)))
    assert_same(run(grey, image), {f"stride{s}": expected[f"stride{s}"] for s in strides})


def test_weights_are_found_in_the_file_of_a_network_that_holds_the_backbone(tmp_path):
    backbone = build("vgg10", strides=(8,))
    shake(backbone)
    image = keras.Input((32, 32, 1), name="image")
    x = layers.Conv2D(1, 3, name="block1_conv1")(backbone(image)["stride8"])  # not the backbone's
    file = saved(keras.Model({"image": image}, {"probability": x}), tmp_path)
    found = run(build("vgg10", weights=file, strides=(8,)), normalized(32, 1))
    assert_same(found, run(backbone, normalized(32, 1)))


def test_weights_of_keras_own_older_format_serve_too(pretrained, tmp_path, monkeypatch):
    monkeypatch.setenv("KERAS_HOME", str(tmp_path))
    (tmp_path / "models").mkdir()
    reference, file = pretrained("keras_mobilenet")
    reference.save(tmp_path / "models/mobilenet_1_0_224_tf_no_top.h5")
    found = build("keras_mobilenet", weights="imagenet")
    expected = build("keras_mobilenet", weights=file)
    assert_same(run(found, normalized(32, 1)), run(expected, normalized(32, 1)), 1e-6)


def test_weights_of_a_retrained_application_are_not_redefined_again(tmp_path):
    first = build("keras_mobilenet", channels=3)
    shake(first)
    second = build("keras_mobilenet", channels=3, weights=saved(first, tmp_path))
    assert_same(run(second, normalized(32, 3)), run(first, normalized(32, 3)), 1e-6)


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


@every_application
def test_imagenet_weights_that_are_not_in_the_cache_are_refused_before_any_work(
    name, tmp_path, monkeypatch
):
    monkeypatch.setenv("KERAS_HOME", str(tmp_path))
    monkeypatch.setattr(keras.utils, "get_file", lambda *_, **__: pytest.fail("a download"))
    monkeypatch.setattr(keras, "Input", lambda *_, **__: pytest.fail("work"))
    with pytest.raises(errors.ConfigError, match="must lie in the Keras cache, for nothing is"):
        build(name, weights="imagenet")


@every_application
def test_the_file_looked_for_is_the_one_keras_would_download(name, monkeypatch):
    network, asked = _backbone_keras.NETWORKS[name], []

    def get_file(file, *_, **__):
        asked.append(file)
        raise FileNotFoundError

    monkeypatch.setattr(file_utils, "get_file", get_file)
    with pytest.raises(FileNotFoundError):
        network.constructor(include_top=False, weights="imagenet", input_shape=(224, 224, 3))
    assert asked == [network.file]


def test_a_file_that_is_not_hdf5_is_refused(tmp_path):
    file = tmp_path / "text.weights.h5"
    file.write_text("no weights")
    with pytest.raises(errors.BundleError, match=r"text\.weights\.h5 must be an HDF5 file"):
        build("vgg10", weights=file)
    with pytest.raises(errors.BundleError, match=r"text\.weights\.h5 must be an HDF5 file"):
        build("keras_vgg16", weights=file)


@pytest.mark.parametrize(
    ("saved_from", "into", "what"),
    [
        (("vgg10", {}), ("resnet18", {}), "it holds no layer 'conv1'"),
        (("vgg10", {}), ("vgg16", {}), r"'block1_conv1' holds arrays \[\(3, 3, 1, 32\)\] inst"),
        (("vgg10", {"strides": (4,)}), ("vgg10", {}), "it holds no layer 'block4_conv1'"),
        (("mobilenet", {}), ("keras_mobilenet", {}), r"'conv1' holds arrays \[\(3, 3, 1, 16\)"),
    ],
)  # fmt: skip
def test_weights_of_another_backbone_are_refused_with_what_differs(
    saved_from, into, what, tmp_path
):
    file = saved(build(saved_from[0], **saved_from[1]), tmp_path)
    with pytest.raises(errors.BundleError, match=rf"pretrained\.weights\.h5 must hold .*{what}"):
        build(into[0], weights=file, **into[1])


@pytest.mark.parametrize(
    ("saved_from", "into", "what"),
    [
        ("keras_mobilenet", "keras_mobilenet_v2", "it holds no layer 'Conv1'"),
        ("keras_vgg16", "vgg10", "its layer 'block1_conv1' holds arrays"),
        ("keras_vgg16", "keras_vgg19", "it holds no layer 'block3_conv4'"),
        pytest.param(
            "keras_vgg19",
            "keras_vgg16",
            "it holds a further layer 'block3_conv4'",
            marks=pytest.mark.slow,
        ),
        pytest.param(
            "keras_inception_v3", "keras_xception", "it holds no layer", marks=pytest.mark.slow
        ),
    ],
)
def test_weights_of_another_application_are_refused_with_what_differs(
    saved_from, into, what, pretrained
):
    _, file = pretrained(saved_from)
    with pytest.raises(errors.BundleError, match=what) as caught:
        build(into, channels=3, weights=file)
    assert str(caught.value).startswith(f"{file} must hold the weights of the backbone")
    assert "\n" not in str(caught.value)


def test_a_network_of_another_width_is_refused_though_its_layers_have_the_same_names(tmp_path):
    half = keras.applications.MobileNet(alpha=0.5, include_top=False, weights=None)
    for name in ("half.weights.h5", "half.h5"):
        half.save_weights(tmp_path / name) if "weights" in name else half.save(tmp_path / name)
        with pytest.raises(errors.BundleError, match=r"'conv1' holds arrays .* instead of"):
            build("keras_mobilenet", weights=tmp_path / name)


def test_a_damaged_file_is_refused(pretrained, tmp_path):
    _, file = pretrained("keras_mobilenet")
    damaged = tmp_path / "half.weights.h5"
    damaged.write_bytes(file.read_bytes()[: file.stat().st_size // 2])
    with pytest.raises(errors.BundleError, match=r"half\.weights\.h5 must be an HDF5 file"):
        build("keras_mobilenet", weights=damaged)


def test_options_survive_yaml(tmp_path):
    for options in (
        backbones.Options(name="resnet18", blocks=(2, 2, 2, 1), first_stride=1, strides=(2, 4)),
        backbones.Options(weights="imagenet"),
        backbones.Options(weights=Path("folder/some.weights.h5")),
    ):
        (tmp_path / "options.yaml").write_text(config.to_yaml(options))
        assert config.load(backbones.Options, tmp_path / "options.yaml") == options
