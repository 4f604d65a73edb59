import subprocess
import sys

import keras
import numpy as np
import pytest

from inspection_tf.export import onnx
from inspection_tf.models import classifier, place_pool
from inspection_tf.models.additions import evidence
from inspection_tf.models.place_pool import PlacePool


def test_logits_of_places_become_those_of_the_image():
    logits = np.array([[[0.0, 1.0], [4.0, 1.0]], [[2.0, 3.0], [6.0, 7.0]]])  # 2 images, 2 places
    shape = {"rows": 2, "columns": 1, "sharpness": 2.0}
    mean = PlacePool(pooling="mean", **shape)(logits)
    np.testing.assert_allclose(mean, [[2.0, 1.0], [4.0, 5.0]])
    maximum = PlacePool(pooling="maximum", **shape)(logits)
    np.testing.assert_allclose(maximum, [[4.0, 1.0], [6.0, 7.0]])
    soft = PlacePool(pooling="soft_maximum", **shape)(logits)
    # log((exp(2 * 0) + exp(2 * 4)) / 2) / 2 = 3.6536; of equal ones their value.
    expected = np.log((1 + np.exp(8)) / 2) / 2
    np.testing.assert_allclose(np.asarray(soft)[0], [expected, 1.0], rtol=1e-6)


def test_large_logits_do_not_overflow():
    pool = PlacePool(rows=1, columns=2, pooling="soft_maximum", sharpness=8.0)
    found = np.asarray(pool(np.array([[[1000.0, -1000.0], [900.0, -1000.0]]])))
    np.testing.assert_allclose(found, [[1000 - np.log(2) / 8, -1000.0]], rtol=1e-6)


@pytest.fixture(scope="module")
def model():
    """A classifier of 48 x 80 px whose 3 x 5 cells each have logits."""
    keras.utils.set_random_seed(0)
    backbone = {"name": "cnn", "strides": (16,)}
    return classifier.build(image_size=(48, 80), classes=3, head="cells", backbone=backbone)


@pytest.fixture(scope="module")
def image():
    return np.random.default_rng(0).integers(0, 256, (2, 48, 80, 1), np.uint8)


def test_each_cell_has_logits_that_are_the_evidence(model, image):
    outputs = evidence.attach(model).predict_on_batch({"image": image})
    cells = keras.Model(model.input, model.get_layer("class_logits").output)
    each = cells.predict_on_batch({"image": image})
    assert each.shape == (2, 3, 5, 3)
    np.testing.assert_allclose(outputs["class_evidence"], each / 15, atol=1e-6)
    pooled = np.log(np.exp(4 * each).mean(axis=(1, 2))) / 4
    expected = np.exp(pooled) / np.exp(pooled).sum(axis=1, keepdims=True)
    np.testing.assert_allclose(outputs["class_probability"], expected, atol=1e-5)


def test_cells_of_patches_are_pooled_twice():
    patches = {"size_px": 32, "stride_px": 16}
    made = classifier.build(
        image_size=(48, 80),
        head="cells",
        patches=patches,
        backbone={"name": "cnn", "strides": (16,)},
    )
    assert {"cell_pool", place_pool.NAME} <= {layer.name for layer in made.layers}
    # Patches begin at 0 and 16, and at 0, 16, 32 and 48.
    assert evidence.attach(made).output["class_evidence"].shape == (None, 2, 4, 2)


def test_a_classifier_of_cells_is_exported_with_its_evidence(model, image):
    from inspection_tf.engines import onnxruntime_engine

    whole = evidence.attach(model)
    names = ("class_probability", "class_evidence")
    engine = onnxruntime_engine.Engine(onnx.convert(whole), outputs=names)
    expected = whole.predict_on_batch({"image": image})
    for name, found in zip(names, engine.run_all(image), strict=True):
        np.testing.assert_allclose(found, expected[name], atol=1e-5)


def test_a_saved_classifier_is_read_in_a_process_that_built_none(tmp_path):
    patches = {"size_px": 32, "stride_px": 16}
    made = classifier.build(image_size=(48, 80), head="cells", patches=patches)
    evidence.attach(made).save(tmp_path / "cells.keras")
    pooled = classifier.build(image_size=(32, 32), backbone={"name": "cnn"})
    evidence.attach(pooled).save(tmp_path / "pooled.keras")
    script = (
        "import pathlib, sys; from inspection_tf.models import saved; "
        "[saved.load(pathlib.Path(name)) for name in sys.argv[1:]]"
    )
    names = [str(tmp_path / f"{name}.keras") for name in ("cells", "pooled")]
    subprocess.run([sys.executable, "-c", script, *names], check=True)
