import keras
import numpy as np
import pytest

from inspection_tf.models import backbones
from inspection_tf.training import features
from inspection_tf.training.features import fingerprints


def build(name, *, seed=0, **options):
    keras.utils.set_random_seed(seed)
    strides = backbones.available_strides(backbones.Options(name=name))[1:2]
    backbone = backbones.build(
        image_size=(32, 32), channels=3, name=name, strides=strides, **options
    )
    return features.of_backbone(backbone, input_mean=128.0, input_scale=64.0)


@pytest.mark.parametrize("name", ["resnet18", "keras_mobilenet"])
def test_a_network_that_is_built_again_is_the_same(name):
    first = fingerprints.of_network(build(name))
    # Keras numbers what has no name through the whole session: none of it may be left.
    assert fingerprints.of_network(build(name)) == first
    assert fingerprints.of_network(build(name, seed=1)) != first
    assert len(first) == 64


def test_a_statistic_of_a_norm_is_a_weight_too():
    model = build("resnet18")
    before = fingerprints.of_network(model)
    mean = model.get_layer("backbone").get_layer("conv1_norm").moving_mean
    mean.assign(keras.ops.ones_like(mean))
    assert fingerprints.of_network(model) != before


def test_other_layers_are_another_network_whatever_the_weights():
    def pooled(activation):
        image = keras.Input((4, 4, 1), name="normalized")
        x = keras.layers.Activation(activation, name="activation")(image)
        backbone = keras.Model(image, {"stride1": x}, name="backbone")
        return features.of_backbone(backbone, input_mean=0.0, input_scale=1.0)

    found = [fingerprints.of_network(pooled(name)) for name in ("relu", "tanh", "relu")]
    assert found[0] == found[2] != found[1]


def test_an_image_is_known_by_its_pixels_and_its_shape():
    pixels = np.arange(12, dtype=np.uint8)
    found = {
        fingerprints.of_image(pixels.reshape(shape)) for shape in ((3, 4, 1), (4, 3, 1), (2, 2, 3))
    }
    assert len(found) == 3
    image = pixels.reshape(3, 4, 1)
    assert fingerprints.of_image(image[::-1]) == fingerprints.of_image(image[::-1].copy())
