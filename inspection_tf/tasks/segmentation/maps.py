"""Probability maps: as a network returns them, and in the size of the source."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from inspection_tf.engines.network import Network, checked
from inspection_tf.images import tiling
from inspection_tf.tasks.base import Context, Prepared
from inspection_tf.tasks.preparation import batched

if TYPE_CHECKING:
    from inspection_tf import images
    from inspection_tf.images.tile_plan import TilePlan


@dataclass(frozen=True, slots=True)
class MapOutput:
    """What a segmenter says of an image.

    Attributes:
        probability: (1, height, width, classes) of the network's input; of the whole image where it
            was cut into tiles.
    """

    probability: NDArray[np.float32]


def to_source(output: MapOutput, prepared: Prepared) -> NDArray[np.float32]:
    """Bring a map to the size of its source.

    Returns:
        (height, width), or (height, width, classes) where there are several classes.
    """
    return laid_out(output.probability[0], prepared.placement)


def laid_out(
    probability: NDArray[np.float32], placement: "images.Placement"
) -> NDArray[np.float32]:
    """Bring (height, width, classes) of the network's input to the source; see `to_source`."""
    layers = np.moveaxis(probability, -1, 0)
    maps = [placement.map_to_source(np.ascontiguousarray(layer)) for layer in layers]
    return maps[0] if len(maps) == 1 else np.stack(maps, axis=-1)


def run(
    network: Network,
    batch: Sequence[Prepared],
    context: Context,
    plan: "TilePlan | None" = None,
) -> list[MapOutput]:
    """Run a segmenter on prepared images, a batch in one call; in tiles one image after the other.

    Args:
        network: the segmenter.
        batch: at least one image.
        context: of the bundle.
        plan: how images that are larger than the network are cut; None: they are not.

    Raises:
        errors.BundleError: it returns another shape or dtype than the bundle says.
    """
    size, classes = context.preprocessing.size, len(context.classes)
    if plan is not None:
        if any(item.image.shape[1:3] != tuple(size) for item in batch):
            return [_in_tiles(network, item, context, plan) for item in batch]
        tiling.say(size, memory_bytes(plan, context, size))  # each image is one tile
    found = checked(network.run(*batched(batch)), (len(batch), *size, classes))
    return [MapOutput(found[place : place + 1]) for place in range(len(batch))]


def _in_tiles(network: Network, item: Prepared, context: Context, plan: "TilePlan") -> MapOutput:
    size, classes = context.preprocessing.size, len(context.classes)

    def run_tiles(tiles: NDArray[np.uint8]) -> NDArray[np.float32]:
        return checked(network.run(tiles), (len(tiles), *size, classes))

    return MapOutput(tiling.run(item.image[0], size, plan, run_tiles, classes=classes))


def memory_bytes(plan: "TilePlan", context: Context, size: tuple[int, int]) -> int:
    """Return the most memory that an image of (height, width) px needs in tiles.

    On the float32 ONNX files, by which it was measured. `Inspector.inspect_many` also holds the
    images that it decodes ahead.
    """
    channels = context.preprocessing.channel_count
    return plan.memory_bytes(size, channels=channels, classes=len(context.classes))
