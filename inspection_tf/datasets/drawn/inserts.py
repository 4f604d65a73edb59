"""Records whose photos of cutting inserts are drawn when they are read.

The same photos serve two tasks: told apart by class as broken and unbroken, or labelled with masks
of the wear land.
"""

import dataclasses
import functools
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import Literal

import cv2
import numpy as np
from numpy.typing import NDArray

from inspection_tf import errors, images
from inspection_tf.datasets.records import Record, Records, Split
from inspection_tf.synthesis import inserts
from inspection_tf.synthesis.inserts import InsertSample, InsertSpec

InsertLabels = Literal["breakage", "wear", "damage"]
CLASSES: dict[InsertLabels, tuple[str, ...]] = {
    "breakage": ("broken",),
    "wear": ("flank_wear",),
    "damage": ("flank_wear", "chipping"),
}
_LAND, _CHIPPING = 1, 2
_DEAL = 6  # keeps these draws apart from others of the seed
# Raised whenever the same spec and seed begin to give other pixels.
DRAWING_VERSION = 2
_KEPT_BYTES = 448 * 2**20
"""Of photos that were drawn already."""


@dataclass(frozen=True, slots=True)
class InsertSource:
    """Photo `index` of a drawn set of cutting inserts.

    Attributes:
        index: place in the set, from 0.
        seed: of the set.
        spec: what the set is drawn from.
        broken_share: share of broken edges.
        labels: "breakage": the label is the class alone; "wear": it is a mask of the wear land;
            "damage": of the wear land and of what is chipped away.
    """

    index: int
    seed: int
    spec: InsertSpec
    broken_share: float
    labels: InsertLabels

    @property
    def shows_own_part(self) -> bool:
        """Whether no other image shows the same part: it is drawn for this one."""
        return True

    @property
    def label_kind(self) -> Literal["masks", "classes"]:
        """What its label is: the class alone, or a mask."""
        return "classes" if self.labels == "breakage" else "masks"

    def sample(self) -> InsertSample:
        """Draw the photo with all that is known of it: the wear land's width, the chipping."""
        return _draw(self.seed, self.spec, self.broken_share)(self.index)

    def read_image(self, *, orientation: images.Orientation = "apply") -> images.Image:
        """Draw the photo, which no orientation turns."""
        return self.sample().image

    def read_mask(
        self, *, orientation: images.Orientation = "apply"
    ) -> NDArray[np.bool_] | NDArray[np.uint8]:
        """Return (H, W), True on the wear land, or ids of classes; empty where the label is one."""
        if self.labels == "breakage":
            return np.zeros(self.spec.size, np.bool_)
        sample = self.sample()
        if self.labels == "wear":
            return sample.wear_mask
        ids = sample.wear_mask.astype(np.uint8) * np.uint8(_LAND)
        if sample.is_broken:
            # An edge is a little rough without being broken: what is thinner is no chip.
            tolerance_px = round(self.spec.chipping_tolerance_um / (1000 * self.spec.mm_per_px))
            brush = np.ones((tolerance_px + 1, tolerance_px + 1), np.uint8)
            missing = sample.chip_mask.astype(np.uint8)
            ids[cv2.morphologyEx(missing, cv2.MORPH_OPEN, brush) > 0] = _CHIPPING
        return ids

    def class_ids(self) -> tuple[int, ...] | None:
        """Return the ids in the mask; None where it has none."""
        if self.labels != "damage":
            return None
        return tuple(np.unique(self.read_mask())[1:].tolist())

    def read_wear(self) -> InsertSample:
        """Return what is truly known of the wear that it shows."""
        return self.sample()

    def identity(self) -> bytes:
        """Return everything the pixels follow from."""
        drawn = (DRAWING_VERSION, "insert", self.index, self.seed, self.broken_share, self.labels)
        return repr((*drawn, self.spec.model_dump_json())).encode()


@functools.lru_cache(maxsize=1)
def _draw(seed: int, spec: InsertSpec, broken_share: float) -> Callable[[int], InsertSample]:
    """Return what draws a photo of a set; it keeps those it drew, for a run reads them often."""
    height, width = spec.size
    drawn = functools.partial(inserts.draw, seed=seed, spec=spec, broken_share=broken_share)
    # A byte a pixel for the photo and for each of its two masks.
    return functools.lru_cache(maxsize=max(8, _KEPT_BYTES // (3 * height * width)))(drawn)


def photos(
    *,
    count: int,
    broken_share: float,
    spec: InsertSpec,
    seed: int,
    labels: InsertLabels,
    shares: Mapping[Split, float] | None = None,
) -> Records:
    """Return records of drawn photos of cutting inserts.

    Args:
        count: number of photos.
        broken_share: share of broken edges, 0..1.
        spec: what to draw from.
        seed: of the set; photo `i` follows from (seed, i).
        labels: "breakage": one class, `broken`; "wear": one class, `flank_wear`, whose masks are
            the wear land, empty on an unworn edge; "damage": the same and a second class,
            `chipping`, what is missing of a broken edge. All label the same photos.
        shares: of the photos in each split, alike for all labels, so that a network that learned
            from the one label has not seen the test images of another; None: none is fixed.

    Raises:
        errors.ConfigError: the count is below 1, or the share is none.
    """
    if count < 1 or not 0 <= broken_share <= 1:
        raise errors.ConfigError(
            "count must be at least 1 and broken_share within 0..1. "
            f"Got {count} and {broken_share}. Correct them."
        )
    sources = (InsertSource(index, seed, spec, broken_share, labels) for index in range(count))
    splits = _splits(count, broken_share, shares, seed=seed) if shares else {}
    found = (
        dataclasses.replace(record, split=splits.get(place))
        for place, record in enumerate(_labelled(sources))
    )
    return Records.of(found, origin="the drawn inserts", classes=CLASSES[labels])


def _splits(
    count: int, broken_share: float, shares: Mapping[Split, float], *, seed: int
) -> dict[int, Split]:
    """Deal photos to splits, broken and unbroken edges alike; returns the split of each index."""
    is_broken = np.array([inserts.is_broken(index, broken_share) for index in range(count)])
    dealt: dict[int, Split] = {}
    for number, of_class in enumerate((~is_broken, is_broken)):
        order = np.random.default_rng([seed, _DEAL, number]).permutation(np.flatnonzero(of_class))
        # Halves go up in the one class and down in the other.
        half = 0.49 if number else 0.5
        ends = np.floor(np.cumsum(list(shares.values())) * len(order) + half).astype(int)
        for name, some in zip(shares, np.split(order, ends[:-1]), strict=True):
            dealt |= dict.fromkeys(some.tolist(), name)
    return dealt


@functools.lru_cache(maxsize=65_536)  # a set is read several times in a run
def _is_worn(source: InsertSource) -> bool:
    return inserts.is_worn(
        source.index, seed=source.seed, spec=source.spec, broken_share=source.broken_share
    )


def _labelled(sources: Iterable[InsertSource]) -> Iterable[Record]:
    for source in sources:
        if source.labels == "breakage":
            is_defect = inserts.is_broken(source.index, source.broken_share)
        else:
            is_defect = _is_worn(source)
            if source.labels == "damage":
                is_defect = is_defect or inserts.is_broken(source.index, source.broken_share)
        yield Record(f"insert/{source.index:06d}", is_defect, source)
