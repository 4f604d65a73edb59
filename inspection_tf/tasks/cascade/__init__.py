"""Cascade: one network decides which images a second one searches for defects."""

from inspection_tf.tasks.cascade.settings import Settings
from inspection_tf.tasks.cascade.stages import CLASSIFIER
from inspection_tf.tasks.cascade.task import NAME, TASK

__all__ = ["CLASSIFIER", "NAME", "TASK", "Settings"]
