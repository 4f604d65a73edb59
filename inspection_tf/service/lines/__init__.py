"""Sources that are inspected without being asked, and sinks that are told of verdicts."""

from inspection_tf.service.lines.line import Line
from inspection_tf.service.lines.telling import Sinks

__all__ = ["Line", "Sinks"]
