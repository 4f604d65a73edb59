"""The classical way as one graph: descriptors of an image, and a support vector machine of them."""

from inspection_tf.models.classical.network import DESCRIPTORS, Options, build
from inspection_tf.models.classical.vector_machine import Machine, VectorMachine

__all__ = ["DESCRIPTORS", "Machine", "Options", "VectorMachine", "build"]
