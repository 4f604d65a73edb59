"""Pose: how a part lies in an X-ray, to what photons allow, and whether it is as its model."""

from inspection_tf.tasks.pose.settings import DifferenceRules, Settings, Tolerances
from inspection_tf.tasks.pose.task import FINDER, NAME, PART, TASK

__all__ = ["FINDER", "NAME", "PART", "TASK", "DifferenceRules", "Settings", "Tolerances"]
