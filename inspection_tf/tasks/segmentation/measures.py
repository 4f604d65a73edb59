"""What is measured on maps: which Dice is which.

- `dice_defective`    mean over the defective images. What the network is worth on a defect.
- `iou_defective`     the same for IoU.
- `iou_pooled`        one ratio of all pixels of all images: large defects weigh more, and pixels
                      found on good images count against it.
- `dice_all_images`   mean over all images, where a good image counts 1 if nothing was found on it,
                      else 0. The published convention; it rises with the share of good images.
- `iou_pooled_defective` one ratio of all pixels of the defective images alone.
- `iou_class_<name>`  with several classes: one ratio of a class's pixels on all images; what is
                      found on good images, or is another class, counts against it.
- `iou_class_mean`    mean over the classes that are there or found.
- `vb_error_um_mean`  where flank wear is measured: mean absolute error of VB_B over the images that
                      truly show wear; one on which none was found counts with all of its VB_B.
- `vb_max_error_um_mean` the same for VB_Bmax. The truth is what the data set knows of the wear, or
                      else what is measured on the true mask as on the found one.
- `region_f1`         counts defects instead: `2 matched / (true + found)` regions of all images
                      together.

Pixels that a data set ignores are in none of these: neither where they are marked nor where a
verdict finds them. A region of the verdict counts by its other pixels, and not at all where it has
none. Outcome and score remain those of the whole image, as the line will see it. Defective images
whose mask is empty have no Dice or IoU and are left out of all of these.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import ClassVar, Literal

import numpy as np
from numpy.typing import NDArray

from inspection_tf import evaluation
from inspection_tf.evaluation import columns, intervals
from inspection_tf.evaluation.intervals import Floats, Statistic
from inspection_tf.tasks.segmentation.results import MapResult, WearResult

CLASS_PREFIX = "iou_class_"
_MEAN = "iou_class_mean"


Truth = Literal["known", "mask"]
"""Where true wear comes from: the data set knows it, or it is measured on the true mask."""
_WEAR: Mapping[str, tuple[str, Callable[[WearResult], float | None]]] = {
    "vb_error_um_mean": ("mean error of VB_B, um", lambda wear: wear.vb_error_um),
    "vb_max_error_um_mean": ("mean error of VB_Bmax, um", lambda wear: wear.vb_max_error_um),
}


@dataclass(frozen=True, slots=True)
class MapMeasures:
    """Metrics of pixels and regions, of all defects together and of each class.

    Attributes:
        true_wear: where true flank wear comes from; None where no wear is measured.
    """

    lower_is_better: ClassVar[tuple[str, ...]] = tuple(_WEAR)
    # In um, not in shares: pixels bound how far a wear land may move, verdicts what that changes.
    bounds: ClassVar[Mapping[str, evaluation.Bound]] = dict.fromkeys(_WEAR, "none")

    true_wear: Truth | None = None

    def statistics(
        self, rows: Sequence[evaluation.ImageResult], classes: Sequence[str]
    ) -> dict[str, tuple[Statistic, int]]:
        """Return the metrics as statistics of counts of groups."""
        group_of = evaluation.groups(rows)
        results = [row.result_as(MapResult) for row in rows]
        is_ng = np.array([row.is_ng for row in rows])

        def column(value: Callable[[MapResult], float | None]) -> Floats:
            return np.array([value(result) or 0.0 for result in results], np.float64)

        def ratio(above: Floats, below: Floats) -> tuple[Statistic, int]:
            return intervals.ratio_of_sums(above, below, group_of)

        marked = column(lambda result: result.true_area_px > 0)
        clean = column(lambda result: not result.found_area_px) * ~is_ng
        dice = column(lambda result: result.dice)
        labelled = np.maximum(marked, ~is_ng)
        union = column(lambda result: result.union_px) * labelled
        overlap = column(lambda result: result.overlap_px)
        matched = column(lambda result: 2 * result.regions_matched)
        regions = column(lambda result: result.regions_true + result.regions_found)
        statistics = {
            "dice_defective": ratio(dice, marked),
            "iou_defective": ratio(column(lambda result: result.iou), marked),
            "iou_pooled": ratio(overlap, union),
            "dice_all_images": ratio(dice + clean, labelled),
            "iou_pooled_defective": ratio(overlap, union * is_ng),
            "region_f1": ratio(matched, regions * labelled),
        }
        if len(classes) > 1:
            statistics |= _of_classes(results, classes, labelled, group_of)
        if self.true_wear is not None:
            statistics |= {
                name: _mean_error(results, error, group_of) for name, (_, error) in _WEAR.items()
            }
        return statistics

    def meanings(self, classes: Sequence[str]) -> dict[str, str]:
        """Return every metric in its order and in words."""
        of_classes = {CLASS_PREFIX + name: "IoU of its pixels, all images" for name in classes}
        return {
            "dice_defective": "mean Dice, defective images",
            "iou_defective": "mean IoU, defective images",
            "iou_pooled": "IoU of all pixels together",
            "dice_all_images": "mean Dice, all; clean good is 1",
            **evaluation.OUTCOMES,
            "iou_pooled_defective": "IoU of pixels, defective images",
            "region_f1": "F1 of regions, IoU over 0.33",
            **({**of_classes, _MEAN: "mean of the classes' IoU"} if len(classes) > 1 else {}),
            **self._meanings_of_wear(),
        }

    def _meanings_of_wear(self) -> dict[str, str]:
        if self.true_wear is None:
            return {}
        truth = ", to the mask's" if self.true_wear == "mask" else ""
        return {name: words + truth for name, (words, _) in _WEAR.items()}

    def columns(self, classes: Sequence[str]) -> dict[str, evaluation.Column]:
        """Return the columns of the table of images, with those of several classes."""
        return {
            **columns.OUTCOME,
            "dice": lambda row: row.result_as(MapResult).dice,
            "iou": lambda row: row.result_as(MapResult).iou,
            "overlap_px": lambda row: row.result_as(MapResult).overlap_px,
            "true_area_px": lambda row: row.result_as(MapResult).true_area_px,
            "found_area_px": lambda row: row.result_as(MapResult).found_area_px,
            "regions": lambda row: row.result_as(MapResult).regions,
            "hidden_defects": lambda row: row.result_as(MapResult).hidden_defects,
            **columns.REASON,
            "regions_true": lambda row: row.result_as(MapResult).regions_true,
            "regions_found": lambda row: row.result_as(MapResult).regions_found,
            "regions_matched": lambda row: row.result_as(MapResult).regions_matched,
            **_class_columns(classes),
            **({} if self.true_wear is None else _WEAR_COLUMNS),
        }

    def class_count(self, row: evaluation.ImageResult) -> int:
        """Return the number of classes of which pixels were counted."""
        return len(row.result_as(MapResult).class_true_px)

    def warning(self, rows: Sequence[evaluation.ImageResult]) -> str:
        """Say which defective images have no mask."""
        unmarked = [
            row.id for row in rows if row.is_ng and not row.result_as(MapResult).true_area_px
        ]
        if not unmarked:
            return ""
        return (
            f"{len(unmarked)} defective images have an empty mask, the first {unmarked[0]}: Dice "
            "and IoU leave them out"
        )


MEASURES = MapMeasures()


def _mean_error(
    results: Sequence[MapResult],
    error: Callable[[WearResult], float | None],
    group_of: NDArray[np.int64],
) -> tuple[Statistic, int]:
    """Return the mean error over the images that truly show wear."""
    errors = [None if result.wear is None else error(result.wear) for result in results]
    above = np.array([value or 0.0 for value in errors])
    among = np.array([value is not None for value in errors], np.float64)
    return intervals.ratio_of_sums(above, among, group_of)


def _wear_column(value: Callable[[WearResult], float | None]) -> evaluation.Column:
    def cell(row: evaluation.ImageResult) -> float | None:
        wear = row.result_as(MapResult).wear
        return None if wear is None else value(wear)

    return cell


_WEAR_COLUMNS: Mapping[str, evaluation.Column] = {
    "vb_um": _wear_column(lambda wear: wear.vb_um),
    "vb_true_um": _wear_column(lambda wear: wear.vb_true_um),
}


def _of_classes(
    results: Sequence[MapResult],
    classes: Sequence[str],
    labelled: Floats,
    group_of: NDArray[np.int64],
) -> dict[str, tuple[Statistic, int]]:
    """Return the IoU of each class over all labelled images, and the mean of those."""
    overlap = np.array([result.class_overlap_px for result in results], np.float64)
    areas = np.array(
        [(result.class_true_px, result.class_found_px) for result in results], np.float64
    )
    union = (areas.sum(axis=1) - overlap) * labelled[:, None]
    of_class = {
        CLASS_PREFIX + name: intervals.ratio_of_sums(overlap[:, k], union[:, k], group_of)
        for k, name in enumerate(classes)
    }
    bearing = len(np.unique(group_of[union.any(axis=1)]))
    mean = intervals.mean_of_defined([statistic for statistic, _ in of_class.values()])
    return {**of_class, _MEAN: (mean, bearing)}


_CLASS_PIXELS: Mapping[str, Callable[[MapResult], tuple[int, ...]]] = {
    "overlap": lambda result: result.class_overlap_px,
    "true": lambda result: result.class_true_px,
    "found": lambda result: result.class_found_px,
}


def _class_columns(classes: Sequence[str]) -> dict[str, evaluation.Column]:
    """Return `overlap_px_<name>`, `true_px_<name>`, `found_px_<name>` of each class."""

    def column(pixels: Callable[[MapResult], tuple[int, ...]], number: int) -> evaluation.Column:
        return lambda row: pixels(row.result_as(MapResult))[number]

    return {
        f"{name}_px_{class_name}": column(pixels, number)
        for number, class_name in enumerate(classes)
        for name, pixels in _CLASS_PIXELS.items()
    }
