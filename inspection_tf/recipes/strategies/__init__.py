"""How a classifier is trained: from scratch, on features, fine-tuned, or the classical way."""

from inspection_tf.recipes.strategies.checks import check
from inspection_tf.recipes.strategies.learning import (
    calibrate,
    network,
    train,
    with_additions,
)
from inspection_tf.recipes.strategies.spec import ClassifierSpec, phases_of

__all__ = [
    "ClassifierSpec",
    "calibrate",
    "check",
    "network",
    "phases_of",
    "train",
    "with_additions",
]
