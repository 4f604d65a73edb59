"""TensorRT plans, over the API that tensorrt 10, tensorrt 11 and tensorrt_rtx share.

Precision comes from the ONNX that goes in: networks are strongly typed, int8 is Q/DQ, and there are
no flags and no calibrator. `tensorrt_rtx` builds ahead of time, without a GPU.
"""

import contextlib
import importlib
import importlib.util
import logging

from inspection_tf import errors
from inspection_tf.conversion.builders import onnx_int8
from inspection_tf.conversion.request import Builder, ConversionRequest
from inspection_tf.engines import installed, tensorrt_engine
from inspection_tf.engines.entry import EngineEntry, Precision
from inspection_tf.engines.kinds import KINDS
from inspection_tf.engines.library_types import Foreign, Library, TensorRtConfig

MODULES = tuple(kind.name for kind in KINDS.values() if kind.is_for_one_gpu)
"""TensorRT and TensorRT-RTX, each called as the kind of engine that it builds."""
_PRECISIONS: dict[str, Precision] = {"fp32": "float32", "fp16": "float16", "int8": "int8"}
_WITHOUT_GPU = "8.9"
_LOG = logging.getLogger("inspection_tf")


def build(request: ConversionRequest) -> EngineEntry:
    """Build a plan for each network; without any TensorRT write a script for `trtexec` instead.

    Raises:
        errors.ConfigError: precision or compute capability is not known.
        errors.BundleError: TensorRT refuses a network.
    """
    if request.spec.precision not in _PRECISIONS:
        raise errors.ConfigError(
            f"precision must be one of {', '.join(_PRECISIONS)}. Got {request.spec.precision!r}. "
            "Choose one."
        )
    _require_batches(request)
    models = _models(request)
    module = installed_module()
    if module is None:
        _LOG.warning(
            "Neither %s can be used here: a script for trtexec is written.", " nor ".join(MODULES)
        )
        return _script(request, models)
    return _plans(request, models, module)


def _require_batches(request: ConversionRequest) -> None:
    """Refuse a profile under which the gate could never run."""
    batch = request.spec.batch
    tiles = max(spec.must_take for spec in request.manifest.graph_specs)
    most = max(*request.spec.gate.batch_sizes, tiles)
    if batch.smallest > 1 or batch.largest < most:
        raise errors.ConfigError(
            f"The plan must take single images and the batches of gate and tiles, {most}. Got a "
            f"profile from {batch.smallest} to {batch.largest}. Use --batch.smallest 1, and "
            "--batch.largest or --gate.batch-sizes."
        )


def installed_module() -> str | None:
    """Return the name of the first TensorRT that can be imported; None: there is none."""
    for name in MODULES:
        if importlib.util.find_spec(name) is None:
            continue
        try:
            importlib.import_module(name)
        except (ImportError, OSError) as problem:  # its libraries are missing
            _LOG.warning("%s is left out: %s", name, errors.first_line(problem))
        else:
            return name
    return None


def _models(request: ConversionRequest) -> dict[str, bytes]:
    precision = request.spec.precision
    if precision == "fp16":
        return {
            graph: onnx_int8.in_float16(
                request.onnx_file(graph), is_exact=request.manifest.graph_spec(graph).is_exact
            )
            for graph in request.graphs
        }
    if precision == "int8":
        samples = request.calibration_samples()
        return {
            graph: onnx_int8.for_tensorrt(request.onnx_file(graph), samples[graph])
            for graph in request.graphs
        }
    return {graph: request.onnx_file(graph).read_bytes() for graph in request.graphs}


def _plans(request: ConversionRequest, models: dict[str, bytes], module: str) -> EngineEntry:
    trt = tensorrt_engine.library(module)
    target = ""
    for graph, data in models.items():
        plan, target = _plan(trt, request, graph, data)
        (request.build_folder / f"{graph}.engine").write_bytes(plan)
    packages = (*(name for kind in MODULES for name in KINDS[kind].packages), "onnxruntime")
    return request.tolerating(
        EngineEntry(
            kind=module,
            precision=_PRECISIONS[request.spec.precision],
            files={graph: request.in_bundle(f"{graph}.engine") for graph in models},
            target=target,
            batch=request.spec.batch,
            versions={module: trt.__version__, **installed.versions(*packages)},
        )
    )


def _logger(trt: Library) -> Foreign:
    class Quiet(trt.ILogger):  # type: ignore[misc]
        """Keeps the first error, instead of printing all."""

        def __init__(self) -> None:
            trt.ILogger.__init__(self)
            self.first = ""

        def log(self, severity: Foreign, message: str) -> None:
            worst = (trt.ILogger.Severity.ERROR, trt.ILogger.Severity.INTERNAL_ERROR)
            # Without a driver it says so each time, and builds ahead of time all the same.
            if severity in worst and not self.first and "Cuda Runtime" not in message:
                self.first = message

    return Quiet()


def _plan(trt: Library, request: ConversionRequest, graph: str, data: bytes) -> tuple[bytes, str]:
    logger = _logger(trt)
    builder = trt.Builder(logger)
    # Without the flag tensorrt 10 would choose precisions itself; 11 and RTX know no other way.
    flags = 0
    kinds = trt.NetworkDefinitionCreationFlag
    if hasattr(kinds, "STRONGLY_TYPED"):
        with contextlib.suppress(TypeError, AttributeError):
            flags = 1 << int(kinds.STRONGLY_TYPED)
    network = builder.create_network(flags)
    parser = trt.OnnxParser(network, logger)
    if not parser.parse(data):
        problem = parser.get_error(0) if parser.num_errors else None
        received = errors.first_line(Exception(problem.desc() if problem else logger.first))
        raise errors.BundleError(
            f"TensorRT must be able to parse the {graph}. Got: {received}. "
            "Choose another precision, or another engine."
        )
    config = builder.create_builder_config()
    target = set_target(trt, config, request.spec.compute_capability)
    profile = builder.create_optimization_profile()
    batch = request.spec.batch
    for place in range(network.num_inputs):
        tensor = network.get_input(place)
        shape = tuple(tensor.shape)[1:]
        each = request.manifest.graph_spec(graph).per_image
        counts = (batch.smallest, batch.usual, batch.largest)
        profile.set_shape(tensor.name, *((each * count, *shape) for count in counts))
    config.add_optimization_profile(profile)
    plan = builder.build_serialized_network(network, config)
    if plan is None:
        raise errors.BundleError(
            f"TensorRT must be able to build the {graph}. "
            f"Got: {errors.first_line(Exception(logger.first))}. "
            "Choose another precision, or another engine."
        )
    return bytes(plan), target


def _name(capability: str) -> str:
    return f"SM{capability.replace('.', '')}"


def set_target(trt: Library, config: TensorRtConfig, asked: str) -> str:
    """Set the GPU that a plan is for, where it can be built without that GPU.

    Args:
        trt: TensorRT, or TensorRT-RTX.
        config: of the build.
        asked: compute capability, such as `8.9`; empty: that of this machine's GPU, and 8.9 where
            there is none or no plan can be built for it.

    Returns:
        What the plan is for, such as `SM89`.

    Raises:
        errors.ConfigError: this TensorRT cannot build for it.
    """
    own = tensorrt_engine.capability()
    if not hasattr(config, "set_compute_capability"):
        if asked and asked != own:
            raise errors.ConfigError(
                f"This TensorRT builds for this machine's GPU alone ({own or 'none was found'}). "
                f"Got {asked!r}. Leave --compute-capability out, or install tensorrt_rtx."
            )
        return _name(own) if own else "the GPU that built it"
    known = [kind for kind in dir(trt.ComputeCapability) if kind.startswith("SM")]
    known.sort(key=lambda kind: int(kind[2:]))
    if not asked:
        asked = own or _WITHOUT_GPU
        if _name(asked) not in known:
            _LOG.warning(
                "TensorRT-RTX has no plans for this machine's GPU (%s): this one is for %s. Give "
                "--compute-capability for another, or install tensorrt.",
                asked,
                _WITHOUT_GPU,
            )
            asked = _WITHOUT_GPU
    name = _name(asked)
    if name not in known:
        raise errors.ConfigError(
            f"The compute capability must be one of "
            f"{', '.join(f'{k[2:-1]}.{k[-1]}' for k in known)}. Got {asked!r}. "
            "Choose that of the GPU which will run the engine."
        )
    config.num_compute_capabilities = 1
    config.set_compute_capability(getattr(trt.ComputeCapability, name), 0)
    return name


_SCRIPT = """\
#!/usr/bin/env bash
# Builds the engines of this folder on the machine that runs them: build.sh FOLDER
# Needs trtexec of TensorRT 10. FOLDER lies outside the bundle, which holds what it declares alone.
set -euo pipefail
here=$(cd "$(dirname "$0")" && pwd -P)
bundle=${here%/*/*}
out=$(realpath -m "${1:?Give a folder for the engines: build.sh FOLDER}")
case "$out/" in "$bundle"/*)
    echo "The folder must lie outside the bundle. Got $out. Give another one." >&2
    exit 2 ;;
esac
mkdir -p "$out"\
"""


def _script(request: ConversionRequest, models: dict[str, bytes]) -> EngineEntry:
    """Write the ONNX files and a script that builds them where `trtexec` is."""
    batch = request.spec.batch
    lines = [_SCRIPT]
    spec = request.manifest.inputs[0].preprocessing
    for graph, data in models.items():
        (request.build_folder / f"{graph}.onnx").write_bytes(data)
        network = request.manifest.graph_spec(graph)
        each, size, channels = network.per_image, network.size or spec.size, spec.channel_count
        shapes = {
            kind: ",".join(
                f"{item.name}:{each * count}x{size[0]}x{size[1]}x{channels}"
                for item in request.manifest.inputs
            )
            for kind, count in (
                ("min", batch.smallest),
                ("opt", batch.usual),
                ("max", batch.largest),
            )
        }
        profile = " ".join(f"--{kind}Shapes={shape}" for kind, shape in shapes.items())
        lines.append(
            f'trtexec --onnx="$here/{graph}.onnx" --saveEngine="$out/{graph}.engine" '
            f"--stronglyTyped {profile}"
        )
    (request.build_folder / "build.sh").write_text("\n".join(lines) + "\n")
    return EngineEntry(
        kind="trtexec",
        precision=_PRECISIONS[request.spec.precision],
        files={graph: request.in_bundle(f"{graph}.onnx") for graph in models},
        target="the GPU that builds it",
        batch=batch,
        options={"script": request.in_bundle("build.sh")},
        versions=installed.versions("onnxruntime", "onnx"),
    )


PLAN = Builder(build)
