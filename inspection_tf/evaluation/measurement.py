"""An inspector and labelled records -> one row per image, metrics with intervals, and their files.

Everything is measured on verdicts, after the rules, in pixels of the source images. Which Dice is
which:

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

Pixels that a data set ignores are in none of these: neither where they are marked nor where a
verdict finds them. A region of the verdict counts by its other pixels, and not at all where it has
none. Outcome and score remain those of the whole image, as the line will see it.

`region_f1` counts defects instead: `2 matched / (true + found)` regions of all images together.

Where a field is located, the metrics are those of its corners, over all images that show one,
whatever was decided about them: `corner_error_px_...` and, over the image's width,
`corner_error_relative_...`, each the mean, the median and the 95th percentile of the distances of
single corners; `corner_error_relative_mean_ok` over images judged OK alone; `quad_iou_mean`, and
`quad_iou_above_0.9`, the share of images over it. A defect is then an image without the field.
"""

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from inspection_tf import config, decision, files, process, runtime
from inspection_tf.datasets import records
from inspection_tf.evaluation import image_results, summary
from inspection_tf.tasks.segmentation.regions import score_regions, without_ignored
from inspection_tf.evaluation.image_results import (
    Audit,
    ImageResult,
    Inspector,
    inspect_records,
    read_ignored,
    read_truth,
)
from inspection_tf.evaluation.intervals import Estimate
from inspection_tf.evaluation.metric_changes import changes, worsening
from inspection_tf.evaluation.summary import MEANING, meaning, summarize

if TYPE_CHECKING:
    import rich.table

__all__ = [
    "MEANING",
    "Audit",
    "Estimate",
    "ImageResult",
    "Inspector",
    "Look",
    "changes",
    "inspect_records",
    "look",
    "meaning",
    "measure",
    "read_ignored",
    "read_truth",
    "report",
    "score_regions",
    "summarize",
    "table",
    "without_ignored",
    "worsening",
    "write",
]


class Look(tuple[NDArray[Any], NDArray[Any], decision.Verdict]):
    """One record as an inspector sees it: unpacks into image, true class ids and verdict.

    Attributes:
        template: of the record, None where there is none.
        corners_xy: (4, 2) px, the true corners of its field, None where there are none.
        ignored: (height, width), True where a pixel counts for nothing, None where all count.
    """

    template: NDArray[Any] | None
    corners_xy: NDArray[np.float64] | None
    ignored: NDArray[np.bool_] | None

    def __new__(
        cls,
        image: NDArray[Any],
        truth: NDArray[np.uint8],
        verdict: decision.Verdict,
        template: NDArray[Any] | None = None,
        corners_xy: NDArray[np.float64] | None = None,
        ignored: NDArray[np.bool_] | None = None,
    ) -> "Look":
        """Join them.

        Args:
            image: (height, width) or (height, width, 3) RGB.
            truth: (height, width), 0 is background.
            verdict: on the image.
            template: in the size of the image.
            corners_xy: (4, 2) px, the true ones.
            ignored: (height, width), True where a pixel counts for nothing.
        """
        look = super().__new__(cls, (image, truth, verdict))
        look.template = template
        look.corners_xy = corners_xy
        look.ignored = ignored
        return look


def measure(
    inspector: runtime.Inspector,
    chosen: Sequence[records.Record],
    *,
    progress: process.Progress | None = None,
) -> list[ImageResult]:
    """Inspect records as a bundle's preprocessing says, and audit its rules on them.

    Args:
        inspector: of the bundle.
        chosen: the records; the rows keep their order.
        progress: called with (done, of).

    Raises:
        errors.ImageError: an image or a mask cannot be read.
        errors.DataError: a mask does not fit its image or its label, or holds another class.
    """
    return inspect_records(
        inspector,
        chosen,
        classes=inspector.manifest.classes,
        audit=None if inspector.manifest.is_located else inspector.hidden_defects,
        orientation=inspector.preprocessing.orientation,
        progress=progress,
    )


def look(inspector: runtime.Inspector, record: records.Record) -> Look:
    """Return image, true class ids and verdict of one record, turned as the preprocessing says."""
    turn = inspector.preprocessing.orientation
    image, template, verdict = image_results.inspect(inspector, record, turn)
    truth = image_results.read_truth(record, turn)
    corners = record.read_corners(orientation=turn)
    ignored = image_results.read_ignored(record, turn)
    return Look(image, truth, verdict, template, corners, ignored)


def report(
    rows: Sequence[ImageResult],
    *,
    split: str,
    operating_point: config.Section | Mapping[str, Any] | None,
    dataset_sha256: str,
    classes: Sequence[str] = ("defect",),
    seed: int = 0,
    resamples: int = 2000,
) -> dict[str, Any]:
    """Return the contents of `metrics.json`, intervals at 95 % confidence.

    With several classes it also names them, under `classes`.

    Args:
        rows: of `inspect_records`.
        split: the name of the records, such as test.
        operating_point: of the inspector; None where there are several (folds).
        dataset_sha256: of the records.
        classes: as `inspect_records` had them.
        seed: of the bootstrap.
        resamples: of the bootstrap.

    Raises:
        errors.DataError: there is no row, or the rows have other classes.
    """
    summary.require_classes(rows, classes)
    metrics = summarize(rows, classes=classes, seed=seed, resamples=resamples)
    if isinstance(operating_point, config.Section):
        operating_point = operating_point.model_dump(mode="json")
    return {
        "split": split,
        "counts": _counts(rows),
        "metrics": {name: estimate.to_dict() for name, estimate in metrics.items()},
        "operating_point": None if operating_point is None else dict(operating_point),
        "dataset_sha256": dataset_sha256,
        **({"classes": list(classes)} if len(classes) > 1 else {}),
    }


def _counts(rows: Sequence[ImageResult]) -> dict[str, int]:
    """Return the number of images and defective ones; where groups have several, of groups too."""
    counts = {"images": len(rows), "defective": sum(row.is_defect for row in rows)}
    groups = {row.group or row.id for row in rows}
    if len(groups) < len(rows):
        defective = {row.group or row.id for row in rows if row.is_defect}
        counts |= {"groups": len(groups), "defective_groups": len(defective)}
    return counts


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
    "true_class": lambda row: row.true_class,
    "decided_by": lambda row: row.decided_by,
    "regions_true": lambda row: row.regions_true,
    "regions_found": lambda row: row.regions_found,
    "regions_matched": lambda row: row.regions_matched,
}


def _corner_error(place: int) -> Callable[[ImageResult], Any]:
    return lambda row: row.corners.errors_px[place] if row.corners else None


_CORNER_COLUMNS: dict[str, Callable[[ImageResult], Any]] = {
    **{
        f"corner_error_px_{name}": _corner_error(place)
        for place, name in enumerate(("tl", "tr", "br", "bl"))
    },
    "corner_error_relative": lambda row: row.corners.relative if row.corners else None,
    "quad_iou": lambda row: row.corners.quad_iou if row.corners else None,
}


def _class_columns(classes: Sequence[str]) -> dict[str, Callable[[ImageResult], Any]]:
    """Return `overlap_px_<name>`, `true_px_<name>`, `found_px_<name>` of each class."""

    def cell(what: str, number: int) -> Callable[[ImageResult], Any]:
        return lambda row: getattr(row, f"class_{what}_px")[number]

    return {
        f"{what}_px_{name}": cell(what, number)
        for number, name in enumerate(classes)
        for what in ("overlap", "true", "found")
    }


def write(folder: str | Path, rows: Sequence[ImageResult], report: Mapping[str, Any]) -> None:
    """Write `metrics.json` and `per_image.csv` (sorted by id), each whole or not at all.

    Equal inputs give equal bytes. In the table an empty cell is None. With several classes it has
    columns for the pixels of each; with corners, for their errors.

    Args:
        folder: created if it is absent.
        rows: of `inspect_records`.
        report: of `report`.

    Raises:
        errors.StorageError: the folder cannot be written.
    """
    columns = {**_COLUMNS, **_class_columns(report.get("classes", ()))}
    if any(row.is_located for row in rows):
        columns |= _CORNER_COLUMNS
    lines = [files.csv_line(columns)]
    for row in sorted(rows, key=lambda row: row.id):
        lines.append(files.csv_line(value(row) for value in columns.values()))
    files.make_folder(folder)
    files.write(Path(folder) / "per_image.csv", "".join(lines))
    files.write_json(Path(folder) / "metrics.json", report)


def table(report: Mapping[str, Any]) -> "rich.table.Table":
    """Return the metrics of a report for a terminal, 80 columns wide, each with its meaning.

    Args:
        report: of `report`, or read from `metrics.json`. Names that `meaning` does not know are
            shown without one.
    """
    import rich.table

    counts = report["counts"]
    title = f"{report['split']} split: {counts['images']} images, {counts['defective']} defective"
    if "groups" in counts:
        title += f"; {counts['groups']} parts, {counts['defective_groups']} defective"
    lines = rich.table.Table(
        box=None,
        pad_edge=False,
        title_justify="left",
        title=process.cell(title),
    )
    for heading in ("metric", "value", "95 % interval", "meaning"):
        # What classes are called is anyone's guess: beside a long name the meaning is wrapped.
        lines.add_column(heading, justify="left", no_wrap=heading != "meaning")
    of_fields = "corner_error_px_mean" in report["metrics"]
    for name, estimate in report["metrics"].items():
        digits = 4 if "relative" in name else 3
        value, low, high = (
            "-" if (number := estimate[key]) is None else f"{number:.{digits}f}"
            for key in ("value", "low", "high")
        )
        interval = "-" if low == high == "-" else f"{low} - {high}"
        what = meaning(name, of_fields=of_fields)
        lines.add_row(process.cell(name), value, interval, what)
    return lines
