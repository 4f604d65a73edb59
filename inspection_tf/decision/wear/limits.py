"""Limits of flank wear, and its levels: what a measured wear makes of an image."""

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Annotated, Literal

import numpy as np
import pydantic
from numpy.typing import NDArray

from inspection_tf import config
from inspection_tf.decision.wear.along_edge import EdgeSide
from inspection_tf.decision.wear.flank_wear import ZONE_B, FlankWear, measure

Grade = Literal["OK", "REVIEW", "NG"]

_LIMIT = pydantic.Field(default=None, gt=0, allow_inf_nan=False)
_SLACK = 1 + 1e-9  # 20 px of 0.005 mm are a little more than 100 um in floating point
_Width = Annotated[float, pydantic.Field(ge=0, allow_inf_nan=False)]

QUANTITIES: Mapping[str, str] = {
    "max_vb_um": "flank wear VB_B",
    "max_vb_peak_um": "flank wear VB_Bmax",
    "max_chipping_um": "chipping",
}
"""The limits, and what each is a limit of, in words."""


class WearRules(config.Section):
    """How flank wear is measured on the regions that the rules keep, and what it may be.

    Limits raise: over one an image is NG also where its score is under the threshold, and nothing
    here makes an image OK, unless `acquits` says so. The score itself knows no wear but by
    `acquits`: thresholds, their promises and metrics that rank by score are as without it. Without
    `mm_per_px` an image with a wear land that must be judged is REVIEW at least. Where a cascade's
    first stage stops an image, nothing is measured. An engine that moves wear across a limit
    changes a verdict far from the threshold of the score, and its gate refuses it.
    """

    method: Literal["none", "flank_wear"] = "flank_wear"
    """none: nothing is measured; flank_wear: as here, on the regions that are kept."""
    class_name: str | None = None
    """Class of the wear land, pixel by pixel the likeliest one; none: all classes are wear land."""
    edge_side: EdgeSide = "auto"
    """Side of the wear land on which the cutting edge lies; auto: where its border is smoother."""
    zone: tuple[float, float] = ZONE_B
    """Zone B of ISO 3685, in which VB is measured: its first and last share of the edge's length,
    0..1. Chipping is measured along all of it."""
    max_vb_um: float | None = _LIMIT
    """NG over this mean width VB_B, um."""
    max_vb_peak_um: float | None = _LIMIT
    """NG over this largest width VB_Bmax, um."""
    max_chipping_um: float | None = _LIMIT
    """NG over this depth of missing material under the ideal edge, um."""
    review_share: float | None = pydantic.Field(default=None, gt=0, lt=1)
    """REVIEW over this share of a limit, 0..1; none: all within the limits is as it was."""
    acquits: bool = False
    """Within the limits an image is OK: they are a rule on the image as `min_level` is, and its
    score is held under the mask threshold. Labels that call each wear land a defect count it as an
    escape then, and a threshold chosen on them would undo it: set the threshold by hand."""
    levels: dict[str, _Width] = pydantic.Field(default_factory=dict)
    """Level of wear and the VB_B from which it is reached, um; the mildest first."""

    @pydantic.model_validator(mode="after")
    def _fit_together(self) -> "WearRules":
        if not 0 <= self.zone[0] < self.zone[1] <= 1:
            raise ValueError("zone must be two rising shares of the edge's length, 0 to 1")
        if self.method == "none" and self != WearRules.model_construct(method="none"):
            raise ValueError("method none measures nothing; leave out the other settings of wear")
        starts = list(self.levels.values())
        if self.acquits and not self.limits_um:
            raise ValueError("acquits needs a limit within which an image is OK")
        if starts != sorted(set(starts)):
            raise ValueError("levels must begin at rising widths, the mildest first")
        return self

    def __hash__(self) -> int:
        """Hash as every section does, although one field is a mapping."""
        return hash((tuple(self.levels.items()), self.model_copy(update={"levels": ()}).__repr__()))

    def measure(self, mask: NDArray[np.bool], *, mm_per_px: float | None) -> FlankWear:
        """Measure the mask of a wear land (height, width), by this side and zone."""
        return measure(mask, mm_per_px=mm_per_px, edge_side=self.edge_side, zone=self.zone)

    @property
    def limits_um(self) -> dict[str, float]:
        """The limits that are set, by the name of their field."""
        limits = {name: getattr(self, name) for name in QUANTITIES}
        return {name: limit for name, limit in limits.items() if limit is not None}

    @property
    def judges(self) -> bool:
        """Whether anything hangs on the scale: a limit, or a level."""
        return bool(self.limits_um or self.levels)


@dataclass(frozen=True, slots=True)
class Finding:
    """One quantity of wear beside its limit.

    Attributes:
        limit: the name of its field in `WearRules`.
        value_um: measured.
        limit_um: NG over it.
        grade: what it makes of the image.
    """

    limit: str
    value_um: float
    limit_um: float
    grade: Grade


def judge(wear: FlankWear, rules: WearRules) -> tuple[Grade, tuple[Finding, ...]]:
    """Compare flank wear with its limits.

    Args:
        wear: of an image.
        rules: with the limits.

    Returns:
        The gravest grade, and each limit that is set beside what was measured. Without a wear land
        it is OK; with one and without a scale it is REVIEW where there is something to judge, and
        nothing is compared.
    """
    if not wear.edge_xy:
        return "OK", ()
    measured = (wear.vb_mean_um, wear.vb_max_um, wear.chipping_um)
    found = []
    for name, value in zip(QUANTITIES, measured, strict=True):
        limit = rules.limits_um.get(name)
        if value is not None and limit is not None:
            found.append(Finding(name, value, limit, _grade(value, limit, rules.review_share)))
    if wear.mm_per_px is None:
        return ("REVIEW" if rules.judges else "OK"), ()
    grades = {finding.grade for finding in found}
    gravest: Grade = "NG" if "NG" in grades else "REVIEW" if "REVIEW" in grades else "OK"
    return gravest, tuple(found)


def _grade(value: float, limit: float, review_share: float | None) -> Grade:
    if value > limit * _SLACK:
        return "NG"
    starts = math.inf if review_share is None else review_share * limit * _SLACK
    return "REVIEW" if value > starts else "OK"


def level_of(wear: FlankWear, rules: WearRules) -> str | None:
    """Return the name of the gravest level that VB_B reaches.

    None where it reaches none, where there is no scale, or no level is named. An image without a
    wear land has a VB_B of 0.
    """
    width = wear.vb_mean_um
    if width is None:
        return None
    reached = [name for name, start in rules.levels.items() if width * _SLACK >= start]
    return reached[-1] if reached else None
