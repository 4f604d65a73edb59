"""What is measured on classes, whatever was decided about OK and NG.

- `class_accuracy`      share of images whose likeliest class is theirs.
- `balanced_accuracy`   mean over the classes that occur of the share of their images that were
                        rightly classified: a rare class counts as much as a frequent one.
- `calibration_error`   expected calibration error of the likeliest class: over equal bins of its
                        probability, the mean of |share that is right - mean probability|, weighted
                        by the images of each bin; see `evaluation.calibration`.
- `recall_class_<name>` with several classes besides OK: the share of each one's images that were
                        rightly classified.

Where the network returns evidence and labels say where the class is seen, by boxes or masks, of the
rightly classified images that are not OK:

- `heat_on_target`      share of them with at least three times as much heat inside as heat that is
                        spread evenly over the image would have there. Images of which a third or
                        more is annotated cannot have that, and do not count. With a focus no heat
                        is outside of it, so that this says little more than that it lies well.
- `heat_inside_median`  median share of heat inside; boxes are a tenth wider and higher for it.

Source: Guo et al. 2017, "On calibration of modern neural networks", eq. 3.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar

import numpy as np
from numpy.typing import NDArray

from inspection_tf import evaluation
from inspection_tf.evaluation import calibration, class_measures, columns, intervals
from inspection_tf.evaluation.evidence import Evidence
from inspection_tf.evaluation.intervals import Statistic

RECALL = "recall_class_"
ON_TARGET = 3.0
"""How many times more heat must be inside than if it were spread evenly."""


@dataclass(frozen=True, slots=True)
class Heat:
    """How much of the evidence of an image lies where its class is annotated.

    Attributes:
        inside: in the boxes or the mask.
        nearby: in boxes that are a tenth wider and higher; of a mask the same as `inside`.
    """

    inside: Evidence
    nearby: Evidence


@dataclass(frozen=True, slots=True)
class ClassResult:
    """The class of one image as it is and as it was found.

    Attributes:
        true: 0 for OK, k for the k-th class of what can be wrong.
        probability: of each class, OK first; None where one is not finite.
        count: number of classes, with OK.
        heat: how much of what speaks for the class lies where it is annotated; None without either.
    """

    kind: ClassVar[str] = "classes"

    true: int
    probability: tuple[float, ...] | None
    count: int
    heat: "Heat | None" = None

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


def annotated(rows: Sequence[evaluation.ImageResult]) -> list[tuple[int, Heat]]:
    """Return place and heat of the rows that are wrong, found so, and say where it is seen."""
    found = enumerate(results(rows))
    return [(at, one.heat) for at, one in found if one.heat and one.true and one.is_right]


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
            "calibration_error": calibration.calibration_statistic(confidence, is_right, group_of),
        }
        if len(classes) > 1:
            _, *recalls = class_measures.recall_statistics(*counted)
            names = (RECALL + name for name in classes)
            statistics |= dict(zip(names, recalls, strict=True))
        return statistics | _heat_statistics(rows, group_of)

    def meanings(self, classes: Sequence[str]) -> dict[str, str]:
        """Return every metric in its order and in words."""
        of_classes = {RECALL + name: "its images rightly classified" for name in classes}
        return {
            "class_accuracy": "images whose class is found",
            "balanced_accuracy": "mean over classes of that",
            **evaluation.OUTCOMES,
            "calibration_error": "how far probabilities are off",
            **(of_classes if len(classes) > 1 else {}),
            "heat_on_target": "of the right ones: 3 x heat in the label",
            "heat_inside_median": "median share of heat in the label",
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


def _heat_statistics(
    rows: Sequence[evaluation.ImageResult], group_of: NDArray[np.int64]
) -> dict[str, tuple[Statistic, int]]:
    """Return the metrics of heat; none where no image has any that is annotated."""
    found = annotated(rows)
    if not found:
        return {}
    group = group_of[[at for at, _ in found]]
    # By whole runs of groups: those without an annotated image weigh nothing.
    is_on = np.zeros(len(rows))
    counted = np.zeros(len(rows))
    for at, heat in found:
        is_on[at] = heat.inside.ratio >= ON_TARGET
        counted[at] = heat.inside.area < 1 / ON_TARGET
    shares = np.array([heat.nearby.inside for _, heat in found])
    median = {"heat_inside_median": intervals.quantile(shares, 0.5, group)}
    if not counted.any():
        return median
    return {"heat_on_target": intervals.ratio_of_sums(is_on * counted, counted, group_of), **median}


def _found(row: evaluation.ImageResult, classes: Sequence[str]) -> str:
    """Return the class that was found; "" for OK or where a probability is not finite."""
    likeliest = row.result_as(ClassResult).likeliest
    return (classes or ("ng",))[likeliest - 1] if likeliest else ""


MEASURES = ClassMeasures()
