"""What a run noted of each measured image, and which of these are worth a look."""

import csv
import dataclasses
import math
from collections.abc import Sequence
from pathlib import Path

from inspection_tf import decision, errors

PER_IMAGE = "per_image.csv"
MOST = 6
"""Images of a kind that a report shows."""
_CLOSE = 3  # images of a label, where none was judged wrongly


@dataclasses.dataclass(frozen=True, slots=True)
class Row:
    """A measured image.

    Attributes:
        id: of the record.
        is_defect: its label.
        outcome: of the verdict.
        score: of the verdict; nan if it was not finite.
        reasons: of the verdict, in words.
    """

    id: str
    is_defect: bool
    outcome: str
    score: float
    reasons: str

    @property
    def label(self) -> str:
        """Defective or good."""
        return "defective" if self.is_defect else "good"


def read(folder: Path) -> list[Row]:
    """Return the rows of an evaluation; none where there is no table.

    Args:
        folder: that holds `per_image.csv`.

    Raises:
        errors.DataError: it is no table of this package.
    """
    path = folder / PER_IMAGE
    if not path.is_file():
        return []
    try:
        with path.open(encoding="utf-8", newline="") as file:
            return [
                Row(
                    id=line["id"],
                    is_defect=bool(int(line["is_defect"])),
                    outcome=line["outcome"],
                    score=float(line["score"] or math.nan),
                    reasons=line["reasons"],
                )
                for line in csv.DictReader(file)
            ]
    except (OSError, ValueError, KeyError, TypeError, csv.Error) as problem:
        raise errors.DataError(
            f"{path}: a run's table must have id, is_defect, outcome, score and reasons. Got "
            f"{problem}. Evaluate the bundle again, or leave the table out."
        ) from problem


def confusion(rows: Sequence[Row]) -> dict[str, dict[str, int]]:
    """Return how many images of each label were decided how."""
    return {
        label: {
            outcome: sum(row.label == label and row.outcome == outcome for row in rows)
            for outcome in decision.OUTCOMES
        }
        for label in ("defective", "good")
    }


def escapes(rows: Sequence[Row]) -> list[Row]:
    """Return the defective images that were OK, the lowest score first."""
    found = [row for row in rows if row.is_defect and row.outcome == "OK"]
    return sorted(found, key=lambda row: (row.score, row.id))


def overkills(rows: Sequence[Row]) -> list[Row]:
    """Return the good images that were NG, the highest score first."""
    found = [row for row in rows if not row.is_defect and row.outcome == "NG"]
    return sorted(found, key=lambda row: (-row.score, row.id))


def close_calls(rows: Sequence[Row]) -> list[Row]:
    """Return the images of each label that came nearest to being judged wrongly."""
    finite = [row for row in rows if math.isfinite(row.score)]
    bad = sorted((row for row in finite if row.is_defect), key=lambda row: (row.score, row.id))
    good = sorted(
        (row for row in finite if not row.is_defect), key=lambda row: (-row.score, row.id)
    )
    return bad[:_CLOSE] + good[:_CLOSE]
