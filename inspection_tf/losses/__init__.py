"""Losses as Keras classes, one formula each; a task adds its own beside its network."""

from inspection_tf.losses.classification import CLASSIFICATION, ClassFocal, CrossEntropy
from inspection_tf.losses.distillation import Distillation
from inspection_tf.losses.segmentation import (
    SEGMENTATION,
    AdaptiveBceDice,
    BceDice,
    Focal,
    SoftDice,
    Tversky,
)

__all__ = [
    "CLASSIFICATION",
    "SEGMENTATION",
    "AdaptiveBceDice",
    "BceDice",
    "ClassFocal",
    "CrossEntropy",
    "Distillation",
    "Focal",
    "SoftDice",
    "Tversky",
]
