"""Features of a frozen network, computed once for each image and kept on disk."""

from inspection_tf.training.features.extraction import compute, of_backbone, of_classifier

__all__ = ["compute", "of_backbone", "of_classifier"]
