"""Distillation: a small network learns from a large one's map, and from the mask.

The teacher sees each augmented image beside the student, so it tells more than the labels do: how
sure one can be, and where a defect ends that somebody has drawn as an ellipse. It may have learned
from the student's training images alone: in a cross-validation each fold has a teacher of its own.
"""

from collections.abc import Callable
from pathlib import Path
from typing import Literal

import keras
import pydantic
from keras import layers, ops

from inspection_tf import bundle, config, errors
from inspection_tf.datasets.loading import loader
from inspection_tf.losses.keras_types import Config, Option, Tensor
from inspection_tf.models import unet
from inspection_tf.training import fit, initial_weights, outputs, pruning


class Teacher(config.Section):
    """The network that teaches, and the share of its map in the loss."""

    share: float = pydantic.Field(default=0.5, ge=0, le=1)
    """Of the loss that compares with the teacher's map, 0..1; the rest compares with the mask."""
    start: Literal["random", "pruned"] = "random"
    """What the student starts as: drawn weights, or the strongest channels of the teacher, which
    then has the student's layers, as wide or wider."""
    bundle: Path | None = None
    """A bundle whose network teaches; all images that it was trained on must be among those that
    train the student. None: it is trained first, as `model` and `train` say."""
    model: unet.Options = unet.PRESETS["gtc2018"]
    """The teacher, where it is trained here."""
    train: fit.TrainSpec = fit.TrainSpec()
    """How it is trained; images, augmentation and batches are the student's."""


@keras.saving.register_keras_serializable("inspection_tf")
class Taught(layers.Layer):
    """Puts the teacher's map behind the student's, and knows its share of the loss."""

    def __init__(self, share: float, **kwargs: Option) -> None:
        """Set the share, 0..1."""
        super().__init__(**kwargs)
        self.share = share

    def call(self, inputs: list[Tensor]) -> Tensor:
        """Join (batch, height, width, C) of student and teacher to (batch, height, width, 2 C)."""
        return ops.concatenate(inputs, axis=-1)

    def get_config(self) -> Config:
        """Return what rebuilds the layer."""
        return {**super().get_config(), "share": self.share}


def beside(student: keras.Model, teacher: keras.Model, *, share: float) -> keras.Model:
    """Return the model that trains a student beside its teacher.

    It shares the student's layers and weights; the teacher's do not learn, and its norms use the
    statistics that they came with.

    Args:
        student: gives the output `probability`.
        teacher: likewise, from the same inputs.
        share: of the loss, 0..1; see `Teacher`.

    Returns:
        A model with the student's inputs, its output and, beside it, `taught`: both maps.

    Raises:
        errors.ConfigError: their inputs or outputs differ, or they are no maps.
    """
    shapes = [_shapes(model) for model in (student, teacher)]
    if shapes[0] != shapes[1]:
        raise errors.ConfigError(
            "A teacher must take and give what its student does: the same images and classes. "
            f"Got {shapes[1]} for a student of {shapes[0]}. Choose another teacher."
        )
    teacher.trainable = False
    joined = Taught(share, name=outputs.TAUGHT)(
        [student.output[outputs.MAP], teacher(student.input)[outputs.MAP]]
    )
    both = {outputs.MAP: student.output[outputs.MAP], outputs.TAUGHT: joined}
    return keras.Model(student.input, both, name="distilled")


def _begin(student: keras.Model, teacher: keras.Model, start: str) -> None:
    """Give the student the weights that it starts with; see `Teacher.start`.

    Raises:
        errors.ConfigError: it cannot start as its teacher's channels: other layers, or wider ones.
    """
    if start == "pruned":
        pruning.start_from(student, teacher)


def _shapes(model: keras.Model) -> dict[str, tuple[int | None, ...]]:
    if outputs.of(model).output != outputs.MAP:
        raise errors.ConfigError(
            f"Distillation needs networks that give a map. Got {list(model.output)}. Train the "
            "network alone."
        )
    named = {tensor.name: tensor.shape for tensor in model.inputs}
    return {**named, outputs.MAP: model.output[outputs.MAP].shape}


def _of_bundle(root: Path, images: loader.Cache) -> keras.Model:
    """Return the network of a bundle, if it has seen no image but those that train.

    Raises:
        errors.BundleError: the bundle is damaged, of several networks, or without its source.
        errors.DataError: it was trained on other images.
    """
    manifest = bundle.read(root)
    source = root / "source" / "model.keras"
    if len(manifest.graphs) != 1 or not source.is_file():
        raise errors.BundleError(
            f"{root}: a teacher must be a bundle of one network with source/model.keras. Got "
            f"{len(manifest.graphs)} networks, {'with' if source.is_file() else 'without'} it. "
            "Leave out teacher.bundle to train one."
        )
    taught = set(manifest.provenance.data.splits.get("train", ()))
    others = sorted(taught - set(images.ids))
    if others or not taught:
        raise errors.DataError(
            f"{root}: a teacher must have learned from images that train its student, and no "
            f"other: what it saw cannot judge the student. Got {len(others)} others, such as "
            f"{', '.join(others[:1]) or 'none that the bundle names'}. Leave out teacher.bundle "
            "to train one for each fold, or give the data the split of the bundle."
        )
    return initial_weights.load_network(source)


def train(
    student: keras.Model,
    build: Callable[..., keras.Model],
    teacher: Teacher,
    images: loader.Cache,
    tune: loader.Cache | None,
    stage: fit.Stage,
) -> None:
    """Train the teacher, if it is not given, and then the student beside it.

    Args:
        student: freshly built; the chosen weights are left in it.
        build: makes the teacher from `options`.
        teacher: what it is.
        images: that teach both.
        tune: images that are measured while they train, or None.
        stage: how the student is trained; batches, augmentation and seed are the teacher's too. Its
            folder gets `teacher/` and `student/`.

    Raises:
        errors.ConfigError: the teacher does not fit the student.
        errors.BundleError: the teacher's bundle is damaged or of another kind.
        errors.DataError: the teacher has learned from other images.
        errors.DivergedError: a loss left the finite numbers.
        errors.StorageError: the disk is full.
    """
    if teacher.bundle is None:
        guide = build(options=teacher.model)
    else:
        guide = _of_bundle(teacher.bundle, images)
    learner = beside(student, guide, share=teacher.share)
    # Both once before hours of the teacher's training: what does not fit the student ends it.
    fit.compile_model(learner, stage.spec, steps_per_epoch=1)
    _begin(student, guide, teacher.start)
    if teacher.bundle is None:
        guide.trainable = True
        fit.fit(guide, images, tune, stage.within("teacher", teacher.train))
        guide.trainable = False
        _begin(student, guide, teacher.start)
    fit.fit(learner, images, tune, stage.within("student", stage.spec))
