"""Regions of a probability map, and zones on the image: the geometry of `decision`.

Coordinates: pixel indices of the map, which has the size of the source image. The centre of the
first pixel is (0, 0); boxes end exclusively. Zones are outlines on the image: its left edge is 0,
its right edge its width, and a pixel belongs to a zone when its centre lies inside.
"""

import functools
from dataclasses import dataclass
from typing import Any, Literal, TypeVar

import cv2
import numpy as np
import pydantic
from numpy.typing import NDArray

from inspection_tf import config, errors

FloatT = TypeVar("FloatT", bound=np.floating)


class Zone(config.Section):
    """A part of the image that is inspected, or that is ignored: a box or a polygon."""

    name: str
    """Named in reasons and audits."""
    kind: Literal["inspect", "ignore"] = "ignore"
    """ignore: nothing in it counts. inspect: where there are such zones, nothing else counts."""
    box_xyxy: tuple[float, float, float, float] | None = None
    """Left, top, right, bottom edge."""
    polygon_xy: tuple[tuple[float, float], ...] | None = None
    """Corners of an outline that closes itself."""
    unit: Literal["px", "fraction"] = "px"
    """Of the coordinates: source pixels, or fractions of width and height."""

    @pydantic.model_validator(mode="after")
    def _has_one_outline(self) -> "Zone":
        if (self.box_xyxy is None) == (self.polygon_xy is None):
            raise ValueError(f"zone {self.name!r} must have either box_xyxy or polygon_xy")
        if self.polygon_xy is not None and len(self.polygon_xy) < 3:
            raise ValueError(f"the polygon of zone {self.name!r} must have at least 3 corners")
        if self.box_xyxy and not (
            self.box_xyxy[0] < self.box_xyxy[2] and self.box_xyxy[1] < self.box_xyxy[3]
        ):
            raise ValueError(f"the box of zone {self.name!r} must be left < right, top < bottom")
        return self


@dataclass(frozen=True, slots=True)
class Regions:
    """The 8-connected regions of one map, by falling peak (n of them, as arrays)."""

    labels: NDArray[np.int32]  # (h, w), a crop of the map; 0 is background
    offset_xy: tuple[int, int]  # of the crop
    label: NDArray[np.int64]  # (n,) in `labels`
    area_px: NDArray[np.int64]
    inspected_px: NDArray[np.int64]  # the part of the area that is inspected
    peak: NDArray[np.float64]
    mean: NDArray[np.float64]
    box_xyxy: NDArray[np.int64]  # (n, 4)
    centroid_xy: NDArray[np.float64]  # (n, 2)

    def __len__(self) -> int:
        """Return the number of regions."""
        return len(self.label)

    def mask(self, index: int) -> NDArray[np.bool]:
        """Return the pixels of a region within its box."""
        x0, y0, x1, y1 = self.box_xyxy[index] - np.tile(self.offset_xy, 2)
        inside: NDArray[np.bool] = self.labels[y0:y1, x0:x1] == self.label[index]
        return inside

    def ellipse(
        self, index: int, *, size: tuple[int, int]
    ) -> tuple[tuple[int, int, int, int], NDArray[np.bool]]:
        """Return box and pixels of the ellipse with a region's centroid and second moments.

        A full disc or ellipse gives itself: its variance along an axis is a quarter of the half
        axis squared.

        Args:
            index: of the region.
            size: (height, width) of the map; what lies outside is cut off.
        """
        x0, y0, *_ = self.box_xyxy[index]
        rows, columns = np.nonzero(self.mask(index))
        points = np.stack([columns + x0, rows + y0]).astype(np.float64)
        # A pixel is a square, not a point: its own variance of 1/12 keeps thin regions open.
        covariance = np.cov(points, ddof=0).reshape(2, 2) + np.eye(2) / 12
        x, y = self.centroid_xy[index]
        reach_x, reach_y = 2 * np.sqrt(np.diag(covariance))
        left, top = max(0, int(np.ceil(x - reach_x))), max(0, int(np.ceil(y - reach_y)))
        right = min(size[1], int(np.floor(x + reach_x)) + 1)
        bottom = min(size[0], int(np.floor(y + reach_y)) + 1)
        across, down = np.meshgrid(np.arange(left, right) - x, np.arange(top, bottom) - y)
        inverse = np.linalg.inv(covariance)
        form = inverse[0, 0] * across**2 + 2 * inverse[0, 1] * across * down
        return (left, top, right, bottom), form + inverse[1, 1] * down**2 <= 4

    def length_px(self, index: int) -> float:
        """Return the longer side of the smallest rotated rectangle over a region.

        It spans the pixel centres; 1 px is added, so that n pixels in a row have length n.
        """
        outline, _ = cv2.findContours(
            self.mask(index).astype(np.uint8), cv2.RETR_EXTERNAL, cv2.CHAIN_APPROX_SIMPLE
        )
        _, sides, _ = cv2.minAreaRect(outline[0])
        return float(max(sides)) + 1.0


def check_map(probability: NDArray[Any]) -> NDArray[np.floating[Any]]:
    """Return the map as (height, width, classes), float32 or float64.

    Raises:
        errors.ConfigError: it is not a (height, width) or (height, width, classes) array of
            floating-point probabilities.
    """
    array = np.asarray(probability)
    if array.ndim not in (2, 3) or not array.size or array.dtype.kind != "f":
        raise errors.ConfigError(
            "A probability map must be a floating-point array of (height, width) or "
            f"(height, width, classes). Got {array.dtype} of shape {array.shape}. Give one image."
        )
    array = array if array.dtype.itemsize in (4, 8) else array.astype(np.float32)
    return array if array.ndim == 3 else array[..., None]


def defect_map(array: NDArray[np.floating[Any]]) -> tuple[NDArray[np.floating[Any]], float, bool]:
    """Return the sum over the classes, at most 1, its highest value, and whether it is finite."""
    total = array[..., 0]
    with np.errstate(invalid="ignore"):  # inf - inf is not finite, and that is said below
        for channel in range(1, array.shape[2]):  # numpy's own sum over few channels is far slower
            total = total + array[..., channel]
    highest = float(total.max())
    finite = bool(np.isfinite(highest) and np.isfinite(total.min()))
    if array.shape[2] > 1 and finite and highest > 1:  # after the check: the limit would hide inf
        total, highest = np.minimum(total, 1), 1.0
    return total, highest, finite


def lowest_at_least(limit: float, dtype: np.dtype[FloatT]) -> FloatT:
    """Return the smallest number of a dtype that is not under a limit.

    Comparing float32 pixels with a Python float would round the limit, perhaps downwards.
    """
    number = dtype.type(limit)
    if float(number) < limit:
        number = np.nextafter(number, dtype.type(np.inf))
    return number


def nothing() -> Regions:
    """Return no regions."""
    none, real = np.zeros(0, np.int64), np.zeros(0)
    return Regions(
        labels=np.zeros((0, 0), np.int32),
        offset_xy=(0, 0),
        label=none,
        area_px=none,
        inspected_px=none,
        peak=real,
        mean=real,
        box_xyxy=np.zeros((0, 4), np.int64),
        centroid_xy=np.zeros((0, 2)),
    )


def find(
    probability: NDArray[np.floating[Any]],
    *,
    mask_threshold: float,
    inspected: NDArray[np.bool] | None = None,
) -> Regions:
    """Find the regions at or above the mask threshold.

    Args:
        probability: (height, width), finite.
        mask_threshold: probability from which a pixel belongs to a region.
        inspected: (height, width), the pixels that count for the pattern ratio; all by default.
    """
    above = (probability >= lowest_at_least(mask_threshold, probability.dtype)).view(np.uint8)
    x, y, width, height = cv2.boundingRect(above)
    crop = np.s_[y : y + height, x : x + width]
    if not width:
        return nothing()
    # Statistics by hand: connectedComponentsWithStats takes six times as long.
    count, labels = cv2.connectedComponents(above[crop], connectivity=8)
    pixel = np.flatnonzero(labels > 0)
    label = labels.ravel()[pixel]
    value = probability[crop].ravel()[pixel].astype(np.float64)
    position = np.stack(np.divmod(pixel, width))[::-1] + np.array([[x], [y]])  # x, y
    area = np.bincount(label, minlength=count)
    counted = area
    if inspected is not None:
        counted = np.bincount(label[inspected[crop].ravel()[pixel]], minlength=count)
    peak = np.zeros(count)
    np.maximum.at(peak, label, value)
    mean, *centroid = (
        np.bincount(label, weights=weight, minlength=count) / np.maximum(area, 1)
        for weight in (value, *position)
    )
    box = np.zeros((4, count), np.int64)
    box[:2] = np.iinfo(np.int64).max
    for axis in (0, 1):
        np.minimum.at(box[axis], label, position[axis])
        np.maximum.at(box[axis + 2], label, position[axis] + 1)
    order = np.lexsort((*box[1::-1, 1:], -peak[1:])) + 1  # equal peaks: left before right
    return Regions(
        labels=labels,
        offset_xy=(x, y),
        label=order,
        area_px=area[order],
        inspected_px=counted[order],
        peak=peak[order],
        mean=mean[order],
        box_xyxy=box.T[order],
        centroid_xy=np.stack(centroid, axis=1)[order],
    )


def strongest_class(
    regions: Regions,
    probability: NDArray[np.floating[Any]],
    *,
    together: NDArray[np.int64] | None = None,
    weight: NDArray[Any] | None = None,
) -> NDArray[np.int64]:
    """Return for each region the channel with the largest sum over its pixels.

    Of equal ones it is the first.

    Args:
        regions: found on the sum of the channels.
        probability: (height, width, classes), finite.
        together: indices of regions; the sum is that over all of them (of all where none is left).
        weight: (classes,), not negative; each sum is multiplied by it.
    """
    classes = probability.shape[2]
    if classes == 1 or not len(regions):
        return np.zeros(len(regions), np.int64)
    (x, y), (height, width) = regions.offset_xy, regions.labels.shape
    pixel = np.flatnonzero(regions.labels)
    label = regions.labels.ravel()[pixel]
    value = probability[y : y + height, x : x + width].reshape(-1, classes)[pixel]
    sums = [np.bincount(label, weights=channel)[regions.label] for channel in value.T]
    total: NDArray[np.float64] = np.stack(sums)
    if together is not None:
        counted = total[:, together] if len(together) else total
        total = np.broadcast_to(counted.sum(axis=1, keepdims=True), total.shape)
    if weight is not None:
        total = total * np.asarray(weight, np.float64)[:, None]
    strongest: NDArray[np.int64] = total.argmax(axis=0)
    return strongest


def _outline(zone: Zone, size: tuple[int, int]) -> NDArray[np.float64]:
    if zone.box_xyxy is not None:
        x0, y0, x1, y1 = zone.box_xyxy
        corners = np.array([(x0, y0), (x1, y0), (x1, y1), (x0, y1)])
    else:
        corners = np.array(zone.polygon_xy, np.float64)
    return corners * (size[1], size[0]) if zone.unit == "fraction" else corners


def _inside(zone: Zone, size: tuple[int, int]) -> NDArray[np.bool]:
    """Return the pixels whose centres lie inside a zone (even-odd rule, edge by edge)."""
    inside = np.zeros(size, bool)
    column = np.arange(size[1]) + 0.5
    corners = _outline(zone, size)
    for (x0, y0), (x1, y1) in zip(corners, np.roll(corners, -1, axis=0), strict=True):
        first, last = (int(np.clip(np.ceil(y - 0.5), 0, size[0])) for y in sorted((y0, y1)))
        if first < last:
            row = np.arange(first, last) + 0.5
            crossing = x0 + (row - y0) * (x1 - x0) / (y1 - y0)
            inside[first:last] ^= column[None] < crossing[:, None]
    return inside


@functools.lru_cache(maxsize=16)
def zone_masks(
    zones: tuple[Zone, ...], size: tuple[int, int]
) -> tuple[NDArray[np.bool], tuple[NDArray[np.bool], ...]]:
    """Return what is inspected, and the pixels of each zone; all (height, width), read-only.

    Raises:
        errors.ConfigError: the zones leave nothing to inspect on an image of this size.
    """
    masks = tuple(_inside(zone, size) for zone in zones)
    wanted = [mask for zone, mask in zip(zones, masks, strict=True) if zone.kind == "inspect"]
    inspected = np.any(wanted, axis=0) if wanted else np.ones(size, bool)
    for zone, mask in zip(zones, masks, strict=True):
        if zone.kind == "ignore":
            inspected = inspected & ~mask
    if not inspected.any():
        raise errors.ConfigError(
            f"The zones must leave something to inspect. Got {[zone.name for zone in zones]}, "
            f"no pixel of {size[1]} x {size[0]} left. Check their unit and coordinates."
        )
    for mask in (inspected, *masks):
        mask.flags.writeable = False
    return inspected, masks
