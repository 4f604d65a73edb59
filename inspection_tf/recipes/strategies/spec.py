"""What a recipe says of a classifier, and in which phases each strategy trains.

Source: the talk on cutting inserts: feature extraction with features that are computed once, with a
frozen body and augmented images, fine-tuning of the top layers, and descriptors of texture.
"""

from pathlib import Path
from typing import Literal

import pydantic

from inspection_tf.models import classical, classifier
from inspection_tf.models.additions import novelty
from inspection_tf.recipes import stages
from inspection_tf.training.phases import Phase
from inspection_tf.training.vector_classifiers import logistic, svm

Strategy = Literal["scratch", "features", "frozen", "finetune", "classical"]


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
    cross-validation has no images left for that, and a support vector machine has its sigmoids."""

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

    @property
    def novelty_metric(self) -> novelty.Metric:
        """How far an image is from those of the training: learned features point some way."""
        return "euclidean" if self.strategy == "classical" else "cosine"

    @property
    def has_temperature(self) -> bool:
        """Whether tune images are to set a temperature."""
        return self.calibrate and self.strategy != "classical"


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
