import subprocess
import sys

import cv2
import numpy as np
import pytest

from inspection_tf import config, errors
from inspection_tf.images import descriptors

QUICK = descriptors.Options(size=(64, 64))


def texture(height, width, channels=0, dtype=np.uint8):
    shape = (height, width, channels) if channels else (height, width)
    noise = np.random.default_rng(0).integers(0, np.iinfo(dtype).max + 1, shape).astype(dtype)
    return cv2.GaussianBlur(noise, (0, 0), 2)


def test_every_number_has_a_name():
    names = descriptors.names()
    # HOG: 3 * 3 blocks of 2 * 2 cells of 9 directions; LBP: 10 patterns of 3 radii; GLCM: 4
    # properties of 3 distances in 4 directions; shape: 3 + 7 moments + 11 harmonics.
    assert len(names) == 9 * 4 * 9 + 3 * 10 + 4 * 3 * 4 + 21 == 423
    assert len(set(names)) == 423
    assert {name.partition("_")[0] for name in names} == {"hog", "lbp", "glcm", "shape"}
    assert descriptors.describe(texture(224, 224)).shape == (423,)


@pytest.mark.parametrize(
    "image",
    [
        texture(37, 301),
        texture(300, 200, channels=3),
        texture(64, 64)[..., None],
        texture(90, 90, dtype=np.uint16),
        np.zeros((64, 64), np.uint8),
        np.full((1, 1), 255, np.uint8),
        np.eye(64, dtype=np.uint8) * 255,
        np.pad(np.full((1, 1), 255, np.uint8), 40),
        texture(40, 40)[::-1, ::2],  # not contiguous
    ],
)
def test_images_of_any_size_have_as_many_numbers_all_finite(image):
    found = descriptors.describe(image, QUICK)
    assert found.shape == (len(descriptors.names(QUICK)),)
    assert found.dtype == np.float32
    assert np.isfinite(found).all()


@pytest.mark.parametrize(
    "changes",
    [
        {"size": (50, 70), "hog_cells": 3, "hog_directions": 6},
        {"families": ("glcm",), "glcm_distances": (5,), "glcm_levels": 256},
        {"families": ("shape", "lbp"), "lbp_radii": (2,), "fourier_harmonics": 3},
        {"families": ("shape",), "region": "dark"},
    ],
)
def test_names_and_numbers_fit_whatever_is_chosen(changes):
    options = config.replace(QUICK, changes, origin="test")
    found = descriptors.describe(texture(80, 60), options)
    assert found.shape == (len(descriptors.names(options)),)
    families = list(dict.fromkeys(n.partition("_")[0] for n in descriptors.names(options)))
    assert families == list(options.families)


def test_a_grey_image_is_described_as_its_copy_in_colour():
    gray = texture(64, 64)
    colour = np.repeat(gray[..., None], 3, axis=2)
    np.testing.assert_array_equal(
        descriptors.describe(gray, QUICK), descriptors.describe(colour, QUICK)
    )


def test_several_images_are_the_rows_of_one_array():
    images = [texture(64, 64), texture(50, 30)]
    found = descriptors.describe_all(iter(images), QUICK)
    np.testing.assert_array_equal(found[1], descriptors.describe(images[1], QUICK))
    assert descriptors.describe_all([], QUICK).shape == (0, found.shape[1])


def test_without_scikit_image_the_extra_is_named(monkeypatch):
    monkeypatch.setitem(sys.modules, "skimage", None)
    with pytest.raises(errors.BundleError, match=r'pip install "inspection-tf\[classical\]"'):
        descriptors.describe(texture(64, 64))


def test_importing_the_descriptors_imports_no_scikit_image():
    code = (
        "import sys, inspection_tf.images.descriptors\n"
        "print({'skimage', 'sklearn', 'scipy', 'keras'} & set(sys.modules))"
    )
    ended = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert ended.stdout.strip() == "set()"
