"""Visual inspection from scratch to production on Keras 3 and TensorFlow."""

import os

# TensorFlow reads it when it is first imported; a training log needs no notes on CPU features.
os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")
# From 1.29 onnxruntime tells over the network that it is used, by threads that it starts when it is
# imported, and for which a child of a fork would wait forever at its end.
os.environ.setdefault("ORT_DISABLE_TELEMETRY", "1")

__version__ = "0.1.0"
