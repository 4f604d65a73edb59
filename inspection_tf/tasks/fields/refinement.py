"""How a field is located: the locator sees the photo, then a refiner a close-up of each corner."""

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from inspection_tf.engines.network import Network, checked
from inspection_tf.images import geometry
from inspection_tf.tasks.base import Prepared

if TYPE_CHECKING:
    from inspection_tf.tasks.fields.closeups import CloseupSpec


@dataclass(frozen=True, slots=True)
class FieldCorners:
    """Four corners and how sure a network is that there is a field.

    Attributes:
        shares_xy: (4, 2), x and y of top left, top right, bottom right and bottom left as shares of
            the width and the height of an image, 0 on its left or upper border.
        confidence: 0..1.
    """

    shares_xy: NDArray[np.float32]
    confidence: float

    @classmethod
    def from_row(cls, row: NDArray[np.float32]) -> "FieldCorners":
        """Read what a network returns for an image: (9,), the corners flat, then the confidence."""
        return cls(np.asarray(row[:8], np.float32).reshape(4, 2), float(row[8]))

    @classmethod
    def from_px(
        cls, corners_xy: NDArray[np.float64], confidence: float, size: tuple[int, int]
    ) -> "FieldCorners":
        """Return corners in px of an image of (height, width) as shares of its sides."""
        return cls(geometry.to_shares(corners_xy, size).astype(np.float32), confidence)

    @classmethod
    def undefined(cls) -> "FieldCorners":
        """Return what stands for an output that is not finite."""
        return cls(np.full((4, 2), np.nan, np.float32), np.nan)

    def as_row(self) -> NDArray[np.float32]:
        """Return (9,): the corners flat, then the confidence."""
        return np.append(self.shares_xy.ravel(), self.confidence).astype(np.float32)

    def to_px(self, size: tuple[int, int]) -> NDArray[np.float64]:
        """Return (4, 2) px of an image of (height, width)."""
        return geometry.from_shares(self.shares_xy, size)

    @property
    def is_finite(self) -> bool:
        """Whether every number is finite."""
        return bool(np.isfinite(self.shares_xy).all() and np.isfinite(self.confidence))


def locate(network: Network, batch: NDArray[np.uint8]) -> list[FieldCorners]:
    """Return what the locator says of images, in shares of the network's input.

    Args:
        network: the locator.
        batch: (images, height, width, channels).

    Raises:
        errors.BundleError: it returns another shape or dtype than it should.
    """
    return [FieldCorners.from_row(row) for row in checked(network.run(batch), (len(batch), 9))]


def both_px(coarse: FieldCorners, located: FieldCorners, prepared: Prepared) -> NDArray[np.float64]:
    """Return (8, 2) px of the source: the corners before and after the refiner."""
    placed = prepared.placement
    first = placed.points_to_source(coarse.to_px(placed.size))
    return np.concatenate([first, located.to_px(placed.source_size)])


def refined(
    coarse: FieldCorners,
    prepared: Prepared,
    spec: "CloseupSpec | None",
    refiner: Network | None,
) -> FieldCorners:
    """Bring what a locator says to shares of the source, and look at each corner once more.

    Corners that do not go around an area are left as they are: there is nothing to look at. The
    confidence is the lowest of all answers. What is not finite in one of them makes all of it nan.

    Args:
        coarse: in shares of the network's input.
        prepared: the image.
        spec: what the refiner sees; None: there is none.
        refiner: the network that looks at each corner.

    Returns:
        In shares of the source.

    Raises:
        errors.BundleError: the refiner returns another shape or dtype than it should.
    """
    from inspection_tf.tasks.fields import closeups

    placement, confidence = prepared.placement, coarse.confidence
    if not coarse.is_finite:
        return FieldCorners.undefined()
    corners = placement.points_to_source(coarse.to_px(placement.size))
    pixels = prepared.pixels
    if spec is None or refiner is None or pixels is None or not geometry.is_convex(corners):
        return FieldCorners.from_px(corners, confidence, placement.source_size)
    frames = closeups.frames(corners, spec)
    answers = checked(refiner.run(closeups.cut(pixels, frames, spec)), (4, 3))
    if not np.isfinite(answers).all():  # the lowest of some numbers and nan may be a number
        return FieldCorners.undefined()
    refined_px = geometry.from_shares(answers[:, :2], (spec.size_px, spec.size_px))
    corners = closeups.to_photo(refined_px, frames)
    confidence = min(confidence, float(answers[:, 2].min()))
    return FieldCorners.from_px(corners, confidence, placement.source_size)
