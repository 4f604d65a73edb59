"""Evaluation and its pictures know no task: here is one that measures how bright an image is."""

import csv
import dataclasses
from typing import ClassVar

import numpy as np
import pytest

from inspection_tf import decision, errors, evaluation, images, plots
from inspection_tf.datasets import records
from inspection_tf.evaluation import columns, intervals


@dataclasses.dataclass(frozen=True)
class Brightness:
    """How far a brightness is from the true one, 0..255."""

    kind: ClassVar[str] = "brightness"
    error: float


class Measures:
    lower_is_better = ("brightness_error",)
    bounds: ClassVar = {}

    def statistics(self, rows, classes):
        error = np.array([row.result_as(Brightness).error for row in rows])
        mean = intervals.ratio_of_sums(error, np.ones(len(rows)), evaluation.groups(rows))
        return {"brightness_error_mean": mean}

    def meanings(self, classes):
        return {"brightness_error_mean": "mean error", "escape_rate": "too dark, judged OK"}

    def columns(self, classes):
        return {**columns.OUTCOME, "brightness_error": lambda row: row.result_as(Brightness).error}

    def class_count(self, row):
        return 0

    def warning(self, rows):
        return "no image is bright" if all(row.is_ng for row in rows) else ""


class Task:
    measures = Measures()

    def labels(self, record, context):
        return float(record.read_image().max())

    def compare(self, record, verdict, context, *, audit=False):
        error = abs(self.labels(record, context) - 100 * (1 - verdict.score))
        return evaluation.ImageResult.of(record, verdict, self.measures, Brightness(error))

    def pictures(self, rows, show, report):
        return {"brightness.png": lambda: plots.score_histogram(rows), "none.png": None}


class Context:
    preprocessing = images.Preprocessing(size=(4, 4))


class Inspector:
    """Takes the mean for the brightness; dark is NG."""

    task, context = Task(), Context()

    def inspect(self, source, /):
        score = 1 - float(source.mean()) / 100
        return decision.Verdict("NG" if score >= 0.5 else "OK", score, 0.5)


class Source:
    def __init__(self, *values):
        self.values = values

    def read_image(self, *, orientation="apply"):
        return np.array([self.values], np.uint8)


LABELLED = [
    records.Record("a", False, Source(90, 80)),  # 85, so OK; off by 5
    records.Record("b", True, Source(60, 60)),  # 60, so OK, though it should be NG; off by 0
    records.Record("c", True, Source(20, 10)),  # 15, so NG; off by 5
]


@pytest.fixture
def rows():
    return evaluation.measure(Inspector(), LABELLED)


def test_a_report_has_the_metrics_that_the_task_names_in_its_order(rows):
    report = evaluation.report(rows, split="test", operating_point=None, dataset_sha256="")
    assert list(report["metrics"]) == ["brightness_error_mean", "escape_rate"]
    assert report["metrics"]["brightness_error_mean"]["value"] == pytest.approx(10 / 3)
    assert report["metrics"]["escape_rate"]["value"] == 1 / 2
    words = list(evaluation.table(report, Task.measures).columns[3].cells)
    assert words == ["mean error", "too dark, judged OK"]


def test_a_change_is_measured_and_judged_as_the_task_says(rows):
    better = [dataclasses.replace(row, result=Brightness(0.0)) for row in rows]
    change = evaluation.changes(rows, better)["brightness_error_mean"].value
    assert change == pytest.approx(-10 / 3)
    assert evaluation.worsening("brightness_error_mean", change, Task.measures) < 0
    assert evaluation.worsening("brightness", change, Task.measures) > 0
    assert evaluation.worsening("escape_rate", 0.1, Task.measures) > 0


def test_the_table_of_images_has_the_columns_of_the_task(rows, tmp_path):
    evaluation.write(tmp_path, rows, {})
    with (tmp_path / "per_image.csv").open(newline="") as stream:
        first, *_ = csv.DictReader(stream)
    assert list(first) == [*columns.OUTCOME, "brightness_error"]
    assert float(first["brightness_error"]) == pytest.approx(5)
    with pytest.raises(errors.DataError, match="at least one image"):
        evaluation.write(tmp_path, [], {})


def test_what_a_task_warns_of_is_logged(caplog):
    evaluation.measure(Inspector(), LABELLED[:1])
    assert caplog.text == ""
    evaluation.measure(Inspector(), LABELLED[1:])
    assert "no image is bright" in caplog.text


def test_an_evaluation_has_the_pictures_of_every_task_and_those_of_its_own(rows, tmp_path, caplog):
    caplog.set_level("INFO", logger="inspection_tf")
    written = plots.write_evaluation(tmp_path, rows, task=Task(), threshold=0.5, show=None)
    names = [path.name for path in written]
    assert names == ["pr.png", "roc.png", "scores.png", "brightness.png"]
    assert "none.png is left out" in caplog.text


def test_a_look_has_the_labels_of_the_task():
    look = evaluation.look(Inspector(), LABELLED[0])
    assert look.labels_as(float) == 90
    assert look.template is None
