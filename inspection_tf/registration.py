"""The name by which papers of bundles know `inspection_tf.images.registration`."""

from inspection_tf.images.registration import *  # noqa: F403
