import keras
import numpy as np
import pytest

from inspection_tf import config, errors
from inspection_tf.export import onnx
from inspection_tf.models import classifier, patching, saved
from inspection_tf.models.additions import evidence
from inspection_tf.models.patching import PatchSpec


def test_patches_cover_a_side_and_the_last_one_ends_with_it():
    # 320 px in patches of 128 px, 64 apart: the last begins at 192 and ends at 320.
    assert patching.offsets(320, PatchSpec(size_px=128, stride_px=64)) == (0, 64, 128, 192)
    # 100 px in patches of 32 px, 24 apart: 0, 24, 48, and 68 in place of 72.
    assert patching.offsets(100, PatchSpec(size_px=32, stride_px=24)) == (0, 24, 48, 68)
    assert patching.offsets(32, PatchSpec(size_px=32, stride_px=24)) == (0,)


def test_patches_with_gaps_or_larger_than_the_image_are_refused():
    with pytest.raises(errors.ConfigError, match="stride_px must be at most size_px, 16"):
        config.validate(PatchSpec, {"size_px": 16, "stride_px": 17}, origin="test")
    with pytest.raises(errors.ConfigError, match="A patch must fit into the image"):
        patching.offsets(31, PatchSpec(size_px=32, stride_px=16))


def test_patches_are_joined_along_the_batch_row_by_row():
    images = np.arange(2 * 8 * 16, dtype=np.float32).reshape(2, 8, 16, 1)
    inputs = keras.Input((8, 16, 1))
    cut = keras.Model(inputs, patching.cut(inputs, PatchSpec(size_px=8, stride_px=4)))
    found = cut.predict_on_batch(images)
    assert found.shape == (3 * 2, 8, 8, 1)
    np.testing.assert_array_equal(found[:2], images[:, :, :8])
    np.testing.assert_array_equal(found[2:4], images[:, :, 4:12])
    np.testing.assert_array_equal(found[4:], images[:, :, 8:])


SIZE, SPEC = (40, 56), PatchSpec(size_px=32, stride_px=16)  # 2 x 3 patches: 0, 8; 0, 16, 24


@pytest.fixture(scope="module")
def model():
    keras.utils.set_random_seed(0)
    return classifier.build(
        image_size=SIZE, classes=3, patches=SPEC, backbone={"name": "cnn", "strides": (16,)}
    )


@pytest.fixture(scope="module")
def image():
    return np.random.default_rng(0).integers(0, 256, (2, *SIZE, 1), np.uint8)


def test_a_classifier_of_patches_says_what_one_of_a_patch_says_of_each(model, image):
    keras.utils.set_random_seed(0)
    alone = classifier.build(
        image_size=(32, 32), classes=3, backbone={"name": "cnn", "strides": (16,)}
    )
    alone.set_weights(model.get_weights()[: len(alone.get_weights())])
    logits = keras.Model(alone.input, alone.get_layer("class_logits").output)
    each = np.stack(
        [
            logits.predict_on_batch({"image": image[:, top : top + 32, left : left + 32]})
            for top in (0, 8)
            for left in (0, 16, 24)
        ]
    )
    pooled = np.log(np.exp(4 * each).mean(axis=0)) / 4
    expected = np.exp(pooled) / np.exp(pooled).sum(axis=1, keepdims=True)
    outputs = evidence.attach(model).predict_on_batch({"image": image})
    np.testing.assert_allclose(outputs["class_probability"], expected, atol=1e-5)
    assert outputs["class_evidence"].shape == (2, 2, 3, 3)
    np.testing.assert_allclose(
        outputs["class_evidence"][1, 1, 2], each[5, 1] / 6, atol=1e-6
    )  # the sixth patch of the second image


def test_a_temperature_divides_the_pooled_logits_and_two_of_them_multiply(model, image):
    pooled = keras.Model(model.input, model.get_layer("place_pool").output)
    before = pooled.predict_on_batch({"image": image})
    evidence.set_temperature(model, 2.0)
    evidence.set_temperature(model, 1.5)
    np.testing.assert_allclose(pooled.predict_on_batch({"image": image}), before / 3, rtol=1e-5)
    evidence.set_temperature(model, 1 / 3)


def test_a_classifier_of_patches_is_saved_and_exported_for_any_batch(model, image, tmp_path):
    expected = model.predict_on_batch({"image": image})["class_probability"]
    model.save(tmp_path / "model.keras")
    read = saved.load(tmp_path / "model.keras").predict_on_batch({"image": image})
    np.testing.assert_array_equal(read["class_probability"], expected)
    from inspection_tf.engines import onnxruntime_engine

    engine = onnxruntime_engine.Engine(onnx.convert(model))
    np.testing.assert_allclose(engine.run(image), expected, atol=1e-5)
    np.testing.assert_allclose(engine.run(image[1:]), expected[1:], atol=1e-5)


def test_a_patch_that_the_backbone_cannot_halve_is_refused():
    with pytest.raises(errors.ConfigError, match=r"divisible by 16.* Got 24; .* is 32"):
        classifier.build(
            image_size=SIZE,
            patches=PatchSpec(size_px=24, stride_px=12),
            backbone={"name": "cnn", "strides": (16,)},
        )
