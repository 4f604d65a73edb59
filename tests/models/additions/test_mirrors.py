import keras
import numpy as np
import pytest

from inspection_tf import errors, runtime
from inspection_tf.export import onnx
from inspection_tf.models import complexity, saved, segmenter, unet
from inspection_tf.models.additions import mirrors
from inspection_tf.training import initial_weights

SIZE = (32, 48)


def build(**options):
    keras.utils.set_random_seed(3)
    found = {
        "backbone": {"name": "cnn", "strides": (2, 4, 8)},
        "decoder_filters": (4, 4, 4),
        "context": True,
        **options,
    }
    return segmenter.build(image_size=SIZE, classes=3, **found)


@pytest.fixture(scope="module")
def image():
    return np.random.default_rng(1).integers(0, 256, (2, *SIZE, 1), np.uint8)


def run(model, image, template=None):
    inputs = {"image": image} if template is None else {"image": image, "template": template}
    inputs = {name: np.ascontiguousarray(value) for name, value in inputs.items()}
    return model.predict_on_batch(inputs)["probability"]


def test_an_image_and_its_mirror_image_count_alike(image):
    model = build()
    expected = (run(model, image) + run(model, image[:, :, ::-1])[:, :, ::-1]) / 2
    assert abs(expected - run(model, image)).max() > 1e-3
    np.testing.assert_allclose(run(mirrors.attach(model, "horizontal"), image), expected, atol=1e-6)


def test_with_both_the_answer_is_the_mean_of_four_and_mirrors_with_the_image(image):
    model = build()
    averaged = mirrors.attach(model, "both")
    four = [
        run(model, image[:, ::row, ::column])[:, ::row, ::column]
        for row in (1, -1)
        for column in (1, -1)
    ]
    found = run(averaged, image)
    np.testing.assert_allclose(found, np.mean(four, axis=0), atol=1e-6)
    np.testing.assert_allclose(run(averaged, image[:, ::-1])[:, ::-1], found, atol=1e-6)
    assert complexity.count(averaged).macs == 4 * complexity.count(model).macs
    assert averaged.count_params() == model.count_params()


def test_a_template_is_mirrored_with_its_image(image):
    model = unet.build(image_size=SIZE, filters=(4, 8), template=True)
    other = image[::-1]
    expected = (
        run(model, image, other) + run(model, image[:, :, ::-1], other[:, :, ::-1])[:, :, ::-1]
    ) / 2
    found = run(mirrors.attach(model, "horizontal"), image, other)
    np.testing.assert_allclose(found, expected, atol=1e-6)


def test_none_is_the_network_itself():
    model = build()
    assert mirrors.attach(model, "none") is model
    assert mirrors.trained(model) is model


def test_it_is_exported_saved_and_read_back(image, tmp_path):
    averaged = mirrors.attach(build(), "both")
    engine = runtime.Engine(onnx.convert(averaged))
    np.testing.assert_allclose(engine.run_all(image)[0], run(averaged, image), atol=1e-5)
    averaged.save(tmp_path / "model.keras")
    again = saved.load(tmp_path / "model.keras")
    np.testing.assert_array_equal(run(again, image), run(averaged, image))


def test_training_goes_on_from_the_network_inside(image, tmp_path):
    first, second = build(), build(kernel_initializer="glorot_uniform")
    mirrors.attach(first, "both").save(tmp_path / "model.keras")
    source = initial_weights.load_network(tmp_path / "model.keras")
    assert abs(run(first, image) - run(second, image)).max() > 1e-3
    initial_weights.copy(second, source, origin="model.keras")
    np.testing.assert_array_equal(run(first, image), run(second, image))
    assert source.get_layer("scaling").scale == first.get_layer("scaling").scale


def test_a_network_without_scaling_is_refused():
    inputs = {"image": keras.Input((*SIZE, 1), dtype="uint8", name="image")}
    x = keras.layers.Conv2D(1, 1, activation="sigmoid", name="probability")(inputs["image"])
    model = keras.Model(inputs, {"probability": x})
    with pytest.raises(errors.ConfigError, match=r"scaled by a layer each\. Got none that is"):
        mirrors.attach(model, "both")
