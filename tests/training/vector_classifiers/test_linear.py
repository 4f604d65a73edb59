import keras
import numpy as np
import pytest
import vector_examples

from inspection_tf import errors
from inspection_tf.engines import onnxruntime_engine
from inspection_tf.export import onnx
from inspection_tf.models import classifier
from inspection_tf.training import features, vector_classifiers
from inspection_tf.training.vector_classifiers import logistic, softmax

SIDE = 16  # px


def pooled(classes=2):
    backbone = {"name": "vgg10", "strides": (1,)}  # 32 channels
    return classifier.build(image_size=(SIDE, SIDE), classes=classes, backbone=backbone)


def of_cells(classes=2):
    """A network whose logits are computed for each cell and averaged."""
    image = keras.Input((SIDE, SIDE, 1), dtype="uint8", name="image")
    x = keras.layers.Rescaling(1 / 64, -2.0, name="scaling")(image)
    x = keras.layers.Conv2D(8, 3, strides=2, activation="relu", name="conv")(x)
    x = keras.layers.Conv2D(classes, 1, name="class_logits")(x)
    x = keras.layers.GlobalAveragePooling2D(name="mean")(x)
    x = keras.layers.Activation("softmax", dtype="float32", name="class_probability")(x)
    return keras.Model({"image": image}, {"class_probability": x}, name="of_cells")


def photos(count, classes):
    """Noise that is brighter and coarser from class to class."""
    rng = np.random.default_rng(0)
    labels = np.arange(count) % classes
    pixels = rng.normal(size=(count, SIDE, SIDE, 1)) * (20 + 15 * labels[:, None, None, None])
    pixels += 110 + 3 * labels[:, None, None, None] + rng.normal(size=(count, 1, 1, 1)) * 8
    return np.clip(pixels, 0, 255).astype(np.uint8), labels


def of_scikit_learn(examples, c):
    from sklearn import linear_model, pipeline, preprocessing

    regression = linear_model.LogisticRegression(C=c, max_iter=5000)
    made = pipeline.make_pipeline(preprocessing.StandardScaler(), regression)
    return made.fit(examples.features.astype(float), examples.labels)


# The shipped network is the classifier


@pytest.mark.parametrize("build", [pooled, of_cells])
@pytest.mark.parametrize("classes", [2, 3])
def test_the_network_gives_the_probabilities_of_scikit_learn(build, classes, tmp_path):
    keras.utils.set_random_seed(0)
    model = build(classes)
    pixels, labels = photos(48, classes)
    vectors = features.compute(features.of_classifier(model), pixels, folder=tmp_path)
    groups = tuple(f"part{row // 4}" for row in range(48))
    examples = vector_classifiers.Examples(vectors, labels, groups, vector_examples.NAMES[:classes])
    head = logistic.fit(examples, options=logistic.Options(c=(0.1,)))
    vector_classifiers.set_linear_head(model, head.coefficients, head.intercept)
    expected = of_scikit_learn(examples, 0.1).predict_proba(vectors.astype(float))
    assert expected.max() - expected.min() > 0.2  # they tell something
    found = model.predict_on_batch({"image": pixels})["class_probability"]
    np.testing.assert_allclose(found, expected, atol=1e-5)
    exported = onnxruntime_engine.Engine(onnx.convert(model)).run(pixels)
    np.testing.assert_allclose(exported, expected, atol=1e-5)


def test_a_function_of_standardized_features_becomes_one_of_the_features():
    head = vector_classifiers.LinearHead.on_standardized(
        [[2.0, -2.0]], [1.0, 0.0], mean=np.array([10.0]), deviation=np.array([4.0])
    )
    # 2 (x - 10) / 4 + 1 = 0.5 x - 4, and -2 (x - 10) / 4 = -0.5 x + 5.
    np.testing.assert_allclose(head.coefficients, [[0.5, -0.5]])
    np.testing.assert_allclose(head.intercept, [-4.0, 5.0])
    # At x = 11: logits 1.5 and -0.5, so exp(1.5) / (exp(1.5) + exp(-0.5)) = 1 / (1 + exp(-2)).
    assert head.probabilities([[11.0]])[0, 0] == pytest.approx(1 / (1 + np.exp(-2)))


def test_large_logits_give_finite_probabilities():
    head = vector_classifiers.LinearHead(np.array([[1e4, -1e4]]), np.zeros(2))
    np.testing.assert_array_equal(head.probabilities([[1.0], [-1.0]]), [[1, 0], [0, 1]])


@pytest.mark.parametrize(
    ("coefficients", "intercept"), [((64, 3), (3,)), ((63, 2), (2,)), ((64, 2), (1,))]
)
def test_a_head_of_other_features_or_classes_is_refused(coefficients, intercept):
    with pytest.raises(errors.ConfigError, match=r"takes coefficients of shape \(64, 2\)"):
        vector_classifiers.set_linear_head(pooled(), np.zeros(coefficients), np.zeros(intercept))


def test_a_model_without_linear_logits_is_refused():
    image = keras.Input((4, 4, 1))
    for layer, what in (
        (keras.layers.Conv2D(2, 3, name="class_logits"), "a Conv2D"),
        (keras.layers.Dense(2, use_bias=False, name="class_logits"), "a Dense"),
        (keras.layers.Dense(2, name="logits"), "no such layer"),
    ):
        with pytest.raises(errors.ConfigError, match=f"Got {what}"):
            vector_classifiers.set_linear_head(keras.Model(image, layer(image)), [[0]], [0])


# Logistic regression


def test_two_logits_of_two_classes_are_the_sigmoid_of_one_function():
    examples = vector_examples.make()
    head = logistic.fit_with(examples, c=0.1, balanced=False)
    np.testing.assert_allclose(head.coefficients.sum(axis=1), 0, atol=1e-12)
    expected = of_scikit_learn(examples, 0.1).predict_proba(examples.features)
    np.testing.assert_allclose(head.probabilities(examples.features), expected, atol=1e-6)


def test_a_constant_feature_has_no_weight():
    head = logistic.fit_with(vector_examples.make(), c=1.0, balanced=False)
    np.testing.assert_allclose(head.coefficients[-1], 0, atol=1e-12)


def test_the_strength_that_fits_unseen_groups_is_chosen():
    # 60 useless features and 48 examples: without regularisation all are learned by heart.
    noisy = vector_examples.make(48, width=60, shift=0.5)
    options = logistic.Options(c=(1e-3, 1e2))
    assert logistic.choose_c(noisy, options=options, seed=0) == 1e-3
    clear = vector_examples.make(240, width=3, shift=6.0)
    assert logistic.choose_c(clear, options=options, seed=0) == 1e2


def test_one_strength_needs_no_folds():
    examples = vector_examples.make(12)
    one_each = vector_classifiers.Examples(
        examples.features, examples.labels, ("a", "b") * 6, examples.classes
    )
    logistic.fit(one_each, options=logistic.Options(c=(1.0,)))
    with pytest.raises(errors.DataError, match="with one value of c"):
        logistic.fit(one_each)


@pytest.mark.parametrize(("balanced", "chance"), [(True, 0.5), (False, 0.1)])
def test_balanced_classes_count_alike(balanced, chance):
    rng = np.random.default_rng(0)
    labels = np.array([0] * 90 + [1] * 10)
    values = rng.normal(size=(100, 1)) + labels[:, None]
    examples = vector_classifiers.Examples(
        values, labels, tuple(map(str, range(100))), ("OK", "worn")
    )
    options = softmax.Options(
        epochs=60, batch_size=100, learning_rate=0.05, dropout=0, weight_decay=0, balanced=balanced
    )
    # Classes of equal spread at 0 and 1 that count alike meet in the middle.
    for head in (
        logistic.fit_with(examples, c=100.0, balanced=balanced),
        softmax.fit(examples, options=options),
    ):
        assert head.probabilities([[0.5]])[0, 1] == pytest.approx(chance, abs=0.06)


# A dense layer


@pytest.mark.parametrize("classes", [2, 3])
def test_a_dense_layer_learns_the_classes(classes):
    examples = vector_examples.make(classes=classes, shift=6.0)
    head = softmax.fit(examples, options=softmax.Options(epochs=30, learning_rate=0.02))
    assert vector_examples.accuracy(head, examples) > 0.9
    assert head.coefficients.shape == (12, classes)


def test_a_dense_layer_follows_from_its_seed():
    examples = vector_examples.make(40)
    options = softmax.Options(epochs=3)
    first, same, other = (softmax.fit(examples, options=options, seed=s) for s in (1, 1, 2))
    np.testing.assert_array_equal(first.coefficients, same.coefficients)
    assert not np.array_equal(first.coefficients, other.coefficients)


def test_a_dense_layer_that_diverges_says_so():
    options = softmax.Options(epochs=2, learning_rate=1e39)
    with pytest.raises(errors.DivergedError, match="Lower learning_rate"):
        softmax.fit(vector_examples.make(40), options=options)
