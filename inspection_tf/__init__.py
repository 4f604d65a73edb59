"""Visual inspection from scratch to production on Keras 3 and TensorFlow."""

import os

# TensorFlow reads it when it is first imported; a training log needs no notes on CPU features.
os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")

__version__ = "0.1.0"
