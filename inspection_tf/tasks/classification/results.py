"""What a verdict says of the class of an image, and where it saw that."""

import math
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, ClassVar

import cv2
import numpy as np
from numpy.typing import NDArray

if TYPE_CHECKING:
    from inspection_tf import images
    from inspection_tf.decision.results import Colour

_SHOWN = 0.5
_STRONGEST = 0.45


@dataclass(frozen=True, slots=True)
class Classes:
    """How likely an image is of each class, and which places speak for what is wrong.

    Attributes:
        names: of the classes, that of good images first.
        probability: of each, 0..1; None where one is not finite.
        evidence: (rows, columns, classes), what each place adds to the logit of each class; None
            where the network does not return it.
        placement: where the source lies in the input whose rows and columns these are.
        novelty: how unlike the training images it is; from 1 on less like them than these are like
            each other. None where the network does not return it.
    """

    kind: ClassVar[str] = "classes"
    defect_count: ClassVar[int] = 0
    needs_no_score: ClassVar[bool] = False

    names: tuple[str, ...]
    probability: tuple[float, ...] | None
    evidence: NDArray[np.floating] | None = field(default=None, repr=False, compare=False)
    placement: "images.Placement | None" = field(default=None, repr=False, compare=False)
    novelty: float | None = None

    @property
    def class_name(self) -> str | None:
        """The likeliest class; None where a probability is not finite."""
        if self.probability is None:
            return None
        return self.names[int(np.argmax(self.probability))]

    @property
    def margin(self) -> float | None:
        """By how much it is ahead of the next, 0..1."""
        if self.probability is None:
            return None
        second, first = sorted(self.probability)[-2:]
        return first - second

    def to_dict(self) -> dict[str, object]:
        """Return the likeliest class, its margin, the probability of every class, the novelty.

        The novelty is there where the network returns it; null where it is not finite.
        """
        shares = self.probability
        novelty: dict[str, float | None] = {}
        if self.novelty is not None:
            novelty["class_novelty"] = self.novelty if math.isfinite(self.novelty) else None
        return {
            "class_name": self.class_name,
            "class_margin": self.margin,
            "class_probability": None
            if shares is None
            else dict(zip(self.names, shares, strict=True)),
            **novelty,
        }

    def cells(self) -> NDArray[np.float64] | None:
        """Return how much each cell of the network speaks for the likeliest class but OK.

        Returns:
            (rows, columns), at least 0: what a place adds to the logit of that class beyond what
            it adds to that of OK, where it is more. None without evidence.
        """
        if self.evidence is None or self.probability is None:
            return None
        wrong = 1 + int(np.argmax(self.probability[1:]))
        ahead = np.asarray(self.evidence[..., wrong] - self.evidence[..., 0], np.float64)
        return np.maximum(np.nan_to_num(ahead, nan=0.0, posinf=0.0, neginf=0.0), 0.0)

    def heat(self) -> NDArray[np.float32] | None:
        """Return `cells` on the source image, (height, width), 0 to 1 at its strongest place.

        Cells are interpolated linearly between their centres. None without evidence.
        """
        cells = self.cells()
        if cells is None or self.placement is None:
            return None
        height, width = self.placement.size
        peak = float(cells.max())
        scaled = np.asarray(cells / peak if peak > 0 else cells, np.float32)
        laid = np.asarray(
            cv2.resize(scaled, (width, height), interpolation=cv2.INTER_LINEAR), np.float32
        )
        return np.clip(self.placement.map_to_source(laid), 0.0, 1.0)

    def mask(self, image_size: tuple[int, int]) -> NDArray[np.bool_]:
        """Return the pixels with at least half of the strongest heat, (height, width).

        None is marked where the likeliest class is OK, or without evidence.
        """
        heat = self.heat()
        if heat is None or self.class_name in (None, self.names[0]):
            return np.zeros(image_size, bool)
        return np.asarray((heat >= _SHOWN) & (heat > 0), np.bool_)

    def backdrop(self) -> NDArray[np.floating] | None:
        """Return the heat."""
        return self.heat()

    def pictures(self, image: NDArray[np.generic] | None) -> dict[str, NDArray[np.generic]]:
        """Return the heat as grey values, `heat`, where the network returns evidence."""
        heat = self.heat()
        return {} if heat is None else {"heat": np.rint(255 * heat).astype(np.uint8)}

    def picture_names(self, image: NDArray[np.generic] | None) -> tuple[str, ...]:
        """Return `heat` where the network returns evidence."""
        return () if self.placement is None or self.cells() is None else ("heat",)

    def mark(self, picture: NDArray[np.uint8], colour: "Colour", width: int) -> None:
        """Tint what speaks for the likeliest class but OK, where this is the likeliest of all."""
        heat = self.heat()
        if heat is None or self.class_name in (None, self.names[0]):
            return
        share = _STRONGEST * heat[..., None]
        picture[:] = np.rint((1 - share) * picture + share * np.array(colour)).astype(np.uint8)

    def without_pixels(self) -> "Classes":
        """Return it without its evidence."""
        return Classes(self.names, self.probability, novelty=self.novelty)
