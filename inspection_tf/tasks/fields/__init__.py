"""Fields on documents: where their four corners lie."""

from inspection_tf.tasks.fields.rules import FieldRules
from inspection_tf.tasks.fields.settings import Settings
from inspection_tf.tasks.fields.task import LOCATOR, NAME, REFINER, TASK

__all__ = ["LOCATOR", "NAME", "REFINER", "TASK", "FieldRules", "Settings"]
