"""The contract every model keeps; a new model is one more line in `MODELS`."""

import dataclasses
from collections.abc import Callable

import keras
import numpy as np
import product_checks
import pytest
import tensorflow as tf

from inspection_tf import losses, runtime
from inspection_tf.export import onnx
from inspection_tf.models import classical, classifier, segmenter, unet
from inspection_tf.models.additions import mirrors
from inspection_tf.tasks.fields.learning import losses as field_losses
from inspection_tf.tasks.fields.learning import network


@dataclasses.dataclass(frozen=True)
class Model:
    """How to build a small one, what its sides must be divisible by (px), what goes in and out.

    One that does not learn by steps is fitted as a whole.
    """

    build: Callable[..., keras.Model]
    multiple: int
    classes: int = 1
    template: bool = False
    output: str = "probability"
    learns: bool = True

    def shape(self, count, size):
        """Return the shape of the output for images of (height, width)."""
        of_image = size if self.output == "probability" else ()
        return (count, *of_image, self.classes)


def small(module, multiple, *, output="probability", classes=1, template=False, **options):
    def build(*, image_size, channels=1):
        return module.build(
            image_size=image_size, channels=channels, classes=classes, template=template, **options
        )

    return Model(build, multiple, classes, template, output)


def small_segmenter(backbone, strides, **options):
    return small(
        segmenter,
        strides[-1],
        backbone={"name": backbone, "strides": strides},
        decoder_filters=(4, 8),
        **options,
    )


def small_locator(multiple, *, points=4, **options):
    def build(*, image_size, channels=1):
        model = network.build(image_size=image_size, channels=channels, points=points, **options)
        return network.deployed(model)

    return Model(build, multiple, 2 * points + 1, output="corners")


def small_classical(multiple, *, classes):
    """Return a model with a machine of random numbers."""

    def build(*, image_size, channels=1):
        options = {"hog_cells": 2, "lbp_radii": (1,), "glcm_distances": (2,), "glcm_levels": 4}
        numbers = 4 * 9 + 10 + 16
        blank = classical.SvmParameters.blank(features=numbers, classes=classes)
        rng = np.random.default_rng(0)
        drawn = {
            name: rng.normal(size=getattr(blank, name).shape)
            for name in ("mean", "support_vectors", "coefficients", "intercept", "slope", "offset")
        }
        parameters = dataclasses.replace(blank, gamma=0.01, **drawn)
        return classical.build(
            image_size=image_size,
            channels=channels,
            classes=classes,
            parameters=parameters,
            **options,
        )

    return Model(build, multiple, classes, output="class_probability", learns=False)


def averaged(model, flips):
    """Return a model that averages over mirror images."""

    def build(**options):
        return mirrors.attach(model.build(**options), flips)

    return dataclasses.replace(model, build=build)


MODELS = {
    "unet-gtc2018": small(unet, 4, preset="gtc2018", filters=(4, 8, 16)),
    "unet-compact": small(
        unet, 2 * unet.PRESETS["compact"].working_stride, preset="compact", filters=(4, 8)
    ),
    "unet-edge": small(
        unet, 2 * unet.PRESETS["edge"].working_stride, preset="edge", filters=(4, 8)
    ),
    "unet-batch-residual": small(unet, 2, filters=(4, 8), normalization="batch", residual=True),
    "unet-group-bilinear": small(
        unet, 2, filters=(4, 8), normalization="group", upsampling="bilinear"
    ),
    "unet-nearest-dropout": small(unet, 2, filters=(4, 8), upsampling="nearest", dropout=0.5),
    "unet-template-classes": small(unet, 2, filters=(4, 8), template=True, classes=3),
    "segmenter-transposed": small_segmenter("vgg10", (1, 2)),
    "segmenter-bilinear-stride-2": small_segmenter(
        "resnet18", (2, 4), upsampling="bilinear", output_stride=2, context=True
    ),
    "segmenter-aligned-template-classes": small_segmenter(
        "vgg10",
        (1, 2),
        upsampling="bilinear_aligned",
        normalization="none",
        template=True,
        template_difference=True,
        template_mix=3,
        classes=3,
    ),
    "segmenter-averaged-flips": averaged(
        small_segmenter("vgg10", (1, 2), template=True, classes=2), "both"
    ),
    "segmenter-nearest-group-dropout": small_segmenter(
        "vgg10", (1, 2), upsampling="nearest", normalization="group", dropout=0.5
    ),
    "classifier-vgg-template": small(
        classifier,
        2,
        output="class_probability",
        classes=3,
        template=True,
        head="vgg",
        dense_units=(8, 4),
        backbone={"name": "vgg10", "strides": (2,)},
    ),
    "classifier-pooled-shrunk": small(
        classifier,
        6,
        output="class_probability",
        classes=2,
        input_shrink=3,
        backbone={"name": "vgg10", "strides": (2,)},
    ),
    "classical": small_classical(5, classes=2),
    "classical-classes": small_classical(4, classes=3),
    "locator-dense": small_locator(16, head="dense", filters=(4, 8), dense_units=(6,)),
    "locator-dense-always-sure": small_locator(16, head="dense", filters=(4, 8), presence=False),
    "locator-grid": small_locator(4, head="grid", filters=(4, 8)),
    "locator-heatmap": small_locator(8, head="heatmap", filters=(4, 6, 8), raised=2),
    "refiner-heatmap": small_locator(4, head="heatmap", filters=(4, 8), points=1),
    "refiner-dense": small_locator(4, head="dense", filters=(4,), points=1),
}
every_model = pytest.mark.parametrize("spec", MODELS.values(), ids=MODELS)
LEARNERS = {name: spec for name, spec in MODELS.items() if spec.learns}
every_learner = pytest.mark.parametrize("spec", LEARNERS.values(), ids=LEARNERS)


@pytest.fixture(autouse=True)
def same_start():
    keras.utils.set_random_seed(3)


def pictures(spec, count, size, channels=1):
    rng = np.random.default_rng(0)
    names = ("image", "template") if spec.template else ("image",)
    return {name: rng.integers(0, 256, (count, *size, channels), dtype=np.uint8) for name in names}


def predict(model, inputs):
    (output,) = model(inputs, training=False).values()
    return np.asarray(output)


@every_model
def test_inputs_and_output_are_named_and_typed(spec):
    size = (2 * spec.multiple, 3 * spec.multiple)
    model = spec.build(image_size=size)
    names = ["image", "template"] if spec.template else ["image"]
    assert [(item.name, item.dtype, item.shape) for item in model.inputs] == [
        (name, "uint8", (None, *size, 1)) for name in names
    ]
    assert list(model.output) == [spec.output]
    assert model.output[spec.output].dtype == "float32"
    assert model.output[spec.output].shape == spec.shape(None, size)


@every_model
@pytest.mark.parametrize(
    ("cells", "channels"), [((1, 1), 1), ((3, 5), 1), ((5, 2), 3)], ids=["least", "odd", "rgb"]
)
def test_shape_dtype_and_range(spec, cells, channels):
    size = (cells[0] * spec.multiple, cells[1] * spec.multiple)
    model = spec.build(image_size=size, channels=channels)
    inputs = pictures(spec, 3, size, channels)
    probability = predict(model, inputs)
    assert probability.shape == spec.shape(3, size)
    assert probability.dtype == np.float32
    of_probability = probability[..., -1:] if spec.output == "corners" else probability
    assert of_probability.min() >= 0
    total = of_probability.sum(axis=-1)
    assert total.max() <= 1 + 1e-6
    if spec.output == "class_probability":
        np.testing.assert_allclose(total, 1, atol=1e-6)
    # An image's output does not depend on what else is in the batch.
    alone = predict(model, {name: value[1:2] for name, value in inputs.items()})
    rtol = 1e-5 if spec.output == "corners" else 1e-7  # of coordinates, which have no bound
    np.testing.assert_allclose(alone[0], probability[1], atol=1e-6, rtol=rtol)


@every_model
def test_black_and_white_images_give_finite_probabilities(spec):
    size = (2 * spec.multiple, 2 * spec.multiple)
    inputs = pictures(spec, 2, size)
    for value in inputs.values():
        value[0], value[1] = 0, 255
    assert np.isfinite(predict(spec.build(image_size=size), inputs)).all()


@every_model
def test_a_saved_model_loads_and_predicts_the_same(spec, tmp_path):
    size = (2 * spec.multiple, 3 * spec.multiple)
    model = spec.build(image_size=size)
    model.save(tmp_path / "model.keras")
    twin = keras.saving.load_model(tmp_path / "model.keras")
    inputs = pictures(spec, 2, size)
    np.testing.assert_array_equal(predict(twin, inputs), predict(model, inputs))


def truth(spec, image):
    """Return class ids that the image tells: of each pixel, or of the image by its number.

    Of a locator some corners.
    """
    if spec.output == "class_probability":
        return np.arange(len(image), dtype=np.uint8)[:, None] % spec.classes
    if spec.output == "corners":
        place = np.linspace(0.1, 0.8, len(image) * spec.classes, dtype=np.float32)
        place = place.reshape(len(image), spec.classes)
        place[:, -1] = 1  # there is a field
        return place
    return np.digitize(image, np.linspace(180, 256, spec.classes, endpoint=False)).astype(np.uint8)


@every_learner
def test_no_stack_is_multiplied_by_one_matrix(spec):
    size = (2 * spec.multiple, 3 * spec.multiple)
    model = spec.build(image_size=size)
    given = {item.name: tf.TensorSpec(item.shape, item.dtype) for item in model.inputs}

    @tf.function
    def slopes(inputs):
        with tf.GradientTape() as tape:
            (output,) = model(inputs, training=True).values()
            cost = tf.reduce_sum(output * output)
        return tape.gradient(cost, model.trainable_variables)

    graph = slopes.get_concrete_function(given).graph
    assert product_checks.stacks_by_one_matrix(graph) == []


def test_a_stack_that_is_multiplied_by_one_matrix_is_seen():
    multiply = tf.function(lambda stack, one: tf.matmul(stack, one))
    specs = [tf.TensorSpec((None, 1, 4, 3)), tf.TensorSpec((1, 1, 3, 5))]
    assert product_checks.stacks_by_one_matrix(multiply.get_concrete_function(*specs).graph)


@every_learner
def test_a_training_step_lowers_the_loss(spec):
    size = (4 * spec.multiple, 4 * spec.multiple)
    model = spec.build(image_size=size)
    inputs = pictures(spec, 2, size)
    target = truth(spec, inputs["image"])
    kind = {
        "probability": losses.BceDice,
        "class_probability": losses.CrossEntropy,
        "corners": field_losses.CornerMae,
    }[spec.output]
    # An untrained regressor is far off, and its slope does not fall on the way.
    rate = 1e-4 if spec.output == "corners" else 0.02
    model.compile(keras.optimizers.SGD(rate), loss={spec.output: kind()})

    def drop_the_same():
        for layer in model.layers:
            if hasattr(layer, "seed_generator"):
                layer.seed_generator.state.assign([5, 0])

    def loss():
        drop_the_same()
        return float(kind()(target, model(inputs, training=True)[spec.output]))

    before = loss()
    drop_the_same()
    model.train_on_batch(inputs, {spec.output: target})
    assert loss() < before


@every_model
def test_onnx_gives_the_same_output_at_every_batch_size(spec):
    size = (2 * spec.multiple, 3 * spec.multiple)
    model = spec.build(image_size=size)
    engine = runtime.Engine(onnx.convert(model))
    for count in (1, 2, 5):
        inputs = pictures(spec, count, size)
        found = engine.run(*inputs.values())
        np.testing.assert_allclose(found, predict(model, inputs), atol=1e-5)


@every_model
def test_a_model_of_mixed_precision_is_exported_in_float32(spec):
    size = (2 * spec.multiple, 2 * spec.multiple)
    policy = keras.config.dtype_policy()
    try:
        keras.config.set_dtype_policy("mixed_float16")
        model = spec.build(image_size=size)
    finally:
        keras.config.set_dtype_policy(policy)
    assert model.output[spec.output].dtype == "float32"
    assert not onnx.is_float32(model)
    twin = onnx.rebuild_float32(model)
    assert onnx.is_float32(twin)
    inputs = pictures(spec, 2, size)
    found = runtime.Engine(onnx.convert(model)).run(*inputs.values())
    np.testing.assert_allclose(found, predict(twin, inputs), atol=1e-5)
