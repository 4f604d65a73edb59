import keras
import numpy as np
import pytest

from inspection_tf import errors
from inspection_tf.models import classifier, unet
from inspection_tf.models.additions import evidence
from inspection_tf.training import explaining

SIZE = (48, 80)


def build(**options):
    keras.utils.set_random_seed(3)
    backbone = {"name": "cnn", "strides": (16,)}
    return classifier.build(image_size=SIZE, classes=3, backbone=backbone, **options)


@pytest.fixture(scope="module")
def image():
    return np.random.default_rng(1).integers(0, 256, (*SIZE, 1), np.uint8)


def test_grad_cam_of_a_mean_pooled_head_is_its_class_activation_map(image):
    model = build(max_pooling=False)
    # A fresh norm has mean 0, variance 1: what comes out is x / sqrt(1 + epsilon).
    outputs = evidence.attach(model).predict_on_batch({"image": image[None]})
    for number in range(3):
        # The gradient of a logit by each of 15 cells is its weight / 15: 15 of the map, less bias.
        expected = np.maximum(15 * outputs["class_evidence"][0, ..., number] / 15, 0)
        np.testing.assert_allclose(explaining.grad_cam(model, image, number), expected, atol=1e-5)


def test_grad_cam_explains_a_head_of_dense_layers(image):
    heat = [
        explaining.grad_cam(build(head="vgg", dense_units=(8,)), image, number)
        for number in range(3)
    ]
    assert all(one.shape == (3, 5) and one.min() >= 0 for one in heat)
    assert max(one.max() for one in heat) > 0


@pytest.fixture(scope="module")
def of_one_pixel():
    """Give a network that says NG where the pixel in row 10, column 20 is white."""
    inputs = keras.Input((*SIZE, 1), dtype="uint8", name="image")
    pixel = keras.ops.cast(inputs[:, 10, 20], "float32") / 255.0
    both = keras.layers.Concatenate(name="class_probability")([1.0 - pixel, pixel])
    return keras.Model({"image": inputs}, {"class_probability": both})


def test_occlusion_finds_the_only_pixel_that_matters(of_one_pixel):
    image = np.zeros((*SIZE, 1), np.uint8)
    image[10, 20] = 255  # the mean of all is 255 / 3840, which rounds to 0
    fall = explaining.occlusion(of_one_pixel, image, 1, patch_px=8, stride_px=4)
    assert fall.shape == SIZE
    # Covered, the probability falls from 1 to 0. Every square that covers the pixel covers itself.
    assert fall[10, 20] == 1.0
    assert fall[30:].max() == 0.0
    # Each pixel is covered by two squares in each direction; of the four over (10, 20), which
    # begin at 4 and 8 and at 16 and 20, those two that begin at y = 8 also cover (12, 20).
    assert fall[12, 20] == 0.5


@pytest.mark.parametrize(("patch", "stride"), [(8, 9), (8, 0)])
def test_squares_that_leave_gaps_are_refused(patch, stride, of_one_pixel):
    with pytest.raises(errors.ConfigError, match="stride_px must be 1 to patch_px"):
        explaining.occlusion(
            of_one_pixel, np.zeros((*SIZE, 1), np.uint8), 1, patch_px=patch, stride_px=stride
        )


def test_what_is_no_classifier_no_class_or_no_input_is_refused(image):
    with pytest.raises(errors.ConfigError, match="needs a classifier of single images"):
        explaining.grad_cam(unet.build(image_size=(16, 16), filters=(4, 4)), image, 0)
    model = build()
    with pytest.raises(errors.ConfigError, match=r"one of 0 to 2\. Got 3"):
        explaining.grad_cam(model, image, 3)
    with pytest.raises(errors.ConfigError, match=r"uint8 of shape \(48, 80, 1\)"):
        explaining.grad_cam(model, image[:-1], 0)


def test_a_head_whose_places_answer_for_themselves_has_its_evidence_in_the_graph(image):
    with pytest.raises(errors.ConfigError, match="Grad-CAM needs a head that sees the whole image"):
        explaining.grad_cam(build(head="cells"), image, 0)
    patches = {"size_px": 32, "stride_px": 16}
    with pytest.raises(errors.ConfigError, match="Grad-CAM needs a head that sees the whole image"):
        explaining.grad_cam(build(patches=patches), image, 0)
