"""From a decoded image to what the networks of a bundle take."""

import dataclasses
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from inspection_tf import errors

if TYPE_CHECKING:
    from inspection_tf import bundle, images


@dataclasses.dataclass(frozen=True, slots=True)
class Prepared:
    """An image, and its template if there is one, as the networks take them.

    Attributes:
        image: (1, height, width, channels), uint8; where the bundle has tiles, the whole image.
        template: likewise, or None.
        placement: where the source lies in it.
        pixels: (H, W) or (H, W, 3) uint8, the source in the channels of the networks, for a second
            look; None where there is none.
    """

    image: NDArray[np.uint8]
    template: NDArray[np.uint8] | None
    placement: "images.Placement"
    pixels: NDArray[np.uint8] | None = None


def prepare(
    manifest: "bundle.Manifest",
    image: NDArray[Any],
    template: NDArray[Any] | None = None,
) -> Prepared:
    """Align and preprocess a decoded image; what comes out may share its memory.

    Args:
        manifest: of the bundle.
        image: (height, width) or (height, width, 3) RGB, uint8 or uint16.
        template: likewise; what the image should look like.

    Raises:
        errors.ImageError: a template is missing, of another size, or not wanted; or the image
            does not fit the bundle.
    """
    from inspection_tf import images
    from inspection_tf.images import registration

    spec = manifest.inputs[0].preprocessing
    if (template is not None) != manifest.has_template:
        raise errors.ImageError(
            "This bundle compares each image with its template. Got an image without one. "
            "Give its template."
            if template is None
            else "This bundle inspects images alone. Got a template too. Leave it out."
        )
    if template is None:
        # The steps of `images.preprocess`, of which a second look needs the first.
        image = images.read(image)
        size = (image.shape[0], image.shape[1])
        if manifest.tiles is not None:  # of its own scale, whatever its size
            spec = spec.model_copy(update={"size": size})
        placement = images.placement(size, spec)
        pixels = images.in_channels(image, spec)
        prepared = images.lay(pixels, placement)
        keeps_pixels = manifest.closeups is not None  # for the second look
        return Prepared(prepared[None], None, placement, pixels if keeps_pixels else None)
    prepared, laid, placement = registration.prepare(image, template, spec, manifest.alignment)
    return Prepared(prepared[None], laid[None], placement)
