"""The name by which papers of bundles know `inspection_tf.tasks.fields.closeups`."""

from inspection_tf.tasks.fields.closeups import *  # noqa: F403
