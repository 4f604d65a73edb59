import os
from pathlib import Path

import keras
import numpy as np
import pytest
from backbone_checks import assert_same, build, each, normalized, run, shake
from keras import layers
from keras.src.utils import file_utils

from inspection_tf import errors
from inspection_tf.models import backbones
from inspection_tf.models.backbones import keras_applications
from inspection_tf.models.backbones import pretrained as pretrained_

every_application = each(keras_applications.NETWORKS)
MEAN, DEVIATION = pretrained_.RGB_MEAN, pretrained_.RGB_DEVIATION


def reference_of(name):
    """Return the keras.applications network with random weights that stand for pretrained ones."""
    keras.utils.set_random_seed(2)
    constructor = keras_applications.NETWORKS[name].constructor
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


# --- the first convolution


def test_kernels_are_summed_for_grey_and_shared_between_images():
    rgb = np.array([3.0, 6.0, 12.0]).reshape(1, 1, 3, 1)

    def adapted(kernel, channels, **more):
        return pretrained_.adapt(kernel, channels, **more).ravel().tolist()

    assert adapted(rgb, 3) == [3, 6, 12]
    assert adapted(rgb, 1) == [21]  # 3 + 6 + 12
    assert adapted(rgb, 2) == [10.5, 10.5]
    assert adapted(rgb, 6) == [1.5, 3, 6, 1.5, 3, 6]
    pair = np.array([1.0, 2, 3, 4, 5, 6]).reshape(1, 1, 6, 1)
    assert adapted(pair, 3) == [5, 7, 9]  # 1 + 4, 2 + 5, 3 + 6
    assert adapted(pair, 1) == [21]
    assert adapted(np.array([8.0]).reshape(1, 1, 1, 1), 4) == [2, 2, 2, 2]
    # A pair and its difference: the pair shares the kernel, the difference has one of its own.
    assert adapted(rgb, 3, differences=1) == [10.5, 10.5, 21]
    assert adapted(rgb, 9, differences=3) == [1.5, 3, 6, 1.5, 3, 6, 3, 6, 12]


@every_application
def test_a_grey_image_gives_what_it_gives_as_three_equal_channels(name, pretrained):
    _, file = pretrained(name)
    strides = backbones.available_strides(backbones.Options(name=name))
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


def test_a_pair_that_agrees_gives_with_its_difference_what_one_image_gives(pretrained, tmp_path):
    _, file = pretrained("keras_mobilenet")
    image = normalized(32, 1)
    pair = np.concatenate([image, image, np.zeros_like(image)], axis=-1)
    own_file = tmp_path / "own.weights.h5"
    build("vgg10", channels=1).save_weights(own_file)
    for name, weights in (("keras_mobilenet", file), ("vgg10", own_file)):
        one = build(name, channels=1, weights=weights)
        paired = build(name, channels=3, weights=weights, differences=1)
        assert_same(run(paired, pair), run(one, image))


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
    stable = pretrained_.stable_names(layer.name for layer in reference.layers)
    names = {new: old for old, new in stable.items()}
    layer = names[keras_applications.NETWORKS[name].features[stride]]
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
    names = keras_applications.NETWORKS["keras_efficientnet_b0"].features
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
    colour = build(name, channels=3, strides=(2, 4, 8, 16))
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
    network, asked = keras_applications.NETWORKS[name], []

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
