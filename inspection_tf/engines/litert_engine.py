"""A network that LiteRT (once TensorFlow Lite) runs."""

import dataclasses
import os
import threading
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from inspection_tf import errors
from inspection_tf.engines import installed
from inspection_tf.engines.library_types import Foreign
from inspection_tf.engines.native import Native
from inspection_tf.engines.network import StoredNetwork, named_inputs, output_names


@dataclasses.dataclass(frozen=True)
class _Interpreter:
    """An interpreter, what runs its signature, its outputs, and the lock of the threads."""

    interpreter: Foreign
    run: Foreign
    outputs: tuple[str, ...]
    lock: threading.Lock


class LiteRtEngine:
    """A network that LiteRT runs; threads take turns.

    A child of a fork starts it again when it first runs it.
    """

    def __init__(
        self, model: bytes, *, threads: int | None = None, outputs: Sequence[str] = ()
    ) -> None:
        """Read a model.

        Args:
            model: bytes of a .tflite file with one signature.
            threads: of one inference; None: one for each core.
            outputs: names of its outputs, in the order of the manifest; empty: as the signature
                has them.

        Raises:
            errors.BundleError: LiteRT is absent or refuses the model, or it lacks an output.
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
                ((name, signature),) = found.get_signature_list().items()
                names = output_names(outputs, signature["outputs"])
                runner = found.get_signature_runner(name)
                return _Interpreter(found, runner, names, threading.Lock())
            except (ValueError, RuntimeError) as problem:
                raise errors.BundleError(
                    f"LiteRT must be able to load the model. Got: {str(problem).splitlines()[0]}. "
                    "Convert the bundle again."
                ) from problem

        self._native = Native(started)

    def run(
        self, batch: NDArray[np.uint8], template: NDArray[np.uint8] | None = None
    ) -> NDArray[np.float32]:
        """Return the first output for a batch; see `runtime.Engine.run`.

        Raises:
            errors.BundleError: the network does not accept the batch.
        """
        return self.run_all(batch, template)[0]

    def run_all(
        self, batch: NDArray[np.uint8], template: NDArray[np.uint8] | None = None
    ) -> tuple[NDArray[np.float32], ...]:
        """Return every output for a batch; see `run`."""
        native = self._native.get()
        inputs = named_inputs(batch, template)
        try:
            with native.lock:
                found = native.run(**inputs)
                return tuple(np.array(found[name]) for name in native.outputs)
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
    return LiteRtEngine(stored.model(), threads=threads, outputs=stored.outputs)
