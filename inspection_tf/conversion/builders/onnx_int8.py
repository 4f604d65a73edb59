"""ONNX files of lower precision: int8 with scales from images, and float16."""

import tempfile
from collections.abc import Collection, Iterator, Mapping, Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from inspection_tf import errors, runtime
from inspection_tf.conversion import libraries, retreat
from inspection_tf.conversion.request import Builder, ConversionRequest
from inspection_tf.engines import installed
from inspection_tf.engines.entry import EngineEntry, Ranges
from inspection_tf.engines.library_types import Foreign, Library, OnnxGraph, OnnxModel, OnnxNode
from inspection_tf.engines.names import ALL

QUANTIZED = ("Conv", "ConvTranspose")
"""Operators that become int8: where the work is. What scales an image or reads a heatmap stays."""

_QUANTIZABLE = "The graph must be quantized by onnxruntime"
_PROBABILITIES = ("Sigmoid", "Softmax")
_SHAPES = ("Concat", "Identity", "Reshape", "Slice", "Squeeze", "Transpose", "Unsqueeze")


def int8(request: ConversionRequest) -> EngineEntry:
    """Write static Q/DQ files for onnxruntime: int8 weights per channel, uint8 activations.

    Raises:
        errors.BundleError: the package onnx is absent, or a graph cannot be quantized, such as one
            without a convolution.
    """
    samples = request.calibration_samples()
    files: dict[str, str] = {}
    floats: dict[str, tuple[str, ...]] = {}
    ranges: dict[str, Ranges] = {}
    for graph in request.graphs:
        plain = _prepared(request.onnx_file(graph))
        operators = [retreat.Operator(*found) for found in _operators(plain)]
        if not operators:
            raise errors.BundleError(
                f"onnx-int8 makes convolutions int8. Got the network {graph} without any. "
                "Convert it to onnx-fp16 or openvino."
            )

        def quantize(attempt: retreat.Attempt, plain: bytes = plain, graph: str = graph) -> bytes:
            return quantized(plain, samples[graph], attempt, for_tensorrt=False)

        def start(data: bytes) -> runtime.Network:
            return runtime.Engine(data)

        data, how = request.search.find(graph, operators, quantize, start, request.compare)
        floats[graph], ranges[graph] = how.kept, how.ranges
        (request.build_folder / f"{graph}.onnx").write_bytes(data)
        files[graph] = request.in_bundle(f"{graph}.onnx")
    for graph in request.search.left_in_float(request.manifest.main):
        (request.build_folder / f"{graph}.onnx").write_bytes(request.onnx_file(graph).read_bytes())
        floats[graph] = (ALL,)
        del ranges[graph]
    return request.tolerating(
        EngineEntry(
            kind="onnxruntime",
            precision="int8",
            files=files,
            float_operators=floats,
            ranges=ranges,
            versions=installed.versions("onnxruntime", "onnx"),
        )
    )


def float16(request: ConversionRequest) -> EngineEntry:
    """Write float16 files for onnxruntime: uint8 goes in and float32 comes out, as before.

    Raises:
        errors.BundleError: the package onnx is absent, or a graph cannot be converted.
    """
    files = {}
    for graph in request.graphs:
        data = in_float16(
            request.onnx_file(graph), is_exact=request.manifest.graph_spec(graph).is_exact
        )
        (request.build_folder / f"{graph}.onnx").write_bytes(data)
        files[graph] = request.in_bundle(f"{graph}.onnx")
    return request.tolerating(
        EngineEntry(
            kind="onnxruntime",
            precision="float16",
            files=files,
            versions=installed.versions("onnxruntime", "onnx"),
        )
    )


def in_float16(path: Path, *, is_exact: bool = False) -> bytes:
    """Return an ONNX file with weights and computation in float16, inputs and outputs as before.

    Probabilities are computed in float32: near 1, float16 knows steps of 0.0005, and scores that
    told images apart would become one. So is what turns heatmaps into coordinates.

    Args:
        path: of the float32 file.
        is_exact: every number of its answer counts, as of coordinates.

    Raises:
        errors.BundleError: the package onnx is absent, or the graph cannot be converted.
    """
    try:
        import onnx
        from onnxruntime.transformers import float16 as library
    except ImportError as problem:
        raise installed.missing("onnx", "engines", "A float16 engine") from problem
    with libraries.blaming("Every operator must have a float16 twin"):
        plain = onnx.load(path)
        exact = _answering(plain.graph, is_exact)
        proto = library.convert_float_to_float16(
            plain, keep_io_types=True, node_block_list=sorted(exact)
        )
        _join_casts(proto.graph, exact, onnx.TensorProto)
        return _tidied(proto)


def _answering(graph: OnnxGraph, is_exact: bool) -> set[str]:
    """Return the names of the nodes that make probabilities, and bring them to the outputs.

    Where every number of the answer counts, of all behind the last convolutions.
    """
    makers = {name: node for node in graph.node for name in node.output}
    found: set[str] = set()
    waiting = [output.name for output in graph.output]
    while waiting:
        node = makers.get(waiting.pop())
        if node is None or node.name in found:
            continue
        goes_on = node.op_type not in QUANTIZED if is_exact else node.op_type in _SHAPES
        if goes_on or node.op_type in _PROBABILITIES:
            found.add(node.name)
        if goes_on:
            waiting += node.input
    return found


def _join_casts(graph: OnnxGraph, exact: Collection[str], types: Foreign) -> None:
    """Leave out casts to float16 that are only cast back: what float32 knew is lost there.

    Only those of what is computed in float32; where an image's uint8 is cast, there is none.
    """
    for cast in [node for node in graph.node if _casts_to(node, types.FLOAT16)]:
        if not any(node.name in exact and cast.input[0] in node.output for node in graph.node):
            continue
        backs = [node for node in graph.node if cast.output[0] in node.input]
        if not backs or not all(_casts_to(back, types.FLOAT) for back in backs):
            continue
        outputs = {output.name for output in graph.output}
        for back in backs:
            kept, left = cast.input[0], back.output[0]
            if left in outputs:  # its name is not ours to change
                kept, left = left, kept
            graph.node.remove(back)
            for node in graph.node:
                for names in (node.input, node.output):
                    names[:] = [kept if name == left else name for name in names]
        graph.node.remove(cast)


def _casts_to(node: OnnxNode, kind: int) -> bool:
    return node.op_type == "Cast" and any(a.name == "to" and a.i == kind for a in node.attribute)


def _reader(samples: Sequence[Mapping[str, NDArray[np.uint8]]]) -> Foreign:
    from onnxruntime import quantization

    class Reader(quantization.CalibrationDataReader):  # type: ignore[misc]
        def __init__(self) -> None:
            self._left: Iterator[Mapping[str, NDArray[np.uint8]]] = iter(samples)

        def get_next(self) -> dict[str, NDArray[np.uint8]] | None:
            return dict(given) if (given := next(self._left, None)) is not None else None

    return Reader()


def _library() -> tuple[Library, Library]:
    try:
        import onnx
        from onnxruntime import quantization
    except ImportError as problem:
        raise installed.missing("onnx", "engines", "An int8 engine of ONNX") from problem
    return onnx, quantization


def _prepared(path: Path) -> bytes:
    """Return an ONNX file with norms folded into convolutions, as the quantizer wants it."""
    _library()
    from onnxruntime.quantization import shape_inference

    with tempfile.TemporaryDirectory() as folder, libraries.blaming(_QUANTIZABLE):
        plain = Path(folder) / "plain.onnx"
        shape_inference.quant_pre_process(str(path), str(plain), skip_symbolic_shape=True)
        return plain.read_bytes()


def _operators(data: bytes) -> list[tuple[str, bool]]:
    """Return the convolutions of an ONNX file in request: name, and whether it is depthwise."""
    onnx, _ = _library()
    return [
        (node.name, any(a.name == "group" and a.i > 1 for a in node.attribute))
        for node in onnx.load_from_string(data).graph.node
        if node.op_type in QUANTIZED
    ]


def for_tensorrt(path: Path, samples: Sequence[Mapping[str, NDArray[np.uint8]]]) -> bytes:
    """Return an ONNX file whose convolutions are int8, as TensorRT reads them.

    Args:
        path: of the float32 file.
        samples: what it is fed on the calibration images.

    Raises:
        errors.BundleError: the package onnx is absent, or the graph cannot be quantized.
    """
    return quantized(_prepared(path), samples, retreat.Attempt(), for_tensorrt=True)


def quantized(
    plain: bytes,
    samples: Sequence[Mapping[str, NDArray[np.uint8]]],
    how: retreat.Attempt,
    *,
    for_tensorrt: bool,
) -> bytes:
    """Return an ONNX file whose convolutions are int8, as pairs of Q and DQ.

    Args:
        plain: of `_prepared`.
        samples: what it is fed on the calibration images.
        how: which nodes stay in float32, and what the scales cover.
        for_tensorrt: signed and symmetric activations, biases left in float32; else unsigned ones,
            which processors multiply faster.

    Raises:
        errors.BundleError: the graph cannot be quantized.
    """
    onnx, quantization = _library()
    kinds = quantization.QuantType
    options = {"CalibMovingAverage": how.ranges == "typical"}  # the mean over images, not the most
    if for_tensorrt:
        options |= {"ActivationSymmetric": True, "WeightSymmetric": True, "QuantizeBias": False}
    with tempfile.TemporaryDirectory() as folder, libraries.blaming(_QUANTIZABLE):
        done = Path(folder) / "int8.onnx"
        quantization.quantize_static(
            onnx.load_from_string(plain),
            str(done),
            _reader(samples),
            quant_format=quantization.QuantFormat.QDQ,
            op_types_to_quantize=["Conv"] if for_tensorrt else list(QUANTIZED),
            nodes_to_exclude=list(how.kept),
            per_channel=True,
            # Processors without VNNI add products in 16 bits: weights of 7 bits fit.
            reduce_range=not for_tensorrt,
            activation_type=kinds.QInt8 if for_tensorrt else kinds.QUInt8,
            weight_type=kinds.QInt8,
            extra_options=options,
        )
        return _tidied(onnx.load(done))


def _tidied(proto: OnnxModel) -> bytes:
    """Leave out the domains that no operator is of: onnxruntime lists all that it knows."""
    used = {node.domain for node in proto.graph.node}
    kept = [entry for entry in proto.opset_import if entry.domain in used]
    del proto.opset_import[:]
    proto.opset_import.extend(kept)
    del proto.metadata_props[:]
    return bytes(proto.SerializeToString())


INT8, FLOAT16 = Builder(int8), Builder(float16)
