"""How a classifier is built, taught by its strategy and calibrated, and what it returns besides."""

import logging
from collections.abc import Callable, Mapping, Sequence

import keras
import numpy as np

from inspection_tf import errors
from inspection_tf.datasets.loading import loader
from inspection_tf.evaluation import calibration
from inspection_tf.models import classical, classifier
from inspection_tf.models.additions import evidence, novelty
from inspection_tf.recipes import stages
from inspection_tf.recipes.strategies import vectors
from inspection_tf.recipes.strategies.spec import ClassifierSpec, Strategy, phases_of
from inspection_tf.tasks import class_probability, classification
from inspection_tf.training.runs.run_folder import RunFolder

_LOG = logging.getLogger("inspection_tf")
_BATCH = 32


def network(spec: ClassifierSpec, classes: Sequence[str], ok_name: str = "") -> stages.Network:
    """Return what builds the classifier and how it is trained.

    Args:
        spec: of the recipe.
        classes: of what can be wrong, without OK.
        ok_name: what good images are called; "" where that is known to be none of them.

    Raises:
        errors.ConfigError: good images are called as one of the classes.
    """
    if ok_name in classes:
        raise errors.ConfigError(
            "rules.ok_name must be what good images are called, and no class of what can be wrong. "
            f"Got {ok_name!r} with the classes {', '.join(classes)}. Choose another name."
        )
    planned = spec.train.model_copy(update={"phases": phases_of(spec)})

    def build(**options: object) -> keras.Model:
        if spec.strategy == "classical":
            given = {**options, "options": spec.descriptors}
            return classical.build(classes=1 + len(classes), **given)  # type: ignore[arg-type]
        return classifier.build(classes=1 + len(classes), **options)  # type: ignore[arg-type]

    return stages.Network(build, spec.model_copy(update={"train": planned}))


def _by_gradients(built: stages.Network, lesson: vectors.Lesson) -> keras.Model:
    return stages.fit_stage(
        built,
        lesson.images,
        lesson.tune,
        seed=lesson.seed,
        folder=lesson.folder,
        trained=lesson.trained,
    )


_WAYS: Mapping[Strategy, Callable[[stages.Network, vectors.Lesson], keras.Model]] = {
    "scratch": _by_gradients,
    "features": vectors.by_regression,
    "frozen": _by_gradients,
    "finetune": _by_gradients,
    "classical": vectors.by_machine,
}


def train(
    spec: ClassifierSpec,
    images: loader.Cache,
    tune: loader.Cache | None,
    *,
    groups: Sequence[str],
    seed: int,
    folder: RunFolder,
    trained: Mapping[str, keras.Model] | None = None,
) -> keras.Model:
    """Train a classifier by its strategy, and calibrate it.

    Args:
        spec: of the recipe.
        images: that teach.
        tune: images that are measured while it trains, and that calibrate it; None: none do.
        groups: (images,), the part or series that each image shows.
        seed: of the run.
        folder: of this network.
        trained: networks of this recipe so far, by name, whose backbone it may start from.
    """
    lesson = vectors.Lesson(spec, images, groups, folder, seed, tune, trained)
    model = _WAYS[spec.strategy](network(spec, images.classes), lesson)
    if spec.has_temperature and tune is not None and folder.number is None:
        calibrate(model, tune)
    return model


def with_additions(
    model: keras.Model,
    spec: ClassifierSpec,
    rules: classification.Settings,
    images: loader.Cache,
    *,
    groups: Sequence[str],
    folder: RunFolder,
) -> keras.Model:
    """Return a trained classifier that also returns what its bundle is to know.

    Args:
        model: of `train`.
        spec: of the recipe.
        rules: which say what that is.
        images: that taught it.
        groups: (images,), the part or series that each image shows.
        folder: of this network.

    Raises:
        errors.DataError: all images are of one group, so that nothing says what is new.
    """
    if rules.has_evidence:
        model = evidence.attach(model)
    if rules.has_novelty:
        kept = vectors.of_classifier(model, vectors.Lesson(spec, images, groups, folder))
        rows = novelty.references(len(kept))
        metric = spec.novelty_metric
        distance = novelty.limit(
            kept, groups, rows, familiar_share=spec.familiar_share, metric=metric
        )
        model = novelty.attach(model, kept[rows], distance, metric=metric)
    return model


def calibrate(model: keras.Model, tune: loader.Cache) -> float:
    """Divide the logits by the temperature that makes some labels likeliest; returns it.

    Where every label is found, the likeliest is the smallest there is; then it is 1.

    Args:
        model: a classifier, changed in place.
        tune: images that it did not learn from.
    """
    served = loader.for_evaluation(tune, batch_size=_BATCH, target="label")
    probability = np.concatenate(
        [model.predict_on_batch(inputs)[class_probability.OUTPUT] for inputs, _ in served]
    )
    # The logarithm of a probability is its logit but for a number that all classes share.
    logits = np.log(np.maximum(probability.astype(np.float64), np.finfo(np.float32).tiny))
    label = tune.label.astype(np.int64)
    temperature = calibration.fit_temperature(logits, label)
    if temperature < 1 and (logits.argmax(axis=1) == label).all():
        _LOG.warning(
            "every tune image is right, which does not say how sure to be: no temperature is set"
        )
        temperature = 1.0
    evidence.set_temperature(model, temperature)
    _LOG.info("temperature %.3f, from %d images", temperature, len(tune))
    return temperature
