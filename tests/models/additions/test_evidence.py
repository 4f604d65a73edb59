import keras
import numpy as np
import pytest

from inspection_tf import errors
from inspection_tf.models import classifier, saved
from inspection_tf.models.additions import evidence

SIZE = (48, 80)  # 3 x 5 cells of 16 px


def build(**options):
    keras.utils.set_random_seed(3)
    backbone = {"name": "cnn", "strides": (16,)}
    model = classifier.build(image_size=SIZE, classes=3, backbone=backbone, **options)
    if options.get("head") != "vgg":
        norm = model.get_layer("pooled_norm")
        rng = np.random.default_rng(0)
        # Statistics as a training leaves them: not 0 and 1.
        norm.set_weights([rng.uniform(0.5, 2, weight.shape) for weight in norm.get_weights()])
    return model


@pytest.fixture(scope="module")
def image():
    return np.random.default_rng(1).integers(0, 256, (2, *SIZE, 1), np.uint8)


def run(model, image):
    return model.predict_on_batch({"image": image})


def logits_of(model, image):
    return run(keras.Model(model.input, model.get_layer("class_logits").output), image)


@pytest.mark.parametrize("max_pooling", [True, False])
def test_what_all_cells_add_to_a_class_is_its_logit(max_pooling, image):
    model = build(max_pooling=max_pooling)
    outputs = run(evidence.attach(model), image)
    assert outputs["class_evidence"].shape == (2, 3, 5, 3)
    np.testing.assert_allclose(
        outputs["class_evidence"].sum(axis=(1, 2)), logits_of(model, image), atol=2e-5
    )
    np.testing.assert_array_equal(
        outputs["class_probability"], run(model, image)["class_probability"]
    )


def test_the_share_of_a_maximum_goes_to_the_cell_that_has_it():
    layer = evidence.AtMaximum()
    feature = np.array([[[1.0, 5.0], [3.0, 4.0]], [[2.0, 0.0], [0.5, -1.0]]])[None]
    # Channel 0 has its maximum, 3, in the second cell, channel 1, 5, in the first.
    expected = np.array([[[0.0, 5.0], [3.0, 0.0]], [[0.0, 0.0], [0.0, 0.0]]])[None]
    np.testing.assert_array_equal(np.asarray(layer(feature)), expected)


def test_a_network_with_evidence_is_saved_and_read_back(tmp_path, image):
    model = evidence.attach(build())
    model.save(tmp_path / "model.keras")
    read = saved.load(tmp_path / "model.keras")
    for name, output in run(model, image).items():
        np.testing.assert_array_equal(run(read, image)[name], output)


def test_a_head_of_dense_layers_has_no_evidence_in_the_graph():
    model = build(head="vgg", dense_units=(4,))
    assert not evidence.is_pooled(model)
    with pytest.raises(errors.ConfigError, match="needs a head that pools"):
        evidence.attach(model)


def test_a_temperature_divides_the_logits_and_keeps_the_likeliest_class(image):
    model = build()
    before = logits_of(model, image)
    evidence.set_temperature(model, 2.0)
    np.testing.assert_allclose(logits_of(model, image), before / 2, atol=1e-5)
    raised = np.exp(before / 2)
    np.testing.assert_allclose(
        run(model, image)["class_probability"],
        raised / raised.sum(axis=1, keepdims=True),
        atol=1e-5,
    )


@pytest.mark.parametrize("temperature", [0.0, -1.0, np.nan, np.inf])
def test_a_temperature_that_is_none_is_refused(temperature):
    with pytest.raises(errors.ConfigError, match="finite number over 0"):
        evidence.set_temperature(build(), temperature)
