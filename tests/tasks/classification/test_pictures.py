import numpy as np
import pytest
from class_images import CLASSES, make
from class_verdicts import CONTEXT, verdict

from inspection_tf import errors, evaluation
from inspection_tf.tasks.classification import comparison, pictures


def rows_of(*probabilities, outcomes):
    rows = []
    for record, probability, outcome in zip(make(4), probabilities, outcomes, strict=True):
        found = verdict(probability, outcome)
        rows.append(comparison.compare(record, found, CONTEXT))
    return rows


@pytest.fixture
def rows():
    """An overkill, an escape, a good one left to a person, and the wrong class."""
    return rows_of(
        (0.1, 0.8, 0.1), (0.9, 0.05, 0.05), (0.6, 0.4, 0.0), (0.1, 0.8, 0.1),
        outcomes=("NG", "OK", "REVIEW", "NG"),
    )  # fmt: skip


def test_the_worst_are_escapes_then_overkills_reviews_and_wrong_classes(rows):
    ordered = sorted(rows, key=pictures.badness)
    assert [row.id for row in ordered] == ["001", "000", "002", "003"]


def show(name):
    record = next(record for record in make(4) if record.id == name)
    return evaluation.Look(
        record.read_image(), comparison.read_label(record, 2), verdict((0.1, 0.8, 0.1))
    )


def test_pictures_name_truth_and_what_was_found(rows):
    report = {"classes": list(CLASSES)}
    drawn = {name: make_it() for name, make_it in pictures.draw(rows, show, report).items()}
    assert set(drawn) == {"worst.png", "confusion.png"}
    titles = [axes.get_title() for axes in drawn["worst.png"].axes]
    assert any("chipped: OK, as good (escape)" in title for title in titles)


def test_a_report_of_one_class_takes_its_name_from_the_rows(rows):
    assert pictures.draw(rows[:2], show, {})["confusion.png"] is not None
    assert pictures.draw([], show, {}) == {"worst.png": None, "confusion.png": None}
    with pytest.raises(errors.DataError, match="at least one image"):
        pictures.worst([], show, CLASSES)


def test_what_is_not_finite_is_shown_as_such():
    rows = rows_of(None, (0.9, 0.1, 0.0), (0.9, 0.1, 0.0), (0.9, 0.1, 0.0),
                   outcomes=("REVIEW", "OK", "OK", "OK"))  # fmt: skip
    figure = pictures.worst(rows, show, CLASSES)
    assert any("as not finite" in axes.get_title() for axes in figure.axes)
    assert np.isfinite(pictures.confusion(rows, CLASSES).get_size_inches()).all()
