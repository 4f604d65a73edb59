"""Bundle + image -> `Verdict`, on onnxruntime or another engine, without TensorFlow.

    inspector = runtime.Inspector.load("bundle")
    verdict = inspector.inspect("part.png")

An inspector may be shared by threads. It refuses to start when the bundle's golden samples do not
come out as they were recorded.
"""

from inspection_tf._engine import Engine, Network
from inspection_tf._engine_names import AUTO, ONNX
from inspection_tf._golden import GOLDEN, GOLDEN_TOLERANCE
from inspection_tf._prepared import Prepared
from inspection_tf.runtime.inspector import Inspector, Source

__all__ = [
    "AUTO",
    "GOLDEN",
    "GOLDEN_TOLERANCE",
    "ONNX",
    "Engine",
    "Inspector",
    "Network",
    "Prepared",
    "Source",
]
