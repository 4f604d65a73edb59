"""The classical way as one graph: descriptors of an image, and a support vector machine of them."""

from inspection_tf.models.classical.network import (
    Options,
    build,
    deciding,
    describing,
    standardized,
)
from inspection_tf.models.classical.rbf_svm import RbfSvm, SvmParameters

__all__ = [
    "Options",
    "RbfSvm",
    "SvmParameters",
    "build",
    "deciding",
    "describing",
    "standardized",
]
