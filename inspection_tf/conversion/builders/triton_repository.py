"""A model repository for NVIDIA Triton: the networks, and the verdict beside them."""

import math
import shutil
from collections.abc import Sequence
from pathlib import Path
from typing import TypeVar

from inspection_tf import errors
from inspection_tf.conversion.request import Builder, ConversionRequest
from inspection_tf.engines import installed
from inspection_tf.engines.entry import EngineEntry
from inspection_tf.engines.kinds import KINDS

Listed = TypeVar("Listed")
VERDICT = "inspection"
_BACKENDS = ("onnxruntime", "openvino", "tensorrt")
"""Kinds of engines that Triton runs, by backends of the same names."""


def _file(kind: str) -> str:
    """Return the file that a backend starts from."""
    return f"model{KINDS[kind].starts_from}"


def build(request: ConversionRequest) -> EngineEntry:
    """Write a repository: a model for each network, and `inspection`, which asks them.

    Raises:
        errors.ConfigError: the bundle has no engine of that name, or Triton cannot run it.
    """
    manifest, spec = request.manifest, request.spec
    entry = manifest.engines.get(spec.engine)
    if spec.engine and entry is None:
        raise errors.ConfigError(
            f"--engine must be an engine of the bundle. Got {spec.engine!r}. Convert it first: "
            f"inspection convert BUNDLE --to {spec.engine}."
        )
    kind = "onnxruntime" if entry is None else entry.kind
    if kind not in _BACKENDS:
        raise errors.ConfigError(
            f"Triton runs {', '.join(_BACKENDS)}. Got {spec.engine}, of the kind {kind}. "
            "Choose another engine of the bundle."
        )
    if entry is not None and not entry.may_run:
        raise errors.ConfigError(
            f"Triton may serve what passed the gate. Got {spec.engine} of state {entry.state!r}. "
            f"Convert it first: inspection convert BUNDLE --to {spec.engine}."
        )
    files = {}
    for graph in request.graphs:
        source = request.onnx_file(graph) if entry is None else request.root / entry.files[graph]
        folder = request.build_folder / "models" / graph / "1"
        folder.mkdir(parents=True)
        target = folder / _file(kind)
        shutil.copyfile(source, target)
        if suffix := KINDS[kind].weights_suffix:
            shutil.copyfile(source.with_suffix(suffix), target.with_suffix(suffix))
        files[graph] = request.in_bundle(target.relative_to(request.build_folder).as_posix())
        text = _network_config(request, graph, kind)
        (folder.parent / "config.pbtxt").write_text(text)
    main = request.manifest.main
    served = request.manifest.graph(main).file if entry is None else entry.files[main]
    _write_verdict(request, sha256=manifest.files[served])
    return EngineEntry(
        kind="triton",
        precision="float32" if entry is None else entry.precision,
        files=files,
        target="Triton",
        batch=(entry.batch if entry else None) or spec.batch,
        options={"backend": kind, "serves": spec.engine or "onnx"},
        versions=installed.versions("onnxruntime", "openvino"),
    )


def _write_verdict(request: ConversionRequest, *, sha256: str) -> None:
    folder = request.build_folder / "models" / VERDICT / "1"
    folder.mkdir(parents=True)
    code = Path(__file__).with_name("triton_model.py")
    shutil.copyfile(code, folder / "model.py")
    text = request.manifest.model_dump_json(exclude={"engines"}, indent=2)
    (folder / "manifest.json").write_text(text + "\n")
    for name, data in request.manifest.context.assets.items():
        (folder / name).write_bytes(data)
    inputs = "".join(
        f'  {{ name: "{item.name}" data_type: TYPE_UINT8 dims: [ -1 ] }}{comma}\n'
        for item, comma in _with_commas(request.manifest.inputs)
    )
    waiting = request.spec.instances * request.spec.batch.usual
    (folder.parent / "config.pbtxt").write_text(
        f'name: "{VERDICT}"\nbackend: "python"\n'
        "# One image a request: the bytes of a file in, the verdict as JSON out.\n"
        f"max_batch_size: 0\ninput [\n{inputs}]\n"
        'output [\n  { name: "verdict" data_type: TYPE_STRING dims: [ 1 ] }\n]\n'
        "# Each waits for its own image: as many as fill the networks' usual batch.\n"
        f"instance_group [ {{ count: {waiting} kind: KIND_CPU }} ]\n"
        f'parameters {{ key: "model_sha256" value: {{ string_value: "{sha256}" }} }}\n'
    )


def _with_commas(items: Sequence[Listed]) -> list[tuple[Listed, str]]:
    return [(item, "," if place < len(items) - 1 else "") for place, item in enumerate(items)]


def _network_config(request: ConversionRequest, graph: str, backend: str) -> str:
    """Return the configuration of a network's model, in Triton's text format."""
    manifest, spec = request.manifest, request.spec
    pre = manifest.inputs[0].preprocessing
    network = manifest.graph_spec(graph)
    size, each = network.size or pre.size, network.per_image
    entry = manifest.engines.get(spec.engine)
    batch = (entry.batch if entry else None) or spec.batch
    is_gathered = backend != "openvino"
    shape = [size[0], size[1], pre.channel_count]
    first: list[int] = []  # axes before the image's
    warm_first, warm_size = first, each * batch.smallest
    if not is_gathered:
        first, warm_first, warm_size = [-1], [each * batch.smallest], 1
    inputs = "".join(
        f'  {{ name: "{item.name}" data_type: TYPE_UINT8 dims: {first + shape} }}{comma}\n'
        for item, comma in _with_commas(manifest.inputs)
    )
    warm = "".join(
        f'    inputs {{ key: "{item.name}" value: {{ data_type: TYPE_UINT8 '
        f"dims: {warm_first + shape} random_data: true }} }}\n"
        for item in manifest.inputs
    )
    outputs = "".join(
        f'  {{ name: "{item.name}" data_type: TYPE_FP32 dims: {first + list(item.shape[1:])} }}'
        f"{comma}\n"
        for item, comma in _with_commas([o for o in manifest.outputs if o.graph == graph])
    )
    gathering = (
        f"max_batch_size: {each * batch.largest}\n"
        "dynamic_batching {\n"
        f"  preferred_batch_size: [ {each * 2 ** int(math.log2(batch.usual))} ]\n"
        f"  max_queue_delay_microseconds: {spec.queue_delay_us}\n}}\n"
    )
    return (
        f'name: "{graph}"\nbackend: "{backend}"\n'
        f'default_model_filename: "{_file(backend)}"\n'
        f"{gathering if is_gathered else _ANY_NUMBER}"
        f"input [\n{inputs}]\n"
        f"output [\n{outputs}]\n"
        f"instance_group [ {{ count: {spec.instances} kind: "
        f"{'KIND_GPU' if backend == 'tensorrt' else 'KIND_CPU'} }} ]\n"
        f'model_warmup [\n  {{\n    name: "first"\n    batch_size: {warm_size}\n{warm}  }}\n]\n'
        f"{_BFLOAT16 if _is_bfloat16(entry, graph) else ''}"
    )


def _is_bfloat16(entry: EngineEntry | None, graph: str) -> bool:
    return entry is not None and entry.precision == "bfloat16" and not entry.is_float32(graph)


_ANY_NUMBER = """\
# The OpenVINO backend gathers requests only where each batch is full, so the network takes any
# number of images a request, and requests are spread over the instances. It cannot be told to
# compute in float32: processors with AMX compute in bfloat16 what is not int8.
max_batch_size: 0
"""
_BFLOAT16 = 'parameters { key: "HINT_BF16" value: { string_value: "YES" } }\n'


REPOSITORY = Builder(build)
