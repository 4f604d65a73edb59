"""Classification: which class an image is of, OK or one of what can be wrong, and why."""

from inspection_tf.tasks.classification.settings import Settings
from inspection_tf.tasks.classification.task import CLASSIFIER, NAME, TASK

__all__ = ["CLASSIFIER", "NAME", "TASK", "Settings"]
