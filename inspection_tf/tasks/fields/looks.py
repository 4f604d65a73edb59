"""What an inspector does to locate a field: the first look, then a close-up of each corner."""

from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from inspection_tf.engines import onnxruntime_engine
from inspection_tf.images import geometry

if TYPE_CHECKING:
    from inspection_tf.engines.onnxruntime_engine import Network
    from inspection_tf.runtime import Prepared
    from inspection_tf.tasks.fields.closeups import CloseupSpec


def to_px(shares: NDArray[Any], size: tuple[int, int]) -> NDArray[np.float64]:
    """Return (4, 2) px of an image of (height, width) from shares of its sides, flat."""
    return geometry.from_shares(np.asarray(shares[:8]).reshape(4, 2), size)


def to_shares(
    corners_xy: NDArray[np.float64], confidence: float, size: tuple[int, int]
) -> NDArray[np.float32]:
    """Return (9,): the corners as shares of the sides of an image, and the confidence."""
    shares = geometry.to_shares(corners_xy, size)
    return np.append(shares.ravel(), confidence).astype(np.float32)


def refined(
    coarse: NDArray[np.float32],
    prepared: "Prepared",
    spec: "CloseupSpec | None",
    refiner: "Network | None",
) -> NDArray[np.float32]:
    """Bring a locator's output to shares of the source, and look at each corner once more.

    Corners that do not go around an area are left as they are: there is nothing to look at. The
    confidence is the lowest of all looks. What is not finite in one look makes all of it nan.

    Args:
        coarse: (9,), of the network's input.
        prepared: the image.
        spec: what the second look sees; None: there is none.
        refiner: the network of the second look.

    Returns:
        (9,), of the source.

    Raises:
        errors.BundleError: the refiner returns another shape or dtype than it should.
    """
    from inspection_tf.tasks.fields import closeups

    placement, confidence = prepared.placement, float(coarse[8])
    if not np.isfinite(coarse).all():
        return np.full(9, np.nan, np.float32)
    corners = placement.points_to_source(to_px(coarse, placement.size))
    pixels = prepared.pixels
    if spec is None or refiner is None or pixels is None or not geometry.is_convex(corners):
        return to_shares(corners, confidence, placement.source_size)
    frames = closeups.frames(corners, spec)
    seen = onnxruntime_engine.checked(refiner.run(closeups.cut(pixels, frames, spec)), (4, 3))
    if not np.isfinite(seen).all():  # the lowest of some numbers and nan may be a number
        return np.full(9, np.nan, np.float32)
    own = geometry.from_shares(seen[:, :2], (spec.size_px, spec.size_px))
    corners = closeups.to_photo(own, frames)
    confidence = min(confidence, float(seen[:, 2].min()))
    return to_shares(corners, confidence, placement.source_size)
