"""`inspection tiles`: a plan for images that are larger than the network."""

from typing import Literal

from inspection_tf import errors, process
from inspection_tf.cli.arguments import Bundle


def tiles(
    bundle: Bundle,
    /,
    *,
    margin: int | None = None,
    stride: int | None = None,
    blending: Literal["crop", "linear"] = "crop",
    edges: Literal["reflect", "replicate", "zero"] = "reflect",
    batch: int = 1,
    image_size: tuple[int, int] = (4096, 4096),
) -> int:
    """Let a bundle take images of any size, cut into overlapping tiles of their own scale.

    Args:
        bundle: folder of the bundle.
        margin: px at each border of a tile that are not used; half the receptive field by default.
        stride: px from tile to tile; by default as far as the margins allow.
        blending: crop, or a mean that fades over where tiles overlap beyond their margins.
        edges: what lies beyond the image.
        batch: tiles a call of the network.
        image_size: height and width, px, that tiles and memory are told for.
    """
    from inspection_tf.editing import tiles as planning
    from inspection_tf.images import tiling

    manifest = planning.plan(
        bundle, margin=margin, stride=stride, blending=blending, edges=edges, batch=batch
    )
    plan, spec = planning.plan_of(manifest), manifest.inputs[0].preprocessing
    memory = plan.memory_bytes(
        image_size, channels=spec.channel_count, classes=len(manifest.classes)
    )
    count = tiling.count(image_size, spec.size, plan)
    process.say(
        f"{manifest.model_id}: tiles of {spec.size[0]} x {spec.size[1]} px every {plan.stride} px, "
        f"margin {plan.margin} px"
    )
    process.say(
        f"{image_size[0]} x {image_size[1]} px: {count} tiles, at most {memory / 1e6:.0f} MB"
    )
    return errors.OK
