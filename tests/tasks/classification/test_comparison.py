import dataclasses

import numpy as np
import pytest
from class_images import make
from class_verdicts import CONTEXT, verdict

from inspection_tf import errors, evaluation, images
from inspection_tf.datasets import records
from inspection_tf.tasks.classification import comparison
from inspection_tf.tasks.classification.measures import ClassResult


def test_a_verdict_is_compared_with_the_class_of_its_record():
    good, chipped, _, worn = make(4)
    probability = (0.2, 0.7, 0.1)
    for record, true, name in ((good, 0, ""), (chipped, 1, "chipped"), (worn, 2, "worn")):
        row = comparison.compare(record, verdict(probability), CONTEXT)
        assert row.result == ClassResult(true, probability, 3)
        assert row.true_class == name
        assert row.is_ng == (true > 0)


@dataclasses.dataclass(frozen=True)
class Masked:
    mask: np.ndarray

    def read_image(self, *, orientation="apply"):
        return np.zeros(self.mask.shape, np.uint8)

    def read_mask(self, *, orientation="apply"):
        return self.mask

    def identity(self):
        return self.mask.tobytes()


def test_where_a_mask_says_the_class_it_is_that_of_most_pixels():
    mask = np.zeros((4, 6), np.uint8)
    mask[0, :2], mask[2] = 1, 2  # two px of the first class, six of the second
    assert comparison.read_label(records.Record("a", True, Masked(mask)), 2).number == 2
    assert comparison.read_label(records.Record("a", False, Masked(mask * 0)), 2).number == 0
    # Nothing marked: the class of the record.
    empty = records.Record("a", True, Masked(mask * 0), class_id=2)
    assert comparison.read_label(empty, 2).number == 2


def test_a_label_says_where_its_class_is_seen_where_that_is_annotated():
    mask = np.zeros((32, 32), np.uint8)
    mask[4:8, 4:12], mask[20:24, 20:24] = 1, 2
    record = records.Record("a", True, Masked(mask), class_id=1)
    found = comparison.read_label_and_place(record, CONTEXT)
    assert found.number == 1
    np.testing.assert_array_equal(found.seen, mask == 1)
    good = records.Record("b", False, Masked(np.zeros((32, 32), np.uint8)), class_id=1)
    assert comparison.read_label_and_place(good, CONTEXT).seen is None


def test_a_class_that_the_bundle_does_not_know_is_refused():
    *_, worn = make(4)
    one = dataclasses.replace(CONTEXT, classes=("chipped",))
    foreign = dataclasses.replace(worn, class_id=2)
    with pytest.raises(errors.DataError, match=r"its class must be one of chipped\. Got class 2"):
        comparison.compare(foreign, verdict((0.2, 0.8)), one)


def test_an_output_that_is_not_finite_has_no_class():
    row = comparison.compare(make(2)[1], verdict(None), CONTEXT)
    assert row.result_as(ClassResult).likeliest is None
    assert not row.result_as(ClassResult).is_right


@dataclasses.dataclass(frozen=True)
class Boxed:
    """Worn from column 0 to 7 and row 0 to 19, says the annotation."""

    label_kind = "classes"

    def read_image(self, *, orientation="apply"):
        return np.zeros((32, 32), np.uint8)

    def read_mask(self, *, orientation="apply"):
        return np.zeros((32, 32), np.bool_)

    def read_evidence(self, *, orientation="apply"):
        return np.array([[0.0, 0.0, 8.0, 20.0]])

    def identity(self):
        return b"boxed"


def seen(probability):
    """Return a verdict with a cell for each px; worn is seen in columns 0..7, rows 0..21."""
    evidence = np.zeros((32, 32, 3))
    evidence[:22, :8, 2] = 1.0
    found = verdict(probability)
    _, placement = images.preprocess(np.zeros((32, 32), np.uint8), CONTEXT.preprocessing)
    result = dataclasses.replace(found.result, evidence=evidence, placement=placement)
    return dataclasses.replace(found, result=result)


WORN = records.Record("a", True, Boxed(), class_id=2)


def test_heat_is_measured_where_the_label_says_that_the_class_is_seen():
    heat = comparison.compare(WORN, seen((0.1, 0.1, 0.8)), CONTEXT).result.heat
    assert heat.inside.inside == pytest.approx(20 / 22)
    assert heat.inside.area == pytest.approx(8 * 20 / 32**2)
    # A tenth higher is a px at either end; a tenth wider reaches no further centre.
    assert heat.nearby.inside == pytest.approx(21 / 22)


def test_a_mask_says_where_a_class_is_seen_too():
    mask = np.zeros((32, 32), np.uint8)
    mask[:11, :8] = 2
    masked = records.Record("a", True, Masked(mask), class_id=2)
    heat = comparison.compare(masked, seen((0.1, 0.1, 0.8)), CONTEXT).result.heat
    assert heat.inside.inside == heat.nearby.inside == pytest.approx(11 / 22)


def test_a_defect_of_another_class_is_not_where_a_class_is_seen():
    mask = np.zeros((32, 32), np.uint8)
    mask[:11, :8], mask[11:22, :8] = 2, 1
    masked = records.Record("a", True, Masked(mask), class_id=2)
    heat = comparison.compare(masked, seen((0.1, 0.1, 0.8)), CONTEXT).result.heat
    assert heat.inside.inside == pytest.approx(11 / 22)


def test_where_much_is_annotated_heat_cannot_be_three_times_as_dense():
    mask = np.zeros((32, 32), np.uint8)
    mask[:11] = 2  # 11 of 32 rows are over a third
    large = comparison.compare(
        records.Record("b", True, Masked(mask), class_id=2), seen((0.1, 0.1, 0.8)), CONTEXT
    )
    alone = evaluation.summarize([large], classes=CONTEXT.classes)
    assert "heat_on_target" not in alone
    assert alone["heat_inside_median"].value == pytest.approx(0.5)
    small = comparison.compare(WORN, seen((0.1, 0.1, 0.8)), CONTEXT)
    both = evaluation.summarize([small, large], classes=CONTEXT.classes)
    assert both["heat_on_target"].value == 1.0


def test_heat_is_reported_of_what_was_rightly_found_wrong():
    right = comparison.compare(WORN, seen((0.1, 0.1, 0.8)), CONTEXT)
    other = dataclasses.replace(WORN, id="b")
    wrong = comparison.compare(other, seen((0.1, 0.8, 0.1)), CONTEXT)
    good = comparison.compare(make(1)[0], seen((0.8, 0.1, 0.1)), CONTEXT)
    found = evaluation.summarize([right, wrong, good], classes=CONTEXT.classes)
    assert found["heat_on_target"].value == 1.0  # 0.91 inside a sixth of the image
    assert found["heat_inside_median"].value == pytest.approx(21 / 22)
    # Where nothing is annotated, or no heat returned, there is nothing to report.
    unseen = comparison.compare(WORN, verdict((0.1, 0.1, 0.8)), CONTEXT)
    assert "heat_on_target" not in evaluation.summarize([unseen, good], classes=CONTEXT.classes)
    assert "heat_on_target" not in evaluation.changes(
        [right, good], [unseen, good], classes=CONTEXT.classes
    )
