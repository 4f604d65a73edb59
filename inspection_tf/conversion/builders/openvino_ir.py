"""OpenVINO's own files: float32, bfloat16 by a hint, and int8 by NNCF."""

import contextlib
import functools
import io
import logging
import sys
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from inspection_tf import process, tasks
from inspection_tf.conversion import engine_gate, libraries, retreat
from inspection_tf.conversion.calibration_set import GraphSamples
from inspection_tf.conversion.request import Builder, ConversionRequest, Networks, start_built
from inspection_tf.engines import installed, openvino_engine
from inspection_tf.engines.entry import EngineEntry, Precision, Ranges
from inspection_tf.engines.kinds import PRECISION_HINT
from inspection_tf.engines.library_types import (
    Foreign,
    Library,
    OpenVinoCompiled,
    OpenVinoModel,
    OpenVinoNode,
)
from inspection_tf.engines.names import ALL, NOT_RUN
from inspection_tf.engines.network import Network, named_inputs

_LOG = logging.getLogger("inspection_tf")


def _read(path: Path) -> OpenVinoModel:
    core = openvino_engine.core()
    way_out = "Export the bundle again, or install a newer OpenVINO"
    with libraries.blaming("OpenVINO must be able to read the network", way_out):
        return core.read_model(path)


def _save(model: OpenVinoModel, path: Path) -> None:
    import openvino

    # Weights as they are: by default they would be stored in half precision.
    with libraries.blaming("OpenVINO must be able to write the network"):
        openvino.save_model(model, path, compress_to_fp16=False)


def _entry(
    request: ConversionRequest,
    precision: Precision,
    hint: str,
    *,
    float_operators: Mapping[str, tuple[str, ...]] | None = None,
    ranges: Mapping[str, Ranges] | None = None,
) -> EngineEntry:
    entry = EngineEntry(
        kind="openvino",
        precision=precision,
        files={graph: request.in_bundle(f"{graph}.xml") for graph in request.graphs},
        options={PRECISION_HINT: hint},
        float_operators=dict(float_operators or {}),
        ranges=dict(ranges or {}),
        versions=installed.versions("openvino", "nncf"),
    )
    return entry if precision == "float32" else request.tolerating(entry)


def float32(request: ConversionRequest) -> EngineEntry:
    """Write the networks as OpenVINO keeps them.

    Raises:
        errors.BundleError: OpenVINO is absent or refuses a network.
    """
    for graph in request.graphs:
        _save(_read(request.onnx_file(graph)), request.build_folder / f"{graph}.xml")
    # Without it some processors compute in bfloat16.
    return _entry(request, "float32", "f32")


def bfloat16(request: ConversionRequest) -> EngineEntry:
    """Write the same files, run in bfloat16 where the processor can.

    Of two networks one stays in float32 if it does not decide alike otherwise.

    Raises:
        errors.BundleError: OpenVINO is absent or refuses a network.
    """
    float32(request)
    floats: frozenset[str] = frozenset()
    if len(request.graphs) > 1 and openvino_engine.has_bfloat16():
        for graph in request.graphs:
            start = functools.partial(_started, outputs=request.outputs(graph), precision="bf16")
            as_it_is = functools.partial(_unchanged, _read(request.onnx_file(graph)))
            request.search.find(
                graph, (), as_it_is, start, request.compare, ranges=retreat.RANGES[:1]
            )
        floats = request.search.left_in_float(request.manifest.main)
    return _entry(request, "bfloat16", "bf16", float_operators={graph: (ALL,) for graph in floats})


def _unchanged(model: OpenVinoModel, _how: retreat.Attempt) -> OpenVinoModel:
    return model


@contextlib.contextmanager
def _quiet() -> Iterator[None]:
    """Keep NNCF's bars off stdout, and off what is no terminal."""
    logging.getLogger("nncf").setLevel(logging.ERROR)
    with contextlib.redirect_stdout(
        sys.stderr if process.is_terminal(sys.stderr) else io.StringIO()
    ):
        yield


def int8(request: ConversionRequest) -> EngineEntry:
    """Write the networks with int8 convolutions, quantized by NNCF.

    Raises:
        errors.BundleError: OpenVINO or NNCF is absent, or refuses a network.
    """
    openvino_engine.silence()
    with _quiet():
        try:
            import nncf
        except ImportError as problem:
            raise installed.missing("nncf", "openvino", "An int8 engine of OpenVINO") from problem
        samples = request.calibration_samples()
        floats: dict[str, tuple[str, ...]] = {}
        ranges: dict[str, Ranges] = {}
        for graph in request.graphs:
            model = _read(request.onnx_file(graph))
            quantize = functools.partial(_quantized, nncf, request, graph, samples[graph])
            how = retreat.Attempt()
            if request.spec.accuracy_control:
                done = quantize(how)
                floats[graph] = _in_float(done)
            else:
                operators = _operators(model)
                start = functools.partial(_started, outputs=request.outputs(graph))
                done, how = request.search.find(
                    graph, operators, quantize, start, request.compare, ranges=_RANGES
                )
                floats[graph] = how.kept
            _save(done, request.build_folder / f"{graph}.xml")
            ranges[graph] = how.ranges
        for graph in request.search.left_in_float(request.manifest.main):
            _save(_read(request.onnx_file(graph)), request.build_folder / f"{graph}.xml")
            floats[graph] = (ALL,)
            del ranges[graph]
    # What is not int8 stays in float32, on every processor.
    return _entry(request, "int8", "f32", float_operators=floats, ranges=ranges)


_OUTLIERS = {"typical": 1e-4, "wide": 3e-5}
"""Share of an image's values that ranges leave out at either end. Two U-Nets with decoders that
reach 800 on defects and 6 elsewhere: with 1e-4 the maps of int8 and float32 have a Dice of 0.957
and 0.971; with 1e-3 0.944 and 0.877, with 3e-4 0.960 and 0.946, with 3e-5 0.938 and 0.978, with
1e-5 0.778 and 0.979. With every value covered, the smaller ones fall on one level. A third one's
pooled IoU drops by 0.0074 with 1e-4 and by 0.0040 with 3e-5, on the tune images."""
_RANGES: tuple[Ranges, ...] = (*retreat.RANGES, "wide")
# What turns heatmaps into coordinates needs more than 256 levels.
_OF_COORDINATES = ["MatMul", "Multiply", "Add", "Subtract", "Divide", "Softmax", "ReduceSum"]
_CONVOLUTIONS = {
    "Convolution": False,
    "ConvolutionBackpropData": False,
    "GroupConvolution": True,
    "GroupConvolutionBackpropData": True,
}
"""What can be int8, and whether it is depthwise."""


def _float_types(request: ConversionRequest) -> list[str]:
    """Return the operators that are never int8, by type.

    Products of matrices take no time: they interpolate a map to the image's size, or read what is
    pooled, whose largest and mean values share no scale.
    """
    is_exact = any(spec.is_exact for spec in request.manifest.graph_specs)
    return _OF_COORDINATES if is_exact else ["MatMul"]


def _operators(model: OpenVinoModel) -> list[retreat.Operator]:
    """Return what can be int8, in request."""
    return [
        retreat.Operator(found.get_friendly_name(), _CONVOLUTIONS[found.get_type_name()])
        for found in model.get_ordered_ops()
        if found.get_type_name() in _CONVOLUTIONS
    ]


def _behind_outputs(model: OpenVinoModel) -> list[str]:
    """Return the operators that read what is an output too, up to the next convolutions.

    They stay in float32. Poolings in int8 that read a map which is also returned give zeros
    (OpenVINO 2026.4 on processors), and there is nothing to gain: convolutions are the work.
    """
    waiting = [result.input_value(0) for result in model.get_results()]
    found: dict[str, None] = {}
    while waiting:
        for reader in waiting.pop().get_target_inputs():
            node = reader.get_node()
            name, kind = node.get_friendly_name(), node.get_type_name()
            if kind != "Result" and kind not in _CONVOLUTIONS and name not in found:
                found[name] = None
                waiting += node.outputs()
    return list(found)


def _in_float(model: OpenVinoModel) -> tuple[str, ...]:
    """Return the operators of a quantized network that have kept their weights in float32."""
    listed = {operator.name for operator in _operators(model)}
    return tuple(
        found.get_friendly_name()
        for found in model.get_ordered_ops()
        if found.get_friendly_name() in listed and not _is_int8(found.input_value(1).get_node())
    )


def _is_int8(weights: OpenVinoNode) -> bool:
    """Return whether a kernel is kept in int8, and only scaled when it is used."""
    if weights.get_type_name() == "Constant":
        return str(weights.get_element_type().get_type_name()) in ("i8", "u8")
    return any(_is_int8(value.get_node()) for value in weights.input_values())


def _started(
    model: OpenVinoModel, *, outputs: Sequence[str], precision: str = "f32"
) -> openvino_engine.OpenVinoEngine:
    options = {PRECISION_HINT: precision}
    return openvino_engine.OpenVinoEngine(model, options=options, outputs=outputs)


def _covering(library: Library, ranges: Ranges) -> Foreign:
    """Return what NNCF estimates ranges by."""
    if ranges == "widest":
        return library.RangeEstimatorParametersSet.MINMAX
    side = library.StatisticsCollectorParameters(
        statistics_type=library.StatisticsType.QUANTILE,
        aggregator_type=library.AggregatorType.MEAN,
        quantile_outlier_prob=_OUTLIERS[ranges],
    )
    return library.RangeEstimatorParameters(min=side, max=side)


def _quantized(
    nncf: Library,
    request: ConversionRequest,
    graph: str,
    samples: GraphSamples,
    how: retreat.Attempt,
) -> OpenVinoModel:
    """Return a network of int8 but for some operators.

    Raises:
        errors.BundleError: NNCF refuses it.
    """
    model = _read(request.onnx_file(graph))
    names = [*how.kept, *_behind_outputs(model)]
    ignored = nncf.IgnoredScope(names=names, types=_float_types(request), validate=False)
    mixed = nncf.QuantizationPreset.MIXED
    advanced = nncf.AdvancedQuantizationParameters(
        activations_range_estimator_params=_covering(nncf.quantization.range_estimator, how.ranges),
        # Processors without VNNI add products in 16 bits, and what does not fit is cut off: an
        # engine that passed on one with it must decide alike there. Weights use 7 bits for it.
        overflow_fix=nncf.OverflowFix.ENABLE,
    )
    with libraries.blaming("The network must be quantized by NNCF"):
        data = nncf.Dataset(samples)
        if not request.spec.accuracy_control:
            return nncf.quantize(
                model,
                data,
                ignored_scope=ignored,
                subset_size=len(samples),
                preset=mixed,
                advanced_parameters=advanced,
            )
        return nncf.quantize_with_accuracy_control(
            model,
            calibration_dataset=data,
            validation_dataset=nncf.Dataset([0]),
            validation_fn=_validation(request, graph),
            max_drop=request.spec.gate.metric_drop,
            advanced_quantization_parameters=advanced,
            ignored_scope=ignored,
            subset_size=len(samples),
            preset=mixed,
        )


def _validation(
    request: ConversionRequest, graph: str
) -> Callable[[OpenVinoCompiled, Iterable[Foreign]], tuple[float, None]]:
    """Return NNCF's judge: 1 minus what the worst metric loses with this network in its place."""
    measures = tasks.get(request.manifest.task).measures

    def validate(model: OpenVinoCompiled, _data: Iterable[Foreign]) -> tuple[float, None]:
        parity = request.compare({graph: _Compiled(model, request.outputs(graph))})
        return 1.0 - engine_gate.worst_drop(parity, measures), None

    return validate


class _Compiled(Network):
    """A model that NNCF compiled, as a network of the runtime."""

    def __init__(self, model: OpenVinoCompiled, outputs: Sequence[str]) -> None:
        self.model, self.places = model, openvino_engine.output_places(model, outputs)

    def run_all(
        self, batch: NDArray[np.uint8], template: NDArray[np.uint8] | None = None
    ) -> tuple[NDArray[np.float32], ...]:
        request = self.model.create_infer_request()
        request.infer(named_inputs(batch, template))
        return tuple(np.array(request.get_output_tensor(place).data) for place in self.places)


def _start_bfloat16(request: ConversionRequest, entry: EngineEntry) -> Networks | None:
    """Start the networks where this processor computes in bfloat16; see `request.start_built`."""
    if openvino_engine.has_bfloat16():
        return start_built(request, entry)
    _LOG.warning(
        "This processor does not compute in bfloat16, so the gate cannot see what it changes. "
        "The entry says %r: convert on a processor that does.",
        NOT_RUN,
    )
    return None


FLOAT32, INT8 = Builder(float32), Builder(int8)
BFLOAT16 = Builder(bfloat16, start=_start_bfloat16)
