"""A network that OpenVINO runs."""

import contextlib
import dataclasses
import functools
import os
import sys
import threading
from collections.abc import Callable, Iterator, Mapping, Sequence

import numpy as np
from numpy.typing import NDArray

from inspection_tf import errors
from inspection_tf.engines import installed
from inspection_tf.engines.kinds import KINDS, PRECISION_HINT
from inspection_tf.engines.library_types import (
    OpenVinoCompiled,
    OpenVinoCore,
    OpenVinoModel,
    OpenVinoRequest,
)
from inspection_tf.engines.native import Native, leak
from inspection_tf.engines.network import StoredNetwork, named_inputs, output_names

_LOCK = threading.Lock()


def silence() -> None:
    """Keep OpenVINO and NNCF from telling over the network that they are used.

    Both do so when they are imported, unless what they would tell it with is not there.
    """
    sys.modules.setdefault("openvino_telemetry", None)  # type: ignore[arg-type]


@functools.cache
def _only(make: Callable[[], OpenVinoCore]) -> OpenVinoCore:
    """Make an entry point that lives as long as the process.

    OpenVINO's processor plugin gives the thread that loads it another stack for signals. Freed by
    another thread it leaves that one behind, and the next signal ends the process.
    """
    return make()


def _in_child() -> None:
    """Go on in a child of a fork with the parent's entry point, which must not be freed there."""
    global _LOCK
    _LOCK = threading.Lock()  # a thread of the parent may have held the other one
    if _only.cache_info().currsize:
        leak(core())


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_in_child)


def core() -> OpenVinoCore:
    """Return OpenVINO's entry point, one for the whole process.

    Raises:
        errors.BundleError: OpenVINO is not installed.
    """
    silence()
    try:
        import openvino
    except ImportError as problem:
        raise installed.missing("OpenVINO", "openvino", "An OpenVINO engine") from problem
    with _LOCK:  # the cache alone would let two threads make one each
        return _only(openvino.Core)


def has_bfloat16() -> bool:
    """Return whether this processor computes in bfloat16; where not, OpenVINO takes float32.

    Raises:
        errors.BundleError: OpenVINO is not installed.
    """
    return "BF16" in core().get_property("CPU", "OPTIMIZATION_CAPABILITIES")


@contextlib.contextmanager
def _refusing(what: str) -> Iterator[None]:
    try:
        yield
    except RuntimeError as problem:  # the one base of OpenVINO's errors
        first_line = next((line for line in str(problem).splitlines() if line.strip()), "no reason")
        if "alloc" in first_line.lower():
            raise errors.StorageError(
                f"The network must fit into memory. Got: {first_line}. Use smaller batches."
            ) from problem
        raise errors.BundleError(
            f"OpenVINO must be able to {what}. Got: {first_line}. "
            "Convert the bundle again with the version of OpenVINO that runs it."
        ) from problem


@dataclasses.dataclass(frozen=True)
class _Compiled:
    """A compiled model, its inputs by name, its outputs by place, and requests that are free."""

    model: OpenVinoCompiled
    inputs: tuple[str, ...]
    outputs: tuple[int, ...]
    requests: list[OpenVinoRequest]


def output_places(model: OpenVinoCompiled, outputs: Sequence[str]) -> tuple[int, ...]:
    """Return where the outputs of a model stand, in the order of their names.

    Args:
        model: compiled; its outputs stand in an order of OpenVINO's.
        outputs: their names, in the order of the manifest; empty: as the model has them.

    Raises:
        errors.BundleError: it lacks one of them.
    """
    names = {name: place for place, port in enumerate(model.outputs) for name in port.get_names()}
    output_names(outputs, names)
    return tuple(names[name] for name in outputs) or tuple(range(len(model.outputs)))


class OpenVinoEngine:
    """A network that OpenVINO runs; threads may share it.

    A child of a fork compiles it again when it first runs it.
    """

    def __init__(
        self,
        model: bytes | OpenVinoModel,
        *,
        weights: bytes = b"",
        options: Mapping[str, str] | None = None,
        threads: int | None = None,
        device: str = "CPU",
        outputs: Sequence[str] = (),
    ) -> None:
        """Read and compile a model.

        Args:
            model: bytes of an IR (.xml) or ONNX file, or a model of OpenVINO.
            weights: bytes of the IR's .bin.
            options: of OpenVINO, such as INFERENCE_PRECISION_HINT.
            threads: of one inference; None: as OpenVINO likes.
            device: CPU, GPU, NPU, or another that OpenVINO has.
            outputs: names of its outputs, in the order of the manifest; empty: as the model has
                them.

        Raises:
            errors.BundleError: OpenVINO is absent, or refuses the model or the device, or the
                model lacks an output.
        """
        asked: dict[str, str] = {"PERFORMANCE_HINT": "LATENCY", **(options or {})}
        if threads and device == "CPU":
            asked["INFERENCE_NUM_THREADS"] = str(threads)

        def compiled() -> _Compiled:
            start = core()
            with _refusing("load the model"):
                read = start.read_model(model, weights) if isinstance(model, bytes) else model
                found = start.compile_model(read, device, asked)
            inputs = tuple(port.get_any_name() for port in found.inputs)
            return _Compiled(found, inputs, output_places(found, outputs), [])

        self._native = Native(compiled, survives_fork=device == "CPU")

    @property
    def model(self) -> OpenVinoCompiled:
        """The compiled model, of this process."""
        return self._native.get().model

    def run(
        self, batch: NDArray[np.uint8], template: NDArray[np.uint8] | None = None
    ) -> NDArray[np.float32]:
        """Return the first output for a batch; see `runtime.Engine.run`.

        Raises:
            errors.StorageError: memory does not suffice.
            errors.BundleError: the network does not accept the batch.
            errors.ConfigError: a GPU runs it, and this is a child of a fork.
        """
        (output,) = self._fetch(1, batch, template)
        return output

    def run_all(
        self, batch: NDArray[np.uint8], template: NDArray[np.uint8] | None = None
    ) -> tuple[NDArray[np.float32], ...]:
        """Return every output for a batch; see `run`."""
        return self._fetch(None, batch, template)

    def _fetch(
        self,
        count: int | None,
        batch: NDArray[np.uint8],
        template: NDArray[np.uint8] | None,
    ) -> tuple[NDArray[np.float32], ...]:
        """Return the first outputs, `count` of them; None: all."""
        compiled = self._native.get()
        inputs = named_inputs(batch, template)
        with _refusing(f"run {batch.dtype} of shape {batch.shape}"):
            # One for each call at a time, and kept: making one takes its time. Not one for each
            # thread, whose own values end with it: a fork would free them in the child.
            try:
                request = compiled.requests.pop()
            except IndexError:
                request = compiled.model.create_infer_request()
            try:
                # Shared: by default both are copied, and outputs once more below.
                request.infer(
                    {name: np.ascontiguousarray(inputs[name]) for name in compiled.inputs},
                    share_inputs=True,
                    share_outputs=True,
                )
                return tuple(
                    np.array(request.get_output_tensor(place).data)
                    for place in compiled.outputs[:count]
                )
            finally:
                compiled.requests.append(request)


def start_network(stored: StoredNetwork, *, threads: int | None, device: str) -> OpenVinoEngine:
    """Start a network; see `starting.start`."""
    entry = stored.entry
    weights = stored.read(KINDS[entry.kind].weights(stored.file))
    exact = {PRECISION_HINT: "f32"} if entry.is_float32(stored.graph) else {}
    return OpenVinoEngine(
        stored.model(),
        weights=weights,
        options=entry.options | exact,
        threads=threads,
        device=device.upper(),
        outputs=stored.outputs,
    )
