"""Scores of the tuning split -> the operating point: its thresholds and what they promise.

One scalar per image; a verdict is NG if and only if `score >= threshold`. The score of an image
already knows the rules (`decision.score`), so whatever is promised here holds for the verdict after
the rules. An *escape* is a defective image that passes, an *overkill* a good one that does not.

Where a threshold is placed: only the order of the scores decides, so each `for_*` picks a *cut*
between two neighbouring scores and puts the threshold midway between them. Below the lowest and
above the highest score there is no neighbour; there it lies 0.1 % outside. `choose` and
`choose_jointly` take probabilities, and treat those within 2e-6 of each other as equal: a threshold
between them would part what an exported graph rounds one way or the other.

What is promised is counted in parts, of which each may be shown by several images: these err
together (`thresholds.parts`). Where nobody says which images show one part, each is taken for one.

A cascade has two thresholds, and `choose_jointly` chooses them together: both decide what escapes,
so two of them that were chosen one by one would promise too much.

A promise is as good as the split behind it: a tuning split that also chose the checkpoint, or that
has looked at the test images, promises too much.
"""

from inspection_tf.thresholds.binomial import defects_needed, rate_upper_bound
from inspection_tf.thresholds.choose import choose, choose_jointly, promises_overkill
from inspection_tf.thresholds.cuts import (
    for_cost,
    for_escape_rate,
    for_f_beta,
    for_overkill_rate,
    for_precision,
    for_recall,
)
from inspection_tf.thresholds.operating_point import (
    PARAMETERS,
    RESAMPLED,
    WEIGHED,
    Method,
    OperatingPoint,
    Promise,
    ThresholdSpec,
)
from inspection_tf.thresholds.parts import PartEscapes
from inspection_tf.thresholds.pixel_threshold import best_mask_threshold
from inspection_tf.thresholds.region_threshold import RegionScores, for_region_f_beta

__all__ = [
    "PARAMETERS",
    "RESAMPLED",
    "WEIGHED",
    "Method",
    "OperatingPoint",
    "PartEscapes",
    "Promise",
    "RegionScores",
    "ThresholdSpec",
    "best_mask_threshold",
    "choose",
    "choose_jointly",
    "defects_needed",
    "for_cost",
    "for_escape_rate",
    "for_f_beta",
    "for_overkill_rate",
    "for_precision",
    "for_recall",
    "for_region_f_beta",
    "promises_overkill",
    "rate_upper_bound",
]
