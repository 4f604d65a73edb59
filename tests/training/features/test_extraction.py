import logging
import os
import time
from pathlib import Path

import keras
import numpy as np
import pytest

from inspection_tf import errors, images
from inspection_tf.models import backbones, classifier
from inspection_tf.training import features, phases

SIDE = 16  # px
STRIDE2 = {"name": "vgg10", "strides": (2,)}  # 64 channels


def network(*, seed=0, input_mean=128.0, max_pooling=False):
    """A network of 64 features: a convolution with a norm behind it."""
    image = keras.Input((SIDE, SIDE, 1), name="normalized")
    initializer = keras.initializers.HeNormal(seed)
    x = keras.layers.Conv2D(64, 3, kernel_initializer=initializer, name="conv")(image)
    x = keras.layers.BatchNormalization(name="norm")(x)
    backbone = keras.Model(image, {"stride1": x}, name="backbone")
    return features.of_backbone(
        backbone, input_mean=input_mean, input_scale=64.0, max_pooling=max_pooling
    )


@pytest.fixture(scope="module")
def usual():
    return network()


def photos(count, *, side=SIDE, seed=0):
    rng = np.random.default_rng(seed)
    return rng.integers(0, 256, (count, side, side, 1), dtype=np.uint8)


class Counted:
    """Counts the batches that a network predicts."""

    def __init__(self, monkeypatch):
        self.batches = []
        plain = keras.Model.predict_on_batch

        def predict(model, given):
            self.batches.append(len(next(iter(given.values()))))
            return plain(model, given)

        monkeypatch.setattr(keras.Model, "predict_on_batch", predict)

    def take(self):
        found, self.batches = self.batches, []
        return found


@pytest.fixture
def counted(monkeypatch):
    return Counted(monkeypatch)


# What they are


def test_features_are_the_means_over_the_cells_of_the_scaled_image():
    image = keras.Input((2, 2, 1), name="normalized")
    backbone = keras.Model(image, {"stride1": keras.layers.Identity()(image)}, name="backbone")
    model = features.of_backbone(backbone, input_mean=100.0, input_scale=50.0, max_pooling=True)
    pixels = np.array([100, 150, 200, 250], np.uint8).reshape(1, 2, 2, 1)
    # (0 + 1 + 2 + 3) / 4 = 1.5; the largest is 3.
    np.testing.assert_allclose(model.predict_on_batch({"image": pixels}), [[1.5, 3.0]])


def test_features_of_a_classifier_are_what_its_last_layer_reads(tmp_path):
    model = classifier.build(image_size=(SIDE, SIDE), classes=3, backbone=STRIDE2)
    pixels = photos(5)
    found = features.compute(features.of_classifier(model), pixels, folder=tmp_path)
    assert found.shape == (5, 2 * 64)  # mean and maximum of 64 channels
    kernel, bias = model.get_layer("class_logits").get_weights()
    expected = keras.ops.softmax(found @ kernel + bias)
    probability = model.predict_on_batch({"image": pixels})["class_probability"]
    np.testing.assert_allclose(probability, expected, atol=1e-6)


def test_features_of_cells_are_averaged(tmp_path):
    image = keras.Input((4, 6, 2), dtype="uint8", name="image")
    x = keras.layers.Rescaling(1 / 255)(image)
    logits = keras.layers.Conv2D(3, 1, name="class_logits")(x)
    model = keras.Model({"image": image}, {"evidence": logits})
    pixels = np.random.default_rng(0).integers(0, 256, (3, 4, 6, 2), dtype=np.uint8)
    found = features.compute(features.of_classifier(model), pixels, folder=tmp_path)
    np.testing.assert_allclose(found, pixels.mean(axis=(1, 2)) / 255, rtol=1e-5)


# Computed once


def test_a_second_run_reads_what_the_first_computed(tmp_path, counted):
    pixels = photos(7)
    first = features.compute(network(), pixels, folder=tmp_path, batch_size=3)
    assert counted.take() == [3, 3, 3]  # the last one is filled up
    second = features.compute(network(), pixels, folder=tmp_path, batch_size=3)
    assert counted.take() == []
    np.testing.assert_array_equal(first, second)
    assert first.dtype == np.float32


def test_a_second_run_is_five_times_as_fast(tmp_path):
    backbone = backbones.build(image_size=(64, 64), channels=1, name="vgg10")
    model = features.of_backbone(backbone, input_mean=128.0, input_scale=64.0)
    pixels, seconds = photos(96, side=64), []
    for _ in range(2):
        started = time.perf_counter()
        features.compute(model, pixels, folder=tmp_path)
        seconds.append(time.perf_counter() - started)
    assert seconds[0] >= 5 * seconds[1], seconds


def test_equal_images_are_computed_once(tmp_path, counted, usual):
    pixels = photos(2)[[0, 1, 0, 0, 1]]
    found = features.compute(usual, pixels, folder=tmp_path, batch_size=1)
    assert counted.take() == [1, 1]
    np.testing.assert_array_equal(found[[0, 1]], found[[3, 4]])


def test_only_what_is_new_is_computed(tmp_path, counted, usual):
    pixels = photos(6)
    features.compute(usual, pixels[:4], folder=tmp_path, batch_size=1)
    counted.take()
    changed = pixels.copy()
    changed[1, 0, 0, 0] ^= 1  # one pixel, by one grey value
    features.compute(usual, changed, folder=tmp_path, batch_size=1)
    assert counted.take() == [1, 1, 1]  # the changed one, and both that are new


def test_features_do_not_depend_on_what_is_known_already(tmp_path, usual):
    pixels = photos(9)
    features.compute(usual, pixels[::2], folder=tmp_path / "some", batch_size=4)
    some = features.compute(usual, pixels, folder=tmp_path / "some", batch_size=4)
    whole = features.compute(usual, pixels, folder=tmp_path / "none", batch_size=4)
    np.testing.assert_array_equal(some, whole)


def test_another_weights_file_is_computed_anew(tmp_path, counted):
    pixels, found = photos(2), []

    def pretrained(file):
        backbone = backbones.build(
            image_size=(SIDE, SIDE), channels=1, weights=file, name="vgg10", strides=(1,)
        )
        return features.of_backbone(backbone, input_mean=128.0, input_scale=64.0)

    for seed in (1, 2):
        file = tmp_path / f"{seed}.weights.h5"
        keras.utils.set_random_seed(seed)
        backbones.build(image_size=(32, 32), channels=1, name="vgg10").save_weights(file)
        found.append(features.compute(pretrained(file), pixels, folder=tmp_path))
        assert len(counted.take()) == 1
    assert not np.array_equal(*found)
    again = features.compute(pretrained(file), pixels, folder=tmp_path)
    assert counted.take() == []
    np.testing.assert_array_equal(again, found[1])


@pytest.mark.parametrize("changed", [{"input_mean": 100.0}, {"max_pooling": True}, {"seed": 5}])
def test_another_scaling_pooling_or_weight_is_computed_anew(changed, tmp_path, counted, usual):
    features.compute(usual, photos(2), folder=tmp_path)
    features.compute(network(**changed), photos(2), folder=tmp_path)
    assert len(counted.take()) == 2


def test_another_preprocessing_is_computed_anew(tmp_path, counted, usual):
    source = photos(3, side=40)
    for fit in ("stretch", "letterbox"):
        spec = images.Preprocessing(size=(SIDE, SIDE), fit=fit)
        prepared = np.stack([images.preprocess(image[:30], spec)[0] for image in source])
        features.compute(usual, prepared, folder=tmp_path)
        assert len(counted.take()) == 1


def test_another_version_is_computed_anew(tmp_path, counted, monkeypatch, usual):
    features.compute(usual, photos(2), folder=tmp_path)
    monkeypatch.setattr(keras, "__version__", "99.0")
    features.compute(usual, photos(2), folder=tmp_path)
    assert len(counted.take()) == 2


def test_freezing_changes_no_feature(tmp_path, counted):
    model = classifier.build(image_size=(SIDE, SIDE), backbone=STRIDE2)
    for phase in (phases.Phase(), phases.Phase(backbone="frozen")):
        phases.set_trainable(model, phase)
        features.compute(features.of_classifier(model), photos(2), folder=tmp_path)
    assert len(counted.take()) == 1


# What goes wrong


def test_a_damaged_file_is_left_aside(tmp_path, counted, caplog, usual):
    first = features.compute(usual, photos(3), folder=tmp_path)
    (file,) = tmp_path.glob("*/*.npz")
    whole = file.read_bytes()
    # Cut off, another format, and one flipped bit among the features.
    flipped = bytearray(whole)
    flipped[len(whole) // 2] ^= 4
    for damaged in (whole[:-30], b"nothing", b"", bytes(flipped)):
        counted.take()
        file.write_bytes(damaged)
        with caplog.at_level(logging.WARNING, "inspection_tf"):
            found = features.compute(usual, photos(3), folder=tmp_path)
        assert len(counted.take()) == 1
        assert "is left aside, as its features cannot be read" in caplog.text
        np.testing.assert_array_equal(found, first)
        assert file.read_bytes() == whole


def test_a_temporary_file_of_a_killed_process_does_not_matter(tmp_path, usual):
    first = features.compute(usual, photos(2), folder=tmp_path)
    (file,) = tmp_path.glob("*/*.npz")
    (file.parent / f".{file.name}.123-456.tmp").write_bytes(b"half")
    found = features.compute(usual, photos(2), folder=tmp_path)
    np.testing.assert_array_equal(found, first)


def test_nothing_is_pickled(tmp_path, usual):
    features.compute(usual, photos(2), folder=tmp_path)
    (file,) = tmp_path.glob("*/*.npz")
    with np.load(file, allow_pickle=False) as stored:
        assert {name: stored[name].dtype for name in stored.files} == {
            "keys": np.uint8, "features": np.float32,
        }  # fmt: skip


def test_a_full_disk_is_said(tiny_disk, usual):
    # 64 KiB hold 256 vectors of 64 features of 4 bytes, and no more.
    with pytest.raises(errors.StorageError, match="Free space or choose another folder"):
        features.compute(usual, photos(300), folder=tiny_disk / "features")


def test_a_folder_that_is_a_file_is_refused(tmp_path, usual):
    (tmp_path / "features").write_text("")
    with pytest.raises(errors.StorageError, match="must be writable"):
        features.compute(usual, photos(1), folder=tmp_path / "features")


def test_images_that_do_not_fit_the_network_are_refused(tmp_path, usual):
    for wrong in (photos(2, side=8), photos(2)[..., 0], photos(2).astype(np.float32)):
        with pytest.raises(errors.ConfigError, match=r"uint8 of shape \(n, 16, 16, 1\)"):
            features.compute(usual, wrong, folder=tmp_path)


def test_a_network_of_maps_is_refused(tmp_path):
    backbone = backbones.build(image_size=(SIDE, SIDE), channels=1, **STRIDE2)
    with pytest.raises(errors.ConfigError, match="one vector as its output"):
        features.compute(backbone, photos(1), folder=tmp_path)


def test_features_that_are_not_finite_are_refused_and_not_stored(tmp_path):
    model = network()
    offset = model.get_layer("backbone").get_layer("norm").beta
    offset.assign(keras.ops.full_like(offset, np.nan))
    with pytest.raises(errors.BundleError, match="Features must be finite"):
        features.compute(model, photos(2), folder=tmp_path)
    assert list(tmp_path.iterdir()) == []


def test_no_images_have_no_features(tmp_path, usual):
    assert features.compute(usual, photos(0), folder=tmp_path).shape == (0, 64)


@pytest.mark.skipif(
    "INSPECTION_DATA" not in os.environ,
    reason="needs INSPECTION_DATA, the folder of the real data sets",
)
@pytest.mark.slow
def test_real_features_tell_inserts_and_are_read_quickly(tmp_path):
    root = Path(os.environ["INSPECTION_DATA"])
    spec = images.Preprocessing(size=(224, 224), channels="rgb", fit="stretch")
    files = sorted((root / "cutting_inserts").glob("*/*.JPG"))
    pixels = np.stack([images.preprocess(images.read(file), spec)[0] for file in files])
    backbone = backbones.build(
        image_size=(224, 224),
        channels=3,
        name="keras_mobilenet_v2",
        strides=(32,),
        weights=root / "weights" / "mobilenet_v2_imagenet_notop.weights.h5",
    )
    model = features.of_backbone(backbone, input_mean=118.0, input_scale=58.0)
    seconds, found = [], []
    for _ in range(2):
        started = time.perf_counter()
        found.append(features.compute(model, pixels, folder=tmp_path))
        seconds.append(time.perf_counter() - started)
    np.testing.assert_array_equal(*found)
    assert seconds[0] >= 5 * seconds[1], seconds
