"""Flank wear of a cutting edge: its width VB and its chipping, measured on the wear land."""

from inspection_tf.decision.wear.flank_wear import FlankWear, measure
from inspection_tf.decision.wear.limits import WearRules

__all__ = ["FlankWear", "WearRules", "measure"]
