import csv
import dataclasses
import io
import time

import image_rows
import numpy as np
import pytest

from inspection_tf import decision, errors, evaluation, thresholds
from inspection_tf.datasets import records
from inspection_tf.tasks.segmentation.labels import MaskLabels
from inspection_tf.tasks.segmentation.measures import MEASURES

POINT = thresholds.OperatingPoint(threshold=0.7, mask_threshold=0.5)
CLASSES = ("crack", "fray")


class Memory:
    """Pixels of a record, and its template."""

    def __init__(self, image, ids, template=None):
        self.image, self.ids, self.template = image, ids, template

    def read_image(self, *, orientation="apply"):
        return self.image

    def read_mask(self, *, orientation="apply"):
        return self.ids

    def read_template(self, *, orientation="apply"):
        return self.template

    def identity(self):
        return self.image.tobytes()


class Digits:
    """An inspector that finds class k, with probability 0.9, where the image is k."""

    def __init__(self, classes=CLASSES):
        self.classes = classes

    def inspect(self, source, /):
        channels = [0.9 * (source == k) for k in range(1, len(self.classes) + 1)]
        probability = np.stack(channels, axis=-1).astype(np.float32)
        return decision.decide(probability, POINT, classes=self.classes)


def record(name, image, ids, *, is_defect=None, group="", template=None):
    image, ids = np.array(image, np.uint8), np.array(ids, np.uint8)
    label = bool(ids.any()) if is_defect is None else is_defect
    return records.Record(name, label, Memory(image, ids, template), group)


def inspected(*labelled, classes=CLASSES):
    return image_rows.inspected(Digits(classes), *labelled, classes=classes)


def values(rows, **options):
    estimates = evaluation.summarize(rows, **{"resamples": 200, **options})
    return {name: estimate.value for name, estimate in estimates.items()}


# Image (what is found) and truth. Columns: 2 crack | gap | 2 fray.
FOUND = [[1, 1, 0, 2, 2], [1, 0, 0, 0, 0], [0, 0, 0, 0, 1]]
TRUTH = [[1, 1, 0, 2, 1], [0, 0, 0, 0, 0], [0, 0, 0, 0, 2]]


def test_pixels_and_regions_are_counted_class_by_class():
    (row,) = inspected(record("x", FOUND, TRUTH))
    result = row.result
    # Truth: 3 pixels of crack, 2 of fray. Found: 4 of crack, 2 of fray. Any defect: 5 of 6.
    assert (result.true_area_px, result.found_area_px, result.overlap_px) == (5, 6, 5)
    assert (result.class_true_px, result.class_found_px) == ((3, 2), (4, 2))
    # Crack on crack: the first two. Fray on fray: column 3.
    assert result.class_overlap_px == (2, 1)
    assert row.true_class == "crack"
    assert result.found_class(CLASSES) == "crack"
    # True crack: columns 0-1 and column 4. True fray: row 0 and row 2.
    # Found: crack of 3 px, fray of 2 px, crack of 1 px.
    assert (result.regions_true, result.regions_found) == (4, 3)
    # Crack 2 / 3 and fray 1 / 2 are over 0.33; the last crack lies on fray.
    assert result.regions_matched == 2


def test_one_class_counts_as_before_and_is_called_by_its_name():
    ids = np.array(TRUTH) > 0
    rows = inspected(record("x", np.array(FOUND) > 0, ids), classes=("scratch",))
    assert (rows[0].result.overlap_px, rows[0].result.class_overlap_px) == (5, (5,))
    assert rows[0].true_class == "scratch"
    dark = np.zeros((3, 5))
    good, unmarked = inspected(
        record("good", dark, dark), record("x", dark, dark, is_defect=True), classes=("scratch",)
    )
    assert (good.true_class, unmarked.true_class) == ("", "scratch")


def test_a_mask_without_classes_is_of_the_class_of_its_record():
    source = Memory(np.array(FOUND, np.uint8), np.array(TRUTH) == 1)
    (row,) = inspected(records.Record("x", True, source))
    assert row.result.class_true_px == (3, 0)


def test_the_template_is_passed_on_only_where_there_is_one():
    seen = []

    class Paired(Digits):
        def inspect(self, source, /, **options):
            seen.append(options)
            return super().inspect(source)

    template = np.full((3, 5), 7, np.uint8)
    labelled = [record("a", FOUND, TRUTH), record("b", FOUND, TRUTH, template=template)]
    image_rows.inspected(Paired(), *labelled, classes=CLASSES)
    assert seen == [{}, {"template": template}]


def test_an_id_without_a_name_is_refused():
    with pytest.raises(errors.DataError, match=r"x: class id out of range.*ids 1 to 2\. Got 3"):
        inspected(record("x", FOUND, [[3, 0, 0, 0, 0]] * 3))


def test_a_verdict_on_other_classes_is_refused():
    swapped = Digits(CLASSES[::-1])
    with pytest.raises(errors.DataError, match=r"on the classes crack, fray\. Got fray, crack"):
        image_rows.inspected(swapped, record("x", FOUND, TRUTH), classes=CLASSES)
    with pytest.raises(errors.DataError, match=r"on the classes defect\. Got crack, fray"):
        image_rows.inspected(swapped.__class__(), record("x", FOUND, FOUND))


# Metrics


def row(name, *, is_ng, outcome="OK", overlap=(0, 0), true=(0, 0), found=(0, 0), **other):
    return image_rows.of_map(
        name,
        is_ng=is_ng,
        outcome=outcome,
        overlap=sum(overlap),
        true=sum(true),
        found=sum(found),
        class_overlap_px=overlap,
        class_true_px=true,
        class_found_px=found,
        **other,
    )


ROWS = [
    row("a", is_ng=True, outcome="NG", overlap=(30, 0), true=(40, 0), found=(50, 5),
        regions_true=2, regions_found=3, regions_matched=2),
    row("b", is_ng=True, outcome="OK", true=(0, 20), regions_true=1),
    row("c", is_ng=False, outcome="OK"),
    row("d", is_ng=False, outcome="NG", found=(10, 0), regions_found=1),
    row("e", is_ng=False, outcome="REVIEW", found=(0, 5), regions_found=1),
    row("f", is_ng=True, outcome="REVIEW", found=(0, 7), regions_found=1),  # no mask
]  # fmt: skip


def test_the_iou_of_a_class_counts_what_is_found_elsewhere_against_it():
    found = values(ROWS, classes=CLASSES)
    # Crack: 30 of (40 + 50 - 30) on a, and 10 found on the good d.
    assert found["iou_class_crack"] == pytest.approx(30 / 70)
    # Fray: 5 found on a, 20 missed on b, 5 found on e; f has no mask and is left out.
    assert found["iou_class_fray"] == 0.0
    assert found["iou_class_mean"] == pytest.approx(30 / 70 / 2)


def test_the_pooled_iou_of_defective_images_leaves_good_ones_out():
    found = values(ROWS)
    # a: 30 of 40 + 55 - 30 = 65; b: 0 of 20.
    assert found["iou_pooled_defective"] == pytest.approx(30 / 85)
    # d and e add 10 and 5.
    assert found["iou_pooled"] == pytest.approx(30 / 100)


def test_region_f1_counts_regions_of_all_images_but_those_without_a_mask():
    # Matched 2; true 2 + 1; found 3 + 1 + 1.
    assert values(ROWS)["region_f1"] == pytest.approx(2 * 2 / (3 + 5))
    assert values(ROWS[2:3])["region_f1"] is None


def test_accuracy_takes_a_review_for_wrong():
    estimate = evaluation.summarize(ROWS, resamples=10)["ok_ng_accuracy"]
    assert estimate.value == 2 / 6  # a and c
    # Clopper-Pearson: at the upper end p, at most 2 of 6 happen with probability 0.025.
    p = estimate.high
    below = (1 - p) ** 6 + 6 * p * (1 - p) ** 5 + 15 * p**2 * (1 - p) ** 4
    assert below == pytest.approx(0.025)


def test_a_class_neither_there_nor_found_is_not_defined_and_not_in_the_mean():
    rows = [row("a", is_ng=True, overlap=(5, 0), true=(10, 0), found=(5, 0))]
    found = evaluation.summarize(rows, classes=CLASSES, resamples=10)
    assert found["iou_class_fray"] == evaluation.Estimate(None)
    assert found["iou_class_mean"].value == found["iou_class_crack"].value == 0.5
    none = evaluation.summarize([row("c", is_ng=False)], classes=CLASSES, resamples=10)
    assert none["iou_class_mean"] == evaluation.Estimate(None)


def test_the_mean_is_itself_drawn_again_over_the_classes_that_a_draw_defines():
    rows = [
        row("a", is_ng=True, overlap=(2, 0), true=(10, 0), found=(2, 0)),
        row("b", is_ng=True, overlap=(0, 6), true=(0, 10), found=(0, 6)),
        row("c", is_ng=True, overlap=(4, 0), true=(10, 0), found=(4, 0)),
    ]
    estimate = evaluation.summarize(rows, classes=CLASSES, seed=3, resamples=300, confidence=0.5)
    means = []
    for draw in np.random.default_rng(3).integers(3, size=(300, 3)):
        crack = [{0: 2, 2: 4}[i] for i in draw if i != 1]
        # Crack: mean of 0.2 and 0.4 as drawn; fray: 0.6 if b was drawn.
        defined = ([np.mean(crack) / 10] if crack else []) + ([0.6] if 1 in draw else [])
        means.append(np.mean(defined))
    mean = estimate["iou_class_mean"]
    assert mean.value == pytest.approx((0.3 + 0.6) / 2)
    assert (mean.low, mean.high) == pytest.approx(tuple(np.quantile(means, [0.25, 0.75])))


def test_one_class_has_no_metrics_of_classes_and_the_old_ones_keep_their_values():
    several = evaluation.summarize(ROWS, classes=CLASSES, seed=1, resamples=100)
    one = evaluation.summarize(ROWS, seed=1, resamples=100)
    assert list(one) == list(MEASURES.meanings(("defect",)))
    of_classes = ["iou_class_crack", "iou_class_fray", "iou_class_mean"]
    assert list(several) == [*one, *of_classes]
    assert {name: several[name] for name in one} == one


def test_every_metric_has_a_meaning():
    meanings = evaluation.meanings(MEASURES, CLASSES)
    for name in evaluation.summarize(ROWS, classes=CLASSES, resamples=10):
        assert 0 < len(meanings[name]) <= 32
    assert meanings["iou_class_crack"] != meanings["iou_class_mean"]


def test_2000_resamples_of_1000_images_and_six_classes_take_seconds_at_most():
    rng = np.random.default_rng(0)
    classes = tuple("abcdef")
    rows = [
        row(
            f"{number:04}",
            is_ng=bool(number % 2),
            overlap=(0,) * 6,
            true=tuple(int(n) for n in rng.integers(0, 9, 6) * (number % 2)),
            found=tuple(int(n) for n in rng.integers(0, 9, 6)),
        )
        for number in range(1000)
    ]
    started = time.process_time()
    evaluation.summarize(rows, classes=classes)
    assert time.process_time() - started < 5  # 0.3 s alone on a machine


def report(rows=ROWS, classes=CLASSES):
    return evaluation.report(
        rows,
        split="test",
        operating_point=POINT,
        dataset_sha256="ab",
        classes=classes,
        resamples=20,
    )


def test_the_report_names_several_classes_and_refuses_those_of_others():
    assert report()["classes"] == ["crack", "fray"]
    assert "classes" not in report(
        [
            dataclasses.replace(
                ROWS[0], result=dataclasses.replace(ROWS[0].result, class_true_px=(40,))
            )
        ],
        ("defect",),
    )
    with pytest.raises(errors.DataError, match=r"the same classes, defect\. Got rows of 2"):
        report(classes=("defect",))
    with pytest.raises(errors.DataError, match=r"the same classes, a, b, c\. Got rows of 2"):
        evaluation.summarize(ROWS, classes=("a", "b", "c"))
    for names in (("a", "a"), ("a", "mean"), ("", "a"), ()):
        with pytest.raises(errors.DataError, match="must have a name of its own"):
            report(classes=names)


def test_the_table_of_images_has_columns_for_each_class(tmp_path):
    rows = inspected(record("x", FOUND, TRUTH), record("y", np.zeros((3, 5)), np.zeros((3, 5))))
    rows = [dataclasses.replace(each, decided_by="segmenter") for each in rows]
    evaluation.write(tmp_path, rows, report(rows))
    with (tmp_path / "per_image.csv").open(newline="") as file:
        first, second = csv.DictReader(file)
    assert list(first)[15:] == [
        *("true_class", "decided_by", "regions_true", "regions_found", "regions_matched"),
        *("overlap_px_crack", "true_px_crack", "found_px_crack"),
        *("overlap_px_fray", "true_px_fray", "found_px_fray"),
    ]
    assert [first[name] for name in list(first)[15:]] == [
        *("crack", "segmenter", "4", "3", "2"),
        *("2", "3", "4", "1", "2", "2"),
    ]
    assert second["true_class"] == ""
    totals = [dataclasses.replace(each.result, class_true_px=(1,)) for each in rows]
    alone = [dataclasses.replace(each, result=one) for each, one in zip(rows, totals, strict=True)]
    evaluation.write(tmp_path, alone, report(alone, ("defect",)))
    with (tmp_path / "per_image.csv").open(newline="") as file:
        assert list(csv.DictReader(file).fieldnames or ())[15:] == list(first)[15:20]


@pytest.mark.parametrize("names", [CLASSES, ("missing conductor segment", "fray")])
def test_the_table_of_metrics_fits_80_columns(names):
    from rich.console import Console

    text = io.StringIO()
    Console(file=text, width=80).print(evaluation.table(report(classes=names), MEASURES))
    shown = text.getvalue()
    assert "…" not in shown
    for name in names:
        (line,) = [line for line in shown.splitlines() if line.startswith(f"iou_class_{name} ")]
        assert "IoU" in line
    (line,) = [line for line in shown.splitlines() if line.startswith("region_f1 ")]
    assert line.split()[1] == "0.500"


# What is seen of one record


class Bundle(Digits):
    """Stands for `runtime.Inspector`."""

    task = image_rows.SEGMENTATION
    context = image_rows.context(CLASSES, rules=decision.Rules(min_area_px=9))

    def inspect(self, source, /, *, template=None):
        self.template = template
        return super().inspect(source)


def test_measure_takes_task_and_context_of_the_bundle_and_audits_its_rules():
    (found,) = evaluation.measure(Bundle(), [record("x", FOUND, TRUTH)])
    assert found.result.class_true_px == (3, 2)
    # Of any class there are three true defects; regions touch each, and none of them has 9 px.
    assert found.result.hidden_defects == 3


def test_look_holds_image_labels_verdict_and_template():
    inspector, template = Bundle(), np.full((3, 5), 7, np.uint8)
    look = evaluation.look(inspector, record("x", FOUND, TRUTH, template=template))
    assert look.image.tolist() == FOUND
    truth = look.labels_as(MaskLabels)
    assert (truth.ids.dtype, truth.ids.tolist()) == (np.uint8, TRUTH)
    assert truth.ignored is None
    assert look.verdict.class_mask().tolist() == FOUND
    assert look.template is inspector.template is template
    assert evaluation.look(inspector, record("x", FOUND, TRUTH)).template is None
    with pytest.raises(TypeError, match="labels of builtins"):
        look.labels_as(int)


def test_an_image_stopped_by_the_classifier_finds_nothing():
    class Stopped:
        def inspect(self, source, /):
            return decision.Verdict(
                outcome="OK",
                score=0.01,
                threshold=0.5,
                image_size=(3, 5),
                classes=CLASSES,
                decided_by="classifier",
                stages={"classifier": 0.02},
            )

    (found,) = image_rows.inspected(
        Stopped(), record("x", FOUND, TRUTH), classes=CLASSES, audit=True
    )
    assert (found.decided_by, found.error) == ("classifier", "escape")
    assert (found.result.found_area_px, found.result.regions_matched) == (0, 0)
    assert found.result.hidden_defects is None  # no map to audit


def test_a_class_of_the_whole_image_says_nothing_of_pixels():
    class Classed(Memory):
        label_kind = "classes"

    image = np.ones((3, 5), np.uint8)
    classed = records.Record("x", True, Classed(image, np.zeros((3, 5), bool)))
    with pytest.raises(
        errors.DataError, match=r"x: .*labels are masks\. Got one whose .* its class"
    ):
        inspected(classed)
