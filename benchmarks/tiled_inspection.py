"""Large images through tiles: memory stated and taken, regions in tiles and at once.

    python benchmarks/tiled_inspection.py BUNDLE [--size 4096 --whole 1536 --blending crop]

The images are the bundle's golden ones, side by side. The bundle is copied; its copy gets the plan.
The second part needs the extra `train`: the network is built again for the whole image.
"""

import json
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Annotated, Literal

import numpy as np
import tyro
from numpy.typing import NDArray

from inspection_tf import bench, errors, images, runtime
from inspection_tf.editing import tiles
from inspection_tf.tasks import saved_networks
from inspection_tf.tasks.segmentation import maps

_CHILD = """
import json, sys, time
from inspection_tf import runtime
from inspection_tf.process import memory
from inspection_tf.tasks.segmentation import maps
inspector = runtime.Inspector.load(sys.argv[1])
plan = inspector.manifest.settings.tiles
began = time.perf_counter()
verdict = inspector.inspect(sys.argv[2])
seconds = time.perf_counter() - began
print(json.dumps({
    "seconds": seconds,
    "stated": maps.memory_bytes(plan, inspector.context, verdict.image_size),
    "peak": memory.peak_bytes(),
    "regions": len(verdict.regions),
}))
"""


def _side_by_side(root: Path, side: int) -> NDArray[np.uint8]:
    """Return an image of (side, side) px, the bundle's golden images in rows."""
    frames = [image for image, _ in bench.golden_frames(root)]
    height, width = frames[0].shape[:2]
    rows, columns = -(-side // height), -(-side // width)
    picked = [
        np.concatenate([frames[(row * columns + n) % len(frames)] for n in range(columns)], axis=1)
        for row in range(rows)
    ]
    return np.concatenate(picked)[:side, :side]


def _whole(root: Path, image: NDArray[np.uint8]) -> NDArray[np.float32]:
    """Return what the network says of the whole image: (height, width)."""
    model = saved_networks.load(root / "source" / "model.keras")
    config = model.get_config()
    for layer in config["layers"]:
        if layer["class_name"] == "InputLayer":
            shape = layer["config"]["batch_shape"]
            layer["config"]["batch_shape"] = (shape[0], *image.shape[:2], shape[-1])
    larger = type(model).from_config(config)
    larger.set_weights(model.get_weights())
    batch = image.reshape(1, *image.shape[:2], -1)
    return np.array(larger.predict_on_batch({"image": batch})["probability"])[0, ..., 0]


def main(
    bundle: Annotated[Path, tyro.conf.Positional],
    *,
    size: int = 4096,
    whole: int = 1536,
    blending: Literal["crop", "linear"] = "crop",
) -> int:
    """Print both comparisons; exit code 1 if one does not hold.

    Args:
        bundle: of a segmenter that is fully convolutional.
        size: px, height and width of the image whose memory is measured.
        whole: px, of the image that the network also sees as a whole; 0: none.
        blending: of the tiles.
    """
    with tempfile.TemporaryDirectory() as folder:
        root = Path(shutil.copytree(bundle, Path(folder) / "bundle"))
        plan = tiles.plan_of(tiles.plan(root, blending=blending))
        path = Path(folder) / "large.png"
        images.write_png(path, _side_by_side(root, size))
        words = [sys.executable, "-c", _CHILD, str(root), str(path)]
        done = subprocess.run(words, capture_output=True, text=True, check=False)
        if done.returncode:
            raise errors.BundleError(
                f"The large image must be inspected. Got: {done.stderr[-300:]}. See the bundle."
            )
        result = json.loads(done.stdout.splitlines()[-1])
        holds = result["peak"] <= result["stated"]
        print(
            f"{size} x {size} px, {plan}: peak {result['peak'] / 1e6:.0f} MB of "
            f"{result['stated'] / 1e6:.0f} MB stated, {result['seconds']:.1f} s, "
            f"{result['regions']} regions"
        )
        if whole:
            inspector = runtime.Inspector.load(root)
            image = _side_by_side(root, whole)
            expected = _whole(root, image)
            prepared = inspector.prepare(image)
            off = float(np.abs(inspector.array_of(prepared) - expected).max())
            whole_map = maps.MapOutput(expected[None, ..., None])
            tiled, at_once = (
                [region.box_xyxy for region in verdict.regions]
                for verdict in (
                    inspector.inspect(image),
                    inspector.decide(whole_map, prepared),
                )
            )
            box_distance = (
                float(np.abs(np.array(tiled) - np.array(at_once)).max(initial=0))
                if len(tiled) == len(at_once)
                else float("inf")
            )
            holds &= box_distance <= 1
            print(
                f"{whole} x {whole} px: {len(tiled)} regions in tiles, {len(at_once)} at once, "
                f"boxes at most {box_distance:g} px apart, maps {off:.2g}"
            )
    return 0 if holds else 1


if __name__ == "__main__":
    sys.exit(tyro.cli(main))
