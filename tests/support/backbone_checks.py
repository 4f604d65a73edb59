"""What the tests of backbones and of their weights share."""

import numpy as np
import pytest
from keras import layers

from inspection_tf.models import backbones

QUICK = {"vgg10", "resnet18", "mobilenet", "keras_vgg16", "keras_mobilenet"}


def each(names):
    """Run for each backbone; those that take seconds to build go to the slow tests."""
    marked = [pytest.param(x, marks=() if x in QUICK else pytest.mark.slow) for x in names]
    return pytest.mark.parametrize("name", marked)


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
