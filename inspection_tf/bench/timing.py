"""How fast a bundle is on this machine: decoded frame to verdict, stage by stage.

Engines, providers and Keras take turns within each round, so that a machine that slows down slows
all. A turn begins with a batch that does not count: threads of the way before it still spin then,
and the caches hold that one's weights, which an engine that runs by itself never meets.
A cascade is timed as it is, and with both networks on every image, which must decide the same.
"""

import dataclasses
import logging
import math
import time
from collections.abc import Iterable, Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from inspection_tf import bundle, decision, errors, images, runtime
from inspection_tf.bench import peak_memory
from inspection_tf.bench.operator_times import Operator
from inspection_tf.bench.operator_times import profile as profile_model
from inspection_tf.engines.kinds import KINDS
from inspection_tf.engines.network import Network, named_inputs
from inspection_tf.runtime import golden, sources
from inspection_tf.tasks import saved_networks

__all__ = [
    "Frame",
    "Operator",
    "Timing",
    "best",
    "golden_frames",
    "inspect_batch",
    "profile",
    "profile_model",
    "run",
]

Frame = tuple[images.Image, images.Image | None]
"""A decoded image and its template, None where there is none."""
_LOG = logging.getLogger("inspection_tf")
_ENOUGH = 300
"""Images that a way is timed on where the number of rounds is not set."""
_STAGES = ("pre", "model", "post")
_WARM = 20
"""Batches of the round that does not count."""
_LONG = 60.0
"""Seconds after which no further round begins where the number of rounds is not set."""


@dataclasses.dataclass(frozen=True, slots=True)
class Timing:
    """Times of one way to run a bundle.

    Attributes:
        name: provider of onnxruntime, or `keras`; with `, both graphs` where every image goes
            through both networks of a cascade.
        batch_size: images a call of the network.
        p50_ms: median time an image, decoded frame to verdict.
        p95_ms: 95th percentile of the same.
        p99_ms: 99th percentile of the same.
        stages_ms: means of pre, model and post, an image.
        copy_ms: mean of what `pre` spends on copying the frame, so that its owner may fill it anew.
        images_per_s: images a second over all rounds.
        segmented_share: share of the images that went through the segmenter.
        outcomes: of each frame that was timed, in order; those that fill no batch are left out.
        file_bytes: size of the files that it starts from.
        peak_bytes: most memory of a process that does nothing else, at the largest batch size;
            None: it was not measured.
        threads: of one inference; None: one for each core, as Keras always takes them.
    """

    name: str
    batch_size: int
    p50_ms: float
    p95_ms: float
    p99_ms: float
    stages_ms: dict[str, float]
    images_per_s: float
    segmented_share: float = 1.0
    outcomes: tuple[str, ...] = ()
    file_bytes: int = 0
    peak_bytes: int | None = None
    threads: int | None = None
    copy_ms: float = 0.0

    def to_dict(self) -> dict[str, object]:
        """Return plain values, ready for JSON."""
        return dataclasses.asdict(self)


@dataclasses.dataclass(frozen=True)
class Way:
    """A way to run a bundle: a provider of onnxruntime, an engine, or Keras."""

    name: str
    inspector: runtime.Inspector
    every_stage: bool = False
    file_bytes: int = 0
    largest: float = math.inf  # images a call


class _Keras(Network):
    """A source model as Keras predicts it."""

    def __init__(self, path: Path, outputs: Sequence[str]) -> None:
        self.model, self.outputs = saved_networks.load(path), outputs

    def run_all(
        self, batch: NDArray[np.uint8], template: NDArray[np.uint8] | None = None
    ) -> tuple[NDArray[np.float32], ...]:
        found = self.model.predict(named_inputs(batch, template), verbose=0)
        return tuple(np.asarray(found[name]) for name in self.outputs)


def providers() -> list[str]:
    """Return what onnxruntime can run on here."""
    import onnxruntime

    # AzureExecutionProvider is listed by every build and runs nothing here.
    return [name for name in onnxruntime.get_available_providers() if not name.startswith("Azure")]


def _keras_inspector(root: Path, manifest: bundle.Manifest) -> runtime.Inspector | None:
    """Return an inspector on the source models, or None where Keras is not installed."""
    try:
        import keras  # noqa: F401
    except ImportError:
        return None
    networks = {
        spec.name: _Keras(root / spec.source, manifest.output_names(spec.name))
        for spec in manifest.graph_specs
    }
    return runtime.Inspector(manifest, networks, model_sha256="")


def _sizes(root: Path, files: Iterable[str], *, kind: str = "onnxruntime") -> int:
    """Return the bytes of the files that an engine starts from, weights beside them included."""
    listed = set(files)
    weights = {KINDS[kind].weights(file) for file in listed} - {""}
    return sum((root / file).stat().st_size for file in listed | weights)


def _engine_ways(
    root: Path, manifest: bundle.Manifest, engines: Sequence[str], threads: int | None
) -> list[Way]:
    """Return the ways to run engines of a bundle; `all` leaves out those that cannot run here."""
    ways = []
    known = [name for name, entry in manifest.engines.items() if entry.may_run]
    for name in known if "all" in engines else engines:
        try:
            inspector = runtime.Inspector.load(root, engine=name, threads=threads)
        except errors.BundleError as problem:
            if "all" not in engines:
                raise
            _LOG.warning("%s is left out: %s", name, problem)
            continue
        entry = manifest.engines.get(name)
        size = _sizes(root, entry.files.values(), kind=entry.kind) if entry else 0
        largest = entry.batch.largest if entry and entry.batch else math.inf
        ways.append(Way(name, inspector, file_bytes=size, largest=largest))
    return ways


def _ways(
    root: Path,
    *,
    threads: int | None,
    with_keras: bool,
    label: str = "",
    engines: Sequence[str] = (),
) -> list[Way]:
    manifest = runtime.Inspector.load(root, threads=threads).manifest
    size = _sizes(root, (graph.file for graph in manifest.graphs))

    def start(name: str, provider: str) -> runtime.Engine:
        model = (root / manifest.graph(name).file).read_bytes()
        outputs = manifest.output_names(name)
        return runtime.Engine(model, threads=threads, providers=(provider,), outputs=outputs)

    ways = []
    for provider in providers():
        networks = {graph.name: start(graph.name, provider) for graph in manifest.graphs}
        if (
            networks[manifest.main].providers[0] != provider
        ):  # it took the next one; these are not its times
            _LOG.warning("%s is left out: onnxruntime could not start it.", provider)
            continue
        inspector = runtime.Inspector(manifest, networks, model_sha256="")
        ways.append(Way(label + provider, inspector, file_bytes=size))
        if manifest.stage_points:
            ways.append(Way(f"{label}{provider}, both graphs", inspector, every_stage=True))
    ways += _engine_ways(root, manifest, engines, threads)
    keras_inspector = _keras_inspector(root, manifest) if with_keras else None
    return [*ways, Way(f"{label}keras", keras_inspector)] if keras_inspector else ways


def golden_frames(root: str | Path) -> list[Frame]:
    """Return the golden images of a bundle, with their templates."""
    bundle.read(root)
    return golden.frames(Path(root))


def inspect_batch(inspector: runtime.Inspector, frames: Sequence[Frame]) -> list[decision.Verdict]:
    """Return the verdicts on decoded frames, one batch of them."""
    prepared = [inspector.prepare(*frame) for frame in frames]
    outputs = inspector.run(prepared)
    return [inspector.decide(output, item) for output, item in zip(outputs, prepared, strict=True)]


def once(way: Way, frames: Sequence[Frame]) -> tuple[dict[str, float], list[str], int]:
    """Return the times of one batch, ms an image, its outcomes, and how many were segmented."""
    inspector = way.inspector
    started = time.perf_counter()
    taken = [sources.take(*frame, orientation="apply") for frame in frames]
    prepared = [inspector.prepare(item.image, item.template, copy=False) for item in taken]
    ready = time.perf_counter()
    outputs = inspector.run(prepared, every_stage=way.every_stage)
    ran = time.perf_counter()
    verdicts = [
        inspector.decide(output, item) for output, item in zip(outputs, prepared, strict=True)
    ]
    done = time.perf_counter()
    each = 1e3 / len(frames)
    times = {
        "copy": float(np.mean([item.ms for item in taken])),  # a part of the next
        "pre": each * (ready - started),
        "model": each * (ran - ready),
        "post": each * (done - ran),
    }
    # Of each output of a network that ran there is an array.
    every = len(inspector.manifest.outputs)
    rows = sum(len(inspector.task.arrays(output)) >= every for output in outputs)
    return times, [verdict.outcome for verdict in verdicts], rows


def _require_positive(repeats: int, batch_sizes: Sequence[int]) -> None:
    if repeats < 1 or not batch_sizes or min(batch_sizes) < 1:
        raise errors.ConfigError(
            "repeats and batch sizes must be at least 1. "
            f"Got {repeats} and {list(batch_sizes)}. Use for example 30 and 1."
        )


def in_batches(frames: Sequence[Frame], size: int) -> list[list[Frame]]:
    """Return frames in batches of `size`, each full: the first ones are repeated at the end."""
    repeated = list(frames)
    while len(repeated) < size:
        repeated += repeated
    batches = [repeated[first : first + size] for first in range(0, len(repeated), size)]
    return [batch for batch in batches if len(batch) == size]


def run(
    root: str | Path,
    *,
    repeats: int | None = None,
    batch_sizes: Sequence[int] = (1,),
    threads: int | None = None,
    with_keras: bool = True,
    frames: Sequence[Frame] | None = None,
    against: str | Path | None = None,
    engines: Sequence[str] = (),
    memory: bool = False,
) -> list[Timing]:
    """Time a bundle.

    Args:
        root: the bundle's folder.
        repeats: rounds over all frames that count, after one over some that does not; None:
            until some 300 images or a minute, at least one.
        batch_sizes: images a call of the network, each timed.
        threads: of one inference; None: one for each core.
        with_keras: also time the source model, where Keras is installed.
        frames: what to inspect; by default the golden images. How fast a cascade is hangs on
            their mix.
        against: folder of another bundle, which inspects the same frames in turns with this one;
            its ways are called after it.
        engines: names of engines of the bundle; `all`: those that run here.
        memory: also measure the most memory that each engine's process takes.

    Returns:
        For each way to run the bundle one for each batch size that it takes.

    Raises:
        errors.BundleError: a bundle is not as it was written, or an engine does not run here.
        errors.ConfigError: a number is not positive, or there is no such engine.
        errors.DataError: `frames` holds none.
    """
    _require_positive(1 if repeats is None else repeats, batch_sizes)
    if frames is not None and not len(frames):
        raise errors.DataError(
            "There must be an image to time. Got none. Choose another split, or leave it out."
        )
    root = Path(root)
    ways = _ways(root, threads=threads, with_keras=with_keras, engines=engines)
    if against is not None:
        label = f"{bundle.read(against).model_id}: "
        ways += _ways(Path(against), threads=threads, with_keras=with_keras, label=label)
    timed_frames = list(frames or golden_frames(root))
    batches = {size: in_batches(timed_frames, size) for size in batch_sizes}
    rounds = repeats or max(1, round(_ENOUGH / max(len(timed_frames), max(batch_sizes))))
    timed = [(way, size) for size in batch_sizes for way in ways if size <= way.largest]
    for name in {way.name for way in ways} - {way.name for way, _ in timed}:
        _LOG.warning("%s is left out: it takes no batch of %d.", name, min(batch_sizes))
    ran: dict[tuple[str, int], list[tuple[dict[str, float], list[str], int]]] = {}
    times: dict[tuple[str, int], list[dict[str, float]]] = {}
    began = time.perf_counter()
    for round_number in range(rounds + 1):
        for way, size in timed:
            chosen = batches[size] if round_number else batches[size][:_WARM]
            once(way, chosen[0])
            ran[way.name, size] = [once(way, batch) for batch in chosen]
            if round_number:
                stage_times = [stages for stages, _, _ in ran[way.name, size]]
                times.setdefault((way.name, size), []).extend(stage_times)
        if repeats is None and round_number and time.perf_counter() - began > _LONG:
            break
    # Of this bundle, on the processor: what a process of its own can start by name.
    measured = {runtime.ONNX: "CPUExecutionProvider"} | {name: name for name in engines}
    measured |= {way.name: way.name for way in ways if way.inspector.engine_name == way.name}
    peaks = {
        way: peak_memory.of_engine(root, engine, threads, max(batch_sizes))
        for engine, way in measured.items()
        if memory and engine != "all"
    }
    return [
        dataclasses.replace(
            _summary(way.name, times[way.name, size], size, ran[way.name, size]),
            file_bytes=way.file_bytes,
            peak_bytes=peaks.get(way.name),
            threads=None
            if isinstance(next(iter(way.inspector.networks.values())), _Keras)
            else threads,
        )
        for way, size in sorted(timed, key=lambda item: ways.index(item[0]))
    ]


def best(timings: Sequence[Timing]) -> list[Timing]:
    """Return of each way the smallest batch and the one with the most images a second."""
    chosen = []
    for name in dict.fromkeys(timing.name for timing in timings):
        of_way = [timing for timing in timings if timing.name == name]
        first = min(of_way, key=lambda timing: timing.batch_size)
        fastest = max(of_way, key=lambda timing: timing.images_per_s)
        chosen += [first] if fastest is first else [first, fastest]
    return chosen


def profile(root: str | Path, *, repeats: int = 10, threads: int | None = None) -> list[Operator]:
    """Time every operator of every network of a bundle, on its first golden image.

    Args:
        root: the bundle's folder.
        repeats: inferences that count.
        threads: of one inference; None: one for each core.

    Raises:
        errors.BundleError: the bundle is not as it was written.
        errors.ConfigError: `repeats` is not positive.
    """
    _require_positive(repeats, (1,))
    root = Path(root)
    inspector = runtime.Inspector.load(root, threads=threads)
    prepared = inspector.prepare(*golden_frames(root)[0])
    inputs = named_inputs(prepared.image, prepared.template)
    found = []
    for graph in inspector.manifest.graphs:
        model = (root / graph.file).read_bytes()
        spec = inspector.manifest.graph_spec(graph.name)
        if spec.size is not None:
            # What it shows does not matter for the time.
            shape = (spec.per_image, *spec.size, prepared.image.shape[-1])
            inputs = named_inputs(np.zeros(shape, np.uint8))
        found += profile_model(graph.name, model, inputs, repeats=repeats, threads=threads)
    return found


def _summary(
    name: str,
    batches: list[dict[str, float]],
    batch_size: int,
    last: list[tuple[dict[str, float], list[str], int]],
) -> Timing:
    totals = np.array([sum(stages[name] for name in _STAGES) for stages in batches])
    outcomes = tuple(outcome for _, batch_outcomes, _ in last for outcome in batch_outcomes)
    return Timing(
        name=name,
        batch_size=batch_size,
        p50_ms=float(np.percentile(totals, 50)),
        p95_ms=float(np.percentile(totals, 95)),
        p99_ms=float(np.percentile(totals, 99)),
        stages_ms={
            stage: float(np.mean([stages[stage] for stages in batches])) for stage in _STAGES
        },
        copy_ms=float(np.mean([stages.get("copy", 0.0) for stages in batches])),
        images_per_s=float(1e3 / totals.mean()),
        segmented_share=sum(count for _, _, count in last) / len(outcomes),
        outcomes=outcomes,
    )
