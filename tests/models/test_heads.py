import keras
import numpy as np
import pytest

from inspection_tf import errors
from inspection_tf.models import heads


def head(channels=2, size=(2, 2), **options):
    x = keras.Input((*size, channels), name="features")
    return keras.Model(x, heads.segmentation_head(x, **{"defect_prior": 0.5, **options}))


@pytest.mark.parametrize(("classes", "prior"), [(1, 0.02), (1, 0.5), (3, 0.06), (3, 0.9)])
def test_every_class_starts_at_its_share_of_the_prior(classes, prior):
    found = head(classes=classes, defect_prior=prior)(np.zeros((1, 2, 2, 2), np.float32))
    np.testing.assert_allclose(found, np.full((1, 2, 2, classes), prior / classes), rtol=1e-5)


def test_several_classes_are_a_softmax_without_its_background():
    model = head(channels=3, size=(1, 1), classes=2)
    model.get_layer("logits").set_weights([np.eye(3).reshape(1, 1, 3, 3), np.zeros(3)])
    # e^(ln 1), e^(ln 2), e^(ln 5) over their sum 8; the first is the background's.
    found = model(np.log([[[[1.0, 2.0, 5.0]]]]))
    np.testing.assert_allclose(found, [[[[2 / 8, 5 / 8]]]], rtol=1e-6)


def test_one_class_is_a_sigmoid():
    model = head(channels=1, size=(1, 1), classes=1)
    model.get_layer("logits").set_weights([np.ones((1, 1, 1, 1)), np.zeros(1)])
    found = model(np.log([[[[3.0]]]]))
    np.testing.assert_allclose(found, [[[[3 / 4]]]], rtol=1e-6)  # 3 / (1 + 3)


@pytest.mark.parametrize("classes", [1, 2])
def test_logits_are_interpolated_not_probabilities(classes):
    model = head(channels=1, size=(1, 2), classes=classes, resize=2)
    outputs = 1 if classes == 1 else 3
    kernel = np.zeros((1, 1, 1, outputs))
    kernel[..., -1] = 1  # the feature is the last class's logit
    model.get_layer("logits").set_weights([kernel, np.zeros(outputs)])
    logits = np.array([-40.0, -30.0, -10.0, 0.0])  # cell centres at 0.5 and 2.5 px: a quarter each
    found = np.asarray(model(np.array([[[[-40.0], [0.0]]]])))[0, 0, :, -1]
    others = 1 if classes == 1 else 2  # classes with a logit of 0
    np.testing.assert_allclose(found, np.exp(logits) / (others + np.exp(logits)), rtol=1e-4)


def test_the_output_is_named_probability_and_float32():
    for classes in (1, 2):
        model = head(classes=classes)
        assert model.layers[-1].name == "probability"
        assert model.output.dtype == "float32"


def test_no_class_is_refused():
    with pytest.raises(errors.ConfigError, match=r"one defect class or more\. Got 0"):
        head(classes=0)
