"""The rows of `evaluation`: images that were compared with their labels, and how they are measured.

What was compared belongs to the task: it puts a value of its own into a row, and says beside it
what is measured on many of them.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Literal, Protocol, TypeAlias, TypeVar

from inspection_tf import decision
from inspection_tf.datasets import records
from inspection_tf.evaluation.intervals import Statistic

Cell: TypeAlias = str | float | None
"""What stands in one cell of `per_image.csv`; None: the cell is empty."""
Column: TypeAlias = "Callable[[ImageResult], Cell]"
Bound = Literal["exact", "none"]
"""How the gate of engines bounds a metric that it does not bound as most: `exact`, more tightly,
since it is an error of numbers of which each counts; `none`, since another metric bounds it."""


class Compared(Protocol):
    """What a task found when it compared the verdict on an image with its labels."""

    @property
    def kind(self) -> str:
        """What was compared, such as `map` or `corners`."""
        ...


ComparedT = TypeVar("ComparedT", bound=Compared)


class Measures(Protocol):
    """What a task measures on the rows of its images, beside their outcomes and scores.

    Escapes, overkills and the ranking by score are measured on the rows of every task; see
    `evaluation.outcomes`.
    """

    @property
    def lower_is_better(self) -> tuple[str, ...]:
        """Starts of the names of its own metrics that should fall; its others should rise."""
        ...

    @property
    def bounds(self) -> Mapping[str, Bound]:
        """How the gate of engines bounds metrics of its own; what it bounds as most is absent."""
        ...

    def statistics(
        self, rows: "Sequence[ImageResult]", classes: Sequence[str]
    ) -> Mapping[str, tuple[Statistic, int]]:
        """Return its own metrics as statistics of how often each group was drawn.

        Args:
            rows: at least one; their groups are numbered by `evaluation.groups`.
            classes: names of what can be wrong with an image.

        Returns:
            Name of each metric to the statistic, and the number of groups that bear on it.
        """
        ...

    def meanings(self, classes: Sequence[str]) -> Mapping[str, str]:
        """Return every metric of a report in its order, each in at most 40 letters of words.

        These are its own and, wherever they are to stand, those of `evaluation.OUTCOMES`.

        Args:
            classes: names of what can be wrong with an image.
        """
        ...

    def columns(self, classes: Sequence[str]) -> Mapping[str, Column]:
        """Return the columns of `per_image.csv` in their order.

        These are its own between and after those of `evaluation.columns`.

        Args:
            classes: names of what can be wrong with an image; none where there is only one.
        """
        ...

    def class_count(self, row: "ImageResult") -> int:
        """Return how many classes a row tells apart; 0: it tells none apart."""
        ...

    def warning(self, rows: "Sequence[ImageResult]") -> str:
        """Say of which rows the labels do not allow all metrics; "" where all do."""
        ...


@dataclass(frozen=True, slots=True)
class ImageResult:
    """One image: what it is, what was decided, and what of it was compared with the labels.

    Attributes:
        id: of the record.
        group: images of one group are resampled together.
        is_ng: whether it should be NG: it shows a defect, or lacks what it should show.
        outcome: OK, NG or REVIEW.
        score: nan if the output was not finite; it then ranks above all others.
        threshold: a score at or above it is NG.
        measures: what its task measures on many such rows.
        result: what was compared, of the task; None where the image shows nothing to compare.
        reasons: in words.
        true_class: of what is wrong with it; "" where nothing is, or it is not known.
        decided_by: the stage of a cascade that decided; "" for a single network.
    """

    id: str
    group: str
    is_ng: bool
    outcome: decision.Outcome
    score: float
    threshold: float
    measures: Measures = field(repr=False)
    result: Compared | None = None
    reasons: tuple[str, ...] = ()
    true_class: str = ""
    decided_by: str = ""

    @property
    def part(self) -> str:
        """What is drawn with it in a resample: its group, or itself where it has none."""
        return self.group or self.id

    @classmethod
    def of(
        cls,
        record: records.Record,
        verdict: decision.Verdict,
        measures: Measures,
        result: Compared | None,
        *,
        true_class: str = "",
    ) -> "ImageResult":
        """Join an image, the verdict on it, and what a task compared."""
        return cls(
            id=record.id,
            group=record.group or record.id,
            is_ng=record.is_defect,
            outcome=verdict.outcome,
            score=float(verdict.score),
            threshold=float(verdict.threshold),
            measures=measures,
            result=result,
            reasons=tuple(verdict.reasons),
            true_class=true_class,
            decided_by=verdict.decided_by,
        )

    def result_as(self, kind: type[ComparedT]) -> ComparedT:
        """Return what was compared, which is of the task that asks.

        Raises:
            TypeError: it is of another task.
        """
        if not isinstance(self.result, kind):
            raise TypeError(f"a {kind.__name__} of {self.id}, got {self.result!r}")
        return self.result

    @property
    def error(self) -> str | None:
        """An "escape" (it should be NG and is OK), an "overkill" (the reverse), or None."""
        if self.is_ng:
            return "escape" if self.outcome == "OK" else None
        return "overkill" if self.outcome == "NG" else None
