"""What is asked of the builders of engines, and what they give back."""

import contextlib
import dataclasses
import importlib.metadata
import shutil
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path

import pydantic

from inspection_tf import bundle, config, errors, runtime
from inspection_tf.conversion import retreat
from inspection_tf.conversion.calibration_set import Samples
from inspection_tf.conversion.engine_gate import EngineParity, GateSpec
from inspection_tf.engines.entry import BatchProfile, EngineEntry


class ConvertSpec(config.Section):
    """How a bundle is converted."""

    calibration_images: int = pydantic.Field(default=64, ge=1)
    """int8: training images that set the scales."""
    seed: int = 0
    """int8: of their choice."""
    accuracy_control: bool = False
    """openvino-int8: bring operators back to float32 until no metric drops further than the gate
    allows."""
    judged_images: int = pydantic.Field(default=1000, ge=1)
    """int8: tune images on which it is tried how many operators must stay in float32."""
    precision: str = "fp32"
    """tensorrt: fp32, fp16 or int8."""
    compute_capability: str = ""
    """tensorrt: of the GPU that will run it; empty: of this machine's, and 8.9 without one. Only
    TensorRT-RTX builds for another."""
    batch: BatchProfile = BatchProfile()
    """tensorrt: images a call."""
    engine: str = ""
    """triton: an engine of the bundle that it serves; empty: the float32 ONNX files."""
    instances: int = pydantic.Field(default=1, ge=1)
    """triton: of each network."""
    queue_delay_us: int = pydantic.Field(default=2000, ge=0)
    """triton: how long an image waits for others of its batch."""
    gate: GateSpec = GateSpec()


@dataclasses.dataclass(frozen=True)
class Order:
    """One conversion.

    Attributes:
        root: the bundle's folder, already checked.
        manifest: of the bundle.
        name: of the engine; its files will lie in `engines/NAME`.
        folder: empty; what is written into it becomes `engines/NAME`.
        spec: the settings.
        samples: draws what each network is fed on the calibration images.
        judge: compares the bundle on other networks, by graph, with the bundle as it is, on tune
            images.
        search: int8: what was tried before this.
    """

    root: Path
    manifest: bundle.Manifest
    name: str
    folder: Path
    spec: ConvertSpec
    samples: Callable[[], Samples]
    judge: Callable[[dict[str, runtime.Network]], EngineParity]
    search: retreat.Search = dataclasses.field(default_factory=retreat.Search)

    def model(self, graph: str) -> Path:
        """Return the float32 ONNX file of a graph."""
        return self.root / self.manifest.graph(graph).file

    def source(self, graph: str) -> Path:
        """Return the Keras file of a graph."""
        stem = Path(self.manifest.graph(graph).file).stem
        return self.root / "source" / f"{stem}.keras"

    @property
    def graphs(self) -> tuple[str, ...]:
        """Names of the networks, the first one first."""
        return tuple(graph.name for graph in self.manifest.graphs)

    def at(self, file: str) -> str:
        """Return a file of the engine's folder as the manifest names it."""
        return f"engines/{self.name}/{file}"


_LEAST_FREE = 2**20  # bytes; where there is less, what a library could not write is the reason
Builder = Callable[[Order], EngineEntry]


def versions(*packages: str) -> dict[str, str]:
    """Return the versions of packages that are installed."""
    found = {}
    for name in packages:
        try:
            found[name] = importlib.metadata.version(name)
        except importlib.metadata.PackageNotFoundError:
            continue
    return found


def missing(module: str, extra: str, what: str) -> errors.BundleError:
    """Return the error of a builder whose library is not installed."""
    return errors.BundleError(
        f"{what} needs {module}. Got an environment without it. "
        f'Install it: pip install "inspection-tf[{extra}]".'
    )


@contextlib.contextmanager
def blaming(requirement: str, way_out: str = "Choose another engine") -> Iterator[None]:
    """Turn whatever a library stumbles over into the error of a network that it refuses.

    Memory and disk are not the network's fault, and libraries tell of a full disk in their own
    words; so it is looked at.

    Args:
        requirement: what must be possible.
        way_out: what to do.

    Raises:
        errors.BundleError: the library refuses the network.
        errors.StorageError: memory or temporary disk do not suffice.
    """
    try:
        yield
    except (errors.InspectionError, MemoryError):
        raise
    except Exception as problem:
        folder = tempfile.gettempdir()
        if errors.is_full_disk(problem) or shutil.disk_usage(folder).free < _LEAST_FREE:
            raise errors.StorageError(
                f"{folder} must have room for the files of a conversion. Got a full disk "
                f"({first_line(problem)}). Free space, or set TMPDIR to another disk."
            ) from problem
        raise errors.BundleError(
            f"{requirement}. Got: {first_line(problem)}. {way_out}."
        ) from problem


def first_line(problem: BaseException) -> str:
    """Return what a library said, in one line."""
    lines = [line.strip() for line in str(problem).splitlines() if line.strip()]
    return lines[0].rstrip(".") if lines else type(problem).__name__
