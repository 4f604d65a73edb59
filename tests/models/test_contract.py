"""The contract every segmentation model keeps; a new model is one more line in `MODELS`."""

import dataclasses
from collections.abc import Callable

import keras
import numpy as np
import pytest

from inspection_tf import losses, runtime
from inspection_tf.export import onnx
from inspection_tf.models import unet


@dataclasses.dataclass(frozen=True)
class Model:
    """How to build a small one, and what its sides must be divisible by, px."""

    build: Callable[..., keras.Model]
    multiple: int


def small_unet(**options):
    def build(*, image_size, channels=1):
        return unet.build(image_size=image_size, channels=channels, **options)

    return build


MODELS = {
    "unet-gtc2018": Model(small_unet(preset="gtc2018", filters=(4, 8, 16)), 4),
    "unet-compact": Model(
        small_unet(preset="compact", filters=(4, 8)), 2 * unet.PRESETS["compact"].working_stride
    ),
    "unet-batch-residual": Model(
        small_unet(filters=(4, 8), normalization="batch", residual=True), 2
    ),
    "unet-group-bilinear": Model(
        small_unet(filters=(4, 8), normalization="group", upsampling="bilinear"), 2
    ),
    "unet-nearest-dropout": Model(small_unet(filters=(4, 8), upsampling="nearest", dropout=0.5), 2),
}
every_model = pytest.mark.parametrize("spec", MODELS.values(), ids=MODELS)


@pytest.fixture(autouse=True)
def same_start():
    keras.utils.set_random_seed(3)


def pictures(count, size, channels=1):
    rng = np.random.default_rng(0)
    return rng.integers(0, 256, (count, *size, channels), dtype=np.uint8)


def predict(model, image):
    return np.asarray(model({"image": image}, training=False)["probability"])


@every_model
def test_input_and_output_are_named_and_typed(spec):
    size = (2 * spec.multiple, 3 * spec.multiple)
    model = spec.build(image_size=size)
    assert [(item.name, item.dtype, item.shape) for item in model.inputs] == [
        ("image", "uint8", (None, *size, 1))
    ]
    assert list(model.output) == ["probability"]
    assert model.output["probability"].dtype == "float32"


@every_model
@pytest.mark.parametrize(
    ("cells", "channels"), [((1, 1), 1), ((3, 5), 1), ((5, 2), 3)], ids=["least", "odd", "rgb"]
)
def test_shape_dtype_and_range(spec, cells, channels):
    size = (cells[0] * spec.multiple, cells[1] * spec.multiple)
    model = spec.build(image_size=size, channels=channels)
    probability = predict(model, pictures(3, size, channels))
    assert probability.shape == (3, *size, 1)
    assert probability.dtype == np.float32
    assert probability.min() >= 0
    assert probability.max() <= 1
    # An image's map does not depend on what else is in the batch.
    alone = predict(model, pictures(3, size, channels)[1:2])
    np.testing.assert_allclose(alone[0], probability[1], atol=1e-6)


@every_model
def test_black_and_white_images_give_finite_probabilities(spec):
    size = (2 * spec.multiple, 2 * spec.multiple)
    image = np.zeros((2, *size, 1), np.uint8)
    image[1] = 255
    assert np.isfinite(predict(spec.build(image_size=size), image)).all()


@every_model
def test_a_saved_model_loads_and_predicts_the_same(spec, tmp_path):
    size = (2 * spec.multiple, 3 * spec.multiple)
    model = spec.build(image_size=size)
    model.save(tmp_path / "model.keras")
    twin = keras.saving.load_model(tmp_path / "model.keras")
    image = pictures(2, size)
    np.testing.assert_array_equal(predict(twin, image), predict(model, image))


@every_model
def test_a_training_step_lowers_the_loss(spec):
    size = (4 * spec.multiple, 4 * spec.multiple)
    model = spec.build(image_size=size)
    image = pictures(2, size)
    mask = (image > 200).astype(np.uint8)
    model.compile(keras.optimizers.SGD(0.02), loss={"probability": losses.BceDice()})

    def loss():
        keras.utils.set_random_seed(5)
        output = model({"image": image}, training="dropout" not in str(model.layers))
        return float(losses.BceDice()(mask, output["probability"]))

    before = loss()
    model.train_on_batch({"image": image}, {"probability": mask})
    assert loss() < before


@every_model
def test_onnx_gives_the_same_map_at_every_batch_size(spec):
    size = (2 * spec.multiple, 3 * spec.multiple)
    model = spec.build(image_size=size)
    engine = runtime.Engine(onnx.convert(model))
    for count in (1, 2, 5):
        image = pictures(count, size)
        np.testing.assert_allclose(engine.run(image), predict(model, image), atol=1e-5)


@every_model
def test_a_model_of_mixed_precision_is_exported_in_float32(spec):
    size = (2 * spec.multiple, 2 * spec.multiple)
    policy = keras.config.dtype_policy()
    try:
        keras.config.set_dtype_policy("mixed_float16")
        model = spec.build(image_size=size)
    finally:
        keras.config.set_dtype_policy(policy)
    assert model.output["probability"].dtype == "float32"
    twin = onnx.rebuild_float32(model)
    assert {layer.compute_dtype for layer in twin.layers} <= {"float32", "uint8"}
    image = pictures(2, size)
    found = runtime.Engine(onnx.convert(model)).run(image)
    np.testing.assert_allclose(found, predict(twin, image), atol=1e-5)
