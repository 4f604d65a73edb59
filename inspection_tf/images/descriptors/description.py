"""An image as one vector of descriptors that all have a name.

Source: the talk on cutting inserts, its slides on wear by description of shape and texture, which
compare these with learned features.
"""

from collections.abc import Callable, Iterable, Iterator
from typing import Any, Literal

import numpy as np
import pydantic
from numpy.typing import NDArray

from inspection_tf import config
from inspection_tf.engines import installed
from inspection_tf.images import preprocessing
from inspection_tf.images.descriptors import (
    co_occurrence,
    gradients,
    local_patterns,
    region_shape,
)

Family = Literal["hog", "lbp", "glcm", "shape"]
Values = NDArray[np.float64]


class TextureOptions(config.Section):
    """How gradients and texture are described, whoever computes the numbers."""

    hog_cells: int = pydantic.Field(default=4, ge=2)
    """Cells along each side."""
    hog_directions: int = pydantic.Field(default=9, ge=2)
    """Directions of a cell's histogram, over 180 degrees."""
    lbp_radii: tuple[pydantic.PositiveInt, ...] = pydantic.Field(default=(1, 2, 3), min_length=1)
    """Radii of the circles of eight neighbours, px."""
    glcm_distances: tuple[pydantic.PositiveInt, ...] = pydantic.Field(
        default=(1, 2, 4), min_length=1
    )
    """Distances between the pixels of a pair, px."""
    glcm_levels: int = pydantic.Field(default=32, ge=2, le=256)
    """Steps to which grey values are rounded down."""


class Options(TextureOptions):
    """What an image is described by."""

    size: tuple[pydantic.PositiveInt, pydantic.PositiveInt] = (224, 224)
    """(height, width), px, to which every image is brought before it is described."""
    families: tuple[Family, ...] = ("hog", "lbp", "glcm", "shape")
    """hog: directions of gradients; lbp: local patterns; glcm: texture; shape: of a region."""
    region: Literal["bright", "dark"] = "bright"
    """On which side of Otsu's threshold the region lies whose shape is described."""
    fourier_harmonics: int = pydantic.Field(default=6, ge=2)
    """Harmonics of the region's outline, on both sides of the first."""


_NAMES: dict[Family, Callable[[Options], Iterator[str]]] = {
    "hog": lambda options: gradients.names(
        cells=options.hog_cells, directions=options.hog_directions
    ),
    "lbp": lambda options: local_patterns.names(radii=options.lbp_radii),
    "glcm": lambda options: co_occurrence.names(distances=options.glcm_distances),
    "shape": lambda options: region_shape.names(harmonics=options.fourier_harmonics),
}
_VALUES: dict[Family, Callable[[NDArray[np.uint8], Options], Values]] = {
    "hog": lambda gray, options: gradients.values(
        gray, cells=options.hog_cells, directions=options.hog_directions
    ),
    "lbp": lambda gray, options: local_patterns.values(gray, radii=options.lbp_radii),
    "glcm": lambda gray, options: co_occurrence.values(
        gray, distances=options.glcm_distances, levels=options.glcm_levels
    ),
    "shape": lambda gray, options: region_shape.values(
        gray, is_bright=options.region == "bright", harmonics=options.fourier_harmonics
    ),
}


def names(options: Options | None = None) -> tuple[str, ...]:
    """Return the name of each number, in the order of `describe`; it begins with its family."""
    chosen = options or Options()
    return tuple(
        f"{family}_{name}" for family in chosen.families for name in _NAMES[family](chosen)
    )


def describe(image: NDArray[Any], options: Options | None = None) -> NDArray[np.float32]:
    """Return the descriptors of an image.

    Args:
        image: (height, width), or with 1 or 3 channels, uint8 or uint16; any size.
        options: `Options()` by default.

    Returns:
        (numbers,) float32, all finite; as many for every image, whatever its size.

    Raises:
        errors.ImageError: it is no image.
        errors.BundleError: scikit-image is absent.
    """
    try:
        import skimage  # noqa: F401  in the families, where it takes half a second to import
    except ImportError as problem:
        what = "Describing an image"
        raise installed.missing("scikit-image", "classical", what) from problem
    chosen = options or Options()
    spec = preprocessing.Preprocessing(size=chosen.size, channels="gray", fit="stretch")
    prepared, _ = preprocessing.preprocess(image, spec)
    gray = prepared[..., 0]
    return np.concatenate([_VALUES[family](gray, chosen) for family in chosen.families]).astype(
        np.float32
    )


def describe_all(
    images: Iterable[NDArray[Any]], options: Options | None = None
) -> NDArray[np.float32]:
    """Return the descriptors of several images, (n, numbers) float32; see `describe`."""
    found = [describe(image, options) for image in images]
    return np.stack(found) if found else np.empty((0, len(names(options))), np.float32)
