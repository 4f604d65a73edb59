"""What a verdict found, by what was looked for: regions of defects, or a field.

A `Verdict` holds one of them as its `result`. A task of its own brings a result of its own: any
value that is a `Result`.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import ClassVar, Protocol

import cv2
import numpy as np
from numpy.typing import NDArray

from inspection_tf.decision.wear import FlankWear
from inspection_tf.images import geometry

Corners = tuple[tuple[float, float], tuple[float, float], tuple[float, float], tuple[float, float]]
"""x and y of the top left, top right, bottom right and bottom left corner, px."""
Colour = tuple[int, int, int]
"""Red, green and blue, 0 to 255."""


class Result(Protocol):
    """What was found on one image."""

    @property
    def kind(self) -> str:
        """What was looked for, such as `regions` or `field`."""
        ...

    @property
    def defect_count(self) -> int:
        """Number of defects: of regions, or of places where a part differs from its model."""
        ...

    @property
    def needs_no_score(self) -> bool:
        """Whether what the image shows left it to a person, so that there is no score."""
        ...

    def to_dict(self) -> dict[str, object]:
        """Return what a verdict says of it in JSON: keys that stand beside the common ones."""
        ...

    def mask(self, image_size: tuple[int, int]) -> NDArray[np.bool_]:
        """Return the pixels that it is about, (height, width) of the source image."""
        ...

    def backdrop(self) -> NDArray[np.floating] | None:
        """Return what is shown behind it where the image is not at hand, 0..1; None: nothing."""
        ...

    def pictures(self, image: NDArray[np.generic] | None) -> dict[str, NDArray[np.generic]]:
        """Return pictures to be kept beside mask and overlay, by what their files are called after.

        Args:
            image: that it was found on; None where it is not at hand.

        Returns:
            (H, W) or (H, W, 3) RGB each.
        """
        ...

    def picture_names(self, image: NDArray[np.generic] | None) -> tuple[str, ...]:
        """Return the names of `pictures`, without making them."""
        ...

    def mark(self, picture: NDArray[np.uint8], colour: Colour, width: int) -> None:
        """Draw onto a picture of the image what an outline of the mask does not tell."""
        ...

    def without_pixels(self) -> "Result":
        """Return it without the arrays that `to_dict` leaves out."""
        ...


@dataclass(frozen=True, slots=True)
class Region:
    """One connected region of a verdict, in pixels of the source image."""

    class_name: str
    box_xyxy: tuple[int, int, int, int]  # left, top, right, bottom; the end is exclusive
    centroid_xy: tuple[float, float]  # the centre of the first pixel is (0, 0)
    area_px: int
    length_px: float  # longer side of the smallest rotated rectangle
    mean_score: float
    peak_score: float
    area_mm2: float | None = None  # None: no scale was given
    length_mm: float | None = None
    mask: NDArray[np.bool] | None = field(default=None, repr=False, compare=False)  # in the box

    def to_dict(self) -> dict[str, object]:
        """Return everything but the pixels, ready for JSON."""
        return {
            "class_name": self.class_name,
            "box_xyxy": list(self.box_xyxy),
            "centroid_xy": list(self.centroid_xy),
            "area_px": self.area_px,
            "area_mm2": self.area_mm2,
            "length_px": self.length_px,
            "length_mm": self.length_mm,
            "mean_score": self.mean_score,
            "peak_score": self.peak_score,
        }


@dataclass(frozen=True, slots=True)
class Regions:
    """The defects on an image.

    Attributes:
        regions: by falling peak; none if the image is OK.
        pattern_ratio: their area as a share of the inspected area.
        level: the name of the severity that they reach; None where rules name none.
        probability: (height, width) of any defect, in the size of the source; None where no map was
            made.
        class_probability: (height, width, classes) where there are several classes.
        wear: flank wear of the wear land, also of an OK image; None where none was measured.
    """

    kind: ClassVar[str] = "regions"
    needs_no_score: ClassVar[bool] = False

    regions: tuple[Region, ...] = ()
    pattern_ratio: float = 0.0
    level: str | None = None
    probability: NDArray[np.floating] | None = field(default=None, repr=False, compare=False)
    class_probability: NDArray[np.floating] | None = field(default=None, repr=False, compare=False)
    wear: FlankWear | None = None

    @property
    def defect_count(self) -> int:
        """Number of regions."""
        return len(self.regions)

    def to_dict(self) -> dict[str, object]:
        """Return regions, their number, their share of the area, their level, and any wear."""
        return {
            "regions": [region.to_dict() for region in self.regions],
            "defect_count": self.defect_count,
            "pattern_ratio": self.pattern_ratio,
            "level": self.level,
            **({} if self.wear is None else {"wear": self.wear.to_dict()}),
        }

    def mask(self, image_size: tuple[int, int]) -> NDArray[np.bool_]:
        """Return the pixels of all regions, (height, width) of the source image."""
        mask = np.zeros(image_size, bool)
        for region in self.regions:
            x0, y0, x1, y1 = region.box_xyxy
            mask[y0:y1, x0:x1] |= True if region.mask is None else region.mask
        return mask

    def class_mask(
        self, image_size: tuple[int, int], classes: tuple[str, ...]
    ) -> NDArray[np.uint8]:
        """Return class ids, (height, width) of the source image: 0 background, 1 `classes[0]`.

        Where outlines overlap it is the class of the higher peak.
        """
        mask = np.zeros(image_size, np.uint8)
        for region in reversed(self.regions):
            x0, y0, x1, y1 = region.box_xyxy
            inside = np.True_ if region.mask is None else region.mask
            mask[y0:y1, x0:x1][inside] = classes.index(region.class_name) + 1
        return mask

    def backdrop(self) -> NDArray[np.floating] | None:
        """Return the map of any defect."""
        return self.probability

    def pictures(self, image: NDArray[np.generic] | None) -> dict[str, NDArray[np.generic]]:
        """Return the map as grey values, `score`, where one was made."""
        if self.probability is None:
            return {}
        # A value that is not finite shows as certain: it must catch the eye.
        finite = np.nan_to_num(self.probability, nan=1.0, posinf=1.0, neginf=0.0)
        return {"score": np.rint(255 * np.clip(finite, 0, 1)).astype(np.uint8)}

    def picture_names(self, image: NDArray[np.generic] | None) -> tuple[str, ...]:
        """Return `score` where a map was made."""
        return () if self.probability is None else ("score",)

    def mark(self, picture: NDArray[np.uint8], colour: Colour, width: int) -> None:
        """Draw the ideal edge and the widest wear; else the outlines of the mask tell all."""
        if self.wear is None:
            return
        for line in (self.wear.edge_xy, self.wear.widest_xy):
            if line:
                # In sixteenths of a pixel: rounded to pixels a line of small slope is a staircase.
                places = np.rint(16 * np.array(line)).astype(np.int32)
                cv2.polylines(picture, [places], False, colour, width, cv2.LINE_AA, 4)

    def without_pixels(self) -> "Regions":
        """Return it without its maps, and wear without the widths along the edge."""
        wear = None if self.wear is None else self.wear.without_profile()
        return Regions(self.regions, self.pattern_ratio, self.level, wear=wear)


@dataclass(frozen=True, slots=True)
class Field:
    """Where a field lies on an image.

    Attributes:
        corners_xy: px of the source; None where no field was found.
        confidence: that there is a field, 0..1; None where an output is not finite.
        guess_xy: (4, 2) px, the corners even where they are not taken for those of a field.
    """

    kind: ClassVar[str] = "field"
    defect_count: ClassVar[int] = 0
    needs_no_score: ClassVar[bool] = False

    corners_xy: Corners | None = None
    confidence: float | None = None
    guess_xy: NDArray[np.floating] | None = field(default=None, repr=False, compare=False)

    def to_dict(self) -> dict[str, object]:
        """Return corners and confidence."""
        return {
            "corners_xy": None if self.corners_xy is None else [list(p) for p in self.corners_xy],
            "confidence": self.confidence,
        }

    def mask(self, image_size: tuple[int, int]) -> NDArray[np.bool_]:
        """Return the pixels of the field, (height, width) of the source image."""
        if self.corners_xy is None:
            return np.zeros(image_size, bool)
        return geometry.inside(self.corners_xy, image_size)

    def backdrop(self) -> NDArray[np.floating] | None:
        """Return nothing: there is no map."""
        return None

    def crop(self, image: NDArray[np.generic] | None) -> NDArray[np.generic] | None:
        """Return the field as if seen from straight above; see `Verdict.crop`."""
        if self.corners_xy is None or image is None:
            return None
        return geometry.rectify(image, self.corners_xy)

    def pictures(self, image: NDArray[np.generic] | None) -> dict[str, NDArray[np.generic]]:
        """Return the field as if seen from straight above, `field`, where one was found."""
        cut = self.crop(image)
        return {} if cut is None else {"field": cut}

    def picture_names(self, image: NDArray[np.generic] | None) -> tuple[str, ...]:
        """Return `field` where one was found, on an image that is at hand."""
        return () if self.corners_xy is None or image is None else ("field",)

    def mark(self, picture: NDArray[np.uint8], colour: Colour, width: int) -> None:
        """Draw a dot on the top left corner of the text."""
        if self.corners_xy is not None:
            x, y = (round(value) for value in self.corners_xy[0])
            cv2.circle(picture, (x, y), 3 * width, colour, -1, cv2.LINE_AA)

    def without_pixels(self) -> "Field":
        """Return it without what it guessed."""
        return Field(self.corners_xy, self.confidence)


EMPTY: Mapping[str, object] = {**Regions().to_dict(), **Field().to_dict()}
"""What every verdict says in JSON of what it did not look for."""
