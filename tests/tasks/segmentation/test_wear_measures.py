"""Flank wear beside the truth: what an evaluation reports of it, and only where it is measured."""

import csv
import dataclasses
import types

import image_rows
import numpy as np
import pytest

from inspection_tf import decision, evaluation, tasks, thresholds
from inspection_tf.datasets import records
from inspection_tf.evaluation import summary
from inspection_tf.tasks.segmentation import papers
from inspection_tf.tasks.segmentation.measures import MEASURES

POINT = thresholds.OperatingPoint(threshold=0.7, mask_threshold=0.5)
UM = 0.005  # mm per px
RULES = decision.Rules(wear=decision.WearRules(edge_side="top"))
OWN = ("vb_error_um_mean", "vb_max_error_um_mean")


class Source:
    """A land of `found` rows in the image and of `true` rows in the mask, below row 10."""

    def __init__(self, found, true):
        self.image, self.mask = np.zeros((2, 50, 31), np.uint8)
        self.image[10 : 10 + found] = 90
        self.mask[10 : 10 + true] = 1

    def read_image(self, *, orientation="apply"):
        return self.image

    def read_mask(self, *, orientation="apply"):
        return self.mask > 0

    def identity(self):
        return self.image.tobytes()


class Knowing(Source):
    """A source that knows the wear which it shows."""

    def __init__(self, found, true, vb_mean_um, vb_max_um):
        super().__init__(found, true)
        self.known = vb_mean_um, vb_max_um

    def read_wear(self):
        vb_mean_um, vb_max_um = self.known
        return types.SimpleNamespace(vb_mean_um=vb_mean_um, vb_max_um=vb_max_um, chipping_um=0.0)


def inspected(*sources, rules=RULES, scale=UM):
    context = dataclasses.replace(image_rows.context(rules=rules), mm_per_px=scale)
    labelled = [
        records.Record(str(number), bool(source.mask.any()), source)
        for number, source in enumerate(sources)
    ]

    class Brightness:
        def inspect(self, image, /):
            probability = np.asarray(image / 100, np.float32)
            return decision.decide(probability, POINT, rules, mm_per_px=scale)

    return evaluation.inspect_records(
        Brightness(), labelled, task=image_rows.SEGMENTATION, context=context
    )


def values(rows):
    return {
        name: estimate.value for name, estimate in evaluation.summarize(rows, resamples=50).items()
    }


def test_errors_of_wear_are_means_over_worn_images():
    rows = inspected(Source(20, 22), Source(30, 26), Source(0, 8), Source(4, 0), Source(0, 0))
    found = values(rows)
    # |100 - 110|, |150 - 130| and |0 - 40| um; the last two are not worn.
    assert found["vb_error_um_mean"] == pytest.approx((10 + 20 + 40) / 3)
    assert found["vb_max_error_um_mean"] == pytest.approx((10 + 20 + 40) / 3)
    assert found["dice_defective"] is not None


def test_the_wear_that_a_source_knows_goes_before_that_of_its_mask():
    rows = inspected(Knowing(20, 22, 104.0, 125.0), Knowing(20, 22, 98.0, 103.0))
    found = values(rows)
    assert found["vb_error_um_mean"] == pytest.approx((4 + 2) / 2)
    assert found["vb_max_error_um_mean"] == pytest.approx((25 + 3) / 2)


@pytest.mark.parametrize(
    ("source", "words"),
    [
        (Source(20, 22), "mean error of VB_B, um, to the mask's"),
        (Knowing(20, 22, 1.0, 2.0), "mean error of VB_B, um"),
    ],
)
def test_the_meaning_says_where_the_truth_comes_from(source, words):
    rows = inspected(source)
    meanings = summary.meanings(rows[0].measures)
    assert meanings["vb_error_um_mean"] == words
    assert max(map(len, meanings.values())) <= 40
    report = evaluation.report(
        rows, split="test", operating_point=POINT, dataset_sha256="", resamples=20
    )
    table = evaluation.table(report, rows[0].measures)
    assert words in list(table.columns[3].cells)


def test_tables_of_images_have_columns_of_wear_only_where_it_is_measured(tmp_path):
    for rules, columns in ((RULES, ["vb_um", "vb_true_um"]), (decision.Rules(), [])):
        rows = inspected(Source(20, 22), Source(0, 0), rules=rules)
        report = evaluation.report(
            rows, split="test", operating_point=POINT, dataset_sha256="", resamples=20
        )
        evaluation.write(tmp_path / str(len(columns)), rows, report)
        text = (tmp_path / str(len(columns)) / "per_image.csv").read_text()
        first, second = csv.DictReader(text.splitlines())
        assert [name for name in first if name.startswith("vb_")] == columns
        assert [name for name in report["metrics"] if name in OWN] == (list(OWN) if columns else [])
        if columns:
            assert [float(first[name]) for name in columns] == pytest.approx([100, 110])
            assert [float(second[name]) for name in columns] == [0, 0]


def test_without_wear_rules_rows_are_measured_as_ever():
    (row,) = inspected(Source(20, 22), rules=decision.Rules())
    assert row.measures is MEASURES
    assert row.result.wear is None
    assert not set(OWN) & MEASURES.meanings(("defect",)).keys()


def test_without_a_scale_errors_in_um_are_not_defined():
    found = values(inspected(Source(20, 22), scale=None))
    assert [found[name] for name in OWN] == [None, None]


def test_errors_should_fall_and_the_gate_of_engines_does_not_bound_them():
    before, after = inspected(Source(20, 22)), inspected(Source(22, 22))
    changes = evaluation.changes(before, after, resamples=20)
    assert changes["vb_error_um_mean"].value == pytest.approx(-10)
    assert evaluation.worsening("vb_error_um_mean", -10.0, MEASURES) == -10
    assert {MEASURES.bounds[name] for name in OWN} == {"none"}


def test_what_a_cascade_stops_counts_with_all_of_its_wear():
    context = dataclasses.replace(image_rows.context(rules=RULES), mm_per_px=UM)
    stopped = decision.gate(0.1, POINT, POINT, image_size=(50, 31))
    record = records.Record("x", True, Source(0, 8))
    row = image_rows.SEGMENTATION.compare(record, stopped, context)
    assert (row.result.wear.vb_um, row.result.wear.vb_error_um) == (0, pytest.approx(40))
    unknown = dataclasses.replace(stopped, score=float("nan"))
    row = image_rows.SEGMENTATION.compare(record, unknown, context)
    assert (row.result.wear.vb_um, row.result.wear.vb_error_um) == (None, None)


def test_the_wear_of_one_class_is_compared_with_its_own_pixels():
    rules = decision.Rules(wear=decision.WearRules(edge_side="top", class_name="flank_wear"))
    classes = ("broken", "flank_wear")
    context = dataclasses.replace(image_rows.context(classes, rules=rules), mm_per_px=UM)
    probability = np.zeros((50, 31, 2), np.float32)
    probability[10:20, :, 1] = 0.9
    verdict = decision.decide(probability, POINT, rules, mm_per_px=UM, classes=classes)
    source = Source(0, 0)
    source.read_mask = lambda *, orientation="apply": ids
    ids = np.zeros((50, 31), np.uint8)
    ids[10:22], ids[30:45] = 2, 1  # 12 rows of wear, and a broken place
    row = image_rows.SEGMENTATION.compare(records.Record("x", True, source), verdict, context)
    assert (row.result.wear.vb_um, row.result.wear.vb_true_um) == pytest.approx((50, 60))


def test_papers_tell_of_limits_of_wear_only_where_there_are_any():
    context = image_rows.context()
    plain = papers.papers(context, decision.Rules())
    measured = papers.papers(context, RULES)
    limited = papers.papers(context, decision.Rules(wear=decision.WearRules(max_vb_um=200)))
    assert plain.stages == measured.stages == ""
    assert plain.decision == measured.decision
    assert "over a limit of flank wear" in limited.decision
    assert "whatever its score." in limited.stages
    acquits = decision.Rules(wear=decision.WearRules(max_vb_um=200, acquits=True))
    assert "within them it is OK" in papers.papers(context, acquits).stages
    assert tasks.get("segmentation").measures is MEASURES
