"""A tile plan for a bundle that is already out, so that it takes images of any size."""

import math
import re
import signal
import subprocess
import sys
from pathlib import Path
from typing import Literal

from inspection_tf import bundle, errors, files, runtime, tasks
from inspection_tf.editing import receptive, rewrite
from inspection_tf.engines.entry import EngineEntry
from inspection_tf.export import onnx_metadata
from inspection_tf.images.tile_plan import TilePlan

_CHILD = """
import sys
import numpy as np
from inspection_tf import runtime
from inspection_tf.process import memory
inspector = runtime.Inspector.load(sys.argv[1])
spec = inspector.preprocessing
tiles = np.full((int(sys.argv[2]), *spec.input_shape), 127, np.uint8)
for _ in range(3):
    inspector.networks[inspector.manifest.main].run(tiles)
print(memory.peak_bytes())
"""
_SLACK = 1.1  # allocators differ from run to run


def plan(
    root: str | Path,
    *,
    margin: int | None = None,
    stride: int | None = None,
    blending: Literal["crop", "linear"] = "crop",
    edges: Literal["reflect", "replicate", "zero"] = "reflect",
    batch: int = 1,
) -> bundle.Manifest:
    """Give a bundle a tile plan: images of any size are then inspected, at their own scale.

    Args:
        root: the bundle's folder.
        margin: px at each border of a tile that are not used; None: half the receptive field.
        stride: px from tile to tile; None: as far as the margins allow.
        blending: see `TilePlan`.
        edges: see `TilePlan`.
        batch: tiles a call of the network.

    Returns:
        The manifest as it is now.

    Raises:
        errors.ConfigError: margin and stride do not fit the network.
        errors.BundleError: the bundle is not as it was written, or its network is not fully
            convolutional.
        errors.StorageError: the disk is full; the bundle is as it was.
    """
    root = Path(root)
    files.require_editable(root)
    onnx_metadata.require_library()
    manifest = runtime.Inspector.load(root).manifest
    spec = manifest.inputs[0].preprocessing
    if not _takes_tiles(manifest):
        raise errors.BundleError(
            "Tiles need a bundle of one segmenter for single images, with fit: exact. Got "
            f"{manifest.task}, {len(manifest.inputs)} inputs, fit: {spec.fit}"
            f"{', and a focus' if spec.focus.is_wanted else ''}. Train such a one."
        )
    for name, entry in manifest.engines.items():
        if entry.batch is not None and batch > entry.batch.largest:
            raise errors.ConfigError(
                f"The engine {name} takes at most {entry.batch.largest} images a call. Got {batch} "
                f"tiles. Use fewer, or convert again with --batch.largest {batch}."
            )
    reach = receptive.reach(root / manifest.graph(manifest.main).file)
    total = round(reach.total_stride)
    # Strided convolutions pad more on one side than on the other, by up to half a stride.
    least = math.ceil(reach.field / 2 + total / 2)
    margin = least if margin is None else margin
    most = (min(spec.size) - 2 * margin) // total * total
    stride = most if stride is None else stride
    if margin < least or not 0 < stride <= most or stride % total:
        raise errors.ConfigError(
            f"The margin must be at least half the receptive field, {least} px, and the stride a "
            f"multiple of the network's total stride, {total} px, up to {max(most, 0)} px. "
            f"Got a margin of {margin} and a stride of {stride}. Leave them out, or export the "
            "network for larger images."
        )
    tile_plan = TilePlan(
        stride=stride,
        margin=margin,
        total_stride=total,
        blending=blending,
        edges=edges,
        batch=batch,
        network_bytes=network_bytes(root, batch),
    )
    if problem := tile_plan.problem(spec.size):
        raise errors.ConfigError(f"{problem}. Got {stride}. Leave --stride out.")
    audit = rewrite.note(
        "tiles",
        before=manifest.settings.model_dump(mode="json")["tiles"],
        after=tile_plan.model_dump(mode="json"),
    )
    settings = tasks.get(manifest.task).tiled(manifest.settings, tile_plan)
    change = rewrite.Change({"settings": settings}, audit, stops=_is_stopped)
    with rewrite.rewriting(root, manifest, change) as edit:
        pass  # images of the network's size are one tile: golden samples stay as they are
    return edit.manifest


def plan_of(manifest: bundle.Manifest) -> TilePlan:
    """Return the tile plan of a bundle that has one."""
    found = getattr(manifest.settings, "tiles", None)
    if not isinstance(found, TilePlan):
        raise errors.BundleError(
            "The bundle must have a tile plan. Got one without. Run `inspection tiles` on it."
        )
    return found


def _takes_tiles(manifest: bundle.Manifest) -> bool:
    """Return whether images may be cut into tiles: single ones, in their own scale."""
    any_plan = TilePlan(stride=1, margin=0, total_stride=1)
    has_tiles = tasks.get(manifest.task).tiled(manifest.settings, any_plan) is not None
    spec = manifest.inputs[0].preprocessing
    sees_all = spec.fit == "exact" and not spec.focus.is_wanted
    return has_tiles and sees_all and not manifest.has_template


def _is_stopped(entry: EngineEntry) -> bool:
    """Return whether an engine holds a copy of the manifest, which knows nothing of tiles."""
    return entry.of_kind.copies_manifest


def network_bytes(root: Path, batch: int) -> int:
    """Return the most memory of a process that runs a batch of tiles, and some more."""
    done = subprocess.run(
        [sys.executable, "-P", "-c", _CHILD, str(root), str(batch)],
        capture_output=True,
        text=True,
        check=False,
    )
    if done.returncode:
        last = (done.stderr.splitlines() or ["no reason"])[-1]
        # Systems end a process that takes too much, and onnxruntime says so in its own words.
        if done.returncode == -signal.SIGKILL or re.search("memory|alloc", last, re.IGNORECASE):
            raise errors.StorageError(
                f"{batch} tiles must fit into memory. Got: {last}. Use a smaller batch."
            )
        raise errors.BundleError(
            f"{root}: the network must run on {batch} tiles in a process of its own. Got: {last}. "
            "Run `inspection verify` on the bundle."
        )
    return round(_SLACK * int(done.stdout.split()[-1]))


__all__ = ["TilePlan", "plan"]
