"""Bundle + image -> `Verdict`, on onnxruntime or another engine, without TensorFlow.

    inspector = runtime.Inspector.load("bundle")
    verdict = inspector.inspect("part.png")

An inspector may be shared by threads. It refuses to start when the bundle's golden samples do not
come out as they were recorded.
"""

from typing import TYPE_CHECKING

from inspection_tf.engines.names import AUTO, ONNX
from inspection_tf.engines.network import Network
from inspection_tf.engines.onnxruntime_engine import Engine
from inspection_tf.runtime.batches import Loaded
from inspection_tf.runtime.golden import GOLDEN, GOLDEN_TOLERANCE
from inspection_tf.runtime.inspector import Inspector

if TYPE_CHECKING:
    from inspection_tf.images import Source
    from inspection_tf.tasks.base import Prepared

__all__ = [
    "AUTO",
    "GOLDEN",
    "GOLDEN_TOLERANCE",
    "ONNX",
    "Engine",
    "Inspector",
    "Loaded",
    "Network",
    "Prepared",
    "Source",
]


def __getattr__(name: str) -> object:
    if name == "Source":  # with it come the sections of `images`, and with them pydantic
        from inspection_tf import images

        return images.Source
    if name == "Prepared":
        from inspection_tf.tasks import base

        return base.Prepared
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
