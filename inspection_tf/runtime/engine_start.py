"""Which engine of a bundle runs, and how it is started."""

import functools
import hashlib
import json
import logging
import os
import platform
import time
from collections.abc import Callable, Collection, Mapping
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from inspection_tf import errors, files
from inspection_tf.bundle import listed_files
from inspection_tf.engines import installed, onnxruntime_engine, starting
from inspection_tf.engines.kinds import PACKAGES
from inspection_tf.engines.names import AUTO, ONNX
from inspection_tf.engines.network import Network, StoredNetwork

if TYPE_CHECKING:
    from inspection_tf import bundle

_LOG = logging.getLogger("inspection_tf")
_CALLS, _WARM = 7, 2  # of the timing that chooses


def start(
    root: Path,
    manifest: "bundle.Manifest",
    name: str,
    *,
    threads: int | None = None,
    device: str = "cpu",
    batch: int = 1,
) -> dict[str, Network]:
    """Start every network of an engine.

    Args:
        root: the bundle's folder, already checked.
        manifest: of the bundle.
        name: of the engine; `onnx` is the bundle's own ONNX files.
        threads: of one inference; None: one for each core.
        device: cpu, cuda, tensorrt; of OpenVINO one that it names, such as gpu.
        batch: images a call.

    Returns:
        The graphs by name.

    Raises:
        errors.ConfigError: the bundle has no such engine, or it cannot use such a device or batch.
        errors.BundleError: it cannot be started here, or was not let through.
    """
    read = functools.partial(listed_files.read_listed, root, manifest.files)
    if name == ONNX:
        return {
            graph.name: onnxruntime_engine.start_on(
                device,
                read(graph.file),
                threads=threads,
                outputs=manifest.output_names(graph.name),
            )
            for graph in manifest.graphs
        }
    entry = manifest.engines.get(name)
    if entry is None:
        raise errors.ConfigError(
            f"The engine must be one of {', '.join([AUTO, ONNX, *manifest.engines])}. "
            f"Got {name!r}. Convert the bundle: inspection convert BUNDLE --to {name}."
        )
    if not entry.of_kind.is_runnable:
        raise errors.BundleError(
            f"The engine {name} is for other software ({entry.kind}). Got it asked for here. "
            f"Choose one of {', '.join([AUTO, ONNX])}, or see engines/{name}."
        )
    if not entry.may_run:
        raise errors.BundleError(
            f"The engine {name} must have passed the gate. Got one of state {entry.state!r}. On "
            f"the machine it is for: inspection convert BUNDLE --to {name}."
        )
    tiles = max(graph.must_take for graph in manifest.graph_specs)
    if entry.batch is not None and max(batch, tiles) > entry.batch.largest:
        raise errors.ConfigError(
            f"The engine {name} takes at most {entry.batch.largest} images a call. Got batch "
            f"{batch}, and {tiles} tiles a call. Use less, or convert again with --batch.largest "
            f"{max(batch, tiles)}."
        )
    return {
        graph: starting.start(
            StoredNetwork(graph, entry, read, manifest.output_names(graph)),
            threads=threads,
            device=device,
        )
        for graph in entry.files
    }


def _memory() -> Path:
    home = os.environ.get("XDG_CACHE_HOME") or "~/.cache"
    return Path(home).expanduser() / "inspection_tf" / "engines.json"


def _here(manifest: "bundle.Manifest", *, threads: int | None, device: str, batch: int) -> str:
    """Return what a choice holds for: machine, software, files, threads, device and batch."""
    machine = platform.node(), platform.machine(), platform.processor(), os.cpu_count()
    software = list(installed.versions(*PACKAGES).items())
    run = [("batch", batch), ("device", device), ("threads", threads)]
    about = [machine, software, sorted(manifest.files.items()), run]
    return hashlib.sha256(json.dumps(about).encode()).hexdigest()


def _remembered(key: str, among: Collection[str]) -> str | None:
    try:
        name = json.loads(_memory().read_bytes()).get(key)
    except (OSError, ValueError, AttributeError, RuntimeError):  # the last: there is no home
        return None
    return name if isinstance(name, str) and name in among else None


def _remember(key: str, name: str) -> None:
    try:
        path = _memory()
        try:
            known = dict(json.loads(path.read_bytes()))
        except (OSError, ValueError, TypeError):
            known = {}
        files.make_folder(path.parent)
        files.write(path, json.dumps(known | {key: name}), sync=False)
    except (errors.StorageError, RuntimeError):
        return  # it is timed again the next time


def fastest(
    root: Path,
    manifest: "bundle.Manifest",
    check: Callable[[str, dict[str, Network]], None],
    *,
    threads: int | None = None,
    device: str = "cpu",
    batch: int = 1,
) -> tuple[str, dict[str, Network]]:
    """Start the fastest engine of a bundle that may run on this machine.

    Each is timed on grey images the first time, in all networks that see a whole image; the
    choice is remembered in the user's cache folder (`$XDG_CACHE_HOME/inspection_tf`) for this
    machine, its software, and these files.

    Args:
        root: the bundle's folder, already checked.
        manifest: of the bundle.
        check: raises for an engine that does not reproduce its golden samples.
        threads: of one inference.
        device: see `start`.
        batch: images a call.

    Returns:
        Its name and its networks.

    Raises:
        errors.BundleError: the ONNX files do not run; on another device than the processor, no
            engine does.
        errors.ConfigError: no engine can use the device.
    """
    among = [ONNX, *(name for name, entry in manifest.engines.items() if entry.may_run)]
    key = _here(manifest, threads=threads, device=device, batch=batch)

    def begin(name: str) -> dict[str, Network]:
        return start(root, manifest, name, threads=threads, device=device, batch=batch)

    known = _remembered(key, among)
    if known is not None:
        try:
            networks = begin(known)
            check(known, networks)
        except errors.InspectionError:
            pass  # what it needs was removed since; the others are tried
        else:
            return known, networks
    started: dict[str, dict[str, Network]] = {}
    refused: list[errors.InspectionError] = []
    for name in among:
        try:
            networks = begin(name)
            check(name, networks)
        except errors.InspectionError as problem:
            if name == ONNX and device == "cpu":
                raise
            refused.append(problem)
            continue
        started[name] = networks
    if not started:
        raise refused[0]
    times = batch_seconds(manifest, started, batch)
    best = min(times, key=times.__getitem__)
    _remember(key, best)
    return best, started[best]


def batch_seconds(
    manifest: "bundle.Manifest", started: Mapping[str, dict[str, Network]], batch: int
) -> dict[str, float]:
    """Return the median seconds that each engine takes for a batch; without those that fail.

    The engines take turns, so that what else the machine does slows all of them alike.

    Args:
        manifest: of the bundle.
        started: name of each engine to its networks, by graph.
        batch: images a call.

    Raises:
        errors.InspectionError: each fails; of the last one.
    """
    spec = manifest.inputs[0].preprocessing
    # Their batches are close-ups of one image, however many images there are.
    sees_closeups = {network.name for network in manifest.graph_specs if network.size is not None}
    image = np.full((batch, *spec.input_shape), 127, np.uint8)
    template = image if manifest.has_template else None
    spent: dict[str, list[float]] = {name: [] for name in started}
    for call in range(_WARM + _CALLS):
        for name in list(spent):
            began = time.perf_counter()
            try:
                for graph, network in started[name].items():
                    if graph not in sees_closeups:
                        network.run(image, template)
            except errors.InspectionError as problem:  # so many images do not fit, say
                del spent[name]
                if not spent:
                    raise
                _LOG.warning("%s is left out: %s", name, problem)
                continue
            if call >= _WARM:
                spent[name].append(time.perf_counter() - began)
    return {name: float(np.median(times)) for name, times in spent.items()}
