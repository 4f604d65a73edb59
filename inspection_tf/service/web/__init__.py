"""HTTP: the door, what requests carry, and the routes."""

from inspection_tf.service.web.app import build

__all__ = ["build"]
