"""Strategies that learn from vectors: features of a frozen backbone, or descriptors."""

import dataclasses
from collections.abc import Mapping, Sequence

import keras
import numpy as np
from numpy.typing import NDArray

from inspection_tf.datasets.loading import loader
from inspection_tf.models import classical
from inspection_tf.recipes import stages
from inspection_tf.recipes.strategies.spec import ClassifierSpec
from inspection_tf.tasks import class_probability
from inspection_tf.training import features
from inspection_tf.training.runs.run_folder import RunFolder
from inspection_tf.training.vector_classifiers import Examples, logistic, set_linear_head, svm

_BATCH = 32
_DESCRIBED = 4  # images at once: describing one of 224 px takes 70 MB, one of 1024 px 1 GB


@dataclasses.dataclass(frozen=True, slots=True)
class Lesson:
    """What a classifier learns from.

    Attributes:
        spec: of the recipe.
        images: that teach.
        groups: (images,), the part or series that each image shows.
        folder: of this network.
        seed: of the run.
        tune: images that are measured while it trains; None: none are.
        trained: networks of this recipe so far, by name, whose backbone it may start from.
    """

    spec: ClassifierSpec
    images: loader.Cache
    groups: Sequence[str]
    folder: RunFolder
    seed: int = 0
    tune: loader.Cache | None = None
    trained: Mapping[str, keras.Model] | None = None

    def examples(self, vectors: NDArray[np.float32]) -> Examples:
        """Return the images as vectors (images, numbers) with their labels and groups."""
        labels = self.images.label.astype(np.int64)
        return Examples(vectors, labels, tuple(self.groups), ("OK", *self.images.classes))

    def vectors(self, network: keras.Model, *, batch_size: int = _BATCH) -> NDArray[np.float32]:
        """Return what a network computes of each image, from disk where it did before."""
        folder = self.spec.feature_folder or self.folder.path / "features"
        return features.compute(network, self.images.image, folder=folder, batch_size=batch_size)

    def descriptors(self, network: keras.Model) -> NDArray[np.float32]:
        """Return what describes each image, by a network of `models.classical`."""
        return self.vectors(classical.describing(network), batch_size=_DESCRIBED)


def of_classifier(model: keras.Model, lesson: Lesson) -> NDArray[np.float32]:
    """Return (images, numbers), what the last layer of a classifier reads of each image."""
    if lesson.spec.strategy == "classical":  # described once, whatever machine compares them
        return classical.standardized(model, lesson.descriptors(model))
    return lesson.vectors(features.of_classifier(model))


def by_regression(built: stages.Network, lesson: Lesson) -> keras.Model:
    """Return a network whose head is the logistic regression of what its backbone returns."""
    model = stages.build_stage(built, lesson.images, seed=lesson.seed, trained=lesson.trained)
    examples = lesson.examples(of_classifier(model, lesson))
    head = logistic.fit(examples, options=lesson.spec.regression, seed=lesson.seed)
    set_linear_head(model, head.coefficients, head.intercept)
    return model


def by_machine(built: stages.Network, lesson: Lesson) -> keras.Model:
    """Return a network whose support vector machine learned the descriptors of the images.

    Raises:
        errors.DataError: a class has one group only.
        errors.GateError: its probabilities are not those of scikit-learn.
    """
    spec, images = lesson.spec, lesson.images
    blank = stages.build_stage(built, images, seed=lesson.seed)
    examples = lesson.examples(lesson.descriptors(blank))
    fitted = svm.fit(examples, options=spec.vector_machine, seed=lesson.seed)
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
