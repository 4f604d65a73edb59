"""Classifiers that learn from vectors of features: a linear head, a support vector machine."""

from inspection_tf.training.vector_classifiers.examples import Examples
from inspection_tf.training.vector_classifiers.linear import LinearHead, set_linear_head

__all__ = ["Examples", "LinearHead", "set_linear_head"]
