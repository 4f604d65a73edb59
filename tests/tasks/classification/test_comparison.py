import dataclasses

import numpy as np
import pytest
from class_images import make
from class_verdicts import CONTEXT, verdict

from inspection_tf import errors
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
