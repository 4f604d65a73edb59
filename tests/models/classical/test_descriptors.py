import cv2
import numpy as np
import pytest
import tensorflow as tf

from inspection_tf import errors
from inspection_tf.images import descriptors
from inspection_tf.models import classical
from inspection_tf.models.classical import network

FAMILIES = ("hog", "lbp", "glcm")


def describing(size, channels=1, **options):
    model = classical.build(image_size=size, channels=channels, **options)
    return classical.describing(model)


def by_library(images, size, **options):
    given = {"families": FAMILIES, **options}
    return descriptors.describe_all(images, descriptors.Options(size=size, **given))


def pictures(size):
    rng = np.random.default_rng(0)
    noise = rng.integers(0, 256, size, dtype=np.uint8)
    ramp = np.linspace(0, 255, size[0] * size[1]).reshape(size).astype(np.uint8)
    return [noise, cv2.GaussianBlur(noise, (0, 0), 2), ramp, ramp[::-1, ::-1].copy()]


@pytest.mark.parametrize(
    ("size", "options"),
    [
        ((64, 64), {}),
        ((37, 61), {"hog_cells": 3, "hog_directions": 4}),
        ((50, 33), {"lbp_radii": (2, 5), "glcm_distances": (3,), "glcm_levels": 7}),
        ((40, 40), {"families": ("glcm", "hog"), "glcm_levels": 256}),
    ],
)
def test_the_graph_describes_as_scikit_image_does(size, options):
    images = pictures(size)
    found = describing(size, **options).predict_on_batch({"image": np.stack(images)[..., None]})
    expected = by_library(images, size, **options)
    names = descriptors.names(descriptors.Options(size=size, **{"families": FAMILIES, **options}))
    assert found.shape == (4, len(names))
    is_pattern = np.array([name.startswith("lbp") for name in names])
    np.testing.assert_allclose(
        found[:, ~is_pattern], expected[:, ~is_pattern], rtol=1e-4, atol=1e-5
    )
    # In smooth images some pixels are as bright as a neighbour but for the rounding of a library.
    apart = np.abs(found[:, is_pattern] - expected[:, is_pattern]).max(axis=1, initial=0)
    assert apart[0] < 1e-6
    assert apart.max() < 5e-3


def test_few_pairs_that_differ_are_counted_exactly():
    # A sum of 50,000 shares of 2e-5 would be off by more than what two pixels make.
    image = np.full((224, 224), 100, np.uint8)
    image[50, 60], image[120, 130] = 180, 200
    options = {"families": ("glcm",), "glcm_levels": 256}
    (found,) = describing((224, 224), **options).predict_on_batch({"image": image[None, ..., None]})
    (expected,) = by_library([image], (224, 224), **options)
    np.testing.assert_allclose(found, expected, rtol=1e-3, atol=1e-4)


def test_an_even_image_has_neither_gradients_nor_contrast():
    images = [np.full((24, 24), value, np.uint8) for value in (0, 77, 255)]
    found = describing((24, 24)).predict_on_batch({"image": np.stack(images)[..., None]})
    expected = by_library(images, (24, 24))
    # Outside it is black, so at the border scikit-image too sees darker neighbours.
    np.testing.assert_allclose(found, expected, atol=1e-5)


def test_an_edge_has_the_direction_of_its_gradient():
    # Grey values rise to the right: 0 degrees, the first of two directions, everywhere alike.
    image = np.tile(np.arange(0, 160, 10, dtype=np.uint8), (16, 1))
    found = describing((16, 16), families=("hog",), hog_cells=2, hog_directions=2)
    (values,) = found.predict_on_batch({"image": image[None, ..., None]})
    assert values.shape == (8,)
    # Four cells in one block: (v, 0) four times, of norm 1, where the cut at 0.2 makes all alike.
    np.testing.assert_allclose(values, [0.5, 0] * 4, atol=1e-3)


def test_stripes_of_two_levels_have_the_properties_of_their_matrix():
    # Columns 0, 255, 0, ...: beside each pixel lies the other level, above it the same one.
    image = np.tile(np.array([0, 255] * 4, np.uint8), (8, 1))
    model = describing((8, 8), families=("glcm",), glcm_distances=(1,), glcm_levels=2)
    (values,) = model.predict_on_batch({"image": image[None, ..., None]})
    # Of 0, 45, 90 and 135 degrees: all pairs differ by 1, but those above one another by 0.
    apart = np.array([1, 1, 0, 1])
    expected = [apart, 1 / (1 + apart), np.full(4, 0.5**0.5), 1 - 2 * apart]
    np.testing.assert_allclose(values, np.concatenate(expected), atol=1e-6)


def test_rgb_is_described_by_its_grey_values():
    rng = np.random.default_rng(1)
    rgb = rng.integers(0, 256, (1, 32, 40, 3), dtype=np.uint8)
    rgb[0, :3, 0] = 255 * np.eye(3, dtype=np.uint8)  # red, green and blue
    gray = network.Luma()(rgb.astype(np.float32))
    expected = cv2.cvtColor(rgb[0], cv2.COLOR_RGB2GRAY).astype(np.float32)
    # OpenCV counts in whole numbers: a half may be rounded the other way.
    apart = np.abs(np.asarray(gray)[0, ..., 0] - expected)
    assert apart.max() <= 1
    assert (apart > 0).mean() < 0.01
    found, alone = (
        describing((32, 40), channels=pixels.shape[-1]).predict_on_batch({"image": pixels})
        for pixels in (rgb, np.asarray(gray).astype(np.uint8))
    )
    np.testing.assert_allclose(found, alone, atol=1e-6)


def test_it_describes_inside_a_data_set_as_outside():
    images = np.stack(pictures((24, 30)))[..., None]
    model = describing((24, 30))
    served = tf.data.Dataset.from_tensor_slices(images).batch(3).map(lambda x: model({"image": x}))
    inside = np.concatenate([batch.numpy() for batch in served])
    np.testing.assert_allclose(inside, model({"image": images}), atol=1e-4)


@pytest.mark.parametrize(
    ("options", "match"),
    [
        ({"hog_cells": 20}, "hog_cells needs images of 20 px .* Got 16 x 18"),
        ({"glcm_distances": (16,)}, "glcm_distances need images of more than 16 px"),
        ({"families": ()}, "families"),
        ({"families": ("hog", "hog")}, "families must be different"),
        ({"glcm_distances": ()}, "glcm_distances"),
        ({"lbp_radii": ()}, "lbp_radii"),
        ({"lbp_radii": (0,)}, "lbp_radii"),
        ({"families": ("shape",)}, "families"),
        ({"template": True}, "describes one image.* Got 1 channels, 2 classes and a template"),
        ({"classes": 1}, "Got 1 channels, 1 classes"),
        ({"channels": 4}, "Got 4 channels"),
    ],
)
def test_what_cannot_be_described_is_refused(options, match):
    with pytest.raises(errors.ConfigError, match=match):
        classical.build(image_size=(16, 18), **options)
