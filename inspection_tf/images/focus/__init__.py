"""Where to look in an image: what is found there, and the window around it that a network sees."""

from inspection_tf.images.focus.corner import Corner, find_corner
from inspection_tf.images.focus.view import Box, FocusSpec, View, find_view

__all__ = ["Box", "Corner", "FocusSpec", "View", "find_corner", "find_view"]
