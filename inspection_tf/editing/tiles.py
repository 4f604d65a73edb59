"""A tile plan for a bundle that is already out, so that it takes images of any size."""

import datetime
import math
import re
import signal
import subprocess
import sys
from pathlib import Path
from typing import Literal

from inspection_tf import bundle, errors, files, runtime
from inspection_tf.editing import receptive
from inspection_tf.engines.names import STALE
from inspection_tf.export import card, kit, onnx_metadata
from inspection_tf.images.tile_plan import TilePlan

_CHILD = """
import sys
import numpy as np
from inspection_tf import runtime
from inspection_tf.process import memory
inspector = runtime.Inspector.load(sys.argv[1])
spec = inspector.preprocessing
channels = 1 if spec.channels == "gray" else 3
tiles = np.full((int(sys.argv[2]), *spec.size, channels), 127, np.uint8)
for _ in range(3):
    inspector.engine.run(tiles)
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
    manifest = runtime.Inspector.load(root).manifest
    spec = manifest.inputs[0].preprocessing
    if manifest.task != "segmentation" or manifest.has_template or spec.fit != "exact":
        raise errors.BundleError(
            "Tiles need a bundle of one segmenter for single images, with fit: exact. Got "
            f"{manifest.task}, {len(manifest.inputs)} inputs, fit: {spec.fit}. Train such a one."
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
    asked = TilePlan(
        stride=stride,
        margin=margin,
        total_stride=total,
        blending=blending,
        edges=edges,
        batch=batch,
        network_bytes=_network_bytes(root, batch),
    )
    if problem := asked.problem(spec.size):
        raise errors.ConfigError(f"{problem}. Got {stride}. Leave --stride out.")
    return _written(root, manifest, asked)


def _network_bytes(root: Path, batch: int) -> int:
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


def _written(root: Path, manifest: bundle.Manifest, asked: TilePlan) -> bundle.Manifest:
    edit = {
        "at": datetime.datetime.now(datetime.UTC).isoformat(timespec="seconds"),
        "what": "tiles",
        "before": None if manifest.tiles is None else manifest.tiles.model_dump(mode="json"),
        "after": asked.model_dump(mode="json"),
    }
    changed = manifest.model_copy(
        update={
            "schema_version": bundle.SCHEMA_VERSION,
            "tiles": asked,
            # Triton's verdict step has a copy of the manifest.
            "engines": {
                name: entry.model_copy(update={"state": STALE}) if entry.kind == "triton" else entry
                for name, entry in manifest.engines.items()
            },
            "audit": (*manifest.audit, edit),
        }
    )
    with bundle.editing(root, manifest) as draft:
        for graph in changed.graphs:
            texts = {"inspection_tf": changed.for_model(), "model_id": changed.model_id}
            draft.write(
                graph.file, onnx_metadata.set_metadata((root / graph.file).read_bytes(), texts)
            )
        draft.write("MODEL_CARD.md", card.render(changed))
        kit.write(draft, changed)
        sealed = draft.seal(changed)
        runtime.Inspector.load(draft.root)  # images of the network's size are one tile
    return sealed


__all__ = ["TilePlan", "plan"]
