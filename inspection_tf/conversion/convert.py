"""A bundle -> the same bundle with one more engine, proved to decide alike, or nothing.

    converted = convert.convert("bundle", "openvino-int8")

The float32 ONNX files are the reference: they passed the gate against Keras when the bundle was
written.
"""

import dataclasses
import functools
import io
import logging
import platform
import shutil
import tempfile
import time
from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np

from inspection_tf import bench, bundle, errors, files, process, runtime
from inspection_tf.conversion import calibration_set, engine_gate, retreat, targets
from inspection_tf.conversion.request import ConversionRequest, ConvertSpec, load_builder
from inspection_tf.datasets.records import Records
from inspection_tf.editing import rewrite
from inspection_tf.engines.entry import EngineEntry, GoldenSample
from inspection_tf.engines.names import ONNX, PASSED, is_name
from inspection_tf.export import source_data
from inspection_tf.runtime import engine_start

__all__ = ["ConvertSpec", "Converted", "convert"]

_LOG = logging.getLogger("inspection_tf")
_TIMED, _WARM = 15, 3
_LONG = 5.0  # seconds after which no further turn begins


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


class _Images:
    """The bundle's images, read when they are first needed.

    Attributes:
        calibration: those that set the scales of int8; None as long as no builder needs them.
    """

    def __init__(self, manifest: bundle.Manifest, root: Path | None, spec: ConvertSpec) -> None:
        self._manifest, self._root, self._spec = manifest, root, spec
        self.calibration: Records | None = None

    @functools.cached_property
    def _parts(self) -> dict[str, Records]:
        return source_data.parts(self._manifest, self._root)

    def calibrating(self) -> Records:
        """Return the images that set the scales of int8, which are chosen once."""
        if self.calibration is None:
            self.calibration = calibration_set.choose(
                self._parts["train"], count=self._spec.calibration_images, seed=self._spec.seed
            )
        return self.calibration

    def compared(self) -> dict[str, Records]:
        """Return the tune and test images; where every image taught the networks, those.

        Without those that calibrated, if that leaves any.
        """
        untaught = {
            name: part for name, part in self._parts.items() if name != "train" and len(part)
        }
        return untaught or {"train": self._without_calibration(self._parts["train"])}

    def tune(self) -> Records:
        """Return the tune images, or what stands in for them."""
        return self._parts.get("tune") or self._without_calibration(self._parts["train"])

    def _without_calibration(self, part: Records) -> Records:
        used = {record.id for record in self.calibration or ()}
        rest = [record.id for record in part if record.id not in used]
        return part.select(rest) if rest else part


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
        to: one of `targets.TARGETS`.
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
    builder = load_builder(targets.find(to))
    name = name or to
    if not is_name(name):
        raise errors.ConfigError(
            "--name must be of lower-case letters, digits, - and _, not onnx, auto, all or keras. "
            f"Got {name!r}. Choose another."
        )
    files.require_editable(root)
    inspector = runtime.Inspector.load(root)
    manifest = inspector.manifest
    images = _Images(manifest, None if data is None else Path(data), spec)
    networks = engine_start.start(root, manifest, ONNX)

    @functools.cache
    def samples() -> calibration_set.Samples:
        return calibration_set.record_inputs(manifest, networks, images.calibrating())

    def compare_on_tune(changed: Mapping[str, runtime.Network]) -> engine_gate.EngineParity:
        judged = calibration_set.choose(images.tune(), count=spec.judged_images, seed=spec.seed)
        # At one batch size: it is the same network.
        limits = spec.gate.model_copy(update={"batch_sizes": spec.gate.batch_sizes[-1:]})
        other = engine_gate.inspector(manifest, {**networks, **changed}, name)
        with process.bar("judging") as progress:
            return engine_gate.compare(inspector, other, {"tune": judged}, limits, progress)

    search = retreat.Search()
    attempts = 0
    while True:
        attempts += 1
        with tempfile.TemporaryDirectory() as folder:
            request = ConversionRequest(
                root, manifest, name, Path(folder), spec, samples, compare_on_tune, search
            )
            entry = builder.build(request)
            if images.calibration is not None:
                calibration = calibration_set.entry(
                    images.calibration, seed=spec.seed, split="train"
                )
                entry = entry.model_copy(update={"calibration": calibration})
            started = builder.start(request, entry)
            if started is None:
                return Converted(name, entry, _written(request, entry, ()))
            candidate = engine_gate.inspector(manifest, started, name)
            compared = images.compared()
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
            golden = _golden(candidate, request)
            entry = entry.model_copy(
                update={
                    "state": PASSED,
                    "parity": parity.model_dump(mode="json"),
                    "speed": _speed(inspector, candidate, request),
                    "golden": tuple(sample for sample, _ in golden),
                }
            )
            return Converted(name, entry, _written(request, entry, golden))


def _golden(
    candidate: runtime.Inspector, request: ConversionRequest
) -> list[tuple[GoldenSample, bytes]]:
    """Return what the engine says of the bundle's golden samples, and the arrays."""
    found = []
    for number, frame in enumerate(bench.golden_frames(request.root)):
        prepared = candidate.prepare(*frame)
        (output,) = candidate.run([prepared], every_stage=True)
        verdict = candidate.decide(output, prepared)
        buffer = io.BytesIO()
        np.save(buffer, candidate.as_array(output, prepared), allow_pickle=False)
        sample = GoldenSample(
            outcome=verdict.outcome,
            score=verdict.to_dict()["score"],
            output=request.in_bundle(f"golden/{number}.npy"),
        )
        found.append((sample, buffer.getvalue()))
    return found


def _speed(
    reference: runtime.Inspector, candidate: runtime.Inspector, request: ConversionRequest
) -> dict[str, object]:
    """Return median ms an image, decoded frame to verdict, of engine and ONNX in turns."""
    frames = bench.golden_frames(request.root)
    spent: dict[str, dict[str, float]] = {"engine_ms": {}, "onnx_ms": {}}
    sides = {"engine_ms": candidate, "onnx_ms": reference}
    for size in request.spec.gate.batch_sizes:
        batch = [frames[place % len(frames)] for place in range(size)]
        times: dict[str, list[float]] = {side: [] for side in sides}
        first = time.perf_counter()
        for _ in range(_WARM + _TIMED):
            for side, inspector in sides.items():
                began = time.perf_counter()
                bench.inspect_batch(inspector, batch)
                times[side].append(1e3 * (time.perf_counter() - began) / size)
            if time.perf_counter() - first > _LONG:
                break
        for side, values in times.items():
            # Of what takes seconds there may be one turn alone; warming up is little of it.
            counted = values[_WARM:] or values[1:] or values
            spent[side][str(size)] = round(float(np.median(counted)), 3)
    return {**spent, "machine": platform.processor() or platform.machine()}


def _written(
    request: ConversionRequest, entry: EngineEntry, golden: Sequence[tuple[GoldenSample, bytes]]
) -> bundle.Manifest:
    """Put an engine into the bundle; whatever fails, the bundle is as it was."""
    change = rewrite.Change({"engines": {**request.manifest.engines, request.engine_name: entry}})
    engine = request.engine_name if entry.may_run else ONNX
    with rewrite.rewriting(request.root, request.manifest, change, engine=engine) as edit:
        draft = edit.draft
        shutil.rmtree(draft.path(request.in_bundle("-.md")).parent, ignore_errors=True)
        for path in sorted(request.build_folder.rglob("*")):
            if path.is_file():
                name = path.relative_to(request.build_folder).as_posix()
                draft.write(request.in_bundle(name), path.read_bytes())
        for sample, data in golden:
            draft.write(sample.output, data)
    return edit.manifest
