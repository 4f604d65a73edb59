"""How fast a bundle is on this machine: decoded frame to verdict, stage by stage.

Providers and Keras take turns within each round, so that a machine that slows down slows all.
"""

import dataclasses
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from inspection_tf import errors, images, runtime

Stages = dict[str, float]


@dataclasses.dataclass(frozen=True, slots=True)
class Timing:
    """Times of one way to run a bundle.

    Attributes:
        name: provider of onnxruntime, or `keras`.
        batch_size: images a call of the network.
        p50_ms: median time an image, decoded frame to verdict.
        p95_ms: 95th percentile of the same.
        stages_ms: medians of pre, model and post, an image.
        images_per_s: images a second over all rounds.
    """

    name: str
    batch_size: int
    p50_ms: float
    p95_ms: float
    stages_ms: Stages
    images_per_s: float

    def to_dict(self) -> dict[str, Any]:
        """Return plain values, ready for JSON."""
        return dataclasses.asdict(self)


Network = Callable[[NDArray[np.uint8]], NDArray[Any]]


def _providers() -> list[str]:
    import onnxruntime

    # AzureExecutionProvider is listed by every build and runs nothing here.
    return [name for name in onnxruntime.get_available_providers() if not name.startswith("Azure")]


def _keras_network(root: Path) -> Network | None:
    """Return the source model as Keras predicts it, or None where Keras is not installed."""
    try:
        import keras

        from inspection_tf import losses, metrics  # noqa: F401  registers what a model may hold
    except ImportError:
        return None
    model = keras.saving.load_model(root / "source" / "model.keras", compile=False)

    def predict(batch: NDArray[np.uint8]) -> NDArray[Any]:
        return np.asarray(model.predict({"image": batch}, verbose=0)["probability"])

    return predict


def _once(inspector: runtime.Inspector, network: Network, frames: Sequence[NDArray[Any]]) -> Stages:
    """Return the times of one batch, ms an image."""
    started = time.perf_counter()
    prepared = [images.preprocess(frame, inspector.preprocessing) for frame in frames]
    batch = np.stack([image for image, _ in prepared])
    ready = time.perf_counter()
    output = network(batch)
    ran = time.perf_counter()
    for place, (_, placement) in enumerate(prepared):
        inspector.decide(placement.map_to_source(np.ascontiguousarray(output[place, ..., 0])))
    done = time.perf_counter()
    each = 1e3 / len(frames)
    return {
        "pre": each * (ready - started),
        "model": each * (ran - ready),
        "post": each * (done - ran),
    }


def run(
    root: str | Path,
    *,
    repeats: int = 30,
    batch_size: int = 1,
    threads: int | None = None,
    with_keras: bool = True,
) -> list[Timing]:
    """Time a bundle on its golden images.

    Args:
        root: the bundle's folder.
        repeats: rounds that count, after two that do not.
        batch_size: images a call of the network.
        threads: of one inference; None: one for each core.
        with_keras: also time the source model, where Keras is installed.

    Raises:
        errors.BundleError: the bundle is not as it was written.
        errors.ConfigError: a number is not positive.
    """
    if repeats < 1 or batch_size < 1:
        raise errors.ConfigError(
            "repeats and batch_size must be at least 1. "
            f"Got {repeats} and {batch_size}. Use for example 30 and 1."
        )
    root = Path(root)
    inspector = runtime.Inspector.load(root, threads=threads)
    manifest, model = inspector.manifest, root / inspector.manifest.graphs[0].file
    golden = [images.read(root / name) for name in sorted(manifest.files) if name.endswith(".png")]
    frames = [golden[place % len(golden)] for place in range(batch_size)]
    networks: dict[str, Network] = {
        name: runtime.Engine(model.read_bytes(), threads=threads, providers=(name,)).run
        for name in _providers()
    }
    keras_network = _keras_network(root) if with_keras else None
    if keras_network is not None:
        networks["keras"] = keras_network
    measured: dict[str, list[Stages]] = {name: [] for name in networks}
    for round_number in range(repeats + 2):
        for name, network in networks.items():
            stages = _once(inspector, network, frames)
            if round_number >= 2:
                measured[name].append(stages)
    return [_summary(name, rounds, batch_size) for name, rounds in measured.items()]


def _summary(name: str, rounds: list[Stages], batch_size: int) -> Timing:
    totals = np.array([sum(stages.values()) for stages in rounds])
    return Timing(
        name=name,
        batch_size=batch_size,
        p50_ms=float(np.percentile(totals, 50)),
        p95_ms=float(np.percentile(totals, 95)),
        stages_ms={
            stage: float(np.median([stages[stage] for stages in rounds])) for stage in rounds[0]
        },
        images_per_s=float(1e3 / totals.mean()),
    )
