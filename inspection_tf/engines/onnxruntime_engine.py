"""A network that onnxruntime runs."""

import functools
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from inspection_tf import errors
from inspection_tf.engines.library_types import OnnxSession
from inspection_tf.engines.native import Native
from inspection_tf.engines.network import (
    Network,
    StoredNetwork,
    checked,
    named_inputs,
    ng_score,
    output_names,
)

__all__ = ["Engine", "Network", "checked", "ng_score", "start"]

_PROCESSOR = ("CPUExecutionProvider",)
_PROVIDERS = {
    "cpu": _PROCESSOR,
    "cuda": ("CUDAExecutionProvider", "CPUExecutionProvider"),
    "tensorrt": (
        "TensorrtExecutionProvider",
        "CUDAExecutionProvider",
        "CPUExecutionProvider",
    ),
}
"""Device to the execution providers that it needs, the first one for the device itself."""


def start(
    model: bytes,
    *,
    threads: int | None = None,
    providers: tuple[str, ...] | None = None,
    profile_prefix: str = "",
) -> OnnxSession:
    """Return a session of onnxruntime.

    Args:
        model: bytes of an ONNX file.
        threads: of one inference; None: one for each core.
        providers: of onnxruntime; None: CPU.
        profile_prefix: start of the path of its profile; empty: it keeps none.

    Raises:
        errors.BundleError: onnxruntime refuses the model.
    """
    import onnxruntime  # a quarter of what importing this module would cost

    options = onnxruntime.SessionOptions()
    options.log_severity_level = 3
    # By a mark of four bytes it would take another format, which nobody has looked into.
    options.add_session_config_entry("session.load_model_format", "ONNX")
    if threads:
        options.intra_op_num_threads = threads
    if profile_prefix:
        options.enable_profiling = True
        options.profile_file_prefix = profile_prefix
    try:
        return onnxruntime.InferenceSession(model, options, providers=list(providers or _PROCESSOR))
    except Exception as problem:  # onnxruntime's errors share no base class of their own
        first_line = str(problem).splitlines()[0]
        raise errors.BundleError(
            f"onnxruntime must be able to load the model. Got: {first_line}. "
            "Export the bundle again, or install a newer onnxruntime."
        ) from problem


class Engine:
    """A network that onnxruntime runs; a child of a fork starts it again when it first runs it.

    Attributes:
        providers: the execution providers in use.
        outputs: names of what `run_all` returns.
    """

    def __init__(
        self,
        model: bytes,
        *,
        threads: int | None = None,
        providers: tuple[str, ...] | None = None,
        outputs: Sequence[str] = (),
    ) -> None:
        """Parse a model.

        Args:
            model: bytes of an ONNX file.
            threads: of one inference; None: one for each core.
            providers: of onnxruntime; None: CPU.
            outputs: names of its outputs, in the order of the manifest; empty: as the file has
                them.

        Raises:
            errors.BundleError: onnxruntime refuses the model, or it lacks an output.
        """
        self._native = Native(
            functools.partial(start, model, threads=threads, providers=providers),
            survives_fork=tuple(providers or _PROCESSOR) == _PROCESSOR,
        )
        self.providers = tuple(self.session.get_providers())
        available = [value.name for value in self.session.get_outputs()]
        self.outputs = output_names(outputs, available)

    @property
    def session(self) -> OnnxSession:
        """The session of onnxruntime, of this process."""
        return self._native.get()

    def run(
        self, batch: NDArray[np.uint8], template: NDArray[np.uint8] | None = None
    ) -> NDArray[np.float32]:
        """Return the first output for a batch.

        Args:
            batch: (images, height, width, channels), uint8.
            template: likewise, for a network that compares.

        Raises:
            errors.StorageError: memory does not suffice.
            errors.BundleError: the network does not accept the batch.
            errors.ConfigError: a GPU runs it, and this is a child of a fork.
        """
        (output,) = self._fetch(self.outputs[:1], batch, template)
        return output

    def run_all(
        self, batch: NDArray[np.uint8], template: NDArray[np.uint8] | None = None
    ) -> tuple[NDArray[np.float32], ...]:
        """Return every output for a batch; see `run`."""
        return self._fetch(self.outputs, batch, template)

    def _fetch(
        self,
        outputs: tuple[str, ...],
        batch: NDArray[np.uint8],
        template: NDArray[np.uint8] | None,
    ) -> tuple[NDArray[np.float32], ...]:
        session = self.session
        inputs = {session.get_inputs()[0].name: batch}
        if template is not None:
            inputs = named_inputs(batch, template)
        try:
            found = session.run(outputs, inputs)
        except Exception as problem:  # as above; memory is the one thing that sound input lacks
            first_line = (str(problem).splitlines() or [type(problem).__name__])[0]
            if isinstance(problem, MemoryError) or "alloc" in first_line.lower():
                raise errors.StorageError(
                    f"The network must fit into memory. Got: {first_line}. Use smaller batches."
                ) from problem
            raise errors.BundleError(
                f"The network must accept {batch.dtype} of shape {batch.shape}. "
                f"Got: {first_line}. Export the bundle again."
            ) from problem
        return tuple(np.asarray(output) for output in found)


def start_on(
    device: str, model: bytes, *, threads: int | None = None, outputs: Sequence[str] = ()
) -> Engine:
    """Start a network on a device.

    Args:
        device: cpu, cuda or tensorrt.
        model: bytes of an ONNX file.
        threads: of one inference; None: one for each core.
        outputs: names of its outputs; see `Engine`.

    Raises:
        errors.ConfigError: there is no such device.
        errors.BundleError: onnxruntime lacks the device, cannot start it, or refuses the model,
            or the model lacks an output.
    """
    if device not in _PROVIDERS:
        raise errors.ConfigError(
            f"onnxruntime's device must be {', '.join(_PROVIDERS)}. Got {device!r}. Choose one."
        )
    import onnxruntime

    wanted, known = _PROVIDERS[device], onnxruntime.get_available_providers()
    if wanted[0] not in known:
        raise errors.BundleError(
            f"The device {device} needs onnxruntime with {wanted[0]}. Got one with "
            f"{', '.join(known)}. Install onnxruntime-gpu, or choose another device."
        )
    engine = Engine(model, threads=threads, providers=wanted, outputs=outputs)
    if engine.providers[0] != wanted[0]:  # it takes the next one, and says so in its log at most
        raise errors.BundleError(
            f"The device {device} must be usable. Got {wanted[0]} that onnxruntime could not "
            f"start, and {engine.providers[0]} instead. Check the driver and its libraries, or "
            "choose another device."
        )
    return engine


def start_network(stored: StoredNetwork, *, threads: int | None, device: str) -> Engine:
    """Start a network; see `starting.start`."""
    return start_on(device, stored.model(), threads=threads, outputs=stored.outputs)
