import keras
import numpy as np
import pytest

from inspection_tf import config, errors
from inspection_tf.models import classifier

VGG = {"name": "vgg10", "strides": (2,)}  # 64 channels at stride 2


def small(size=(8, 12), **options):
    return classifier.build(image_size=size, **{"backbone": VGG, **options})


def names(model):
    return [layer.name for layer in model.layers]


def head_parameters(model):
    return model.count_params() - model.get_layer("backbone").count_params()


def test_the_talks_head_is_three_dense_layers_over_all_cells():
    # vgg16_talk ends with 256 channels at stride 32: 2 * 2 * 256 = 1024 values of 64 x 64 px.
    model = classifier.build(image_size=(64, 64), head="vgg")
    dense = [layer for layer in model.layers if isinstance(layer, keras.layers.Dense)]
    assert [layer.units for layer in dense] == [1024, 512, 2]
    assert head_parameters(model) == (1024 * 1024 + 1024) + (1024 * 512 + 512) + (512 * 2 + 2)
    dropped = [layer for layer in model.layers if isinstance(layer, keras.layers.Dropout)]
    assert [layer.rate for layer in dropped] == [0.5, 0.5]


def test_pooled_classifies_mean_and_maximum_over_the_cells():
    model = small(classes=3)
    # Before the dense layer a norm: scale, offset, mean and variance of each pooled value.
    assert head_parameters(model) == 4 * 2 * 64 + 2 * 64 * 3 + 3
    assert head_parameters(small(classes=3, max_pooling=False)) == 4 * 64 + 64 * 3 + 3
    feature = np.zeros((1, 4, 6, 64), np.float32)
    feature[0, 1, 2, 5] = 24.0  # one cell of 4 * 6
    found = {
        name: np.asarray(model.get_layer(name)(feature))[0, 5]
        for name in ("average_pool", "max_pool")
    }
    assert found == {"average_pool": pytest.approx(1.0), "max_pool": 24.0}


def test_every_row_adds_up_to_one():
    image = np.random.default_rng(0).integers(0, 256, (3, 8, 12, 1), dtype=np.uint8)
    found = np.asarray(small(classes=4)({"image": image})["class_probability"])
    assert found.shape == (3, 4)
    np.testing.assert_allclose(found.sum(axis=1), 1, atol=1e-6)


def test_the_deepest_feature_is_classified():
    model = small(backbone={"name": "vgg10", "strides": (1, 2, 4)}, head="vgg", dense_units=(3,))
    # 2 x 3 cells of 128 channels at stride 4.
    assert model.get_layer("flatten").output.shape == (None, 2 * 3 * 128)


def test_input_shrink_sees_the_means_of_blocks():
    keras.utils.set_random_seed(0)
    shrunken, plain = small((16, 24), input_shrink=2), small((8, 12))
    assert shrunken.get_layer("backbone").input.shape == (None, 8, 12, 1)
    plain.set_weights(shrunken.get_weights())
    # Blocks of 2 x 2 px with grey - 3, + 3, - 1, + 1 have the mean grey.
    means = np.random.default_rng(0).integers(3, 253, (2, 8, 12, 1), dtype=np.uint8)
    image = means.astype(np.int64).repeat(2, axis=1).repeat(2, axis=2)
    image += np.tile([[-3, 3], [-1, 1]], (8, 12))[None, ..., None]
    found = shrunken({"image": image.astype(np.uint8)}, training=False)["class_probability"]
    expected = plain({"image": means}, training=False)["class_probability"]
    np.testing.assert_allclose(found, expected, atol=1e-5)


def test_the_backbone_reads_the_joined_pair():
    model = small(template=True, template_difference=True, input_shrink=2)
    assert model.get_layer("backbone").input.shape == (None, 4, 6, 3)


def test_without_dropout_there_is_no_layer_for_it():
    for head in ("vgg", "pooled"):
        model = small(head=head, dense_units=(4,), dropout=0.0)
        assert not [name for name in names(model) if name.endswith("dropout")]


def test_one_seed_gives_one_network():
    def weights(seed):
        keras.utils.set_random_seed(seed)
        return np.concatenate([value.ravel() for value in small().get_weights()])

    np.testing.assert_array_equal(weights(1), weights(1))
    assert not np.array_equal(weights(1), weights(2))


@pytest.mark.parametrize(
    ("options", "match"),
    [
        ({"classes": 1}, r"OK and one more or several\. Got 1"),
        ({"dense_units": (4, 0)}, r"one unit or more each\. Got \(4, 0\)"),
        ({"size": (8, 10), "input_shrink": 2}, r"divisible by 4\. Got \(8, 10\).*\(8, 12\)"),
        ({"input_shrink": 0}, "input_shrink must be valid. Got 0"),
        ({"head": "flat"}, "head must be valid. Got 'flat'"),
        ({"backbone": {"name": "vgg10", "strides": ()}}, "strides must be rising strides"),
        ({"template_difference": True}, "need a model with a template"),
        ({"kernel_initializer": "he_norml"}, "Keras initializer"),
        ({"droput": 0.1}, "Perhaps you meant 'dropout'"),
    ],
)
def test_an_option_that_is_not_valid_is_refused(options, match):
    with pytest.raises(errors.ConfigError, match=match):
        small(**options)


def test_options_survive_yaml(tmp_path):
    options = classifier.Options(head="vgg", dense_units=(4,), input_shrink=4)
    (tmp_path / "options.yaml").write_text(config.to_yaml(options))
    assert config.load(classifier.Options, tmp_path / "options.yaml") == options
