"""A network that LiteRT (once TensorFlow Lite) runs."""

import dataclasses
import os
import threading

import numpy as np
from numpy.typing import NDArray

from inspection_tf import errors
from inspection_tf.engines import installed
from inspection_tf.engines.library_types import Foreign
from inspection_tf.engines.native import Native
from inspection_tf.engines.network import StoredNetwork, named_inputs


@dataclasses.dataclass(frozen=True)
class _Interpreter:
    """An interpreter, what runs its signature, and the lock of the threads that take turns."""

    interpreter: Foreign
    run: Foreign
    lock: threading.Lock


class LiteRtEngine:
    """A network that LiteRT runs; threads take turns.

    A child of a fork starts it again when it first runs it.
    """

    def __init__(self, model: bytes, *, threads: int | None = None) -> None:
        """Read a model.

        Args:
            model: bytes of a .tflite file with one signature.
            threads: of one inference; None: one for each core.

        Raises:
            errors.BundleError: LiteRT is absent or refuses the model.
        """
        try:
            from ai_edge_litert import interpreter
        except ImportError as problem:
            raise installed.missing("LiteRT", "litert", "A LiteRT engine") from problem

        def started() -> _Interpreter:
            try:
                found = interpreter.Interpreter(
                    model_content=model, num_threads=threads or os.cpu_count()
                )
                (name,) = found.get_signature_list()
                return _Interpreter(found, found.get_signature_runner(name), threading.Lock())
            except (ValueError, RuntimeError) as problem:
                raise errors.BundleError(
                    f"LiteRT must be able to load the model. Got: {str(problem).splitlines()[0]}. "
                    "Convert the bundle again."
                ) from problem

        self._native = Native(started)

    def run(
        self, batch: NDArray[np.uint8], template: NDArray[np.uint8] | None = None
    ) -> NDArray[np.float32]:
        """Return the output for a batch; see `runtime.Engine.run`.

        Raises:
            errors.BundleError: the network does not accept the batch.
        """
        native = self._native.get()
        inputs = named_inputs(batch, template)
        try:
            with native.lock:
                (output,) = native.run(**inputs).values()
                return np.array(output)
        except (ValueError, RuntimeError) as problem:
            raise errors.BundleError(
                f"The network must accept {batch.dtype} of shape {batch.shape}. "
                f"Got: {str(problem).splitlines()[0]}. Convert the bundle again."
            ) from problem


def start_network(stored: StoredNetwork, *, threads: int | None, device: str) -> LiteRtEngine:
    """Start a network; see `starting.start`."""
    if device != "cpu":
        raise errors.ConfigError(
            f"LiteRT's device must be cpu. Got {device!r}. Leave it out, or choose another engine."
        )
    return LiteRtEngine(stored.model(), threads=threads)
