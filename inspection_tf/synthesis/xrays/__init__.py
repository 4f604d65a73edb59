"""Drawn X-rays of a part, with its exact pose."""

from inspection_tf.synthesis.xrays.flaws import is_flawed
from inspection_tf.synthesis.xrays.folder import write_folder
from inspection_tf.synthesis.xrays.sample import XraySample, draw
from inspection_tf.synthesis.xrays.spec import PartSpec, XraySpec

__all__ = ["PartSpec", "XraySample", "XraySpec", "draw", "is_flawed", "write_folder"]
