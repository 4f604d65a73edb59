"""The report of an evaluation: `metrics.json`, `per_image.csv`, and a table for a terminal."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeAlias

from inspection_tf import config, files, process
from inspection_tf.evaluation import summary
from inspection_tf.evaluation.image_results import ImageResult, Measures

if TYPE_CHECKING:
    import rich.table

Report: TypeAlias = dict[str, Any]
"""The contents of `metrics.json`, as `report` returns them or as they were read from the file."""


def report(
    rows: Sequence[ImageResult],
    *,
    split: str,
    operating_point: config.Section | Mapping[str, object] | None,
    dataset_sha256: str,
    classes: Sequence[str] = ("defect",),
    seed: int = 0,
    resamples: int = 2000,
) -> Report:
    """Return the contents of `metrics.json`, intervals at 95 % confidence.

    With several classes it also names them, under `classes`.

    Args:
        rows: of `inspect_records`.
        split: the name of the records, such as test.
        operating_point: of the inspector; None where each fold has that of the others.
        dataset_sha256: of the records.
        classes: as `inspect_records` had them.
        seed: of the bootstrap.
        resamples: of the bootstrap.

    Raises:
        errors.DataError: there is no row, or the rows have other classes.
    """
    summary.require_classes(rows, classes)
    metrics = summary.summarize(rows, classes=classes, seed=seed, resamples=resamples)
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
    """Return the number of images and of those to be NG; where groups have several, of groups."""
    counts = {"images": len(rows), "defective": sum(row.is_ng for row in rows)}
    groups = {row.part for row in rows}
    if len(groups) < len(rows):
        defective = {row.part for row in rows if row.is_ng}
        counts |= {"groups": len(groups), "defective_groups": len(defective)}
    return counts


def write(folder: str | Path, rows: Sequence[ImageResult], report: Report) -> None:
    """Write `metrics.json` and `per_image.csv` (sorted by id), each whole or not at all.

    Equal inputs give equal bytes. In the table an empty cell is None.

    Args:
        folder: created if it is absent.
        rows: of `inspect_records`, at least one; their task says which columns there are.
        report: of `report`.

    Raises:
        errors.DataError: there is no row.
        errors.StorageError: the folder cannot be written.
    """
    columns = summary.measures_of(rows).columns(report.get("classes", ()))
    lines = [files.csv_line(columns)]
    for row in sorted(rows, key=lambda row: row.id):
        lines.append(files.csv_line(cell(row) for cell in columns.values()))
    files.make_folder(folder)
    files.write(Path(folder) / "per_image.csv", "".join(lines))
    files.write_json(Path(folder) / "metrics.json", report)


def table(report: Report, measures: Measures) -> "rich.table.Table":
    """Return the metrics of a report for a terminal, 80 columns wide, each with its meaning.

    Args:
        report: of `report`, or read from `metrics.json`. Names without a known meaning are shown
            without one.
        measures: of the task that was evaluated.
    """
    import rich.table

    counts = report["counts"]
    title = f"{report['split']} split: {counts['images']} images, {counts['defective']} defective"
    if "groups" in counts:
        title += f"; {counts['groups']} parts, {counts['defective_groups']} defective"
    if report.get("operating_point", {}) is None:
        title += "; each fold by thresholds of the others"
    lines = rich.table.Table(
        box=None,
        pad_edge=False,
        title_justify="left",
        title=process.cell(title),
    )
    for heading in ("metric", "value", "95 % interval", "meaning"):
        # What classes are called is anyone's guess: beside a long name the meaning is wrapped.
        lines.add_column(heading, justify="left", no_wrap=heading != "meaning")
    meanings = summary.meanings(measures, report.get("classes", ("defect",)))
    for name, estimate in report["metrics"].items():
        digits = 4 if "relative" in name else 3
        value, low, high = (
            "-" if (number := estimate[key]) is None else f"{number:.{digits}f}"
            for key in ("value", "low", "high")
        )
        interval = "-" if low == high == "-" else f"{low} - {high}"
        lines.add_row(process.cell(name), value, interval, meanings.get(name, ""))
    return lines
