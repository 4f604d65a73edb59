import keras
import numpy as np
import pytest

from inspection_tf import config, errors
from inspection_tf.models import backbones, segmenter

# vgg10 has 32 channels at stride 1 and 64 at stride 2; resnet18 64, 64, 128 at 2, 4, 8.
VGG = {"name": "vgg10", "strides": (1, 2)}


def small(size=(16, 16), **options):
    values = {"backbone": VGG, "decoder_filters": (4, 8, 8), **options}
    return segmenter.build(image_size=size, **values)


def names(model):
    return [layer.name for layer in model.layers]


def shape(model, name):
    return model.get_layer(name).output.shape[1:]


def test_the_decoder_has_the_parameters_that_its_layers_say():
    model = small(context=True)
    parameters = {
        "context": 64 * 64 + 64,
        "decoder1_up": 4 * 64 * 4 + 4,  # 2x2 transposed
        "decoder1_conv1": 9 * (32 + 4) * 4,  # no bias: a norm follows
        "decoder1_conv2": 9 * 4 * 4,
        "decoder1_conv1_norm": 4 * 4,
        "decoder1_conv2_norm": 4 * 4,
        "logits": 4 + 1,
    }
    found = {name: model.get_layer(name).count_params() for name in parameters}
    assert found == parameters
    backbone = model.get_layer("backbone").count_params()
    assert model.count_params() == backbone + sum(parameters.values())


def test_features_are_joined_at_their_own_strides():
    model = small(backbone={"name": "resnet18", "strides": (2, 8)}, size=(32, 48))
    # From 8 to 4, where no feature is returned, to 2, where one of 64 channels is, to 1.
    assert shape(model, "decoder4_up") == (8, 12, 8)
    assert shape(model, "decoder2_up") == (16, 24, 8)
    assert shape(model, "decoder2_concat") == (16, 24, 64 + 8)
    assert shape(model, "decoder1_up") == (32, 48, 4)
    assert {"decoder4_concat", "decoder1_concat"}.isdisjoint(names(model))


def test_skips_are_brought_to_the_decoders_width_where_asked():
    model = small(
        backbone={"name": "resnet18", "strides": (2, 8)}, size=(32, 48), project_skips=True
    )
    assert shape(model, "decoder2_concat") == (16, 24, 8 + 8)
    assert model.get_layer("decoder2_skip").count_params() == 64 * 8 + 8
    assert {"decoder4_skip", "decoder1_skip"}.isdisjoint(names(model))


@pytest.mark.parametrize(
    ("backbone", "strides"),
    [("vgg10", (1, 2, 4)), ("resnet18", (2, 4)), ("resnet18", (4, 8)), ("mobilenet", (8,))],
)
def test_any_finest_stride_gives_a_map_in_the_images_size(backbone, strides):
    model = small(backbone={"name": backbone, "strides": strides}, size=(24, 40))
    assert model.output["probability"].shape == (None, 24, 40, 1)
    joined = {f"decoder{stride}_concat" for stride in strides[:-1]}
    assert joined == {name for name in names(model) if name.endswith("concat")}


@pytest.mark.parametrize(("stride", "levels"), [(1, 3), (2, 2), (4, 1), (8, 0)])
def test_output_stride_leaves_finer_levels_out_and_interpolates_the_logits(stride, levels):
    model = small(backbone={"name": "vgg10", "strides": (1, 2, 4, 8)}, output_stride=stride)
    ups = [name for name in names(model) if name.endswith("_up")]
    assert len(ups) == levels
    assert shape(model, "logits") == (16 // stride, 16 // stride, 1)
    assert model.output["probability"].shape == (None, 16, 16, 1)
    assert ("logits_resize" in names(model)) == (stride > 1)


@pytest.mark.parametrize("context", [False, True])
def test_only_context_lets_a_pixel_see_the_whole_image(context):
    keras.utils.set_random_seed(0)
    model = small((64, 64), context=context)
    image = np.random.default_rng(0).integers(0, 256, (1, 64, 64, 1), dtype=np.uint8)
    changed = image.copy()
    changed[0, :32, :32] = 255
    found, other = (
        np.asarray(model({"image": value}, training=False)["probability"])[0, -1, -1, 0]
        for value in (image, changed)
    )
    assert (abs(np.log(found / other)) > 1e-3) == context


def test_the_backbone_is_frozen_as_a_whole():
    model = small()
    trained = len(model.trainable_weights)
    backbone = model.get_layer("backbone")
    held = len(backbone.trainable_weights)
    assert held > 0
    backbone.trainable = False
    assert len(model.trainable_weights) == trained - held
    # Frozen, its norms keep their statistics: training mode changes nothing.
    features = np.random.default_rng(0).random((1, 16, 16, 1), dtype=np.float32)
    before = [np.array(value) for value in backbone.non_trainable_weights]
    quiet, trained = (backbone(features, training=mode)["stride2"] for mode in (False, True))
    np.testing.assert_array_equal(quiet, trained)
    for value, kept in zip(backbone.non_trainable_weights, before, strict=True):
        np.testing.assert_array_equal(value, kept)


def test_a_backbones_weights_are_its_start(tmp_path):
    keras.utils.set_random_seed(0)
    backbone = backbones.build(image_size=(16, 16), channels=1, **VGG)
    backbone.save_weights(tmp_path / "backbone.weights.h5")
    model = small(backbone={**VGG, "weights": tmp_path / "backbone.weights.h5"})
    for found, expected in zip(
        model.get_layer("backbone").get_weights(), backbone.get_weights(), strict=True
    ):
        np.testing.assert_array_equal(found, expected)


@pytest.mark.parametrize("classes", [1, 3])
def test_every_pixel_starts_at_the_prior(classes):
    model = small(classes=classes, defect_prior=0.06, kernel_initializer="zeros")
    image = np.random.default_rng(0).integers(0, 256, (1, 16, 16, 1), dtype=np.uint8)
    # Kernels of zeros leave the last bias alone.
    found = model({"image": image})["probability"]
    np.testing.assert_allclose(found, np.full((1, 16, 16, classes), 0.06 / classes), rtol=1e-5)


def test_the_backbone_reads_the_joined_pair():
    assert small(channels=3).get_layer("backbone").input.shape == (None, 16, 16, 3)
    pair = small(channels=3, template=True, template_difference=True)
    assert pair.get_layer("backbone").input.shape == (None, 16, 16, 9)
    mixed = small(channels=3, template=True, template_mix=4)
    assert mixed.get_layer("backbone").input.shape == (None, 16, 16, 4)


def test_one_seed_gives_one_network():
    def weights(seed):
        keras.utils.set_random_seed(seed)
        return np.concatenate([value.ravel() for value in small(dropout=0.1).get_weights()])

    np.testing.assert_array_equal(weights(1), weights(1))
    assert not np.array_equal(weights(1), weights(2))


def test_single_options_override_options():
    options = segmenter.Options(backbone=VGG, decoder_filters=(4,), context=True)
    model = segmenter.build(image_size=(16, 16), options=options, dropout=0.2)
    assert {"context_add", "bottom_dropout"} <= set(names(model))


@pytest.mark.parametrize(
    ("options", "match"),
    [
        ({"output_stride": 3}, r"deepest stride, 2\. Got 3"),
        ({"output_stride": 0}, r"deepest stride, 2\. Got 0"),
        ({"output_stride": 4}, r"deepest stride, 2\. Got 4"),
        ({"decoder_filters": ()}, r"each stride from 1 to 1\. Got \(\)"),
        ({"decoder_filters": (0,)}, r"channels for each stride"),
        ({"size": (15, 16)}, r"divisible by 2\. Got \(15, 16\).*\(16, 16\)"),
        ({"backbone": {"name": "vgg11"}}, r"segmenter.build: backbone.name must be valid"),
        ({"backbone": {"name": "vgg10", "strides": (32,)}}, "strides must be rising strides"),
        ({"classes": 0}, "one defect class or more"),
        ({"template_mix": 2}, "need a model with a template"),
        ({"kernel_initializer": "he_norml"}, "Keras initializer"),
        ({"upsampling": "cubic"}, "upsampling must be valid"),
        ({"defect_prior": 0.0}, "defect_prior must be valid"),
        ({"input_scale": 0.0}, "input_scale must be valid"),
        ({"dropuot": 0.1}, "Perhaps you meant 'dropout'"),
    ],
)
def test_an_option_that_is_not_valid_is_refused(options, match):
    with pytest.raises(errors.ConfigError, match=match):
        small(**options)


def test_options_survive_yaml(tmp_path):
    options = segmenter.Options(backbone=VGG, decoder_filters=(4, 8), upsampling="nearest")
    (tmp_path / "options.yaml").write_text(config.to_yaml(options))
    assert config.load(segmenter.Options, tmp_path / "options.yaml") == options
