"""Where the time of an exported network goes: onnxruntime's own profile, by kind of operator."""

import collections
import dataclasses
import json
import math
import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from inspection_tf.engines import onnxruntime_engine


@dataclasses.dataclass(frozen=True, slots=True)
class Operator:
    """The time of one kind of operator in a network.

    Attributes:
        graph: name of the network.
        kind: of the operator, as onnxruntime runs it; a convolution with its kernel, such as
            `Conv 3x3`, or as `Conv depthwise`.
        count: how many of them one inference runs.
        ms: time of them all in one inference.
        share: of the network's time, 0..1.
        macs: multiply-adds of them all in one inference, of Conv, MatMul and Gemm alone. Channels
            that onnxruntime adds to fill its vectors count: that work is done too.
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

    def to_dict(self) -> dict[str, object]:
        """Return plain values, ready for JSON."""
        return {**dataclasses.asdict(self), "macs_per_us": self.macs_per_us}


def _shapes(event: Mapping[str, Any], which: str) -> list[list[int]]:
    return [next(iter(shape.values()), []) for shape in event.get(which) or []]


def _work(event: Mapping[str, Any]) -> tuple[str, int]:
    """Return the kind and the multiply-adds of an executed node, from the shapes it ran on."""
    # A fused activation changes the operator's name, and little of its time.
    name = str(event["op_name"]).removeprefix("Fused")
    input_shapes, output_shapes = (
        _shapes(event, f"{which}_type_shape") for which in ("input", "output")
    )
    if name in ("MatMul", "Gemm") and input_shapes and output_shapes:
        return name, math.prod(output_shapes[0]) * input_shapes[0][-1]
    # The kernel is (out, in / groups, height, width): each output px reads all but `out`.
    if name != "Conv" or len(input_shapes) < 2 or len(input_shapes[1]) != 4:
        return name, 0
    (_, channels, *_), (_, joined, height, width) = input_shapes[:2]
    kind = "depthwise" if joined == 1 < channels else f"{height}x{width}"
    return f"{name} {kind}", math.prod(output_shapes[0]) * joined * height * width


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
    with tempfile.TemporaryDirectory() as folder:
        session = onnxruntime_engine.start(
            model, threads=threads, profile_prefix=str(Path(folder) / "profile")
        )
        for _ in range(repeats + 2):
            session.run(None, dict(inputs))
        events = json.loads(Path(session.end_profiling()).read_bytes())
    return _summary(graph, events, repeats)


def _summary(graph: str, events: list[dict[str, Any]], repeats: int) -> list[Operator]:
    runs: dict[tuple[str, str], list[tuple[float, str, int]]] = collections.defaultdict(list)
    for event in events:
        if event.get("cat") == "Node" and str(event["name"]).endswith("_kernel_time"):
            details = event["args"]
            # Nodes that onnxruntime inserts may share a name.
            node = str(event["name"]), str(details.get("node_index"))
            runs[node].append((event["dur"] / 1e3, *_work(details)))
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
