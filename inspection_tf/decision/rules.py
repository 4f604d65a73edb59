"""Rules on regions, and the image score that already knows them: the arithmetic of `decision`.

The score of an image is the peak of its k-th highest surviving region, where k is the smallest
number of regions for which the rules on the image hold. If no number does, it is the highest
probability in the inspected area, held just under the mask threshold. So for a threshold at or
above the mask threshold, "score >= threshold" *is* the verdict after the rules. (A threshold under
it also makes images NG that have no region a rule could drop: there the rules acquit nothing.)

A map of several classes is decided on their sum, the defect map: one region may hold pixels of more
than one class, and its class is the one with the largest sum of probability in it (with `one_class`
in all regions, with `class_by` both times what the classifier says of it).
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Annotated, Any, Literal

import cv2
import numpy as np
import pydantic
from numpy.typing import NDArray

from inspection_tf import config, errors
from inspection_tf.decision.regions import (
    Regions,
    Zone,
    check_map,
    defect_map,
    find,
    nothing,
    strongest_class,
    zone_masks,
)
from inspection_tf.decision.wear import flank_wear, limits

_LIMIT = pydantic.Field(default=None, ge=0, allow_inf_nan=False)
_Area = Annotated[float, pydantic.Field(ge=0, allow_inf_nan=False)]
WEAR_LIMITS = "the limits of wear"
"""What the rule on the image is called that wear acquits by."""
_SLACK = 1 - 1e-9  # 0.1 mm * 30 is a little less than 3 mm in floating point


class Level(config.Section):
    """A severity: reached when the reported regions together reach each limit that is set."""

    name: str
    """Shown in the verdict."""
    min_pattern_ratio: float | None = _LIMIT
    """Defect area / inspected area, 0..1."""
    min_area_px: float | None = _LIMIT
    """Area of the regions together, px."""
    min_area_mm2: float | None = _LIMIT
    """Area of the regions together, mm2."""


class Rules(config.Section):
    """What counts as a defect (rules on one region) and what makes an image NG (rules on all)."""

    min_area_px: float | None = _LIMIT
    """Smaller regions are dropped, px."""
    min_area_mm2: float | None = _LIMIT
    """Smaller regions are dropped, mm2."""
    min_length_px: float | None = _LIMIT
    """Shorter regions are dropped, px (longer side of the smallest rotated rectangle)."""
    min_length_mm: float | None = _LIMIT
    """Shorter regions are dropped, mm."""
    min_mean_score: float | None = _LIMIT
    """Regions of lower mean probability are dropped, 0..1."""
    class_min_area_px: dict[str, _Area] = pydantic.Field(default_factory=dict)
    """Class name and area: smaller regions of that class are dropped, px."""
    one_class: bool = False
    """All regions of an image have one class, the one with the largest sum of probability over
    those together that no rule drops: for parts that show one kind of defect at a time."""
    class_by: Literal["segmenter", "both"] = "segmenter"
    """What names the class of a region: the sums of the map, or, in a cascade, both stages: each
    sum times the classifier's probability of that class. Score and verdict do not hang on it."""
    zones: tuple[Zone, ...] = ()
    """Regions are kept or dropped by where their centroid lies."""
    min_count: int = pydantic.Field(default=1, ge=1)
    """Regions it takes for NG."""
    min_pattern_ratio: float | None = _LIMIT
    """Defect area / inspected area it takes for NG, 0..1."""
    levels: tuple[Level, ...] = ()
    """Severities, the mildest first."""
    min_level: str | None = None
    """Severity it takes for NG: the name of a level."""
    wear: limits.WearRules = limits.WearRules(method="none")
    """Flank wear of the regions that no rule drops."""

    outline: Literal["pixels", "ellipse"] = "pixels"
    """How regions are drawn: their pixels, or the ellipse of equal moments, for networks that
    learned from ellipse labels. Areas and all rules stay those of the pixels."""

    @pydantic.model_validator(mode="after")
    def _names_are_known(self) -> "Rules":
        names = [level.name for level in self.levels]
        for what, used in (("levels", names), ("zones", [zone.name for zone in self.zones])):
            if len(set(used)) < len(used):
                raise ValueError(f"the names of {what} must differ, got {used}")
        if self.class_by == "both" and self.class_min_area_px:
            raise ValueError(
                "class_min_area_px needs class_by segmenter: what a rule drops must hang on the "
                "map alone, for whose scores the thresholds are chosen"
            )
        if self.min_level is not None and self.min_level not in names:
            raise ValueError(f"min_level must name one of the levels {names}")
        if self.levels and self.wear.levels:
            raise ValueError("levels must be those of areas or those of wear, got both")
        return self

    @pydantic.model_serializer(mode="wrap")
    def _without_wear_where_none_is_measured(
        self, write: pydantic.SerializerFunctionWrapHandler
    ) -> dict[str, object]:
        values: dict[str, object] = write(self)
        if self.measured_wear is None:  # as every bundle and configuration without it was written
            values.pop("wear", None)
        return values

    @pydantic.field_validator("wear", mode="before")
    @classmethod
    def _none_is_not_measured(cls, value: object) -> object:
        return limits.WearRules(method="none") if value is None else value

    @property
    def measured_wear(self) -> limits.WearRules | None:
        """How flank wear is measured; None where it is not."""
        return None if self.wear.method == "none" else self.wear

    def __hash__(self) -> int:
        """Hash as every section does, although one field is a mapping."""
        values = (getattr(self, name) for name in type(self).model_fields)
        return hash(
            tuple(
                frozenset(value.items()) if isinstance(value, dict) else value for value in values
            )
        )

    def check_classes(self, classes: Sequence[str] | None, channels: int) -> None:
        """Refuse names that are not those of the map's channels, and rules on other classes.

        Raises:
            errors.ConfigError: a channel has no name, or a rule names no channel.
        """
        ruled = list(self.class_min_area_px)
        worn = None if self.measured_wear is None else self.measured_wear.class_name
        if classes is None:
            if ruled or worn is not None:
                raise errors.ConfigError(
                    "Rules on classes need the names of the channels. Got "
                    f"{ruled or [worn]} and no classes. Give classes, one name for each channel."
                )
            return
        if len(classes) != channels or len(set(classes)) < channels:
            raise errors.ConfigError(
                f"classes must name each of the {channels} channels of the map, all differently. "
                f"Got {list(classes)}. Give one name for each channel."
            )
        if unknown := [name for name in ruled if name not in classes]:
            raise errors.ConfigError(
                f"class_min_area_px must name classes of the map. Got {unknown}; the classes are "
                f"{list(classes)}. Correct the names."
            )
        if worn is not None and worn not in classes:
            raise errors.ConfigError(
                f"wear.class_name must be a class of the map. Got {worn!r}; the classes are "
                f"{list(classes)}. Correct the name."
            )

    def check_scale(self, mm_per_px: float | None) -> None:
        """Refuse rules in mm when the scale of the image is unknown, and a scale that is none.

        Raises:
            errors.ConfigError: `mm_per_px` is missing or not positive.
        """
        if mm_per_px is not None:
            if not (np.isfinite(mm_per_px) and mm_per_px > 0):
                raise errors.ConfigError(
                    f"mm_per_px must be a positive length. Got {mm_per_px!r}. Measure the width of "
                    "the view in mm and divide it by its width in px."
                )
            return
        names = ("min_area_mm2", "min_length_mm")
        in_mm = [name for name in names if getattr(self, name) is not None]
        in_mm += [f"levels.{level.name}" for level in self.levels if level.min_area_mm2 is not None]
        if in_mm:
            raise errors.ConfigError(
                f"Rules in mm need the scale of the image. Got {', '.join(in_mm)} and no "
                "mm_per_px. Set mm_per_px, or give the rules in px."
            )


@dataclass(frozen=True, slots=True)
class Assessment:
    """What the rules make of one map."""

    regions: Regions
    dropped: dict[str, NDArray[np.bool]]  # rule -> (n,), the regions that fail it
    kept: NDArray[np.int64]  # indices of the surviving regions, by falling peak
    unmet: tuple[str, ...]  # rules on the image that all surviving regions together do not meet
    score: float  # nan if the map is not finite
    inspected_px: int
    probability: NDArray[np.floating[Any]]  # (height, width), the defect map
    class_index: NDArray[np.int64]  # (n,), the channel of each region
    wear: flank_wear.FlankWear | None = None  # None: it was not measured


def class_rule(name: str) -> str:
    """Return what the rule on the area of one class is called."""
    return f"class_min_area_px {name!r}"


def _failures(
    regions: Regions,
    rules: Rules,
    size: tuple[int, int],
    mm_per_px: float | None,
) -> dict[str, NDArray[np.bool]]:
    """Return for each rule but those on classes which regions it drops."""
    scale = mm_per_px or 0.0
    dropped: dict[str, NDArray[np.bool]] = {}
    for name, value in (
        ("min_area_px", regions.area_px),
        ("min_area_mm2", regions.area_px * scale**2),
        ("min_mean_score", regions.mean),
    ):
        if (limit := getattr(rules, name)) is not None:
            dropped[name] = value < limit * _SLACK
    if rules.zones:
        dropped |= _outside(regions, rules.zones, size)
    if rules.min_length_px is None and rules.min_length_mm is None:
        return dropped
    length = np.full(len(regions), np.inf)  # costly, so only of regions that are still there
    for index in survivors(dropped, len(regions)):
        length[index] = regions.length_px(index)
    if rules.min_length_px is not None:
        dropped["min_length_px"] = length < rules.min_length_px * _SLACK
    if rules.min_length_mm is not None:
        dropped["min_length_mm"] = length * scale < rules.min_length_mm * _SLACK
    return dropped


def _outside(
    regions: Regions, zones: tuple[Zone, ...], size: tuple[int, int]
) -> dict[str, NDArray[np.bool]]:
    column, row = np.floor(regions.centroid_xy + 0.5).astype(int).T
    _, masks = zone_masks(zones, size)
    zone_contains = [mask[row, column] for mask in masks]
    dropped = {
        f"ignore zone {zone.name!r}": inside
        for zone, inside in zip(zones, zone_contains, strict=True)
        if zone.kind == "ignore"
    }
    wanted = [
        inside for zone, inside in zip(zones, zone_contains, strict=True) if zone.kind == "inspect"
    ]
    if wanted:
        dropped["inspect zones"] = ~np.any(wanted, axis=0)
    return dropped


def survivors(dropped: dict[str, NDArray[np.bool]], count: int) -> NDArray[np.int64]:
    """Return the indices of the regions that no rule drops."""
    failed = np.zeros(count, bool)
    for fails in dropped.values():
        failed |= fails
    return np.flatnonzero(~failed)


def levels_reached(
    rules: Rules, *, area_px: NDArray[Any], ratio: NDArray[Any], mm_per_px: float | None
) -> NDArray[np.int64]:
    """Return for each total the index of the gravest level it reaches, -1 for none."""
    reached = np.full(area_px.shape, -1)
    for index, level in enumerate(rules.levels):
        meets = np.ones(area_px.shape, bool)
        for limit, value in (
            (level.min_pattern_ratio, ratio),
            (level.min_area_px, area_px),
            (level.min_area_mm2, area_px * (mm_per_px or 0.0) ** 2),
        ):
            if limit is not None:
                meets &= value >= limit * _SLACK
        reached[meets] = index
    return reached


def _image_rules(
    regions: Regions,
    kept: NDArray[np.int64],
    rules: Rules,
    inspected_px: int,
    mm_per_px: float | None,
    worn: flank_wear.FlankWear | None,
) -> dict[str, NDArray[np.bool]]:
    """Return for each rule on the image whether the first 1, 2, ... surviving regions meet it."""
    area = regions.area_px[kept].cumsum()
    ratio = regions.inspected_px[kept].cumsum() / inspected_px
    met = {"min_count": np.arange(1, len(kept) + 1) >= rules.min_count}
    if worn is not None and rules.measured_wear is not None and rules.measured_wear.acquits:
        met[WEAR_LIMITS] = np.full(len(kept), limits.judge(worn, rules.measured_wear)[0] == "NG")
    if rules.min_pattern_ratio is not None:
        met["min_pattern_ratio"] = ratio >= rules.min_pattern_ratio * _SLACK
    if rules.min_level is not None:
        least = [level.name for level in rules.levels].index(rules.min_level)
        level = levels_reached(rules, area_px=area, ratio=ratio, mm_per_px=mm_per_px)
        met["min_level"] = level >= least
    return met


def _pixels(regions: Regions, kept: NDArray[np.int64], size: tuple[int, int]) -> NDArray[np.bool]:
    """Return the pixels (height, width) of some regions together."""
    mask = np.zeros(size, bool)
    (x, y), (height, width) = regions.offset_xy, regions.labels.shape
    mask[y : y + height, x : x + width] = np.isin(regions.labels, regions.label[kept])
    return mask


def assess(
    probability: NDArray[Any],
    rules: Rules,
    *,
    mask_threshold: float,
    mm_per_px: float | None,
    classes: Sequence[str] | None = None,
    class_weight: NDArray[Any] | None = None,
    measures_wear: bool = False,
) -> Assessment:
    """Find the regions of a map, apply the rules, and score the image.

    `class_weight` (classes,) multiplies the sums that name the class of a region. Wear that the
    rules ask for is measured if `measures_wear`, or where the score hangs on it.

    Raises:
        errors.ConfigError: the map is no map, rules in mm have no scale, names do not fit the
            classes, or nothing is inspected.
    """
    rules.check_scale(mm_per_px)
    channels = check_map(probability)
    rules.check_classes(classes, channels.shape[2])
    array, highest, finite = defect_map(channels)
    size = (array.shape[0], array.shape[1])
    inspected = zone_masks(rules.zones, size)[0] if rules.zones else None
    inspected_px = array.size if inspected is None else int(np.count_nonzero(inspected))
    if not finite:
        none = nothing()
        return Assessment(none, {}, none.label, (), float("nan"), inspected_px, array, none.label)
    if highest < mask_threshold:  # the common case is the fast one
        regions = nothing()
    else:
        regions = find(array, mask_threshold=mask_threshold, inspected=inspected)
    dropped = _failures(regions, rules, size, mm_per_px) if len(regions) else {}
    class_index = strongest_class(
        regions,
        channels,
        together=survivors(dropped, len(regions)) if rules.one_class else None,
        weight=class_weight,
    )
    if len(regions):
        class_name = np.array(classes or [""] * channels.shape[2])[class_index]
        for name, limit in rules.class_min_area_px.items():
            dropped[class_rule(name)] = (class_name == name) & (regions.area_px < limit * _SLACK)
    kept = survivors(dropped, len(regions))
    worn = None
    if rules.measured_wear is not None and (measures_wear or rules.measured_wear.acquits):
        land = _pixels(regions, kept, size)
        if classes is not None and rules.measured_wear.class_name is not None:
            # Pixel by pixel: a chip that touches the land is one region with it.
            land &= channels.argmax(axis=2) == list(classes).index(rules.measured_wear.class_name)
        worn = rules.measured_wear.measure(land, mm_per_px=mm_per_px)
    met = _image_rules(regions, kept, rules, inspected_px, mm_per_px, worn)
    suffices = np.logical_and.reduce(list(met.values()))
    if suffices.any():
        score = float(regions.peak[kept[suffices.argmax()]])
    else:
        if inspected is not None:
            highest = float(cv2.minMaxLoc(array, inspected.view(np.uint8))[1])
        score = min(highest, float(np.nextafter(mask_threshold, 0.0)))
    unmet = tuple(name for name, meets in met.items() if len(kept) and not meets[-1])
    return Assessment(regions, dropped, kept, unmet, score, inspected_px, array, class_index, worn)
