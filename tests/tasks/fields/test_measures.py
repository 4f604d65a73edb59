"""Metrics of corners: numbers worked out by hand on a few photos."""

import csv
import json
import math

import image_rows
import numpy as np
import pytest

from inspection_tf import decision, errors, evaluation, images, plots, tasks, thresholds
from inspection_tf.datasets import records
from inspection_tf.evaluation import intervals
from inspection_tf.tasks.base import Context
from inspection_tf.tasks.fields import measures, pictures
from inspection_tf.tasks.fields import rules as field_rules
from inspection_tf.tasks.fields.comparison import CornerLabels
from inspection_tf.tasks.fields.settings import Settings
from inspection_tf.tasks.segmentation.results import MapResult

SIZE = (50, 100)
FIELD = np.array([[20.0, 10.0], [60.0, 10.0], [60.0, 30.0], [20.0, 30.0]])
POINT = thresholds.OperatingPoint(threshold=0.5)
TASK = tasks.get("corners")
CONTEXT = Context(("no field",), images.Preprocessing(size=SIZE), Settings(), POINT)


class Photo:
    def __init__(self, corners):
        self.corners = corners

    def read_image(self, *, orientation="apply"):
        return np.zeros((*SIZE, 3), np.uint8)

    def read_mask(self, *, orientation="apply"):
        return np.zeros(SIZE, np.bool_)

    def read_corners(self, *, orientation="apply"):
        return self.corners

    def identity(self):
        return repr(self.corners).encode()


class Inspector:
    """Gives the corners and confidences it was made with, one after the other."""

    def __init__(self, answers):
        self.answers = iter(answers)

    def inspect(self, image, template=None):
        corners, confidence = next(self.answers)
        chosen = field_rules.FieldRules()
        return field_rules.locate(np.array(corners), confidence, POINT, chosen, image_size=SIZE)


def measured(*photos):
    """Rows of (true corners or None, found corners, confidence)."""
    made = [
        records.Record(f"{k}", truth is None, Photo(truth))
        for k, (truth, _, _) in enumerate(photos)
    ]
    answers = [(found, confidence) for _, found, confidence in photos]
    return evaluation.inspect_records(Inspector(answers), made, task=TASK, context=CONTEXT)


def values(rows):
    return {name: one.value for name, one in evaluation.summarize(rows, resamples=200).items()}


@pytest.fixture
def rows():
    # Corners off by (3, 4) px, 5 px each; by nothing; refused, and off by 1 px; and no field.
    return measured(
        (FIELD, FIELD + np.array([3, 4]), 0.9),
        (FIELD, FIELD, 0.95),
        (FIELD, FIELD + np.array([1, 0]), 0.2),
        (None, FIELD, 0.1),
        (None, FIELD, 0.8),
    )


def test_errors_are_of_all_photos_that_show_the_field_whatever_was_decided(rows):
    found = values(rows)
    assert found["corner_error_px_mean"] == pytest.approx((5 + 0 + 1) / 3)
    assert found["corner_error_relative_mean"] == pytest.approx(0.02)  # of 100 px
    assert found["corner_error_px_median"] == pytest.approx(1)
    assert found["corner_error_px_p95"] == pytest.approx(5)
    assert found["corner_error_relative_mean_ok"] == pytest.approx((5 + 0) / 2 / 100)


def test_overlaps_of_quadrilaterals(rows):
    found = values(rows)
    # 37 x 16 of 800 + 800 - 592, and 39 x 20 of 1600 - 780
    ious = [592 / 1008, 1.0, 780 / 820]
    assert found["quad_iou_mean"] == pytest.approx(np.mean(ious), rel=1e-5)
    assert found["quad_iou_above_0.9"] == pytest.approx(2 / 3)


def test_a_photo_without_the_field_that_is_ok_is_an_escape(rows):
    found = values(rows)
    assert found["escape_rate"] == pytest.approx(1 / 2)
    assert found["overkill_rate"] == pytest.approx(1 / 3)
    assert found["ok_ng_accuracy"] == pytest.approx(3 / 5)
    assert "dice_defective" not in found


def test_a_guess_that_is_not_finite_is_as_far_off_as_the_photo_is_large():
    found = values(measured((FIELD, FIELD * math.nan, 0.9), (FIELD, FIELD, 0.9)))
    assert found["corner_error_px_mean"] == pytest.approx(math.hypot(50, 100) / 2)
    assert found["quad_iou_mean"] == pytest.approx(0.5)


def test_photos_without_any_field_define_no_error():
    found = values(measured((None, FIELD, 0.1), (None, FIELD, 0.2)))
    assert found["corner_error_px_mean"] is None
    assert found["quad_iou_mean"] is None
    assert found["escape_rate"] == 0


def test_a_quantile_is_the_smallest_value_that_covers_the_share():
    statistic, _ = intervals.quantile(np.array([4.0, 1.0, 3.0, 2.0]), 0.5, np.array([0, 1, 1, 0]))
    assert statistic(np.array([[1.0, 1.0]])).tolist() == [2.0]
    # The first group alone: 2 and 4; twice the second: 1 and 3.
    assert statistic(np.array([[1.0, 0.0], [0.0, 2.0]])).tolist() == [2.0, 1.0]
    assert np.isnan(statistic(np.array([[0.0, 0.0]]))).all()


def test_an_interval_holds_its_value(rows):
    for name, one in evaluation.summarize(rows, resamples=500).items():
        if one.low is not None and one.high is not None:
            assert one.low <= one.value + 1e-12, name
            assert one.value <= one.high + 1e-12, name


def test_report_table_and_files(rows, tmp_path):
    report = evaluation.report(
        rows, split="test", operating_point=POINT, dataset_sha256="x", classes=("no field",)
    )
    evaluation.write(tmp_path, rows, report)
    again = json.loads((tmp_path / "metrics.json").read_text())
    assert again["metrics"]["corner_error_px_mean"]["value"] == pytest.approx(2)
    with (tmp_path / "per_image.csv").open() as stream:
        first, *_, last = csv.DictReader(stream)
    assert [float(first[f"corner_error_px_{c}"]) for c in ("tl", "tr", "br", "bl")] == [5] * 4
    assert last["corner_error_px_tl"] == last["quad_iou"] == ""
    # The columns of masks stay, for whoever reads the table by its columns.
    assert (last["dice"], last["overlap_px"], last["regions_matched"]) == ("", "0", "0")
    lines = evaluation.table(report, measures.MEASURES).columns
    assert "mean distance of a corner, px" in list(lines[3].cells)
    assert "images without a field judged OK" in list(lines[3].cells)


def test_pictures_of_an_evaluation(rows, tmp_path):
    photos = {row.id: row for row in rows}

    def show(name):
        truth = None if photos[name].is_ng else FIELD
        verdict = field_rules.locate(
            FIELD + 2, 0.9, POINT, field_rules.FieldRules(), image_size=SIZE
        )
        image = np.zeros((*SIZE, 3), np.uint8)
        return evaluation.Look(image, CornerLabels(truth), verdict)

    written = plots.write_evaluation(tmp_path, rows, task=TASK, threshold=0.5, show=show)
    assert {path.name for path in written} == {
        "pr.png", "roc.png", "scores.png", "worst.png", "corners.png"
    }  # fmt: skip


def test_masks_need_no_locator_and_corners_do():
    class Segmenter:
        def inspect(self, image, template=None):
            return decision.decide(np.zeros(SIZE), POINT)

    record = records.Record("a", False, Photo(FIELD))
    with pytest.raises(errors.DataError, match="an inspector that locates a field"):
        image_rows.inspected(Segmenter(), record)


def test_corners_need_labels_that_are_corners():
    class Masked:
        def read_image(self, *, orientation="apply"):
            return np.zeros((*SIZE, 3), np.uint8)

    record = records.Record("a", False, Masked())
    with pytest.raises(errors.DataError, match=r"labels are corners\. Got one .* a mask"):
        evaluation.inspect_records(Inspector([(FIELD, 0.9)]), [record], task=TASK, context=CONTEXT)
    Masked.label_kind = "classes"
    with pytest.raises(errors.DataError, match=r"labels are corners\. Got one .* its class"):
        evaluation.inspect_records(Inspector([(FIELD, 0.9)]), [record], task=TASK, context=CONTEXT)


def test_a_row_has_no_result_where_the_photo_shows_no_field(rows):
    assert [row.result is None for row in rows] == [False, False, False, True, True]
    assert rows[0].result.kind == "corners"
    with pytest.raises(TypeError, match="a MapResult of 0, got CornerResult"):
        rows[0].result_as(MapResult)


def test_a_grid_of_photos_needs_one():
    with pytest.raises(errors.DataError, match="at least one photo"):
        plots.located([])
    with pytest.raises(errors.DataError, match="an image with a field"):
        pictures.corner_errors([])
