"""Ways to solve one task, compared on the same images: which differences are real."""

from inspection_tf.evaluation.strategies.learning_curve import LearningPoint, learning_curve
from inspection_tf.evaluation.strategies.paired import (
    Difference,
    compare,
    compare_all,
    holm,
    table,
)
from inspection_tf.evaluation.strategies.scores import METRICS, Resampling, Scores, estimates

__all__ = [
    "METRICS",
    "Difference",
    "LearningPoint",
    "Resampling",
    "Scores",
    "compare",
    "compare_all",
    "estimates",
    "holm",
    "learning_curve",
    "table",
]
