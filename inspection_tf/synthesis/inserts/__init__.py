"""Photos of cutting inserts with exact wear and breakage."""

from inspection_tf.synthesis.inserts.folder import write_folder
from inspection_tf.synthesis.inserts.sample import InsertSample, draw, is_broken, is_worn
from inspection_tf.synthesis.inserts.spec import InsertSpec

__all__ = ["InsertSample", "InsertSpec", "draw", "is_broken", "is_worn", "write_folder"]
