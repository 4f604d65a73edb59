"""OpenVINO's own files: float32, bfloat16 by a hint, and int8 by NNCF."""

import contextlib
import functools
import io
import logging
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from inspection_tf import process, tasks
from inspection_tf.conversion import engine_gate, retreat
from inspection_tf.conversion import request as request_
from inspection_tf.engines import openvino_engine
from inspection_tf.engines.entry import EngineEntry, Ranges
from inspection_tf.engines.names import ALL, PRECISION_HINT
from inspection_tf.engines.network import named_inputs


def _read(path: Path) -> Any:
    core = openvino_engine.core()
    way_out = "Export the bundle again, or install a newer OpenVINO"
    with request_.blaming("OpenVINO must be able to read the network", way_out):
        return core.read_model(path)


def _save(model: Any, path: Path) -> None:
    import openvino

    # Weights as they are: by default they would be stored in half precision.
    with request_.blaming("OpenVINO must be able to write the network"):
        openvino.save_model(model, path, compress_to_fp16=False)


def _entry(order: request_.Order, **values: Any) -> EngineEntry:
    return EngineEntry(
        kind="openvino",
        files={graph: order.at(f"{graph}.xml") for graph in order.graphs},
        versions=request_.versions("openvino", "nncf"),
        **values,
    )


def float32(order: request_.Order) -> EngineEntry:
    """Write the networks as OpenVINO keeps them.

    Raises:
        errors.BundleError: OpenVINO is absent or refuses a network.
    """
    for graph in order.graphs:
        _save(_read(order.model(graph)), order.folder / f"{graph}.xml")
    # Without it some processors compute in bfloat16.
    return _entry(order, precision="float32", options={PRECISION_HINT: "f32"})


def bfloat16(order: request_.Order) -> EngineEntry:
    """Write the same files, run in bfloat16 where the processor can.

    Of two networks one stays in float32 if it does not decide alike otherwise.

    Raises:
        errors.BundleError: OpenVINO is absent or refuses a network.
    """
    float32(order)
    floats: frozenset[str] = frozenset()
    if len(order.graphs) > 1 and openvino_engine.has_bfloat16():
        start = functools.partial(_started, precision="bf16")
        for graph in order.graphs:
            as_it_is = functools.partial(_unchanged, _read(order.model(graph)))
            order.search.find(graph, (), as_it_is, start, order.judge, ranges=retreat.RANGES[:1])
        floats = order.search.left_in_float(order.manifest.main)
    return _entry(
        order,
        precision="bfloat16",
        float_operators={graph: (ALL,) for graph in floats},
        options={PRECISION_HINT: "bf16"},
        score_tolerance=order.spec.gate.band,
        output_tolerance=order.spec.gate.metric_drop,
    )


def _unchanged(model: Any, _how: retreat.Attempt) -> Any:
    return model


@contextlib.contextmanager
def _quiet() -> Iterator[None]:
    """Keep NNCF's bars off stdout, and off what is no terminal."""
    logging.getLogger("nncf").setLevel(logging.ERROR)
    with contextlib.redirect_stdout(
        sys.stderr if process.is_terminal(sys.stderr) else io.StringIO()
    ):
        yield


def int8(order: request_.Order) -> EngineEntry:
    """Write the networks with int8 convolutions, quantized by NNCF.

    Raises:
        errors.BundleError: OpenVINO or NNCF is absent, or refuses a network.
    """
    openvino_engine.silence()
    with _quiet():
        try:
            import nncf
        except ImportError as problem:
            raise request_.missing("nncf", "openvino", "An int8 engine of OpenVINO") from problem
        samples = order.samples()
        floats: dict[str, tuple[str, ...]] = {}
        ranges: dict[str, Ranges] = {}
        for graph in order.graphs:
            model = _read(order.model(graph))
            quantize = functools.partial(_quantized, nncf, order, graph, samples[graph])
            how = retreat.Attempt()
            if order.spec.accuracy_control:
                done = quantize(how)
                floats[graph] = _in_float(done)
            else:
                operators = _operators(model)
                done, how = order.search.find(
                    graph, operators, quantize, _started, order.judge, ranges=_RANGES
                )
                floats[graph] = how.kept
            _save(done, order.folder / f"{graph}.xml")
            ranges[graph] = how.ranges
        for graph in order.search.left_in_float(order.manifest.main):
            _save(_read(order.model(graph)), order.folder / f"{graph}.xml")
            floats[graph] = (ALL,)
            del ranges[graph]
    return _entry(
        order,
        precision="int8",
        float_operators=floats,
        ranges=ranges,
        # What is not int8 stays in float32, on every processor.
        options={PRECISION_HINT: "f32"},
        score_tolerance=order.spec.gate.band,
        output_tolerance=order.spec.gate.metric_drop,
    )


_OUTLIERS = {"typical": 1e-4, "wide": 3e-5}
"""Share of an image's values that ranges leave out at either end. Two U-Nets with decoders that
reach 800 on defects and 6 elsewhere: with 1e-4 the maps of int8 and float32 have a Dice of 0.957
and 0.971; with 1e-3 0.944 and 0.877, with 3e-4 0.960 and 0.946, with 3e-5 0.938 and 0.978, with
1e-5 0.778 and 0.979. With every value covered, the smaller ones fall on one level. A third one's
pooled IoU drops by 0.0074 with 1e-4 and by 0.0040 with 3e-5, on the tune images."""
_RANGES: tuple[Ranges, ...] = (*retreat.RANGES, "wide")
# What turns heatmaps into coordinates needs more than 256 levels.
_OF_CORNERS = ["MatMul", "Multiply", "Add", "Subtract", "Divide", "Softmax", "ReduceSum"]
_CONVOLUTIONS = {
    "Convolution": False,
    "ConvolutionBackpropData": False,
    "GroupConvolution": True,
    "GroupConvolutionBackpropData": True,
}
"""What can be int8, and whether it is depthwise."""


def _float_types(order: request_.Order) -> list[str]:
    """Return the operators that are never int8, by type.

    Products of matrices take no time: they interpolate a map to the image's size, or read what is
    pooled, whose largest and mean values share no scale.
    """
    return _OF_CORNERS if order.manifest.is_located else ["MatMul"]


def _operators(model: Any) -> list[retreat.Operator]:
    """Return what can be int8, in order."""
    return [
        retreat.Operator(found.get_friendly_name(), _CONVOLUTIONS[found.get_type_name()])
        for found in model.get_ordered_ops()
        if found.get_type_name() in _CONVOLUTIONS
    ]


def _in_float(model: Any) -> tuple[str, ...]:
    """Return the operators of a quantized network that have kept their weights in float32."""
    listed = {operator.name for operator in _operators(model)}
    return tuple(
        found.get_friendly_name()
        for found in model.get_ordered_ops()
        if found.get_friendly_name() in listed and not _is_int8(found.input_value(1).get_node())
    )


def _is_int8(weights: Any) -> bool:
    """Return whether a kernel is kept in int8, and only scaled when it is used."""
    if weights.get_type_name() == "Constant":
        return str(weights.get_element_type().get_type_name()) in ("i8", "u8")
    return any(_is_int8(value.get_node()) for value in weights.input_values())


def _started(model: Any, precision: str = "f32") -> openvino_engine.OpenVinoEngine:
    return openvino_engine.OpenVinoEngine(model, options={PRECISION_HINT: precision})


def _covering(library: Any, ranges: Ranges) -> Any:
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
    nncf: Any, order: request_.Order, graph: str, samples: list[Any], how: retreat.Attempt
) -> Any:
    """Return a network of int8 but for some operators.

    Raises:
        errors.BundleError: NNCF refuses it.
    """
    common: dict[str, Any] = {
        "ignored_scope": nncf.IgnoredScope(
            names=list(how.kept),
            types=_float_types(order),
            validate=False,
        ),
        "subset_size": len(samples),
        "preset": nncf.QuantizationPreset.MIXED,
    }
    advanced = nncf.AdvancedQuantizationParameters(
        activations_range_estimator_params=_covering(nncf.quantization.range_estimator, how.ranges),
        # Processors without VNNI add products in 16 bits, and what does not fit is cut off: an
        # engine that passed on one with it must decide alike there. Weights use 7 bits for it.
        overflow_fix=nncf.OverflowFix.ENABLE,
    )
    with request_.blaming("The network must be quantized by NNCF"):
        model, data = _read(order.model(graph)), nncf.Dataset(samples)
        if not order.spec.accuracy_control:
            return nncf.quantize(model, data, advanced_parameters=advanced, **common)
        return nncf.quantize_with_accuracy_control(
            model,
            calibration_dataset=data,
            validation_dataset=nncf.Dataset([0]),
            validation_fn=_validation(order, graph),
            max_drop=order.spec.gate.metric_drop,
            advanced_quantization_parameters=advanced,
            **common,
        )


def _validation(order: request_.Order, graph: str) -> Any:
    """Return NNCF's judge: 1 minus what the worst metric loses with this network in its place."""
    measures = tasks.get(order.manifest.task).measures

    def validate(model: Any, _data: Any) -> tuple[float, None]:
        parity = order.judge({graph: _Compiled(model)})
        return 1.0 - engine_gate.worst_drop(parity, measures), None

    return validate


class _Compiled:
    """A model that NNCF compiled, as a network of the runtime."""

    def __init__(self, model: Any) -> None:
        self.model = model

    def run(
        self, batch: NDArray[np.uint8], template: NDArray[np.uint8] | None = None
    ) -> NDArray[np.float32]:
        request = self.model.create_infer_request()
        request.infer(named_inputs(batch, template))
        return np.array(request.get_output_tensor(0).data)
