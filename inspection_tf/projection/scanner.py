"""The scanner: where source and detector are, and which ray each pixel sees."""

import dataclasses
import functools
import math
from typing import Literal

import numpy as np
import pydantic
from numpy.typing import NDArray

from inspection_tf import config, errors
from inspection_tf.projection.poses import Pose


@dataclasses.dataclass(frozen=True, slots=True)
class Rays:
    """Straight lines: `origin + t * direction`.

    Attributes:
        origin: (n, 3), mm, or (1, 3) where all begin in one point.
        direction: (n, 3), of length 1, or (1, 3) where all are parallel.
    """

    origin: NDArray[np.float64]
    direction: NDArray[np.float64]

    def __len__(self) -> int:
        """Return how many there are."""
        return max(len(self.origin), len(self.direction))

    def some(self, rows: NDArray[np.intp]) -> "Rays":
        """Return some of them."""
        origin, direction = (
            part if len(part) == 1 else part[rows] for part in (self.origin, self.direction)
        )
        return Rays(origin, direction)

    def passing(self, point: NDArray[np.float64], distance: float) -> NDArray[np.intp]:
        """Return which of them come nearer to a point (3,) than a distance, mm."""
        to_point = point - self.origin
        if len(to_point) == 1:
            along, squares = self.direction @ to_point[0], to_point[0] @ to_point[0]
        else:
            along = np.einsum("ij,ij->i", to_point, np.broadcast_to(self.direction, to_point.shape))
            squares = np.einsum("ij,ij->i", to_point, to_point)
        return np.flatnonzero(squares - along**2 < distance**2)

    def seen_from(self, rotation: NDArray[np.float64], position: NDArray[np.float64]) -> "Rays":
        """Return them in the frame that a rotation (3, 3) and a position (3,) lay into theirs."""
        # Of a row vector the transposed rotation is the product with the rotation itself.
        return Rays((self.origin - position) @ rotation, self.direction @ rotation)


class Scanner(config.Section):
    """Source, part and detector on one line, which meets the detector at a right angle."""

    beam: Literal["cone", "parallel"] = "cone"
    """cone: from one point; parallel: along z, as from far away."""
    size: tuple[pydantic.PositiveInt, pydantic.PositiveInt] = (224, 224)
    """(height, width) of the detector, px."""
    pixel_mm: float = pydantic.Field(default=0.8, gt=0, allow_inf_nan=False)
    """Side of a pixel."""
    source_detector_mm: float = pydantic.Field(default=1000.0, gt=0, allow_inf_nan=False)
    """From the source to the detector's plane."""
    source_part_mm: float = pydantic.Field(default=700.0, gt=0, allow_inf_nan=False)
    """From the source to the origin of a part in its middle position."""
    middle_px: tuple[pydantic.FiniteFloat, pydantic.FiniteFloat] = (0.0, 0.0)
    """(x, y), px, of where the middle ray meets the detector, from the image's middle."""

    @pydantic.model_validator(mode="after")
    def _part_lies_between(self) -> "Scanner":
        if self.source_part_mm >= self.source_detector_mm:
            raise ValueError(
                "source_part_mm must be less than source_detector_mm, "
                f"got {self.source_part_mm:g} and {self.source_detector_mm:g}"
            )
        return self

    @property
    def magnification(self) -> float:
        """How many mm on the detector show one mm of the part in its middle position."""
        return 1.0 if self.beam == "parallel" else self.source_detector_mm / self.source_part_mm

    @property
    def field_of_view_mm(self) -> tuple[float, float]:
        """(height, width) of what is seen of the plane of the part."""
        scale = self.pixel_mm / self.magnification
        return self.size[0] * scale, self.size[1] * scale

    def coarser(self, factor: int) -> "Scanner":
        """Return one whose pixels are so many times as wide: of those in the middle of the image.

        Where a side is no multiple, `side % factor // 2` px are left out at its beginning.
        """
        left_out = [side % factor for side in self.size]
        # The middle of the image moves where more is left out at its end than at its beginning.
        shift = [odd / 2 - odd // 2 for odd in left_out]
        middle = tuple(
            (place + moved) / factor
            for place, moved in zip(self.middle_px, reversed(shift), strict=True)
        )
        changes = {
            "size": tuple(side // factor for side in self.size),
            "pixel_mm": self.pixel_mm * factor,
            "middle_px": middle,
        }
        return type(self).model_validate(self.model_dump() | changes)

    def rays(self, *, samples: int = 1) -> Rays:
        """Return the rays that meet the detector, in the frame of the scanner.

        Args:
            samples: rays in each pixel.

        Returns:
            height * samples times width rays: row by row of the detector the first rays of its
            pixels, then their second ones.
        """
        return _rays(self, samples)

    def plane(
        self, row: NDArray[np.int64], column: NDArray[np.int64], *, samples: int = 1
    ) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        """Return where rays meet the detector: x and y, mm from the middle ray.

        Args:
            row: of rays, from 0: `samples` in each row of pixels.
            column: of pixels.
            samples: rays in each pixel.
        """
        # Pixel 0 has its centre at 0, as everywhere: see `images.geometry`.
        places = column + offsets(samples)[row % samples], (row + 0.5) / samples
        x, y = (
            (place - side / 2 - middle) * self.pixel_mm
            for place, side, middle in zip(places, self.size[::-1], self.middle_px, strict=True)
        )
        return x, y

    def length_of_depth(self, *, samples: int = 1) -> NDArray[np.float64]:
        """Return (height * samples, width), mm along each ray for one mm along z."""
        return _length_of_depth(self, samples)

    def require_before_source(self, pose: Pose, reach: float) -> None:
        """Refuse a pose in which a part may reach the source of a cone.

        Args:
            pose: of the part.
            reach: radius of a ball around its origin that holds it, mm.

        Raises:
            errors.DataError: the source may lie in that ball.
        """
        distance = self.source_part_mm + pose.z
        if self.beam == "cone" and not distance > reach:
            raise errors.DataError(
                "A part must lie between the source and the detector. Got one that may reach the "
                f"source: {distance:.3g} mm from it, with a radius of {reach:.3g} mm. Move it, or "
                "check its unit."
            )

    def into_part(self, rays: Rays, pose: Pose) -> Rays:
        """Return rays in the frame of a part that lies in a pose."""
        return rays.seen_from(pose.rotation, self._place(pose))

    def to_detector(self, points: NDArray[np.float64], pose: Pose) -> NDArray[np.float64]:
        """Return where points of a part are seen.

        Args:
            points: (n, 3), mm, in the part's frame.
            pose: of the part.

        Returns:
            (n, 2), (x, y) px of the image; pixel 0 has its centre at 0.
        """
        return self.on_detector(self.placed(points, pose))

    def placed(self, points: NDArray[np.float64], pose: Pose) -> NDArray[np.float64]:
        """Return points (n, 3) of a part in the frame of the scanner, mm."""
        return np.asarray(points @ pose.rotation.T + self._place(pose))

    def on_detector(self, points: NDArray[np.float64]) -> NDArray[np.float64]:
        """Return where points (n, 3) of the scanner's frame are seen: (n, 2), (x, y) px."""
        met = points[:, :2]
        if self.beam == "cone":
            met = met * (self.source_detector_mm / points[:, 2:])
        height, width = self.size
        middle = np.array([width, height]) / 2 - 0.5 + self.middle_px
        return np.asarray(met / self.pixel_mm + middle)

    def _place(self, pose: Pose) -> NDArray[np.float64]:
        return np.add(pose.position, (0.0, 0.0, self.source_part_mm))


@functools.lru_cache(maxsize=32)
def offsets(samples: int) -> NDArray[np.float64]:
    """Return (samples,), how far in a pixel each of its rays lies, 0 to 1 from the left.

    From the top they lie at even steps. From the left too, but in an order in which neighbours are
    far apart, by the golden section: so borders along rows, along columns and across are met by as
    many different rays as there are.
    """
    golden = samples * 2 / (1 + math.sqrt(5))
    coprime = [step for step in range(1, samples + 1) if math.gcd(step, samples) == 1]
    step = min(coprime, key=lambda one: abs(one - golden))
    found = (np.arange(samples) * step % samples + 0.5) / samples
    found.flags.writeable = False
    return np.asarray(found)


# Each image of a scanner needs these, and they do not change: kept, and never written to.
@functools.lru_cache(maxsize=16)
def _length_of_depth(scanner: Scanner, samples: int) -> NDArray[np.float64]:
    height, width = scanner.size[0] * samples, scanner.size[1]
    if scanner.beam == "parallel":
        found = np.ones((height, width))
    else:
        rows, columns = np.ogrid[:height, :width]
        x, y = scanner.plane(rows, columns, samples=samples)
        found = np.asarray(np.sqrt(1 + (x * x + y * y) / scanner.source_detector_mm**2))
    found.flags.writeable = False
    return found


@functools.lru_cache(maxsize=8)
def _rays(scanner: Scanner, samples: int) -> Rays:
    height, width = scanner.size[0] * samples, scanner.size[1]
    rows, columns = np.mgrid[:height, :width]
    x, y = scanner.plane(rows, columns, samples=samples)
    z = np.full_like(x, scanner.source_detector_mm)
    met = np.stack([x, y, z], axis=-1).reshape(-1, 3)
    if scanner.beam == "parallel":
        found = Rays(met * (1.0, 1.0, 0.0), np.array([[0.0, 0.0, 1.0]]))
    else:
        found = Rays(np.zeros((1, 3)), met / np.linalg.norm(met, axis=1, keepdims=True))
    for values in (found.origin, found.direction):
        values.flags.writeable = False
    return found
