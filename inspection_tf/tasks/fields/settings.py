"""What a bundle that locates a field decides by."""

from inspection_tf import config
from inspection_tf.tasks.fields.closeups import CloseupSpec
from inspection_tf.tasks.fields.rules import FieldRules


class Settings(config.Section):
    """What a bundle that locates a field decides by."""

    rules: FieldRules = FieldRules()
    """What a field can look like."""
    closeups: CloseupSpec | None = None
    """What the refiner sees of each corner; none: there is no refiner."""
