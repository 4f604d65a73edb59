"""What is measured on classes, whatever was decided about OK and NG.

- `class_accuracy`      share of images whose likeliest class is theirs.
- `balanced_accuracy`   mean over the classes that occur of the share of their images that were
                        rightly classified: a rare class counts as much as a frequent one.
- `calibration_error`   expected calibration error of the likeliest class: over ten equal bins of
                        its probability, the mean of |share that is right - mean probability|,
                        weighted by the images of each bin.
- `recall_class_<name>` with several classes besides OK: the share of each one's images that were
                        rightly classified.

Source: Guo et al. 2017, "On calibration of modern neural networks", eq. 3.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar

import numpy as np
from numpy.typing import NDArray

from inspection_tf import evaluation
from inspection_tf.evaluation import class_measures, columns
from inspection_tf.evaluation.intervals import Floats, Statistic

RECALL = "recall_class_"
_BINS = 10


@dataclass(frozen=True, slots=True)
class ClassResult:
    """The class of one image as it is and as it was found.

    Attributes:
        true: 0 for OK, k for the k-th class of what can be wrong.
        probability: of each class, OK first; None where one is not finite.
        count: number of classes, with OK.
    """

    kind: ClassVar[str] = "classes"

    true: int
    probability: tuple[float, ...] | None
    count: int

    @property
    def likeliest(self) -> int | None:
        """The class that was found; None where a probability is not finite."""
        return None if self.probability is None else int(np.argmax(self.probability))

    @property
    def is_right(self) -> bool:
        """Whether that is its class."""
        return self.likeliest == self.true

    @property
    def confidence(self) -> float:
        """Probability of the likeliest class; 0 where one is not finite."""
        return 0.0 if self.probability is None else max(self.probability)


def results(rows: Sequence[evaluation.ImageResult]) -> list[ClassResult]:
    """Return the classes of rows."""
    return [row.result_as(ClassResult) for row in rows]


def _grouped(values: Floats, group_of: NDArray[np.int64]) -> Floats:
    """Return the sums of (images, n) over groups, (groups, n)."""
    summed = np.zeros((int(group_of.max()) + 1, values.shape[1]))
    np.add.at(summed, group_of, values)
    return summed


def calibration(
    confidence: Floats, is_right: Floats, group_of: NDArray[np.int64]
) -> tuple[Statistic, int]:
    """Return the statistic "expected calibration error"."""
    place = np.minimum((confidence * _BINS).astype(np.int64), _BINS - 1)
    within = (place[:, None] == np.arange(_BINS)[None]).astype(np.float64)
    gap = _grouped(within * (is_right - confidence)[:, None], group_of)
    images = _grouped(np.ones((len(confidence), 1)), group_of)

    def statistic(counts: Floats) -> Floats:
        total = (counts @ images)[:, 0]
        with np.errstate(invalid="ignore", divide="ignore"):
            return np.where(total > 0, np.abs(counts @ gap).sum(axis=1) / total, np.nan)

    return statistic, len(np.unique(group_of))


@dataclass(frozen=True, slots=True)
class ClassMeasures:
    """Metrics of classes."""

    lower_is_better: ClassVar[tuple[str, ...]] = ("calibration_error",)
    # An error of probabilities that may move while no class changes.
    bounds: ClassVar[dict[str, evaluation.Bound]] = {"calibration_error": "none"}

    def statistics(
        self, rows: Sequence[evaluation.ImageResult], classes: Sequence[str]
    ) -> dict[str, tuple[Statistic, int]]:
        """Return the metrics as statistics of counts of groups."""
        group_of, found = evaluation.groups(rows), results(rows)
        true = [one.true for one in found]
        likeliest = [-1 if one.likeliest is None else one.likeliest for one in found]
        is_right = np.array([one.is_right for one in found], np.float64)
        confidence = np.array([one.confidence for one in found], np.float64)
        counted = (true, likeliest, 1 + len(classes), group_of)
        statistics = {
            "class_accuracy": class_measures.accuracy_statistic(true, likeliest, group_of),
            "balanced_accuracy": class_measures.balanced_accuracy_statistic(*counted),
            "calibration_error": calibration(confidence, is_right, group_of),
        }
        if len(classes) > 1:
            _, *recalls = class_measures.recall_statistics(*counted)
            names = (RECALL + name for name in classes)
            statistics |= dict(zip(names, recalls, strict=True))
        return statistics

    def meanings(self, classes: Sequence[str]) -> dict[str, str]:
        """Return every metric in its order and in words."""
        of_classes = {RECALL + name: "its images rightly classified" for name in classes}
        return {
            "class_accuracy": "images whose class is found",
            "balanced_accuracy": "mean over classes of that",
            **evaluation.OUTCOMES,
            "calibration_error": "how far probabilities are off",
            **(of_classes if len(classes) > 1 else {}),
        }

    def columns(self, classes: Sequence[str]) -> dict[str, evaluation.Column]:
        """Return the columns of the table of images, with a probability for each class.

        Args:
            classes: names of what can be wrong; none where there is only one.
        """

        def of_class(number: int) -> evaluation.Column:
            def cell(row: evaluation.ImageResult) -> evaluation.Cell:
                probability = row.result_as(ClassResult).probability
                return None if probability is None else probability[number]

            return cell

        numbered = enumerate(classes or ("ng",), start=1)
        return {
            **columns.OUTCOME,
            **columns.REASON,
            "found_class": lambda row: _found(row, classes),
            "class_is_right": lambda row: int(row.result_as(ClassResult).is_right),
            "probability_ok": of_class(0),
            **{f"probability_{name}": of_class(number) for number, name in numbered},
        }

    def class_count(self, row: evaluation.ImageResult) -> int:
        """Return the number of classes besides OK that a row tells apart."""
        return row.result_as(ClassResult).count - 1

    def warning(self, rows: Sequence[evaluation.ImageResult]) -> str:
        """Say nothing: every label is a class."""
        return ""


def _found(row: evaluation.ImageResult, classes: Sequence[str]) -> str:
    """Return the class that was found; "" for OK or where a probability is not finite."""
    likeliest = row.result_as(ClassResult).likeliest
    return (classes or ("ng",))[likeliest - 1] if likeliest else ""


MEASURES = ClassMeasures()
