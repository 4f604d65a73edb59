"""What is measured on labelled images."""

import dataclasses
from typing import ClassVar

import numpy as np

from inspection_tf import evaluation
from inspection_tf.evaluation import columns, intervals


@dataclasses.dataclass(frozen=True, slots=True)
class Compared:
    """The mean grey value of an image, as shares of white."""

    kind: ClassVar[str] = "brightness"

    found: float
    true: float

    @property
    def error(self):
        return abs(self.found - self.true)


class Measures:
    lower_is_better = ("brightness_error",)
    bounds: ClassVar = {"brightness_error_mean": "exact", "brightness_error_grey_mean": "none"}

    def statistics(self, rows, classes):
        error = np.array([row.result_as(Compared).error for row in rows])
        groups, each = evaluation.groups(rows), np.ones(len(rows))
        return {
            "brightness_error_mean": intervals.ratio_of_sums(error, each, groups),
            "brightness_error_grey_mean": intervals.ratio_of_sums(255 * error, each, groups),
        }

    def meanings(self, classes):
        return {
            "brightness_error_mean": "mean error, share of white",
            "brightness_error_grey_mean": "mean error, grey values",
            **evaluation.OUTCOMES,
        }

    def columns(self, classes):
        return {
            **columns.OUTCOME,
            **columns.REASON,
            "brightness": lambda row: row.result_as(Compared).found,
            "brightness_error": lambda row: row.result_as(Compared).error,
        }

    def class_count(self, row):
        return 0

    def warning(self, rows):
        return ""


MEASURES = Measures()


def compare(record, verdict, truth):
    found = verdict.result.brightness
    compared = Compared(255.0 if found is None else found / 255, truth / 255)
    true_class = verdict.classes[0] if record.is_defect else ""
    return evaluation.ImageResult.of(record, verdict, MEASURES, compared, true_class=true_class)
