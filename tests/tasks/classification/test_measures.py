import numpy as np
import pytest

from inspection_tf import evaluation
from inspection_tf.tasks.classification.measures import MEASURES, ClassResult

CLASSES = ("chipped", "worn")


def row(name, true, probability, *, group="", outcome=None):
    likeliest = int(np.argmax(probability))
    return evaluation.ImageResult(
        id=name,
        group=group or name,
        is_ng=true > 0,
        outcome=outcome or ("NG" if likeliest else "OK"),
        score=float(sum(probability[1:])),
        threshold=0.5,
        measures=MEASURES,
        result=ClassResult(true, tuple(probability), 3),
        true_class=CLASSES[true - 1] if true else "",
    )


@pytest.fixture
def rows():
    return [
        row("a", 0, (0.8, 0.1, 0.1)),
        row("b", 0, (0.3, 0.6, 0.1)),  # wrong
        row("c", 0, (0.9, 0.05, 0.05)),
        row("d", 1, (0.2, 0.7, 0.1)),
        row("e", 2, (0.1, 0.5, 0.4)),  # NG, and the wrong class
    ]


def test_accuracy_counts_images_and_balanced_accuracy_counts_classes(rows):
    found = evaluation.summarize(rows, classes=CLASSES)
    assert found["class_accuracy"].value == pytest.approx(3 / 5)
    # Recall of OK 2/3, of chipped 1/1, of worn 0/1.
    assert found["balanced_accuracy"].value == pytest.approx((2 / 3 + 1 + 0) / 3)
    assert found["recall_class_chipped"].value == 1.0
    assert found["recall_class_worn"].value == 0.0
    # OK or NG is right in all but b.
    assert found["ok_ng_accuracy"].value == pytest.approx(4 / 5)


def test_balanced_accuracy_is_the_mean_over_the_classes_that_occur(rows):
    found = evaluation.summarize(rows[:4], classes=CLASSES)
    assert found["balanced_accuracy"].value == pytest.approx((2 / 3 + 1) / 2)
    assert found["recall_class_worn"].value is None


def test_calibration_error_is_the_mean_gap_of_the_bins_by_their_images(rows):
    # Bins of 0.1: 0.8 alone, right: gap 0.2; 0.6 wrong: 0.6; 0.9 right: 0.1; 0.7 right: 0.3;
    # 0.5 wrong: 0.5. Sum 1.7 of 5 images.
    found = evaluation.summarize(rows, classes=CLASSES)
    assert found["calibration_error"].value == pytest.approx(1.7 / 5, abs=1e-6)


def test_images_of_one_bin_are_joined_before_the_gap_is_taken():
    rows = [
        row("a", 0, (0.75, 0.2, 0.05)),
        row("b", 1, (0.75, 0.2, 0.05)),
        row("c", 0, (0.75, 0.2, 0.05)),
        row("d", 0, (0.75, 0.2, 0.05)),
    ]
    # Three of four are right, as 0.75 says.
    assert evaluation.summarize(rows, classes=CLASSES)["calibration_error"].value == 0.0


def test_groups_are_resampled_together(rows):
    grouped = [row(f"{name}{k}", 0, (0.9, 0.1, 0.0), group=name) for name in "ab" for k in "12"]
    grouped += [row(f"c{k}", 1, (0.9, 0.1, 0.0), group="c") for k in "12"]
    found = evaluation.summarize(grouped, classes=CLASSES)
    assert found["class_accuracy"].value == pytest.approx(4 / 6)
    assert found["class_accuracy"].low == 0.0  # c drawn three times


def test_an_output_that_is_not_finite_is_wrong_and_sure_of_nothing():
    bad = evaluation.ImageResult(
        "a", "a", True, "REVIEW", np.nan, 0.5, MEASURES, ClassResult(1, None, 3)
    )
    found = evaluation.summarize([bad], classes=CLASSES)
    assert found["class_accuracy"].value == 0.0
    assert found["calibration_error"].value == 0.0
    cells = {name: cell(bad) for name, cell in MEASURES.columns(CLASSES).items()}
    assert cells["probability_ok"] is None
    assert cells["found_class"] == ""


def test_the_table_has_a_probability_for_each_class(rows):
    columns = MEASURES.columns(CLASSES)
    cells = {name: cell(rows[4]) for name, cell in columns.items()}
    assert cells["found_class"] == "chipped"
    assert cells["true_class"] == "worn"
    assert cells["class_is_right"] == 0
    assert cells["probability_ok"] == 0.1
    assert cells["probability_worn"] == 0.4
    assert "probability_ng" in MEASURES.columns(())


def test_every_metric_has_its_words_and_none_more(rows):
    for some, classes in ((rows[:4], ("defect",)), (rows, CLASSES)):
        words = MEASURES.meanings(classes)
        assert set(MEASURES.statistics(some, classes)) <= set(words)
        assert all(len(text) <= 40 for text in words.values())
    assert MEASURES.class_count(rows[0]) == 2
    assert MEASURES.warning(rows) == ""
