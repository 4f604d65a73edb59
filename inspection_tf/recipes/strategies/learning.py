"""How a classifier is trained: from scratch, on features of a backbone, or by fine-tuning it.

Source: the talk on cutting inserts: feature extraction with features that are computed once, with a
frozen body and augmented images, fine-tuning of the top layers, and descriptors of texture.
"""

import logging
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Literal

import keras
import numpy as np
import pydantic
from numpy.typing import NDArray

from inspection_tf import errors
from inspection_tf.datasets.loading import loader
from inspection_tf.evaluation import calibration
from inspection_tf.models import classical, classifier
from inspection_tf.models.side_outputs import evidence, novelty
from inspection_tf.recipes import stages
from inspection_tf.tasks import class_probability, classification
from inspection_tf.training import features
from inspection_tf.training.phases import Phase
from inspection_tf.training.runs.run_folder import RunFolder
from inspection_tf.training.vector_classifiers import Examples, logistic, set_linear_head, svm

_LOG = logging.getLogger("inspection_tf")
Strategy = Literal["scratch", "features", "frozen", "finetune", "classical"]
_BATCH = 32
_DESCRIBED = 4  # images at once: a co-occurrence of 224 px takes 100 MB each


class ClassifierSpec(stages.StageSpec):
    """A classifier and how it is trained."""

    model: classifier.Options = classifier.Options()
    strategy: Strategy = "scratch"
    """scratch: everything learns; features: those of the backbone, as its weights make it, are
    computed once, and a logistic regression of them becomes the head; frozen: the head alone
    learns, on augmented images; finetune: that first, then the top of the backbone with it;
    classical: nothing of `model`, but a support vector machine of the descriptors of an image."""
    regression: logistic.Options = logistic.Options()
    """features: the logistic regression."""
    descriptors: classical.Options = classical.Options()
    """classical: what describes an image."""
    vector_machine: svm.Options = svm.Options()
    """classical: the support vector machine, whose probabilities its own sigmoids calibrate."""
    feature_folder: Path | None = None
    """features, classical, and rules.max_novelty: where features are kept, for runs to share;
    none: in the folder of the run."""
    head_epochs: int = pydantic.Field(default=10, ge=1)
    """finetune: epochs in which the head learns alone; the others of `train.epochs` follow."""
    body_learning_rate: float = pydantic.Field(default=1e-4, gt=0)
    """finetune: of the backbone's top and the head together."""
    trainable_from: str | None = None
    """finetune: first layer of the backbone that learns, or the start of its name; none: all."""
    familiar_share: float = pydantic.Field(default=0.95, gt=0, le=1)
    """Where the bundle is to know the novelty of an image: share of the training images, each
    compared with those of other groups, that are not to count as new."""
    calibrate: bool = True
    """Divide the logits by the temperature that makes the tune split's labels likeliest. A
    cross-validation has no images left for that."""

    @pydantic.model_validator(mode="after")
    def _phases_are_those_of_the_strategy(self) -> "ClassifierSpec":
        if self.train.phases:
            raise ValueError(
                "train.phases must be empty, since classifier.strategy says what learns when"
            )
        if self.strategy == "finetune" and self.head_epochs >= self.train.epochs:
            raise ValueError(
                f"head_epochs must leave some of train.epochs, {self.train.epochs}, got "
                f"{self.head_epochs}"
            )
        return self


def phases_of(spec: ClassifierSpec) -> tuple[Phase, ...]:
    """Return the phases in which a strategy trains; none: everything learns all the time."""
    epochs = spec.train.epochs
    if spec.strategy in ("scratch", "features", "classical"):
        return ()
    if spec.strategy == "frozen":
        return (Phase(epochs=epochs, backbone="frozen"),)
    top = Phase(
        epochs=epochs - spec.head_epochs,
        learning_rate=spec.body_learning_rate,
        trainable_from=spec.trainable_from,
    )
    return Phase(epochs=spec.head_epochs, backbone="frozen"), top


def check(spec: ClassifierSpec, rules: classification.Settings) -> None:
    """Refuse what a strategy or the bundle needs of the classifier and it does not have.

    Args:
        spec: of the recipe.
        rules: whether the bundle is to show where the classes are seen, and to know what is new.

    Raises:
        errors.ConfigError: the strategy uses the backbone as it is, and it has no weights; its head
            is not linear in what the backbone returns; the head does not pool, so that its graph
            can return no evidence; or an option belongs to another strategy.
    """
    if spec.trainable_from is not None and spec.strategy != "finetune":
        raise errors.ConfigError(
            f"classifier.trainable_from belongs to the strategy finetune. Got {spec.strategy}. "
            "Leave it out."
        )
    if spec.strategy == "classical":
        _check_classical(spec, rules)
        return
    knows = bool(spec.start or spec.weights or spec.model.backbone.weights)
    if spec.strategy != "scratch" and not knows:
        raise errors.ConfigError(
            f"classifier.strategy {spec.strategy} needs a backbone that was trained before. Got "
            "classifier.model.backbone.weights none. Give a .weights.h5 file, or use scratch."
        )
    is_plain = spec.model.head == "pooled" and spec.model.patches.size_px is None
    if spec.strategy == "features" and not is_plain:
        raise errors.ConfigError(
            "classifier.strategy features needs classifier.model.head pooled, and no patches. Got "
            f"{spec.model.head} and patches of {spec.model.patches.size_px} px. "
            "Choose it, or another strategy."
        )
    if rules.has_novelty and spec.model.patches.size_px is not None:
        raise errors.ConfigError(
            "rules.max_novelty needs a classifier of whole images, whose features it compares. "
            f"Got patches of {spec.model.patches.size_px} px. Set max_novelty: null."
        )
    if rules.has_evidence and spec.model.patches.size_px is not None:
        raise errors.ConfigError(
            "rules.has_evidence needs a classifier of whole images: evidence of patches, which "
            f"overlap, lies on no even grid. Got patches of {spec.model.patches.size_px} px. "
            "Set has_evidence: false."
        )
    if rules.has_evidence and spec.model.head == "vgg":
        raise errors.ConfigError(
            "rules.has_evidence needs classifier.model.head pooled or cells. Got vgg, whose answer "
            "is no sum over places. Set has_evidence: false."
        )


def _check_classical(spec: ClassifierSpec, rules: classification.Settings) -> None:
    if spec.start or spec.weights:
        raise errors.ConfigError(
            "classifier.strategy classical starts from nothing. Got classifier."
            f"{'start' if spec.start else 'weights'}. Leave it out."
        )
    if rules.has_evidence:
        raise errors.ConfigError(
            "rules.has_evidence needs a network of features that lie somewhere; those of "
            "classifier.strategy classical are of the whole image. Got true. "
            "Set has_evidence: false."
        )


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
    built = network(spec, images.classes)
    if spec.strategy == "classical":
        blank = stages.build_stage(built, images, seed=seed)
        return _fit_machine(blank, spec, images, groups, seed=seed, folder=folder)
    if spec.strategy == "features":
        model = stages.build_stage(built, images, seed=seed, trained=trained)
        _learn_features(model, spec, images, groups, seed=seed, folder=folder)
    else:
        model = stages.fit_stage(built, images, tune, seed=seed, folder=folder, trained=trained)
    if spec.calibrate and tune is not None and folder.number is None:
        calibrate(model, tune)
    return model


def with_side_outputs(
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
        vectors = _features(model, spec, images, folder)
        rows = novelty.references(len(vectors))
        distance = novelty.limit(vectors, groups, rows, familiar_share=spec.familiar_share)
        model = novelty.attach(model, vectors[rows], distance)
    return model


def _features(
    model: keras.Model, spec: ClassifierSpec, images: loader.Cache, folder: RunFolder
) -> NDArray[np.float32]:
    if spec.strategy == "classical":  # described once, whatever machine compares them
        return classical.standardized(
            model, _computed(classical.describing(model), spec, images, folder)
        )
    return _computed(features.of_classifier(model), spec, images, folder)


def _computed(
    network: keras.Model, spec: ClassifierSpec, images: loader.Cache, folder: RunFolder
) -> NDArray[np.float32]:
    return features.compute(
        network,
        images.image,
        folder=spec.feature_folder or folder.path / "features",
        batch_size=_DESCRIBED if spec.strategy == "classical" else _BATCH,
    )


def _examples(
    vectors: NDArray[np.float32], images: loader.Cache, groups: Sequence[str]
) -> Examples:
    labels = images.label.astype(np.int64)
    return Examples(vectors, labels, tuple(groups), ("OK", *images.classes))


def _fit_machine(
    blank: keras.Model,
    spec: ClassifierSpec,
    images: loader.Cache,
    groups: Sequence[str],
    *,
    seed: int,
    folder: RunFolder,
) -> keras.Model:
    """Return the network whose machine learned the descriptors of some images.

    Raises:
        errors.GateError: its probabilities are not those of scikit-learn.
    """
    vectors = _computed(classical.describing(blank), spec, images, folder)
    fitted = svm.fit(_examples(vectors, images, groups), options=spec.vector_machine, seed=seed)
    model = classical.build(
        image_size=images.size,
        channels=int(images.image.shape[-1]),
        classes=1 + len(images.classes),
        options=spec.descriptors,
        parameters=fitted.parameters(),
    )
    found = classical.deciding(model).predict_on_batch(fitted.sample)[class_probability.OUTPUT]
    way_out = "Choose a smaller classifier.vector_machine.c, or another strategy"
    fitted.require_like(found, what="The last layer of the network", way_out=way_out)
    return model


def _learn_features(
    model: keras.Model,
    spec: ClassifierSpec,
    images: loader.Cache,
    groups: Sequence[str],
    *,
    seed: int,
    folder: RunFolder,
) -> None:
    """Set the head of a classifier to the logistic regression of what its backbone returns."""
    vectors = _features(model, spec, images, folder)
    examples = _examples(vectors, images, groups)
    head = logistic.fit(examples, options=spec.regression, seed=seed)
    set_linear_head(model, head.coefficients, head.intercept)


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
