"""The exact pose of a part: least squares between an image and the part's own model."""

from inspection_tf.tasks.pose.refinement.fit import Fit
from inspection_tf.tasks.pose.refinement.search import Refined, refine
from inspection_tf.tasks.pose.refinement.spec import RefinementSpec

__all__ = ["Fit", "Refined", "RefinementSpec", "refine"]
