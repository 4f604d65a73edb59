"""An inspector and labelled records -> one row per image, metrics with intervals, and their files.

Everything is measured on verdicts, after the rules, in pixels of the source images. Which Dice is
which:

- `dice_defective`    mean over the defective images. What the network is worth on a defect.
- `iou_defective`     the same for IoU.
- `iou_pooled`        one ratio of all pixels of all images: large defects weigh more, and pixels
                      found on good images count against it.
- `dice_all_images`   mean over all images, where a good image counts 1 if nothing was found on it,
                      else 0. The published convention; it rises with the share of good images.
"""

import csv
import io
import math
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from inspection_tf import _estimates, config, decision, errors, files, runtime
from inspection_tf._estimates import Estimate
from inspection_tf._image_results import Audit, ImageResult, Inspector, inspect_records
from inspection_tf.datasets import records

if TYPE_CHECKING:
    import rich.table

__all__ = [
    "MEANING",
    "Audit",
    "Estimate",
    "ImageResult",
    "Inspector",
    "inspect_records",
    "look",
    "measure",
    "report",
    "summarize",
    "table",
    "write",
]

MEANING = {
    "dice_defective": "mean Dice, defective images",
    "iou_defective": "mean IoU, defective images",
    "iou_pooled": "IoU of all pixels together",
    "dice_all_images": "mean Dice, all; clean good is 1",
    "image_average_precision": "area under precision-recall",
    "image_auroc": "chance that defect outranks good",
    "escape_rate": "defective images judged OK",
    "overkill_rate": "good images judged NG",
    "review_rate": "images left to a person",
}


def measure(inspector: runtime.Inspector, chosen: Sequence[records.Record]) -> list[ImageResult]:
    """Inspect records as a bundle's preprocessing says, and audit its rules on them.

    Args:
        inspector: of the bundle.
        chosen: the records; the rows keep their order.

    Raises:
        errors.ImageError: an image or a mask cannot be read.
        errors.DataError: a mask does not fit its image or its label.
    """
    return inspect_records(
        inspector,
        chosen,
        audit=inspector.hidden_defects,
        orientation=inspector.preprocessing.orientation,
    )


def look(
    inspector: runtime.Inspector, record: records.Record
) -> tuple[NDArray[Any], NDArray[np.bool_], decision.Verdict]:
    """Return image, true mask and verdict of one record, turned as the preprocessing says."""
    turn = inspector.preprocessing.orientation
    image = record.read_image(orientation=turn)
    return image, record.read_mask(orientation=turn), inspector.inspect(image)


def summarize(
    rows: Sequence[ImageResult],
    *,
    seed: int = 0,
    resamples: int = 2000,
    confidence: float = 0.95,
) -> dict[str, Estimate]:
    """Return every metric with its interval; the order of the rows does not matter.

    Intervals of rates are Clopper-Pearson, as if images were independent; all others come from a
    bootstrap over groups (percentiles). REVIEW is neither escape nor overkill. Defective images
    whose mask is empty have no Dice or IoU and are left out of those. A metric that is not
    defined (AUROC of one class) has the value None.

    Args:
        rows: at least one.
        seed: of the bootstrap.
        resamples: of the bootstrap.
        confidence: of every interval, 0..1.

    Returns:
        The names of `MEANING`, in that order.

    Raises:
        errors.DataError: there is no row.
    """
    if not rows:
        raise errors.DataError(
            "Metrics need at least one image. Got none. Choose a split that holds images."
        )
    ordered = sorted(rows, key=lambda row: row.id)
    estimates = _estimates.bootstrap(
        _statistics(ordered),
        groups=len({row.group or row.id for row in ordered}),
        images=len(ordered),
        seed=seed,
        resamples=resamples,
        confidence=confidence,
    )
    defective = sum(row.is_defect for row in ordered)
    for name, events, trials in (
        ("escape_rate", sum(row.error == "escape" for row in ordered), defective),
        ("overkill_rate", sum(row.error == "overkill" for row in ordered), len(rows) - defective),
        ("review_rate", sum(row.outcome == "REVIEW" for row in ordered), len(rows)),
    ):
        estimates[name] = _estimates.clopper_pearson(events, trials, confidence=confidence)
    return {name: estimates[name] for name in MEANING}


def _statistics(rows: Sequence[ImageResult]) -> dict[str, tuple[_estimates.Statistic, int]]:
    def column(value: Callable[[ImageResult], float | None]) -> NDArray[np.float64]:
        return np.array([value(row) or 0.0 for row in rows])

    group_of = np.unique([row.group or row.id for row in rows], return_inverse=True)[1]
    is_defect = np.array([row.is_defect for row in rows])
    score = np.array([math.inf if math.isnan(row.score) else row.score for row in rows])
    marked = column(lambda row: row.true_area_px > 0)
    clean = column(lambda row: not row.is_defect and not row.found_area_px)
    dice = column(lambda row: row.dice)

    def ratio(
        above: NDArray[np.float64], below: NDArray[np.float64]
    ) -> tuple[_estimates.Statistic, int]:
        return _estimates.ratio_of_sums(above, below, group_of)

    precision, auroc, bearing = _estimates.ranking_statistics(score, is_defect, group_of)
    labelled = np.maximum(marked, ~is_defect)
    union = column(lambda row: row.union_px * (row.true_area_px > 0 or not row.is_defect))
    return {
        "dice_defective": ratio(dice, marked),
        "iou_defective": ratio(column(lambda row: row.iou), marked),
        "iou_pooled": ratio(column(lambda row: row.overlap_px), union),
        "dice_all_images": ratio(dice + clean, labelled),
        "image_average_precision": (precision, bearing),
        "image_auroc": (auroc, bearing),
    }


def report(
    rows: Sequence[ImageResult],
    *,
    split: str,
    operating_point: config.Section | Mapping[str, Any] | None,
    dataset_sha256: str,
    seed: int = 0,
    resamples: int = 2000,
) -> dict[str, Any]:
    """Return the contents of `metrics.json`, intervals at 95 % confidence.

    Args:
        rows: of `inspect_records`.
        split: the name of the records, such as test.
        operating_point: of the inspector; None where there are several (folds).
        dataset_sha256: of the records.
        seed: of the bootstrap.
        resamples: of the bootstrap.

    Raises:
        errors.DataError: there is no row.
    """
    metrics = summarize(rows, seed=seed, resamples=resamples)
    if isinstance(operating_point, config.Section):
        operating_point = operating_point.model_dump(mode="json")
    return {
        "split": split,
        "counts": {"images": len(rows), "defective": sum(row.is_defect for row in rows)},
        "metrics": {name: estimate.to_dict() for name, estimate in metrics.items()},
        "operating_point": None if operating_point is None else dict(operating_point),
        "dataset_sha256": dataset_sha256,
    }


_COLUMNS: dict[str, Callable[[ImageResult], Any]] = {
    "id": lambda row: row.id,
    "group": lambda row: row.group,
    "is_defect": lambda row: int(row.is_defect),
    "outcome": lambda row: row.outcome,
    "error": lambda row: row.error,
    "score": lambda row: row.score,
    "threshold": lambda row: row.threshold,
    "dice": lambda row: row.dice,
    "iou": lambda row: row.iou,
    "overlap_px": lambda row: row.overlap_px,
    "true_area_px": lambda row: row.true_area_px,
    "found_area_px": lambda row: row.found_area_px,
    "regions": lambda row: row.regions,
    "hidden_defects": lambda row: row.hidden_defects,
    "reasons": lambda row: "; ".join(row.reasons),
}


def write(folder: str | Path, rows: Sequence[ImageResult], report: Mapping[str, Any]) -> None:
    """Write `metrics.json` and `per_image.csv` (sorted by id), each whole or not at all.

    Equal inputs give equal bytes. In the table an empty cell is None.

    Args:
        folder: created if it is absent.
        rows: of `inspect_records`.
        report: of `report`.

    Raises:
        errors.StorageError: the folder cannot be written.
    """
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(_COLUMNS)
    for row in sorted(rows, key=lambda row: row.id):
        writer.writerow([value(row) for value in _COLUMNS.values()])
    files.make_folder(folder)
    files.write(Path(folder) / "per_image.csv", text.getvalue())
    files.write_json(Path(folder) / "metrics.json", report)


def table(report: Mapping[str, Any]) -> "rich.table.Table":
    """Return the metrics of a report for a terminal, 80 columns wide, each with its meaning.

    Args:
        report: of `report`, or read from `metrics.json`. Names that are not in `MEANING` are shown
            without a meaning.
    """
    import rich.table

    counts = report["counts"]
    title = f"{report['split']} split: {counts['images']} images, {counts['defective']} defective"
    lines = rich.table.Table(
        box=None,
        pad_edge=False,
        title_justify="left",
        title=title,
    )
    for heading in ("metric", "value", "95 % interval", "meaning"):
        lines.add_column(heading, justify="left", no_wrap=True)
    for name, estimate in report["metrics"].items():
        value, low, high = (
            "-" if (number := estimate[key]) is None else f"{number:.3f}"
            for key in ("value", "low", "high")
        )
        interval = "-" if low == high == "-" else f"{low} - {high}"
        lines.add_row(name, value, interval, MEANING.get(name, ""))
    return lines
