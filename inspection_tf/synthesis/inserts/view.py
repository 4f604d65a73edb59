"""The pixels of an image in the coordinates of the edge, and patterns drawn in them."""

import dataclasses

import cv2
import numpy as np
from numpy.typing import NDArray

from inspection_tf.synthesis.inserts import damage
from inspection_tf.synthesis.inserts.edge import Edge
from inspection_tf.synthesis.textures import Float


@dataclasses.dataclass(frozen=True, slots=True, eq=False)
class View:
    """Where each pixel lies; all arrays are (H, W), px.

    Attributes:
        edge: the ideal edge.
        right: from the start of the edge in its direction.
        down: from the line of the straight edge, across it.
        along: along the edge, as `edge.Edge.coordinates`.
        depth: from the edge, positive on the flank.
        land: depth at which the wear land ends at this place along the edge.
        missing: depth to which material is missing at this place along the edge.
        is_land: bool, which pixels show the wear land: see `damage.masks`.
        is_missing: bool, where material is missing.
    """

    edge: Edge
    right: Float
    down: Float
    along: Float
    depth: Float
    land: Float
    missing: Float
    is_land: NDArray[np.bool_]
    is_missing: NDArray[np.bool_]

    @classmethod
    def of(cls, edge: Edge, lost: damage.Damage) -> "View":
        """Compute the coordinates of all pixels."""
        plane = edge.plane()
        along, depth = edge.coordinates(plane)
        land, missing = lost.at(along)
        is_land, is_missing = damage.masks(depth, land, missing)
        right, down = plane
        return cls(
            edge,
            right=right.astype(np.float32),
            down=down.astype(np.float32),
            along=along.astype(np.float32),
            depth=depth.astype(np.float32),
            land=land.astype(np.float32),
            missing=missing.astype(np.float32),
            is_land=is_land,
            is_missing=is_missing,
        )

    @property
    def size(self) -> tuple[int, int]:
        """Height and width, px."""
        return self.edge.size

    @property
    def scale(self) -> float:
        """By how much structure that belongs to the whole view is larger than at 192 px."""
        return min(self.size) / 192


def streaks(
    rng: np.random.Generator, lengthwise: Float, across: Float, *, stretch: float, width: float
) -> Float:
    """Return (H, W) noise drawn out along one coordinate, about unit deviation.

    Args:
        rng: source of randomness.
        lengthwise: (H, W) coordinate along the streaks, px.
        across: (H, W) coordinate across them, px.
        stretch: length of a streak, px.
        width: of a streak, px.
    """
    noise = rng.standard_normal((64, 512), dtype=np.float32)
    x = across * np.float32(1 / width) + np.float32(200)
    y = lengthwise * np.float32(1 / stretch) + np.float32(20)
    found = cv2.remap(noise, x, y, cv2.INTER_LINEAR, borderMode=cv2.BORDER_WRAP)
    return np.asarray(found * np.float32(1.4), np.float32)


def speckle(rng: np.random.Generator, size: tuple[int, int], *, sigma: float) -> Float:
    """Return (H, W) blurred noise of about unit deviation."""
    noise = rng.standard_normal(size, dtype=np.float32)
    # A blur by sigma leaves 1 / (2 sqrt(pi) sigma) of the deviation.
    blurred = cv2.GaussianBlur(noise, (0, 0), sigma)
    return np.asarray(blurred * np.float32(2 * np.sqrt(np.pi) * sigma), np.float32)


def ridge(distance: Float, *, width: float) -> Float:
    """Return 1 at distance 0, falling to both sides as a Gaussian of this width."""
    scaled = distance * np.float32(1 / width)
    scaled *= scaled
    scaled *= np.float32(-0.5)
    return np.asarray(np.exp(scaled, out=scaled), np.float32)


def rising(distance: Float, *, width: float = 1.0) -> Float:
    """Return 0 below -width / 2, 1 above width / 2, and a straight line between."""
    return np.asarray(np.clip(distance * np.float32(1 / width) + np.float32(0.5), 0, 1), np.float32)
