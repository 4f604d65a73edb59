"""Confusion, recall and balanced accuracy of images."""

import math

import numpy as np
import pytest

from inspection_tf import errors
from inspection_tf.evaluation import class_measures

#       three of class 0, two of class 1, one of class 2
TRUE = [0, 0, 0, 1, 1, 2]
TAKEN = [0, 1, 0, 1, 2, 2]
EACH = np.arange(6)


def test_a_confusion_counts_true_classes_in_lines():
    counts = class_measures.confusion_counts(TRUE, TAKEN, 4)
    assert counts.tolist() == [[2, 1, 0, 0], [0, 1, 1, 0], [0, 0, 1, 0], [0, 0, 0, 0]]


def test_balanced_accuracy_is_the_mean_recall_of_the_classes_that_occur():
    counts = class_measures.confusion_counts(TRUE, TAKEN, 4)
    recall = class_measures.recalls(counts)
    assert recall[:3].tolist() == [2 / 3, 1 / 2, 1]
    assert math.isnan(recall[3])
    # (2/3 + 1/2 + 1) / 3 = 13 / 18; the fourth class has no image.
    assert class_measures.balanced_accuracy(counts) == pytest.approx(13 / 18)


def test_the_statistics_count_groups_as_often_as_they_are_drawn():
    every = np.ones((1, 6))
    statistic, bearing = class_measures.balanced_accuracy_statistic(TRUE, TAKEN, 4, EACH)
    assert statistic(every)[0] == pytest.approx(13 / 18)
    assert bearing == 1  # class 2 has one group
    # Image 3 drawn three times and image 4 not at all: class 1 is right; class 2 is not drawn.
    drawn = np.array([[1, 1, 1, 3, 0, 0]])
    assert statistic(drawn)[0] == pytest.approx((2 / 3 + 1) / 2)
    accuracy, groups = class_measures.accuracy_statistic(TRUE, TAKEN, EACH)
    assert accuracy(every)[0] == pytest.approx(4 / 6)
    assert accuracy(drawn)[0] == pytest.approx(5 / 6)  # images 0, 2 and thrice 3
    assert groups == 6
    recall = class_measures.recall_statistics(TRUE, TAKEN, 4, EACH)
    assert [bearing for _, bearing in recall] == [3, 2, 1, 0]
    assert [round(float(one(every)[0]), 3) for one, _ in recall[:3]] == [0.667, 0.5, 1.0]


def test_images_of_a_group_are_drawn_together():
    group_of = np.array([0, 0, 1, 1, 2, 2])
    statistic, bearing = class_measures.balanced_accuracy_statistic(TRUE, TAKEN, 3, group_of)
    # Group 1 alone: one of class 0, right, and one of class 1, right.
    assert statistic(np.array([[0.0, 1.0, 0.0]]))[0] == 1.0
    assert bearing == 1
    # Class 0 lies in groups 0 and 1, class 1 in groups 1 and 2.
    statistic, bearing = class_measures.balanced_accuracy_statistic(
        [0, 0, 0, 1, 1, 1], TAKEN, 2, group_of
    )
    assert bearing == 2


def test_what_is_taken_for_no_class_is_wrong():
    statistic, _ = class_measures.balanced_accuracy_statistic([0, 1, 1], [0, -1, 1], 2, EACH[:3])
    assert statistic(np.ones((1, 3)))[0] == pytest.approx((1 + 1 / 2) / 2)


@pytest.mark.parametrize(
    ("true", "predicted", "match"),
    [
        ([0, 3], [0, 1], "0 to 2. Got 0 to 3"),
        ([0, 1], [0, -1], "predicted must be numbers of classes"),
        ([0, 1], [0, 1, 2], r"Got \(2,\) and \(3,\)"),
        ([], [], "at least one image"),
        ([0.5], [0], "whole numbers"),
    ],
)
def test_what_are_no_classes_of_images_is_refused(true, predicted, match):
    with pytest.raises(errors.DataError, match=match):
        class_measures.confusion_counts(true, predicted, 3)
