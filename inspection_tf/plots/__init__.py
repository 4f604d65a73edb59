"""Pictures of images, curves and results: one function each returns a `matplotlib` figure.

Figures are made without pyplot, so they need no display, leak nothing and may be drawn in threads.
`overlay` and `probability_map` return pixels and do not load matplotlib at all. Pictures that only
one task has are in its folder of `tasks`.
"""

from inspection_tf.plots.classes import class_bars, confusion, confusion_matrix
from inspection_tf.plots.comparisons import comparison, joint_thresholds, roc_curves
from inspection_tf.plots.curves import learning_curves, precision_recall, roc, score_histogram
from inspection_tf.plots.engines import engine_times
from inspection_tf.plots.evaluation_pictures import save, write_evaluation
from inspection_tf.plots.examples import Example, Show, grid
from inspection_tf.plots.fields import Located, corner_errors, located
from inspection_tf.plots.outlines import Outlined, outlined
from inspection_tf.plots.overlays import class_picture, class_rgb, overlay, probability_map
from inspection_tf.plots.pareto_front import pareto
from inspection_tf.plots.reliability import learning_curve, reliability, robustness_curves
from inspection_tf.plots.threshold_panel import (
    PANEL_FILES,
    panel_contents,
    panel_file,
    threshold_panel,
)

__all__ = [
    "PANEL_FILES",
    "Example",
    "Located",
    "Outlined",
    "Show",
    "class_bars",
    "class_picture",
    "class_rgb",
    "comparison",
    "confusion",
    "confusion_matrix",
    "corner_errors",
    "engine_times",
    "grid",
    "joint_thresholds",
    "learning_curve",
    "learning_curves",
    "located",
    "outlined",
    "overlay",
    "panel_contents",
    "panel_file",
    "pareto",
    "precision_recall",
    "probability_map",
    "reliability",
    "robustness_curves",
    "roc",
    "roc_curves",
    "save",
    "score_histogram",
    "threshold_panel",
    "write_evaluation",
]
