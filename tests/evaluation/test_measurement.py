import csv
import json
import math

import image_rows
import numpy as np
import pytest

from inspection_tf import decision, errors, evaluation, thresholds
from inspection_tf.datasets import records
from inspection_tf.evaluation import intervals
from inspection_tf.tasks.segmentation.measures import MEASURES

POINT = thresholds.OperatingPoint(threshold=0.7, mask_threshold=0.5)


class Memory:
    """Pixels of a record."""

    def __init__(self, image, mask):
        self.image, self.mask = image, mask

    def read_image(self, *, orientation="apply"):
        return self.image

    def read_mask(self, *, orientation="apply"):
        return self.mask

    def identity(self):
        return self.image.tobytes()


class Brightness:
    """An inspector whose probability is the image over 100."""

    def inspect(self, source, /):
        return decision.decide(np.asarray(source / 100, np.float32), POINT)


def record(name, image, mask, *, is_defect=None, group=""):
    image, mask = np.array(image, np.uint8), np.array(mask, bool)
    label = bool(mask.any()) if is_defect is None else is_defect
    return records.Record(name, label, Memory(image, mask), group)


row = image_rows.of_map
MEANINGS = MEASURES.meanings(("defect",))


ROWS = [
    row("a", is_ng=True, outcome="NG", score=0.9, overlap=30, true=40, found=50),
    row("b", is_ng=True, outcome="OK", score=0.3, true=20),
    row("c", is_ng=False, outcome="OK", score=0.1),
    row("d", is_ng=False, outcome="NG", score=0.6, found=10),
    row("e", is_ng=False, outcome="REVIEW", score=0.45, found=5),
]


def values(rows, **options):
    estimates = evaluation.summarize(rows, **{"resamples": 200, **options})
    return {name: estimate.value for name, estimate in estimates.items()}


def test_masks_are_compared_in_source_pixels_after_the_threshold():
    image = [[90, 80, 0, 60, 0], [60, 0, 0, 0, 0], [0, 0, 0, 0, 10]]
    truth = [[0, 1, 1, 0, 0], [0, 0, 1, 0, 0], [0, 0, 0, 0, 0]]
    (row,) = image_rows.inspected(Brightness(), record("x", image, truth))
    result = row.result
    # Regions at 0.5 or more: {90, 80, 60} with peak 0.9, and {60}, whose peak is under 0.7.
    assert (result.found_area_px, result.true_area_px, result.overlap_px) == (3, 3, 1)
    assert (row.outcome, result.regions) == ("NG", 1)
    assert result.dice == pytest.approx(1 / 3)  # 2 * 1 / (3 + 3)
    assert result.iou == pytest.approx(1 / 5)  # 1 / (3 + 3 - 1)


def test_an_image_that_does_not_fit_is_told_by_its_name():
    class Other:
        def inspect(self, source, /):
            raise errors.ImageError("An image must be 4 x 4 px. Got 3 x 5.")

    found = record("part_7", np.zeros((3, 5)), np.zeros((3, 5)))
    with pytest.raises(errors.ImageError, match=r"^part_7: An image must be 4 x 4 px\. Got 3 x 5"):
        image_rows.inspected(Other(), found)


def test_every_record_gives_a_row_in_order_and_progress_is_told():
    seen = []
    dark = np.zeros((3, 5))
    labelled = [record("z", dark, dark, group="g"), record("a", dark, dark)]
    rows = image_rows.inspected(
        Brightness(), *labelled, progress=lambda done, of: seen.append((done, of))
    )
    assert [(r.id, r.group) for r in rows] == [("z", "g"), ("a", "a")]
    assert seen == [(1, 2), (2, 2)]


def test_an_audit_counts_hidden_defects():
    rules = decision.Rules(min_area_px=4)
    image = [[90, 80, 0], [0, 0, 0]]
    labelled = [record("bad", image, np.array(image) > 0), record("good", image, np.zeros((2, 3)))]
    rows = image_rows.inspected(Brightness(), *labelled, rules=rules, audit=True)
    assert [r.result.hidden_defects for r in rows] == [1, 0]  # its one region has 2 px, under 4
    rows = image_rows.inspected(Brightness(), *labelled, rules=rules)
    assert [r.result.hidden_defects for r in rows] == [None, None]


def test_a_mask_of_another_size_is_refused():
    with pytest.raises(errors.DataError, match=r"x: the mask must have the size.*\(3, 4\)"):
        image_rows.inspected(
            Brightness(), record("x", np.zeros((3, 5)), np.ones((3, 4)), is_defect=True)
        )


def test_a_good_image_with_defective_pixels_is_refused():
    with pytest.raises(errors.DataError, match=r"no defective pixel\. Got 15"):
        image_rows.inspected(
            Brightness(), record("x", np.zeros((3, 5)), np.ones((3, 5)), is_defect=False)
        )


def test_a_defective_image_without_a_mask_counts_for_rates_but_not_for_dice(caplog):
    dark = np.zeros((3, 5))
    rows = image_rows.inspected(Brightness(), record("x", dark, dark, is_defect=True))
    assert "1 defective images have an empty mask, the first x" in caplog.text
    found = values(rows)
    assert found["escape_rate"] == 1.0
    assert [found[name] for name in ("dice_defective", "iou_pooled", "dice_all_images")] == [
        None
    ] * 3


def test_each_dice_is_the_one_it_says():
    found = values(ROWS)
    # a: 2 * 30 / (40 + 50) = 2/3, b: 0
    assert found["dice_defective"] == pytest.approx(1 / 3)
    # a: 30 / (40 + 50 - 30) = 1/2, b: 0
    assert found["iou_defective"] == pytest.approx(1 / 4)
    # overlap 30; unions 60 + 20 + 0 + 10 + 5
    assert found["iou_pooled"] == pytest.approx(30 / 95)
    # 2/3 + 0, and of the good ones only c is clean: 1 + 0 + 0
    assert found["dice_all_images"] == pytest.approx((2 / 3 + 1) / 5)


def test_ranking_metrics_by_hand():
    found = values(ROWS)
    # From the top: 0.9 defective, 0.6 good, 0.45 good, 0.3 defective, 0.1 good.
    assert found["image_average_precision"] == pytest.approx(0.5 * 1 / 1 + 0.5 * 2 / 4)
    # Of 2 * 3 pairs: 0.9 wins 3, 0.3 wins 1.
    assert found["image_auroc"] == pytest.approx(4 / 6)


def test_the_ranking_alone_is_that_of_the_summary():
    whole = evaluation.summarize(ROWS)
    assert evaluation.ranking(ROWS[::-1]) == {
        name: whole[name] for name in ("image_average_precision", "image_auroc")
    }
    with pytest.raises(errors.DataError, match="at least one image"):
        evaluation.ranking([])


def test_equal_scores_share_a_level():
    rows = [
        row("a", is_ng=True, score=0.5),
        row("b", is_ng=False, score=0.5),
        row("c", is_ng=False, score=0.2),
    ]
    found = values(rows)
    assert found["image_auroc"] == pytest.approx(1.5 / 2)  # one win, one draw, of two pairs
    assert found["image_average_precision"] == pytest.approx(1 / 2)  # found together with one good


def test_ranking_agrees_with_scikit_learn():
    from sklearn import metrics

    rng = np.random.default_rng(3)
    score = rng.integers(0, 12, 101) / 12  # many ties
    truth = rng.random(101) < score
    rows = [
        row(f"{i:03}", is_ng=bool(bad), score=float(s))
        for i, (bad, s) in enumerate(zip(truth, score, strict=True))
    ]
    found = values(rows)
    expected = metrics.average_precision_score(truth, score)
    assert found["image_average_precision"] == pytest.approx(expected, abs=1e-12)
    assert found["image_auroc"] == pytest.approx(metrics.roc_auc_score(truth, score), abs=1e-12)


def test_a_score_that_is_not_finite_ranks_first():
    rows = [
        row("a", is_ng=True, score=0.9),
        row("b", is_ng=False, outcome="REVIEW", score=math.nan),
    ]
    found = values(rows)
    assert found["image_auroc"] == 0.0
    assert found["image_average_precision"] == 0.5
    assert (found["overkill_rate"], found["review_rate"]) == (0.0, 0.5)


def test_rates_count_escapes_and_overkills_but_no_reviews():
    found = values(ROWS)
    assert found["escape_rate"] == 1 / 2
    assert found["overkill_rate"] == 1 / 3
    assert found["review_rate"] == 1 / 5


def test_clopper_pearson_by_hand():
    none = intervals.clopper_pearson(0, 59, confidence=0.9)
    # No event in n: the upper end solves (1 - p)^n = 0.05.
    assert (none.value, none.low) == (0.0, 0.0)
    assert none.high == pytest.approx(1 - 0.05 ** (1 / 59))
    every = intervals.clopper_pearson(3, 3, confidence=0.95)
    assert (every.low, every.high) == (pytest.approx(0.025 ** (1 / 3)), 1.0)
    one = intervals.clopper_pearson(1, 2, confidence=0.95)
    # 1 of 2: P(at least 1) = 1 - (1 - p)^2 = 0.025 at the lower end; the upper one mirrors it.
    assert one.low == pytest.approx(1 - math.sqrt(0.975))
    assert one.high == pytest.approx(math.sqrt(0.975))
    assert intervals.clopper_pearson(0, 0, confidence=0.95) == evaluation.Estimate(None)


def test_one_class_leaves_what_needs_both_undefined():
    found = evaluation.summarize([row("a", is_ng=False), row("b", is_ng=False)])
    for name in ("dice_defective", "iou_pooled", "image_auroc", "image_average_precision"):
        assert found[name] == evaluation.Estimate(None)
    assert found["escape_rate"].value is None
    assert found["overkill_rate"].value == 0.0
    assert found["dice_all_images"].value == 1.0


def test_the_interval_is_that_of_a_plain_bootstrap_over_groups():
    dice = np.array([0.2, 0.4, 0.4, 0.9, 0.6])  # as overlap of 10 true and 10 found pixels
    groups = ["p", "p", "q", "r", "s"]
    rows = [
        row(f"{i}", is_ng=True, overlap=round(10 * d), true=10, found=10, group=g)
        for i, (d, g) in enumerate(zip(dice, groups, strict=True))
    ]
    estimate = evaluation.summarize(rows, seed=5, resamples=400, confidence=0.8)["dice_defective"]
    members = [[0, 1], [2], [3], [4]]
    drawn = np.random.default_rng(5).integers(4, size=(400, 4))
    means = [np.mean([dice[i] for group in draw for i in members[group]]) for draw in drawn]
    assert estimate.value == pytest.approx(0.5)
    assert (estimate.low, estimate.high) == pytest.approx(tuple(np.quantile(means, [0.1, 0.9])))


def test_one_group_has_nothing_to_vary():
    rows = [
        row("a", is_ng=True, overlap=5, true=10, found=10, group="one"),
        row("b", is_ng=True, overlap=10, true=10, found=10, group="one"),
        row("c", is_ng=False, group="two"),
    ]
    # Dice 0.5 and 1.0, of one part: a value without an interval.
    found = evaluation.summarize(rows)
    assert found["dice_defective"] == evaluation.Estimate(0.75)
    assert found["image_auroc"].low is None
    assert found["dice_all_images"].low is not None


def test_the_order_of_rows_changes_nothing_and_the_seed_does():
    forward = evaluation.summarize(ROWS, seed=1)
    assert forward == evaluation.summarize(ROWS[::-1], seed=1)
    other = evaluation.summarize(ROWS, seed=2, resamples=50)["iou_pooled"]
    assert other.value == forward["iou_pooled"].value
    assert (other.low, other.high) != (forward["iou_pooled"].low, forward["iou_pooled"].high)


def test_blocks_of_resamples_change_no_number(monkeypatch):
    whole = evaluation.summarize(ROWS, resamples=101)
    monkeypatch.setattr(intervals, "_CELLS", 7 * len(ROWS))
    assert evaluation.summarize(ROWS, resamples=101) == whole


def test_no_rows_are_refused():
    with pytest.raises(errors.DataError, match="at least one image"):
        evaluation.summarize([])


def report(rows=ROWS):
    return evaluation.report(
        rows, split="test", operating_point=POINT, dataset_sha256="ab", resamples=50
    )


def test_the_report_has_the_layout_of_metrics_json():
    made = report()
    assert list(made) == ["split", "counts", "metrics", "operating_point", "dataset_sha256"]
    assert made["counts"] == {"images": 5, "defective": 2}
    assert list(made["metrics"]) == list(MEANINGS)
    assert set(made["metrics"]["iou_pooled"]) == {"value", "low", "high"}
    assert thresholds.OperatingPoint.model_validate(made["operating_point"]) == POINT


def test_written_files_read_back_and_do_not_depend_on_order(tmp_path):
    rows = [*ROWS, row("f", is_ng=False, outcome="REVIEW", score=math.nan)]
    evaluation.write(tmp_path / "one" / "evaluation", rows, report(rows))
    evaluation.write(tmp_path / "two", rows[::-1], report(rows[::-1]))
    for name in ("metrics.json", "per_image.csv"):
        first = (tmp_path / "one" / "evaluation" / name).read_bytes()
        assert first == (tmp_path / "two" / name).read_bytes()
    assert sorted(path.name for path in (tmp_path / "two").iterdir()) == [
        "metrics.json",
        "per_image.csv",
    ]
    assert json.loads((tmp_path / "two" / "metrics.json").read_text()) == report(rows)
    with (tmp_path / "two" / "per_image.csv").open(newline="") as file:
        lines = list(csv.DictReader(file))
    assert [line["id"] for line in lines] == list("abcdef")
    assert [line["error"] for line in lines] == ["", "escape", "", "overkill", "", ""]
    assert float(lines[0]["dice"]) == pytest.approx(2 / 3)
    assert (lines[2]["dice"], lines[5]["score"]) == ("", "nan")


def test_a_folder_that_cannot_be_written_is_a_storage_error(tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(errors.StorageError, match="must be writable"):
        evaluation.write(tmp_path / "file", ROWS, report())


def test_the_table_fits_80_columns_and_explains_each_metric():
    import io

    from rich.console import Console

    made = report(ROWS[2:])  # good images only: undefined metrics
    made["metrics"]["ok_ng_accuracy"] = {"value": 0.5, "low": None, "high": None}
    text = io.StringIO()
    Console(file=text, width=80).print(evaluation.table(made, MEASURES))
    shown = text.getvalue()
    assert "test split: 3 images, 0 defective" in shown
    for name, meaning in MEANINGS.items():
        (line,) = [line for line in shown.splitlines() if line.startswith(f"{name} ")]
        assert meaning in line
    (line,) = [line for line in shown.splitlines() if line.startswith("image_auroc ")]
    assert line.split()[1:3] == ["-", "-"]
    assert "ok_ng_accuracy" in shown
    assert "…" not in shown
