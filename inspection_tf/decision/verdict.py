"""The verdict on an image: what was decided, why, and what was found."""

import math
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Literal

import cv2
import numpy as np
from numpy.typing import NDArray

from inspection_tf import images
from inspection_tf.decision.results import EMPTY, Colour, Corners, Field, Region, Regions, Result
from inspection_tf.decision.wear import FlankWear

Outcome = Literal["OK", "NG", "REVIEW"]
OUTCOMES: tuple[Outcome, ...] = ("OK", "REVIEW", "NG")
"""Each of them, the gravest last."""

_COLOURS: dict[Outcome, Colour] = {
    "OK": (0, 160, 60),
    "REVIEW": (255, 160, 0),
    "NG": (230, 0, 40),
}
_SEEN: Colour = (0, 110, 230)


@dataclass(frozen=True, slots=True)
class Verdict:
    """What was decided about one image, and why. Shows itself as a picture in Jupyter."""

    outcome: Outcome
    score: float  # nan if an output is not finite; null in JSON
    threshold: float
    reasons: tuple[str, ...] = ()
    result: Result = field(default_factory=Regions)  # what was found, by what was looked for
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
    limits: Mapping[str, tuple[float, float]] = field(
        default_factory=dict, hash=False, repr=False
    )  # what leaves an image to a person beside its score: each number and its limit
    image: NDArray[np.uint8] | NDArray[np.uint16] | None = field(
        default=None, repr=False, compare=False
    )
    window_xyxy: tuple[int, int, int, int] | None = None  # what was seen of the image; None: all

    @property
    def _regions(self) -> Regions:
        return self.result if isinstance(self.result, Regions) else Regions()

    @property
    def _field(self) -> Field:
        return self.result if isinstance(self.result, Field) else Field()

    @property
    def regions(self) -> tuple[Region, ...]:
        """The regions of defects, by falling peak; none where none were looked for."""
        return self._regions.regions

    @property
    def defect_count(self) -> int:
        """Number of defects: regions, or places where a part differs from its model."""
        return self.result.defect_count

    @property
    def is_decided(self) -> bool:
        """Whether it rests on what the image shows, and not on a number that is not finite."""
        return math.isfinite(self.score) or self.result.needs_no_score

    @property
    def pattern_ratio(self) -> float:
        """Area of the regions as a share of the inspected area."""
        return self._regions.pattern_ratio

    @property
    def level(self) -> str | None:
        """Name of the severity that the regions reach."""
        return self._regions.level

    @property
    def wear(self) -> FlankWear | None:
        """Flank wear of a cutting edge; None where it was not measured."""
        return self._regions.wear

    @property
    def probability(self) -> NDArray[np.floating] | None:
        """(height, width), the probability of any defect; None where no map was made."""
        return self._regions.probability

    @property
    def class_probability(self) -> NDArray[np.floating] | None:
        """(height, width, classes) where there are several classes of defects; else None."""
        return self._regions.class_probability

    @property
    def corners_xy(self) -> Corners | None:
        """The corners of a field, px: top left, top right, bottom right, bottom left."""
        return self._field.corners_xy

    @property
    def confidence(self) -> float | None:
        """How sure it is that there is a field, 0..1; None where none was looked for."""
        return self._field.confidence

    @property
    def guess_xy(self) -> NDArray[np.floating] | None:
        """(4, 2) px, the corners of a field even where they are not taken for it."""
        return self._field.guess_xy

    def image_8bit(self) -> NDArray[np.uint8] | None:
        """Return the image as a screen shows it; None where the verdict does not hold it."""
        return None if self.image is None else images.to_8bit(self.image)

    def mask(self) -> NDArray[np.bool_]:
        """Return the pixels of all regions, or of the field, (height, width) of the source."""
        return self.result.mask(self.image_size)

    def class_mask(self) -> NDArray[np.uint8]:
        """Return class ids, (height, width) of the source image: 0 background, 1 `classes[0]`.

        Where outlines overlap it is the class of the higher peak.
        """
        return self._regions.class_mask(self.image_size, self.classes)

    def crop(self) -> NDArray[np.generic] | None:
        """Return the field as if seen from straight above, its text upright.

        Height and width are the means of the two opposite sides, px. None where no field was found,
        or where the verdict does not hold its image.
        """
        return self._field.crop(self.image)

    def pictures(self) -> dict[str, NDArray[np.generic]]:
        """Return the pictures of what was found, by what their files are called after.

        The map of defects is `score`, a field seen from straight above `field`. Empty where nothing
        of the kind was found.
        """
        return self.result.pictures(self.image)

    def picture_names(self) -> tuple[str, ...]:
        """Return the names of `pictures`, without making them."""
        return self.result.picture_names(self.image)

    def without_pixels(self) -> "Verdict":
        """Return the verdict without image, maps and whatever else `to_dict` leaves out."""
        return replace(self, image=None, result=self.result.without_pixels())

    def to_dict(self) -> dict[str, object]:
        """Return everything but maps and pictures, ready for JSON."""
        found = {**EMPTY, **self.result.to_dict()}
        return {
            "outcome": self.outcome,
            "score": self.score if math.isfinite(self.score) else None,
            "threshold": self.threshold,
            "review_from": self.review_from,
            "reasons": list(self.reasons),
            **{name: found.pop(name) for name in Regions().to_dict()},
            "defect_count": self.defect_count,
            "image_size": list(self.image_size),
            "model_id": self.model_id,
            "model_sha256": self.model_sha256,
            "promise": self.promise,
            "image_sha256": self.image_sha256,
            "ms": dict(self.ms),
            "metadata": dict(self.metadata),
            **found,
            "classes": list(self.classes),
            "decided_by": self.decided_by,
            "stages": {
                name: score if math.isfinite(score) else None for name, score in self.stages.items()
            },
        }

    def overlay(self) -> NDArray[np.uint8] | None:
        """Return the regions outlined on the image, or else on the map: (height, width, 3) RGB.

        Where the network saw a part of the image alone, a blue frame shows which.

        None when the verdict holds neither.
        """
        backdrop = self.result.backdrop() if self.image is None else None
        if self.image is None and backdrop is None:
            return None
        grey: NDArray[np.generic] | None = self.image_8bit()
        if grey is None:
            grey = np.nan_to_num(np.asarray(backdrop) * 255.0, posinf=255, neginf=0)
        picture = np.atleast_3d(np.clip(grey, 0, 255)).astype(np.uint8)
        picture = np.array(np.broadcast_to(picture, (*picture.shape[:2], 3)), order="C")
        outlines, _ = cv2.findContours(
            self.mask().view(np.uint8), cv2.RETR_LIST, cv2.CHAIN_APPROX_NONE
        )
        width = max(1, round(max(picture.shape[:2]) / 400))
        cv2.drawContours(picture, outlines, -1, _COLOURS[self.outcome], width)
        self.result.mark(picture, _COLOURS[self.outcome], width)
        if self.window_xyxy is not None:
            x0, y0, x1, y1 = self.window_xyxy
            cv2.rectangle(picture, (x0, y0), (x1 - 1, y1 - 1), _SEEN, width)
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
