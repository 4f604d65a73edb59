"""A bundle -> the same bundle with one more engine, proved to decide alike, or nothing.

    converted = convert.convert("bundle", "openvino-int8")

The float32 ONNX files are the reference: they passed the gate against Keras when the bundle was
written.
"""

import dataclasses
import importlib
import io
import logging
import platform
import shutil
import tempfile
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from inspection_tf import bench, bundle, errors, files, process, runtime
from inspection_tf.conversion import calibration_set, engine_gate, request, retreat
from inspection_tf.conversion.request import ConvertSpec
from inspection_tf.datasets.records import Records
from inspection_tf.engines import openvino_engine
from inspection_tf.engines.entry import EngineEntry, GoldenSample
from inspection_tf.engines.names import NOT_RUN, ONNX, PASSED, is_name
from inspection_tf.export import card, source_data
from inspection_tf.runtime import engine_start

__all__ = ["ENGINES", "ConvertSpec", "Converted", "convert"]

_LOG = logging.getLogger("inspection_tf")
ENGINES = {
    "openvino": "openvino_ir:float32",
    "openvino-bf16": "openvino_ir:bfloat16",
    "openvino-int8": "openvino_ir:int8",
    "onnx-int8": "onnx_int8:int8",
    "onnx-fp16": "onnx_int8:float16",
    "savedmodel": "saved_model:savedmodel",
    "litert": "saved_model:litert",
    "tensorrt": "tensorrt_plan:build",
    "tftrt": "saved_model:tftrt",
    "triton": "triton_repository:build",
}
"""What a bundle can be converted to, and what does it."""
_TIMED, _WARM = 15, 3


@dataclasses.dataclass(frozen=True)
class Converted:
    """An engine that was written.

    Attributes:
        name: of the engine.
        entry: what the manifest says of it.
        manifest: of the bundle as it is now.
    """

    name: str
    entry: EngineEntry
    manifest: bundle.Manifest


class _Data:
    """The bundle's images, read when they are first needed."""

    def __init__(self, manifest: bundle.Manifest, root: Path | None) -> None:
        self._manifest, self._root = manifest, root
        self._parts: dict[str, Records] | None = None

    @property
    def parts(self) -> dict[str, Records]:
        if self._parts is None:
            self._parts = source_data.parts(self._manifest, self._root)
        return self._parts

    def compared(self, calibrated: Sequence[Records]) -> dict[str, Records]:
        """Return the tune and test images; where every image taught the network, those.

        Args:
            calibrated: what int8's scales come from; left out, if that leaves any.
        """
        held = {name: part for name, part in self.parts.items() if name != "train" and len(part)}
        return held or {"train": _without(self.parts["train"], calibrated)}

    def judged(self, calibrated: Sequence[Records]) -> Records:
        """Return the tune images, or what stands in for them."""
        return self.parts.get("tune") or _without(self.parts["train"], calibrated)


def _without(part: Records, calibrated: Sequence[Records]) -> Records:
    seen = {record.id for records in calibrated for record in records}
    left = [record.id for record in part if record.id not in seen]
    return part.select(left) if left else part


def _builder(to: str) -> request.Builder:
    if to not in ENGINES:
        raise errors.ConfigError(
            f"--to must be one of {', '.join(ENGINES)}. Got {to!r}. Choose one."
        )
    module, function = ENGINES[to].split(":")
    found: request.Builder = getattr(
        importlib.import_module(f"inspection_tf.conversion.builders.{module}"), function
    )
    return found


def convert(
    root: str | Path,
    to: str,
    *,
    name: str = "",
    data: str | Path | None = None,
    spec: ConvertSpec | None = None,
) -> Converted:
    """Add an engine to a bundle, or leave the bundle as it is.

    Args:
        root: the bundle's folder.
        to: one of `ENGINES`.
        name: of the engine in the bundle; empty: `to`. One of that name is replaced.
        data: folder of the images that the bundle was made from; None: where they lay.
        spec: how.

    Raises:
        errors.ConfigError: the settings do not fit.
        errors.BundleError: the bundle is not as it was written, or a library is absent or refuses.
        errors.DataError: the images are absent, or not what they were.
        errors.GateError: the engine decides differently; its `report` says how.
        errors.StorageError: the disk is full.
    """
    root, spec = Path(root), spec or ConvertSpec()
    build = _builder(to)
    name = name or to
    if not is_name(name):
        raise errors.ConfigError(
            "--name must be of lower-case letters, digits, - and _, not onnx, auto, all or keras. "
            f"Got {name!r}. Choose another."
        )
    files.require_editable(root)
    inspector = runtime.Inspector.load(root)
    manifest = inspector.manifest
    found = _Data(manifest, None if data is None else Path(data))
    networks = engine_start.start(root, manifest, ONNX)
    calibrated: list[Records] = []

    drawn: list[calibration_set.Samples] = []

    def samples() -> calibration_set.Samples:
        if drawn:
            return drawn[0]
        chosen = calibration_set.choose(
            found.parts["train"], count=spec.calibration_images, seed=spec.seed
        )
        calibrated.append(chosen)
        drawn.append(calibration_set.record_inputs(manifest, networks, chosen))
        return drawn[0]

    def judge(changed: Mapping[str, runtime.Network]) -> engine_gate.EngineParity:
        part = found.judged(calibrated)
        shown = calibration_set.choose(part, count=spec.judged_images, seed=spec.seed)
        # At one batch size: it is the same network.
        limits = spec.gate.model_copy(update={"batch_sizes": spec.gate.batch_sizes[-1:]})
        other = engine_gate.inspector(manifest, {**networks, **changed}, name)
        with process.bar("judging") as progress:
            return engine_gate.compare(inspector, other, {"tune": shown}, limits, progress)

    search = retreat.Search()
    attempts = 0
    while True:
        attempts += 1
        with tempfile.TemporaryDirectory() as folder:
            order = request.Order(root, manifest, name, Path(folder), spec, samples, judge, search)
            entry = build(order)
            if calibrated:
                calibration = calibration_set.entry(calibrated[0], seed=spec.seed, split="train")
                entry = entry.model_copy(update={"calibration": calibration})
            started = _start(order, entry)
            if started is None:
                return Converted(name, entry, _written(order, entry, ()))
            candidate = engine_gate.inspector(manifest, started, name)
            compared = found.compared(calibrated)
            if "train" in compared and attempts == 1:
                _LOG.warning("every image taught the networks: the gate compares on those")
            with process.bar("comparing") as progress:
                parity = engine_gate.compare(inspector, candidate, compared, spec.gate, progress)
            parity = parity.model_copy(update={"attempts": attempts})
            _LOG.info(
                "gate: %d images, largest score difference %s, %d changed verdicts",
                parity.images,
                parity.max_score_difference,
                len(parity.changed_verdicts),
            )
            # What decided alike on the tune images may not do so on all.
            if not parity.passed and search.goes_on():
                _LOG.info("the gate says no: %s", "; ".join(parity.failures))
                continue
            parity.require(name)
            golden = _golden(candidate, root, order)
            entry = entry.model_copy(
                update={
                    "state": PASSED,
                    "parity": parity.model_dump(mode="json"),
                    "speed": _speed(inspector, candidate, root, order),
                    "golden": tuple(sample for sample, _ in golden),
                }
            )
            return Converted(name, entry, _written(order, entry, golden))


def _start(order: request.Order, entry: EngineEntry) -> dict[str, runtime.Network] | None:
    """Start an engine from the folder it was built in; None where this machine cannot run it."""
    own = order.at("")

    def built(file: str) -> Path:
        return order.folder / file.removeprefix(own)

    if entry.kind == "savedmodel":
        from inspection_tf.conversion.builders import saved_model

        return {graph: saved_model.SavedModel(built(file)) for graph, file in entry.files.items()}
    if not entry.of_kind.is_runnable:
        return None
    if entry.precision == "bfloat16" and not openvino_engine.has_bfloat16():
        _LOG.warning(
            "This processor does not compute in bfloat16, so the gate cannot see what it changes. "
            "The entry says %r: convert on a processor that does.",
            NOT_RUN,
        )
        return None
    try:
        return {
            graph: engine_start.start_one(graph, entry, lambda name: built(name).read_bytes())
            for graph in entry.files
        }
    except errors.BundleError as problem:
        if not entry.of_kind.is_for_one_gpu:
            raise
        _LOG.warning("%s The entry says %r: auto never picks it.", problem, NOT_RUN)
        return None


def _golden(
    candidate: runtime.Inspector, root: Path, order: request.Order
) -> list[tuple[GoldenSample, bytes]]:
    """Return what the engine says of the bundle's golden samples, and the arrays."""
    found = []
    for number, frame in enumerate(bench.golden_frames(root)):
        prepared = candidate.prepare(*frame)
        verdict = candidate.judge(prepared)[0]
        buffer = io.BytesIO()
        np.save(buffer, candidate.output(prepared), allow_pickle=False)
        sample = GoldenSample(
            outcome=verdict.outcome,
            score=verdict.to_dict()["score"],
            output=order.at(f"golden/{number}.npy"),
        )
        found.append((sample, buffer.getvalue()))
    return found


def _speed(
    reference: runtime.Inspector, candidate: runtime.Inspector, root: Path, order: request.Order
) -> dict[str, Any]:
    """Return median ms an image, decoded frame to verdict, of engine and ONNX in turns."""
    frames = bench.golden_frames(root)
    spent: dict[str, dict[str, float]] = {"engine_ms": {}, "onnx_ms": {}}
    sides = {"engine_ms": candidate, "onnx_ms": reference}
    for size in order.spec.gate.batch_sizes:
        shown = [frames[place % len(frames)] for place in range(size)]
        times: dict[str, list[float]] = {side: [] for side in sides}
        for turn in range(_WARM + _TIMED):
            for side, inspector in sides.items():
                began = time.perf_counter()
                bench.inspect_batch(inspector, shown)
                if turn >= _WARM:
                    times[side].append(1e3 * (time.perf_counter() - began) / size)
        for side, values in times.items():
            spent[side][str(size)] = round(float(np.median(values)), 3)
    return {**spent, "machine": platform.processor() or platform.machine()}


def _written(
    order: request.Order, entry: EngineEntry, golden: Sequence[tuple[GoldenSample, bytes]]
) -> bundle.Manifest:
    """Put an engine into the bundle; whatever fails, the bundle is as it was."""
    manifest = order.manifest.model_copy(
        update={
            "schema_version": bundle.SCHEMA_VERSION,
            "engines": {**order.manifest.engines, order.name: entry},
        }
    )
    with bundle.editing(order.root, order.manifest) as draft:
        shutil.rmtree(draft.path(order.at("-.md")).parent, ignore_errors=True)
        for path in sorted(order.folder.rglob("*")):
            if path.is_file():
                draft.write(order.at(path.relative_to(order.folder).as_posix()), path.read_bytes())
        for sample, data in golden:
            draft.write(sample.output, data)
        draft.write("MODEL_CARD.md", card.render(manifest))
        sealed = draft.seal(manifest)
        # What refuses itself is never written.
        runtime.Inspector.load(draft.root, engine=order.name if entry.may_run else ONNX)
    return sealed
