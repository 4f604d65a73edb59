"""Where the time of an exported network goes: onnxruntime's own profile, by kind of operator."""

import collections
import dataclasses
import json
import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from inspection_tf import errors


@dataclasses.dataclass(frozen=True, slots=True)
class Operator:
    """The time of one kind of operator in a network.

    Attributes:
        graph: name of the network.
        kind: of the operator, as onnxruntime runs it; a depthwise convolution is `Conv depthwise`.
        count: how many of them one inference runs.
        ms: time of them all in one inference.
        share: of the network's time, 0..1.
        macs: multiply-adds of them all in one inference; of Conv, MatMul and Gemm alone.
    """

    graph: str
    kind: str
    count: int
    ms: float
    share: float
    macs: int

    @property
    def macs_per_us(self) -> float:
        """Multiply-adds a microsecond: how well the operator uses the machine."""
        return self.macs / (1e3 * self.ms) if self.ms else 0.0

    def to_dict(self) -> dict[str, Any]:
        """Return plain values, ready for JSON."""
        return {**dataclasses.asdict(self), "macs_per_us": self.macs_per_us}


def _weights(model: bytes) -> dict[str, tuple[tuple[int, ...], int]]:
    """Return for each convolution of a file its kernel's shape and its groups, by node name."""
    try:
        import onnx
    except ImportError:
        return {}
    proto = onnx.load_from_string(model)
    shapes = {tensor.name: tuple(tensor.dims) for tensor in proto.graph.initializer}
    found = {}
    for node in proto.graph.node:
        if node.op_type in ("Conv", "MatMul", "Gemm") and node.input[1] in shapes:
            groups = next((a.i for a in node.attribute if a.name == "group"), 1)
            found[node.name] = (shapes[node.input[1]], groups)
    return found


def _macs(event: Mapping[str, Any], kernel: tuple[tuple[int, ...], int] | None) -> int:
    """Return the multiply-adds of one executed node."""
    shapes = event.get("output_type_shape") or []
    if kernel is None or not shapes:
        return 0
    output = next(iter(shapes[0].values()))
    shape, _ = kernel
    if len(shape) == 4:  # (out, in / groups, height, width): each output px reads all but `out`
        return int(np.prod(output)) * int(np.prod(shape[1:]))
    return int(np.prod(output)) * shape[0]


def _kind(event: Mapping[str, Any], kernel: tuple[tuple[int, ...], int] | None) -> str:
    name = str(event["op_name"])
    if kernel is None or len(kernel[0]) != 4:
        return name
    (_, _, height, width), groups = kernel
    return f"{name} depthwise" if groups > 1 else f"{name} {height}x{width}"


def profile(
    graph: str,
    model: bytes,
    inputs: Mapping[str, NDArray[np.uint8]],
    *,
    repeats: int = 10,
    threads: int | None = None,
) -> list[Operator]:
    """Time every operator of a network on the CPU.

    Args:
        graph: name of the network, for the result.
        model: bytes of an ONNX file.
        inputs: of one inference.
        repeats: inferences that count, after two that do not.
        threads: of one inference; None: one for each core.

    Returns:
        The kinds of operators, the dearest first.

    Raises:
        errors.BundleError: onnxruntime refuses the model.
    """
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.enable_profiling = True
    options.log_severity_level = 3
    if threads:
        options.intra_op_num_threads = threads
    with tempfile.TemporaryDirectory() as folder:
        options.profile_file_prefix = str(Path(folder) / "profile")
        try:
            session = onnxruntime.InferenceSession(
                model, options, providers=["CPUExecutionProvider"]
            )
        except Exception as problem:  # onnxruntime's errors share no base class of their own
            raise errors.BundleError(
                f"onnxruntime must be able to load the model. Got: {str(problem).splitlines()[0]}. "
                "Export the bundle again."
            ) from problem
        for _ in range(repeats + 2):
            session.run(None, dict(inputs))
        events = json.loads(Path(session.end_profiling()).read_bytes())
    return _summary(graph, events, _weights(model), repeats)


def _summary(
    graph: str,
    events: list[dict[str, Any]],
    kernels: Mapping[str, tuple[tuple[int, ...], int]],
    repeats: int,
) -> list[Operator]:
    runs: dict[str, list[tuple[float, str, int]]] = collections.defaultdict(list)
    for event in events:
        if event.get("cat") == "Node" and str(event["name"]).endswith("_kernel_time"):
            name = str(event["name"]).removesuffix("_kernel_time")
            found = event["args"]
            kernel = kernels.get(name) or kernels.get(name.removesuffix("_nchwc"))
            runs[name].append((event["dur"] / 1e3, _kind(found, kernel), _macs(found, kernel)))
    total: dict[str, list[tuple[float, int]]] = collections.defaultdict(list)
    for times in runs.values():
        counted = times[-repeats:]
        ms = float(np.mean([time for time, _, _ in counted]))
        total[counted[0][1]].append((ms, counted[0][2]))
    whole = sum(ms for nodes in total.values() for ms, _ in nodes)
    operators = [
        Operator(
            graph,
            kind,
            len(nodes),
            sum(ms for ms, _ in nodes),
            sum(ms for ms, _ in nodes) / whole if whole else 0.0,
            sum(macs for _, macs in nodes),
        )
        for kind, nodes in total.items()
    ]
    return sorted(operators, key=lambda operator: -operator.ms)
