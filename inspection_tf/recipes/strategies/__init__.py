"""How a classifier is trained: from scratch, on features, fine-tuned, or the classical way."""

from inspection_tf.recipes.strategies.learning import (
    ClassifierSpec,
    calibrate,
    check,
    network,
    phases_of,
    train,
    with_side_outputs,
)

__all__ = [
    "ClassifierSpec",
    "calibrate",
    "check",
    "network",
    "phases_of",
    "train",
    "with_side_outputs",
]
