import math

import keras
import numpy as np
import pytest

from inspection_tf import config, errors
from inspection_tf.models import blocks, complexity, unet

# Parameters. 3x3 convolution from a to b channels: 9ab + b. 2x2 transposed: 4ab + b. 1x1: ab + b.
# A decoder's first convolution reads 2b channels: b from the skip and b from below.
GTC2018 = [
    ("image", "InputLayer", (512, 512, 1), 0),
    ("scaling", "Rescaling", (512, 512, 1), 0),
    ("encoder1_conv1", "Conv2D", (512, 512, 16), 160),  # 9*1*16 + 16
    ("encoder1_conv1_relu", "ReLU", (512, 512, 16), 0),
    ("encoder1_conv2", "Conv2D", (512, 512, 16), 2_320),  # 9*16*16 + 16
    ("encoder1_conv2_relu", "ReLU", (512, 512, 16), 0),
    ("encoder1_pool", "MaxPooling2D", (256, 256, 16), 0),
    ("encoder2_conv1", "Conv2D", (256, 256, 32), 4_640),  # 9*16*32 + 32
    ("encoder2_conv1_relu", "ReLU", (256, 256, 32), 0),
    ("encoder2_conv2", "Conv2D", (256, 256, 32), 9_248),  # 9*32*32 + 32
    ("encoder2_conv2_relu", "ReLU", (256, 256, 32), 0),
    ("encoder2_pool", "MaxPooling2D", (128, 128, 32), 0),
    ("encoder3_conv1", "Conv2D", (128, 128, 64), 18_496),  # 9*32*64 + 64
    ("encoder3_conv1_relu", "ReLU", (128, 128, 64), 0),
    ("encoder3_conv2", "Conv2D", (128, 128, 64), 36_928),  # 9*64*64 + 64
    ("encoder3_conv2_relu", "ReLU", (128, 128, 64), 0),
    ("encoder3_pool", "MaxPooling2D", (64, 64, 64), 0),
    ("encoder4_conv1", "Conv2D", (64, 64, 128), 73_856),  # 9*64*128 + 128
    ("encoder4_conv1_relu", "ReLU", (64, 64, 128), 0),
    ("encoder4_conv2", "Conv2D", (64, 64, 128), 147_584),  # 9*128*128 + 128
    ("encoder4_conv2_relu", "ReLU", (64, 64, 128), 0),
    ("encoder4_pool", "MaxPooling2D", (32, 32, 128), 0),
    ("bottom_conv1", "Conv2D", (32, 32, 256), 295_168),  # 9*128*256 + 256
    ("bottom_conv1_relu", "ReLU", (32, 32, 256), 0),
    ("bottom_conv2", "Conv2D", (32, 32, 256), 590_080),  # 9*256*256 + 256
    ("bottom_conv2_relu", "ReLU", (32, 32, 256), 0),
    ("decoder4_up", "Conv2DTranspose", (64, 64, 128), 131_200),  # 4*256*128 + 128
    ("decoder4_concat", "Concatenate", (64, 64, 256), 0),
    ("decoder4_conv1", "Conv2D", (64, 64, 128), 295_040),  # 9*256*128 + 128
    ("decoder4_conv1_relu", "ReLU", (64, 64, 128), 0),
    ("decoder4_conv2", "Conv2D", (64, 64, 128), 147_584),  # 9*128*128 + 128
    ("decoder4_conv2_relu", "ReLU", (64, 64, 128), 0),
    ("decoder3_up", "Conv2DTranspose", (128, 128, 64), 32_832),  # 4*128*64 + 64
    ("decoder3_concat", "Concatenate", (128, 128, 128), 0),
    ("decoder3_conv1", "Conv2D", (128, 128, 64), 73_792),  # 9*128*64 + 64
    ("decoder3_conv1_relu", "ReLU", (128, 128, 64), 0),
    ("decoder3_conv2", "Conv2D", (128, 128, 64), 36_928),  # 9*64*64 + 64
    ("decoder3_conv2_relu", "ReLU", (128, 128, 64), 0),
    ("decoder2_up", "Conv2DTranspose", (256, 256, 32), 8_224),  # 4*64*32 + 32
    ("decoder2_concat", "Concatenate", (256, 256, 64), 0),
    ("decoder2_conv1", "Conv2D", (256, 256, 32), 18_464),  # 9*64*32 + 32
    ("decoder2_conv1_relu", "ReLU", (256, 256, 32), 0),
    ("decoder2_conv2", "Conv2D", (256, 256, 32), 9_248),  # 9*32*32 + 32
    ("decoder2_conv2_relu", "ReLU", (256, 256, 32), 0),
    ("decoder1_up", "Conv2DTranspose", (512, 512, 16), 2_064),  # 4*32*16 + 16
    ("decoder1_concat", "Concatenate", (512, 512, 32), 0),
    ("decoder1_conv1", "Conv2D", (512, 512, 16), 4_624),  # 9*32*16 + 16
    ("decoder1_conv1_relu", "ReLU", (512, 512, 16), 0),
    ("decoder1_conv2", "Conv2D", (512, 512, 16), 2_320),  # 9*16*16 + 16
    ("decoder1_conv2_relu", "ReLU", (512, 512, 16), 0),
    ("logits", "Conv2D", (512, 512, 1), 17),  # 1*16*1 + 1
    ("probability", "Activation", (512, 512, 1), 0),
]


@pytest.fixture(scope="module")
def gtc2018():
    return unet.build(image_size=(512, 512), preset="gtc2018")


def small(**options):
    return unet.build(image_size=(16, 16), **{"filters": (4, 8), **options})


def kinds(model):
    return [type(layer).__name__ for layer in model.layers]


def test_gtc2018_is_the_talks_network_to_the_layer(gtc2018):
    found = [
        (layer.name, type(layer).__name__, layer.output.shape[1:], layer.count_params())
        for layer in gtc2018.layers
    ]
    # Keras lists layers by depth; names, kinds, shapes and parameters are what is promised.
    assert sorted(found) == sorted(GTC2018)
    assert sum(row[3] for row in GTC2018) == gtc2018.count_params() == 1_940_817


def test_gtc2018_joins_every_level_with_the_one_below_it(gtc2018):
    for level in (1, 2, 3, 4):
        joined = gtc2018.get_layer(f"decoder{level}_concat").input
        skip = gtc2018.get_layer(f"encoder{level}_conv2_relu").output
        assert joined[0] is skip
        assert joined[1] is gtc2018.get_layer(f"decoder{level}_up").output


def test_gtc2018_has_3x3_convolutions_2x2_pools_and_2x2_steps_up(gtc2018):
    for layer in gtc2018.layers:
        if isinstance(layer, keras.layers.Conv2DTranspose):
            assert (layer.kernel_size, layer.strides) == ((2, 2), (2, 2))
        elif isinstance(layer, keras.layers.Conv2D):
            expected = (1, 1) if layer.name == "logits" else (3, 3)
            assert (layer.kernel_size, layer.strides) == (expected, (1, 1))
            assert layer.padding == ("valid" if layer.name == "logits" else "same")
        elif isinstance(layer, keras.layers.MaxPooling2D):
            assert (layer.pool_size, layer.strides) == ((2, 2), (2, 2))
    assert gtc2018.get_layer("probability").activation is keras.activations.sigmoid


def test_gtc2018_is_the_default(gtc2018):
    assert unet.build(image_size=(512, 512)).count_params() == gtc2018.count_params()


@pytest.mark.parametrize(
    ("kind", "layer", "per_channel"),
    [("batch", "BatchNormalization", 4), ("group", "GroupNormalization", 2)],
)
def test_a_norm_follows_each_convolution_and_takes_its_bias(kind, layer, per_channel):
    plain, normed = small(), small(normalization=kind)
    assert kinds(normed).count(layer) == 6  # two a level: encoder, bottom, decoder
    # Channels of the six: 4 4 8 8 4 4 = 32, each loses its bias.
    assert normed.count_params() == plain.count_params() + 32 * (per_channel - 1)


def test_residual_adds_the_input_and_convolves_it_where_channels_differ():
    # Every level changes its channels: encoder 1 -> 4, bottom 4 -> 8, decoder 8 (4 + 4) -> 4.
    plain, model = small(), small(residual=True)
    assert kinds(model).count("Add") == 3
    shortcuts = (1 * 4 + 4) + (4 * 8 + 8) + (8 * 4 + 4)
    assert model.count_params() == plain.count_params() + shortcuts


@pytest.mark.parametrize("kind", ["bilinear", "bilinear_aligned", "nearest"])
def test_interpolating_upsampling_convolves_1x1(kind):
    model = small(upsampling=kind)
    assert "Conv2DTranspose" not in kinds(model)
    resize = model.get_layer("decoder1_up_resize")
    if kind == "bilinear_aligned":
        assert isinstance(resize, blocks.AlignedUpSampling2D)
    else:
        assert resize.interpolation == kind
    # 1x1 instead of 2x2 from 8 to 4 channels.
    assert model.count_params() == small().count_params() - 3 * 8 * 4


def test_dropout_drops_whole_channels_of_the_bottom_while_training_only():
    model = small(dropout=0.5)
    bottom = keras.Model(model.input, model.get_layer("bottom_dropout").output)
    image = np.random.default_rng(0).integers(0, 256, (1, 16, 16, 1), dtype=np.uint8)
    quiet = np.asarray(bottom({"image": image}, training=False))
    np.testing.assert_array_equal(quiet, bottom({"image": image}, training=False))
    keras.utils.set_random_seed(0)
    noisy = np.stack([np.asarray(bottom({"image": image}, training=True)) for _ in range(8)])
    live = quiet.any(axis=(0, 1, 2))
    dropped = ~noisy.any(axis=(1, 2, 3))[:, live]
    assert dropped.any()
    assert not dropped.all()
    # What stays is doubled, so that the sum is kept.
    first = noisy[0][..., noisy[0].any(axis=(0, 1, 2))]
    np.testing.assert_allclose(first, 2 * quiet[..., noisy[0].any(axis=(0, 1, 2))], rtol=1e-6)


@pytest.mark.parametrize(("stride", "stems"), [(1, []), (2, ["stem1"]), (4, ["stem1", "stem2"])])
def test_working_stride_works_on_smaller_maps_and_answers_in_full_size(stride, stems):
    model = small(working_stride=stride)
    assert [layer.name for layer in model.layers if layer.name in ("stem1", "stem2")] == stems
    assert model.get_layer("logits").output.shape[1:3] == (16 // stride, 16 // stride)
    assert model.output["probability"].shape[1:3] == (16, 16)


@pytest.mark.parametrize("preset", ["compact", "edge"])
def test_some_presets_work_on_smaller_maps(preset):
    options = unet.PRESETS[preset]
    model = unet.build(image_size=(128, 192), preset=preset)
    stride = options.working_stride
    assert stride > 1
    finest = model.get_layer("encoder1_conv1").output.shape[1:]
    assert finest == (128 // stride, 192 // stride, options.filters[0])


def test_preset_edge_computes_a_seventieth_of_the_talks_network():
    full, small = (
        complexity.count(unet.build(image_size=(512, 512), preset=preset))
        for preset in ("gtc2018", "edge")
    )
    assert 70 < full.macs / small.macs < 80
    assert small.parameters == 240_729


def test_single_options_override_a_preset_or_options():
    assert "Conv2DTranspose" not in kinds(small(preset="gtc2018", upsampling="nearest"))
    options = unet.Options(filters=(4, 8), residual=True)
    model = unet.build(image_size=(16, 16), options=options, dropout=0.1)
    assert {"Add", "SpatialDropout2D"} <= set(kinds(model))


def test_scaling_inside_the_graph_takes_mean_and_scale():
    model = small(input_mean=100.0, input_scale=50.0)
    scaled = model.get_layer("scaling")(np.array([0, 100, 200], np.uint8))
    np.testing.assert_allclose(scaled, [-2, 0, 2], atol=1e-6)


@pytest.mark.parametrize("prior", [0.5, 0.02])
def test_every_pixel_starts_at_the_prior(prior):
    model = small(defect_prior=prior, kernel_initializer="zeros")
    # Kernels of zeros leave the last bias alone: sigmoid(ln(p / (1 - p))) = p.
    assert model.get_layer("logits").get_weights()[1] == pytest.approx(
        [math.log(prior / (1 - prior))], abs=1e-6
    )
    found = model({"image": np.full((1, 16, 16, 1), 99, np.uint8)})["probability"]
    np.testing.assert_allclose(found, np.full((1, 16, 16, 1), prior), rtol=1e-5)


def test_a_template_adds_channels_to_the_first_convolution_alone():
    # 9 taps times 4 filters for each further channel of the first 3x3 convolution.
    plain = small().count_params()
    assert small(template=True).count_params() == plain + 9 * 4
    assert small(template=True, template_difference=True).count_params() == plain + 2 * 9 * 4
    # A 1x1 convolution from 2 to 3 channels in between.
    mixed = small(template=True, template_mix=3)
    assert mixed.count_params() == plain + 2 * 9 * 4 + (2 * 3 + 3)


def test_classes_add_logits_and_one_for_the_background():
    model = small(classes=3, defect_prior=0.06, kernel_initializer="zeros")
    # 1x1 from 4 channels to 1 + 3 logits instead of 1.
    assert model.count_params() == small().count_params() + 3 * (4 + 1)
    found = model({"image": np.full((1, 16, 16, 1), 99, np.uint8)})["probability"]
    np.testing.assert_allclose(found, np.full((1, 16, 16, 3), 0.02), rtol=1e-5)


def test_the_weights_of_a_seed_stay_what_they_were():
    # Sums of |w| recorded before classes and templates came: a bundle's seed keeps its meaning.
    keras.utils.set_random_seed(7)
    model = unet.build(image_size=(16, 16), preset="gtc2018")
    total = sum(np.abs(value).sum(dtype=np.float64) for value in model.get_weights())
    assert total == pytest.approx(66_188.7728, rel=1e-6)


def test_one_seed_gives_one_network():
    def weights(seed):
        keras.utils.set_random_seed(seed)
        return np.concatenate([value.ravel() for value in small(dropout=0.1).get_weights()])

    np.testing.assert_array_equal(weights(1), weights(1))
    assert not np.array_equal(weights(1), weights(2))


@pytest.mark.parametrize(
    ("size", "options", "multiple", "nearest"),
    [
        ((500, 500), {}, 16, (512, 512)),  # four pools: 2^4
        ((512, 500), {}, 16, (512, 512)),
        ((481, 16), {}, 16, (496, 16)),
        ((8, 8), {}, 16, (16, 16)),
        ((0, 16), {}, 16, (16, 16)),
        ((30, 30), {"filters": (4, 8), "working_stride": 4}, 8, (32, 32)),
    ],
)
def test_a_size_that_does_not_divide_names_the_nearest_larger_one(size, options, multiple, nearest):
    with pytest.raises(errors.ConfigError) as caught:
        unet.build(image_size=size, **options)
    assert str(caught.value) == (
        f"image_size must be divisible by {multiple}. Got {size}; "
        f"the nearest larger size is {nearest}."
    )


@pytest.mark.parametrize(
    ("options", "match"),
    [
        ({"working_stride": 3}, "power of two. Got 3"),
        ({"working_stride": 0}, "power of two. Got 0"),
        ({"filters": (16,)}, "at least two levels"),
        ({"filters": (16, 0)}, "at least two levels of one channel or more"),
        ({"kernel_initializer": "he_norml"}, "Keras initializer. Got 'he_norml'"),
        ({"dropout": 1.0}, "unet.build: dropout must be valid. Got 1.0"),
        ({"input_scale": 0.0}, "input_scale must be valid"),
        ({"defect_prior": 0.0}, "defect_prior must be valid"),
        ({"normalization": "layer"}, "normalization must be valid. Got 'layer'"),
        ({"upsampling": "cubic"}, "upsampling must be valid"),
        ({"classes": 0}, "one defect class or more"),
        ({"template_mix": 2}, "need a model with a template"),
        ({"dropuot": 0.1}, "Perhaps you meant 'dropout'"),
        ({"preset": "gtc2019"}, "preset must be one of gtc2018, compact, edge. Got 'gtc2019'"),
        ({"preset": "gtc2018", "options": unet.Options()}, "a preset or options. Got both"),
    ],
)
def test_an_option_that_is_not_valid_is_refused(options, match):
    with pytest.raises(errors.ConfigError, match=match):
        unet.build(image_size=(512, 512), **options)


def test_options_survive_yaml(tmp_path):
    options = unet.PRESETS["compact"]
    (tmp_path / "options.yaml").write_text(config.to_yaml(options))
    assert config.load(unet.Options, tmp_path / "options.yaml") == options
