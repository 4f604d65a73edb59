"""Time, memory and operators of a bundle."""

from inspection_tf.bench.timing import (
    Frame,
    Operator,
    Timing,
    best,
    golden_frames,
    inspect_batch,
    profile,
    profile_model,
    run,
)

__all__ = [
    "Frame",
    "Operator",
    "Timing",
    "best",
    "golden_frames",
    "inspect_batch",
    "profile",
    "profile_model",
    "run",
]
