"""Segmentation: one network finds where defects are."""

from inspection_tf.tasks.segmentation.settings import Settings
from inspection_tf.tasks.segmentation.task import NAME, SEGMENTER, TASK

__all__ = ["NAME", "SEGMENTER", "TASK", "Settings"]
