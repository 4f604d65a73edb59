"""A conversion as the builders of engines get it, and what a builder is."""

import dataclasses
import importlib
import logging
from collections.abc import Callable
from pathlib import Path

import pydantic

from inspection_tf import bundle, config, errors, runtime
from inspection_tf.conversion import retreat
from inspection_tf.conversion.calibration_set import Samples
from inspection_tf.conversion.engine_gate import EngineParity, GateSpec
from inspection_tf.conversion.targets import Target, heeding
from inspection_tf.engines import starting
from inspection_tf.engines.entry import BatchProfile, EngineEntry
from inspection_tf.engines.names import FOLDER, NOT_RUN
from inspection_tf.engines.network import StoredNetwork

_LOG = logging.getLogger("inspection_tf")
Networks = dict[str, runtime.Network]
"""Graph to the network that runs it."""


class ConvertSpec(config.Section):
    """How a bundle is converted."""

    calibration_images: int = pydantic.Field(
        default=64,
        ge=1,
        description=heeding("calibration_images", "training images that set the scales of int8."),
    )
    seed: int = pydantic.Field(default=0, description=heeding("seed", "of their choice."))
    accuracy_control: bool = pydantic.Field(
        default=False,
        description=heeding(
            "accuracy_control",
            "bring operators back to float32 until no metric drops further than the gate allows.",
        ),
    )
    judged_images: int = pydantic.Field(
        default=1000,
        ge=1,
        description=heeding(
            "judged_images",
            "tune images on which it is tried how many operators must stay in float32.",
        ),
    )
    precision: str = pydantic.Field(
        default="fp32", description=heeding("precision", "fp32, fp16 or, of tensorrt, int8.")
    )
    compute_capability: str = pydantic.Field(
        default="",
        description=heeding(
            "compute_capability",
            "of the GPU that will run it; empty: of this machine's, and 8.9 without one. Only "
            "TensorRT-RTX builds for another.",
        ),
    )
    batch: BatchProfile = pydantic.Field(
        default=BatchProfile(), description=heeding("batch", "images a call.")
    )
    engine: str = pydantic.Field(
        default="",
        description=heeding(
            "engine", "an engine of the bundle that it serves; empty: the float32 ONNX files."
        ),
    )
    instances: int = pydantic.Field(
        default=1, ge=1, description=heeding("instances", "of each network.")
    )
    queue_delay_us: int = pydantic.Field(
        default=2000,
        ge=0,
        description=heeding("queue_delay_us", "how long an image waits for others of its batch."),
    )
    gate: GateSpec = GateSpec()


@dataclasses.dataclass(frozen=True)
class ConversionRequest:
    """One conversion of a bundle to an engine.

    Attributes:
        root: the bundle's folder, already checked.
        manifest: of the bundle.
        engine_name: of the engine; its files will lie in `engines/ENGINE_NAME`.
        build_folder: empty; what is written into it becomes `engines/ENGINE_NAME`.
        spec: the settings.
        calibration_samples: returns what each network is fed on the calibration images.
        compare: compares the bundle on other networks, by graph, with the bundle as it is, on tune
            images.
        search: int8: what was tried before this.
    """

    root: Path
    manifest: bundle.Manifest
    engine_name: str
    build_folder: Path
    spec: ConvertSpec
    calibration_samples: Callable[[], Samples]
    compare: Callable[[Networks], EngineParity]
    search: retreat.Search = dataclasses.field(default_factory=retreat.Search)

    @property
    def graphs(self) -> tuple[str, ...]:
        """Names of the networks, the first one first."""
        return tuple(graph.name for graph in self.manifest.graphs)

    def onnx_file(self, graph: str) -> Path:
        """Return the float32 ONNX file of a graph."""
        return self.root / self.manifest.graph(graph).file

    def keras_file(self, graph: str) -> Path:
        """Return the Keras file of a graph."""
        return self.root / self.manifest.graph_spec(graph).source

    def outputs(self, graph: str) -> tuple[str, ...]:
        """Return the names of the outputs of a graph, in the order of the manifest."""
        return self.manifest.output_names(graph)

    def in_bundle(self, file: str) -> str:
        """Return a file of the build folder as the manifest will name it."""
        return f"{FOLDER}/{self.engine_name}/{file}"

    def tolerating(self, entry: EngineEntry) -> EngineEntry:
        """Return an entry whose golden samples may be off elsewhere by what the gate lets pass."""
        limits = self.spec.gate
        return entry.model_copy(
            update={"score_tolerance": limits.band, "output_tolerance": limits.metric_drop}
        )

    def built_file(self, listed: str) -> Path:
        """Return where a file that the manifest will name lies now."""
        return self.build_folder / listed.removeprefix(self.in_bundle(""))


def start_built(request: ConversionRequest, entry: EngineEntry) -> Networks | None:
    """Start an engine from the folder it was built in, for the gate.

    Returns:
        Its networks; None where this machine cannot run it, or other software does.

    Raises:
        errors.BundleError: its software refuses a network, which it should not.
    """
    if not entry.of_kind.is_runnable:
        return None

    def read(file: str) -> bytes:
        return request.built_file(file).read_bytes()

    try:
        return {
            graph: starting.start(StoredNetwork(graph, entry, read, request.outputs(graph)))
            for graph in entry.files
        }
    except errors.BundleError as problem:
        if not entry.of_kind.is_for_one_gpu:
            raise
        _LOG.warning("%s The entry says %r: auto never picks it.", problem, NOT_RUN)
        return None


@dataclasses.dataclass(frozen=True, slots=True)
class Builder:
    """What builds the engines of a target; each file of `builders/` has one for each.

    Attributes:
        build: writes the engine into the build folder; returns what the manifest will say of it.
        start: starts what was built, for the gate; None from it: the engine is built, not run.
    """

    build: Callable[[ConversionRequest], EngineEntry]
    start: Callable[[ConversionRequest, EngineEntry], Networks | None] = start_built


def load_builder(target: Target) -> Builder:
    """Return the builder of a target; its file is imported here."""
    file, name = target.builder.split(":")
    module = importlib.import_module(f"inspection_tf.conversion.builders.{file}")
    builder: Builder = getattr(module, name)
    return builder
