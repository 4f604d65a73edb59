"""Losses as Keras classes, one formula each."""

from inspection_tf.losses.classification import (
    ClassFocal,
    CrossEntropy,
)
from inspection_tf.losses.distillation import (
    Distillation,
)
from inspection_tf.losses.segmentation import (
    CLASSIFICATION,
    LOCATION,
    LOSSES,
    SEGMENTATION,
    AdaptiveBceDice,
    BceDice,
    CornerMae,
    Focal,
    GridLoss,
    HeatmapCrossEntropy,
    SoftDice,
    Tversky,
)

__all__ = [
    "CLASSIFICATION",
    "LOCATION",
    "LOSSES",
    "SEGMENTATION",
    "AdaptiveBceDice",
    "BceDice",
    "ClassFocal",
    "CornerMae",
    "CrossEntropy",
    "Distillation",
    "Focal",
    "GridLoss",
    "HeatmapCrossEntropy",
    "SoftDice",
    "Tversky",
]
