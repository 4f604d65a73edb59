"""Whether a network looks where the defect is: the share of heat inside what is annotated.

Heat is a map that says how much each place of an image speaks for the decision, such as a class
activation map. Its cells divide the image evenly: of a map (h, w) on an image (H, W), cell (i, j)
spans rows `i * H / h` to `(i + 1) * H / h` and columns likewise, border on border. Between the
centres of cells heat is bilinear; beyond the outermost centres it stays as it is there.
"""

from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import ArrayLike, NDArray

from inspection_tf import errors


@dataclass(frozen=True, slots=True)
class Evidence:
    """How much of the heat of one image lies in a region.

    Attributes:
        inside: share of the heat, 0..1; 0 where there is no heat.
        area: share of the image that the region covers, over 0 to 1: what heat that knows nothing
            would have inside.
    """

    inside: float
    area: float

    @property
    def ratio(self) -> float:
        """How many times more heat is inside than if it were spread evenly."""
        return self.inside / self.area


def inside_share(
    heat: ArrayLike,
    region: ArrayLike,
    image_size: tuple[int, int],
    *,
    widen: float = 0.0,
) -> Evidence:
    """Return the share of heat inside boxes or a mask.

    Args:
        heat: (h, w), not negative; of any size.
        region: boxes (n, 4) of x0, y0, x1, y1 px, end exclusive, clipped to the image, of which a
            pixel is inside where its centre is; or a mask (H, W) bool of the image.
        image_size: (height, width) px of the image.
        widen: makes each box wider and higher by this share of its own width and height, half of it
            on each side; before it is clipped. Of boxes only.

    Raises:
        errors.DataError: the heat is no map or is negative or not finite, the region has another
            shape, or no pixel of the image lies in it.
        errors.ConfigError: `widen` is negative, or the region to be widened is a mask.
    """
    found = np.asarray(heat, np.float64)
    if found.ndim != 2 or not found.size or not np.isfinite(found).all() or found.min() < 0:
        raise errors.DataError(
            "heat must be a map (h, w) of finite numbers that are not negative. "
            f"Got shape {found.shape}. Cut off what speaks against the class, as Grad-CAM does."
        )
    chosen = region_mask(region, image_size, widen=widen)
    if not chosen.any():
        raise errors.DataError(
            f"A region must hold a pixel of its image of {image_size[0]} x {image_size[1]} px. "
            "Got none. Give the annotation of this image, in its own pixels."
        )
    spread = upsampled(found, image_size)
    total = float(spread.sum())
    inside = float(spread[chosen].sum()) / total if total > 0 else 0.0
    return Evidence(min(inside, 1.0), float(chosen.mean()))


def upsampled(heat: NDArray[np.float64], image_size: tuple[int, int]) -> NDArray[np.float64]:
    """Return heat for every pixel of an image, (H, W); the geometry is that of this module.

    Args:
        heat: (h, w).
        image_size: (height, width) px.
    """
    # OpenCV's bilinear resizing has exactly this geometry.
    height, width = image_size
    resized = cv2.resize(heat, (width, height), interpolation=cv2.INTER_LINEAR)
    return np.asarray(resized, np.float64)


def region_mask(
    region: ArrayLike, image_size: tuple[int, int], *, widen: float = 0.0
) -> NDArray[np.bool_]:
    """Return (H, W), True in boxes or a mask; arguments and errors are those of `inside_share`.

    Raises:
        errors.DataError: the region has another shape, or a box is none.
        errors.ConfigError: `widen` is negative, or the region to be widened is a mask.
    """
    chosen = np.asarray(region)
    if widen < 0 or (widen > 0 and chosen.dtype == np.bool_):
        raise errors.ConfigError(
            f"widen makes boxes larger, by a share of 0 or more. Got {widen} for "
            f"{'a mask' if chosen.dtype == np.bool_ else 'boxes'}. Give boxes and for example 0.1."
        )
    if chosen.dtype == np.bool_ and chosen.shape == tuple(image_size):
        return chosen
    if chosen.dtype == np.bool_ or chosen.ndim != 2 or chosen.shape[1] != 4:
        raise errors.DataError(
            "A region must be boxes (n, 4) of x0, y0, x1, y1, or a mask (H, W) bool of the size of "
            f"the image, {tuple(image_size)}. Got {chosen.dtype} of shape {chosen.shape}. Give one "
            "of the two."
        )
    return _inside_boxes(chosen.astype(np.float64), image_size, widen)


def _inside_boxes(
    boxes: NDArray[np.float64], image_size: tuple[int, int], widen: float
) -> NDArray[np.bool_]:
    """Return (H, W), True on the pixels whose centres lie in one of the boxes."""
    margin = (boxes[:, 2:] - boxes[:, :2]) * widen / 2
    if not np.isfinite(boxes).all() or (margin < 0).any() or (boxes[:, 2:] < boxes[:, :2]).any():
        raise errors.DataError(
            "A box must be x0, y0, x1, y1 with x0 <= x1 and y0 <= y1. "
            f"Got {boxes.tolist()}. Correct the annotation."
        )
    low, high = boxes[:, :2] - margin, boxes[:, 2:] + margin
    x, y = np.arange(image_size[1]) + 0.5, np.arange(image_size[0]) + 0.5
    across = (low[:, :1] <= x) & (x < high[:, :1])  # (n, W)
    down = (low[:, 1:] <= y) & (y < high[:, 1:])  # (n, H)
    return np.asarray((down[:, :, None] & across[:, None, :]).any(axis=0))
