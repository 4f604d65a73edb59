"""The values that `decision` returns: a region, and the verdict on an image."""

import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

import cv2
import numpy as np
from numpy.typing import NDArray

from inspection_tf.images import geometry

Outcome = Literal["OK", "NG", "REVIEW"]

Corners = tuple[tuple[float, float], tuple[float, float], tuple[float, float], tuple[float, float]]
_COLOURS = {"OK": (0, 160, 60), "REVIEW": (255, 160, 0), "NG": (230, 0, 40)}  # RGB


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

    def to_dict(self) -> dict[str, Any]:
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
class Verdict:
    """What was decided about one image, and why. Shows itself as a picture in Jupyter."""

    outcome: Outcome
    score: float  # nan if an output is not finite; null in JSON
    threshold: float
    reasons: tuple[str, ...] = ()
    regions: tuple[Region, ...] = ()  # by falling peak; none if OK
    pattern_ratio: float = 0.0  # area of the regions / inspected area
    level: str | None = None
    review_from: float | None = None
    image_size: tuple[int, int] = (0, 0)  # (height, width), px, of the source
    model_id: str = ""
    model_sha256: str = ""
    promise: str = ""  # of the bundle about escapes: its unit, and on how many of them it rests
    image_sha256: str = ""
    ms: Mapping[str, float] = field(default_factory=dict, hash=False)  # per stage
    metadata: Mapping[str, str] = field(default_factory=dict, hash=False)  # passed through
    classes: tuple[str, ...] = ("defect",)
    decided_by: str = ""  # the stage of a cascade; empty where there is one network only
    stages: Mapping[str, float] = field(
        default_factory=dict, hash=False
    )  # scores of those that ran
    probability: NDArray[Any] | None = field(default=None, repr=False, compare=False)  # of a defect
    class_probability: NDArray[Any] | None = field(default=None, repr=False, compare=False)
    corners_xy: Corners | None = None  # px: top left, top right, bottom right, bottom left
    confidence: float | None = None  # that there is a field; None: none was looked for
    guess_xy: NDArray[Any] | None = field(default=None, repr=False, compare=False)  # even if NG
    image: NDArray[Any] | None = field(default=None, repr=False, compare=False)

    @property
    def defect_count(self) -> int:
        """Number of regions."""
        return len(self.regions)

    def mask(self) -> NDArray[np.bool]:
        """Return the pixels of all regions, or of the field, (height, width) of the source."""
        mask = np.zeros(self.image_size, bool)
        if self.corners_xy is not None:
            return geometry.inside(self.corners_xy, self.image_size)
        for region in self.regions:
            x0, y0, x1, y1 = region.box_xyxy
            mask[y0:y1, x0:x1] |= True if region.mask is None else region.mask
        return mask

    def crop(self) -> NDArray[Any] | None:
        """Return the field as if seen from straight above, its text upright.

        Height and width are the means of the two opposite sides, px. None where no field was found,
        or where the verdict does not hold its image.
        """
        if self.corners_xy is None or self.image is None:
            return None
        return geometry.rectify(self.image, self.corners_xy)

    def class_mask(self) -> NDArray[np.uint8]:
        """Return class ids, (height, width) of the source image: 0 background, 1 `classes[0]`.

        Where outlines overlap it is the class of the higher peak.
        """
        mask = np.zeros(self.image_size, np.uint8)
        for region in reversed(self.regions):
            x0, y0, x1, y1 = region.box_xyxy
            inside = np.True_ if region.mask is None else region.mask
            mask[y0:y1, x0:x1][inside] = self.classes.index(region.class_name) + 1
        return mask

    def to_dict(self) -> dict[str, Any]:
        """Return everything but maps and pictures, ready for JSON."""
        return {
            "outcome": self.outcome,
            "score": self.score if math.isfinite(self.score) else None,
            "threshold": self.threshold,
            "review_from": self.review_from,
            "reasons": list(self.reasons),
            "regions": [region.to_dict() for region in self.regions],
            "defect_count": self.defect_count,
            "pattern_ratio": self.pattern_ratio,
            "level": self.level,
            "image_size": list(self.image_size),
            "model_id": self.model_id,
            "model_sha256": self.model_sha256,
            "promise": self.promise,
            "image_sha256": self.image_sha256,
            "ms": dict(self.ms),
            "metadata": dict(self.metadata),
            "corners_xy": None if self.corners_xy is None else [list(p) for p in self.corners_xy],
            "confidence": self.confidence,
            "classes": list(self.classes),
            "decided_by": self.decided_by,
            "stages": {
                name: score if math.isfinite(score) else None for name, score in self.stages.items()
            },
        }

    def overlay(self) -> NDArray[np.uint8] | None:
        """Return the regions outlined on the image, or else on the map: (height, width, 3) RGB.

        None when the verdict holds neither.
        """
        if self.image is None and self.probability is None:
            return None
        if self.image is None:
            grey = np.nan_to_num(np.asarray(self.probability) * 255.0, posinf=255, neginf=0)
        elif self.image.dtype == np.uint8:
            grey = self.image
        else:  # few 16-bit cameras use all 16 bits
            grey = self.image * (255.0 / max(int(self.image.max()), 1))
        picture = np.atleast_3d(np.clip(grey, 0, 255)).astype(np.uint8)
        picture = np.array(np.broadcast_to(picture, (*picture.shape[:2], 3)), order="C")
        outlines, _ = cv2.findContours(
            self.mask().view(np.uint8), cv2.RETR_LIST, cv2.CHAIN_APPROX_NONE
        )
        width = max(1, round(max(picture.shape[:2]) / 400))
        cv2.drawContours(picture, outlines, -1, _COLOURS[self.outcome], width)
        if self.corners_xy is not None:  # a dot on the top left corner of the text
            x, y = (round(value) for value in self.corners_xy[0])
            cv2.circle(picture, (x, y), 3 * width, _COLOURS[self.outcome], -1, cv2.LINE_AA)
        return picture

    def _repr_png_(self) -> bytes | None:
        picture = self.overlay()
        if picture is None:
            return None
        zoom = math.ceil(160 / picture.shape[1])  # so that the caption fits
        picture = picture.repeat(zoom, axis=0).repeat(zoom, axis=1)
        caption = np.full((24, picture.shape[1], 3), _COLOURS[self.outcome], np.uint8)
        text, white = f"{self.outcome} {self.score:.3f}", (255, 255, 255)
        cv2.putText(caption, text, (6, 17), cv2.FONT_HERSHEY_SIMPLEX, 0.5, white, 1, cv2.LINE_AA)
        written, data = cv2.imencode(".png", np.vstack([caption, picture])[..., ::-1])
        return data.tobytes() if written else None
