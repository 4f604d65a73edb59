"""A network that TensorRT, or TensorRT-RTX, runs on an NVIDIA GPU."""

import dataclasses
import functools
import importlib
import os
import threading
import weakref
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from inspection_tf import errors
from inspection_tf.engines.kinds import KINDS
from inspection_tf.engines.library_types import Foreign, Library
from inspection_tf.engines.native import Native
from inspection_tf.engines.network import StoredNetwork, named_inputs, output_names

_NO_MEMORY = 2  # cudaErrorMemoryAllocation


def library(name: str) -> Library:
    """Return the module of TensorRT or TensorRT-RTX, which is called as the kind of engine is.

    Raises:
        errors.BundleError: it is not installed.
    """
    try:
        return importlib.import_module(name)
    except ImportError as problem:
        raise errors.BundleError(
            f"This engine needs {name}. Got an environment without it. "
            f"Install it: pip install {KINDS[name].packages[0]}."
        ) from problem


def _cuda() -> Library:
    try:
        return importlib.import_module("cuda.bindings.runtime")
    except ImportError as problem:
        raise errors.BundleError(
            "A TensorRT engine is run through CUDA's own bindings. Got an environment without "
            "them. Install them: pip install cuda-python."
        ) from problem


def capability() -> str | None:
    """Return the compute capability of this machine's GPU, such as 8.9.

    None where there is none, or no cuda-python to ask.
    """
    try:
        cuda = _cuda()
    except errors.BundleError:
        return None
    parts = []
    for name in ("cudaDevAttrComputeCapabilityMajor", "cudaDevAttrComputeCapabilityMinor"):
        code, *part = cuda.cudaDeviceGetAttribute(getattr(cuda.cudaDeviceAttr, name), 0)
        if int(code):
            return None
        parts.append(str(int(part[0])))
    return ".".join(parts)


def release(
    cuda: Library, buffers: dict[str, tuple[int, int]], stream: Foreign, process: int
) -> None:
    """Give back buffers and stream; a GPU that fails now has nothing left to lose."""
    if os.getpid() != process:  # a child of a fork holds nothing, and must not use CUDA
        return
    for address, _ in buffers.values():
        cuda.cudaFree(address)
    buffers.clear()
    cuda.cudaStreamDestroy(stream)


class _Memory:
    """Calls of CUDA that become our errors, and the buffers of one engine."""

    def __init__(self) -> None:
        self._cuda = _cuda()
        self._buffers: dict[str, tuple[int, int]] = {}
        self.stream = self.call("cudaStreamCreate")
        # Nobody else gives memory of the GPU back before the process ends.
        self.release = weakref.finalize(
            self, release, self._cuda, self._buffers, self.stream, os.getpid()
        )

    def call(self, name: str, *arguments: Foreign) -> Foreign:
        code, *results = getattr(self._cuda, name)(*arguments)
        if int(code) == _NO_MEMORY:
            raise errors.StorageError(
                f"The network must fit into the GPU's memory. Got {code} from {name}. "
                "Use a smaller batch, or end what else runs there."
            )
        if int(code):
            raise errors.BundleError(
                f"TensorRT must be able to use the GPU. Got {code} from {name}. "
                "Check the driver with nvidia-smi, or choose another engine."
            )
        return results[0] if results else None

    def room(self, name: str, size: int) -> int:
        """Return the address of at least `size` bytes on the GPU, kept from call to call."""
        address, capacity = self._buffers.get(name, (0, 0))
        if capacity < size:
            if address:
                del self._buffers[name]
                self.call("cudaFree", address)
            address = int(self.call("cudaMalloc", size))
            self._buffers[name] = address, size
        return address

    def copy(self, to: int, source: int, size: int, *, is_upload: bool) -> None:
        kinds = self._cuda.cudaMemcpyKind
        kind = kinds.cudaMemcpyHostToDevice if is_upload else kinds.cudaMemcpyDeviceToHost
        self.call("cudaMemcpyAsync", to, source, size, kind, self.stream)


@dataclasses.dataclass(frozen=True)
class _Plan:
    """A loaded plan: what TensorRT and CUDA hold of it, and the lock of the threads.

    Its outputs are in the order of the manifest; `beside` are those that the manifest does not
    list, which TensorRT must have room for all the same.
    """

    runtime: Foreign
    engine: Foreign
    context: Foreign
    inputs: tuple[str, ...]
    outputs: tuple[str, ...]
    beside: tuple[str, ...]
    memory: _Memory
    lock: threading.Lock


def _load(plan: bytes, module: str, wanted: Sequence[str]) -> _Plan:
    """Load a plan; see `TensorRtEngine`."""
    trt = library(module)
    memory = _Memory()
    runtime = trt.Runtime(trt.Logger(trt.Logger.ERROR))
    engine = runtime.deserialize_cuda_engine(plan)
    if engine is None:
        raise errors.BundleError(
            f"{module} must be able to load the plan. Got a refusal. Build the engine on this "
            "machine: inspection convert BUNDLE --to tensorrt."
        )
    context = engine.create_execution_context()
    if context is None:
        raise errors.StorageError(
            "The network must fit into the GPU's memory. Got a refusal of the plan. "
            "End what else runs there, or choose another engine."
        )
    names = [engine.get_tensor_name(n) for n in range(engine.num_io_tensors)]
    is_input = [engine.get_tensor_mode(name) == trt.TensorIOMode.INPUT for name in names]
    inputs = [name for name, given in zip(names, is_input, strict=True) if given]
    available = [name for name, given in zip(names, is_input, strict=True) if not given]
    outputs = output_names(wanted, available)
    beside = tuple(name for name in available if name not in outputs)
    return _Plan(runtime, engine, context, tuple(inputs), outputs, beside, memory, threading.Lock())


class TensorRtEngine:
    """A network that TensorRT runs; threads take turns."""

    def __init__(self, plan: bytes, *, module: str, outputs: Sequence[str] = ()) -> None:
        """Read a plan.

        Args:
            plan: its bytes.
            module: `tensorrt` or `tensorrt_rtx`, whichever wrote it.
            outputs: names of its outputs, in the order of the manifest; empty: as the plan has
                them.

        Raises:
            errors.BundleError: TensorRT, CUDA or the GPU is absent, or it refuses the plan, or the
                plan lacks an output.
            errors.StorageError: the GPU has too little memory.
        """
        self._native = Native(functools.partial(_load, plan, module, outputs), survives_fork=False)

    def run(
        self, batch: NDArray[np.uint8], template: NDArray[np.uint8] | None = None
    ) -> NDArray[np.float32]:
        """Return the first output for a batch; see `runtime.Engine.run`.

        Raises:
            errors.BundleError: the network does not accept the batch, or the GPU fails.
            errors.StorageError: the GPU has too little memory.
            errors.ConfigError: this is a child of a fork.
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
        native = self._native.get()
        inputs = named_inputs(batch, template)
        with native.lock:
            memory, context = native.memory, native.context
            kept = []  # until the copies are done
            for name in native.inputs:
                array = np.ascontiguousarray(inputs[name])
                kept.append(array)
                if not context.set_input_shape(name, array.shape):
                    raise errors.BundleError(
                        f"The network must accept {array.dtype} of shape {array.shape}. Got a "
                        "refusal. Give batches within the profile that the engine was built for."
                    )
                address = memory.room(name, array.nbytes)
                memory.copy(address, array.ctypes.data, array.nbytes, is_upload=True)
                context.set_tensor_address(name, address)
            returned = {}
            for name in (*native.outputs, *native.beside):
                output = np.empty(tuple(context.get_tensor_shape(name)), np.float32)
                address = memory.room(name, output.nbytes)
                context.set_tensor_address(name, address)
                returned[name] = address, output
            if not context.execute_async_v3(int(memory.stream)):
                raise errors.BundleError(
                    "TensorRT must be able to run the network. Got a failure. "
                    "Check the GPU with nvidia-smi, or choose another engine."
                )
            fetched = [returned[name] for name in native.outputs[:count]]
            for address, output in fetched:
                memory.copy(output.ctypes.data, address, output.nbytes, is_upload=False)
            memory.call("cudaStreamSynchronize", memory.stream)
            return tuple(output for _, output in fetched)


def start_network(stored: StoredNetwork, *, threads: int | None, device: str) -> TensorRtEngine:
    """Start a network on the GPU; see `starting.start`."""
    del threads, device  # it has no other
    return TensorRtEngine(stored.model(), module=stored.entry.kind, outputs=stored.outputs)
