"""The report of a robustness trial: `robustness.csv`, and a table for a terminal."""

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from inspection_tf import errors, files, process
from inspection_tf.evaluation.robustness import perturbations, trial
from inspection_tf.evaluation.robustness.trial import Point

if TYPE_CHECKING:
    import rich.table

CSV_NAME = "robustness.csv"


def _require(points: Sequence[Point]) -> None:
    if not points:
        raise errors.DataError(
            "A report of robustness needs at least one point. Got none. Give those of a trial."
        )


def write(folder: str | Path, points: Sequence[Point]) -> Path:
    """Write a line for each perturbation and strength: images, and each rate with its interval.

    Equal points give equal bytes. An empty cell is a rate that the images do not define.

    Args:
        folder: exists.
        points: of a trial.

    Raises:
        errors.DataError: there is no point.
        errors.StorageError: the folder cannot be written.
    """
    _require(points)
    names = [column for rate in points[0].rates for column in (rate, f"{rate}_low", f"{rate}_high")]
    lines = [files.csv_line(["perturbation", "strength", "images", *names])]
    for point in points:
        numbers = [number for rate in point.rates.values() for number in rate.to_dict().values()]
        lines.append(files.csv_line([point.perturbation, point.strength, point.images, *numbers]))
    path = Path(folder) / CSV_NAME
    files.write(path, "".join(lines))
    return path


def table(points: Sequence[Point]) -> "rich.table.Table":
    """Return the accuracy by perturbation and strength for a terminal.

    Args:
        points: of a trial.

    Raises:
        errors.DataError: there is no point.
    """
    import rich.table

    _require(points)
    strengths = sorted({point.strength for point in points})
    accuracy = {
        (point.perturbation, point.strength): point.rates[trial.ACCURACY].value for point in points
    }
    lines = rich.table.Table(
        box=None,
        pad_edge=False,
        title_justify="left",
        title=process.cell(
            f"Share of {points[0].images} images judged rightly, by strength of a perturbation"
        ),
    )
    lines.add_column("perturbation", no_wrap=True)
    for strength in strengths:
        lines.add_column(f"{strength:g}", no_wrap=True)
    lines.add_column("at strength 1")
    for name in dict.fromkeys(point.perturbation for point in points):
        values = [accuracy.get((name, strength)) for strength in strengths]
        lines.add_row(
            name,
            *("-" if value is None else f"{value:.3f}" for value in values),
            perturbations.PERTURBATIONS[name].full,
        )
    return lines
