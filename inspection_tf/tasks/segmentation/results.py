"""What of one image is compared in a segmentation: pixels, regions and wear, true and found."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar

import numpy as np


@dataclass(frozen=True, slots=True)
class WearResult:
    """The flank wear of one image; None where it is not known, or not in um.

    Attributes:
        vb_um: VB_B that was found.
        vb_true_um: VB_B that is true.
        vb_max_um: VB_Bmax that was found.
        vb_max_true_um: VB_Bmax that is true.
    """

    vb_um: float | None
    vb_true_um: float | None
    vb_max_um: float | None
    vb_max_true_um: float | None

    @property
    def vb_error_um(self) -> float | None:
        """`|found - true|` of VB_B; None where the image truly shows no wear."""
        return _error(self.vb_um, self.vb_true_um)

    @property
    def vb_max_error_um(self) -> float | None:
        """`|found - true|` of VB_Bmax; None where the image truly shows no wear."""
        return _error(self.vb_max_um, self.vb_max_true_um)


def _error(found: float | None, true: float | None) -> float | None:
    return None if found is None or not true else abs(found - true)


@dataclass(frozen=True, slots=True)
class MapResult:
    """How the masks of one image overlap; a pixel that is ignored is in none of these numbers.

    Attributes:
        overlap_px: pixels of the true defect that the verdict's regions cover.
        true_area_px: pixels of the true defect.
        found_area_px: pixels of the verdict's regions.
        regions: number of all the verdict's regions.
        hidden_defects: true defects that a rule hides; None if it was not audited.
        regions_true: 8-connected regions of the truth, class by class.
        regions_found: regions of the verdict that have a pixel that is not ignored.
        regions_matched: pairs of the two; see `regions.match_regions`.
        class_overlap_px: like `overlap_px`, of each class with itself.
        class_true_px: pixels of each class in the truth.
        class_found_px: pixels of each class in the verdict.
        wear: flank wear; None where none is measured.
    """

    kind: ClassVar[str] = "map"

    overlap_px: int
    true_area_px: int
    found_area_px: int
    regions: int = 0
    hidden_defects: int | None = None
    regions_true: int = 0
    regions_found: int = 0
    regions_matched: int = 0
    class_overlap_px: tuple[int, ...] = ()
    class_true_px: tuple[int, ...] = ()
    class_found_px: tuple[int, ...] = ()
    wear: WearResult | None = None

    @property
    def dice(self) -> float | None:
        """`2 overlap / (true + found)`; None where no pixel is truly defective."""
        if not self.true_area_px:
            return None
        return 2 * self.overlap_px / (self.true_area_px + self.found_area_px)

    @property
    def iou(self) -> float | None:
        """`overlap / union`; None where no pixel is truly defective."""
        return self.overlap_px / self.union_px if self.true_area_px else None

    @property
    def union_px(self) -> int:
        """Pixels that are defective or found."""
        return self.true_area_px + self.found_area_px - self.overlap_px

    def found_class(self, classes: Sequence[str]) -> str:
        """Return the name of the class with the most found pixels; "" where nothing was found."""
        return classes[int(np.argmax(self.class_found_px))] if any(self.class_found_px) else ""
