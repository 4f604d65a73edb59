import dataclasses

import numpy as np
import pytest

from inspection_tf import decision, errors
from inspection_tf.tasks.segmentation import regions

CLASSES = ("crack", "fray")


def region(left, right, *, row=0, name="crack"):
    mask = np.ones((1, right - left), bool)
    box = (left, row, right, row + 1)
    return decision.Region(name, box, (0.0, 0.0), mask.sum(), 1.0, 1.0, 1.0, mask=mask)


def test_regions_match_over_a_third_and_not_at_it():
    truth = np.zeros((1, 300), np.uint8)
    truth[0, :200] = 1
    # 134 of 200 + 134 found, all on it: 134 / 200; at 66 px: 66 / 200 = 0.33 exactly.
    for width, matched in ((134, 1), (67, 1), (66, 0)):
        found = regions.match_regions(truth, [region(0, width)], CLASSES)
        assert found == (1, 1, matched)


def test_as_many_regions_match_as_possible():
    truth = np.zeros((1, 20), np.uint8)
    truth[0, 0:5] = truth[0, 6:10] = 1
    # The long one: 5 / 10 of the first, 4 / 10 of the second. The short one: 2 / 5 of the first.
    both = [region(0, 10), region(3, 5)]
    # By falling IoU the long one would take the first, and leave nothing for the short one.
    assert regions.match_regions(truth, both, CLASSES) == (2, 2, 2)
    assert regions.match_regions(truth, both[:1], CLASSES) == (2, 1, 1)


def test_true_regions_are_connected_over_corners():
    truth = np.eye(3, dtype=np.uint8)
    truth[0, 2] = 2  # touches, but is of another class
    assert regions.match_regions(truth, [], CLASSES) == (2, 0, 0)


def test_a_region_of_another_class_or_without_pixels_of_its_own():
    truth = np.zeros((1, 6), np.uint8)
    truth[0, :3] = 1
    assert regions.match_regions(truth, [region(0, 3, name="fray")], CLASSES) == (1, 1, 0)
    boxed = dataclasses.replace(region(0, 3), mask=None)  # the whole box
    assert regions.match_regions(truth, [boxed], CLASSES) == (1, 1, 1)


def test_pixels_are_counted_by_true_and_found_id():
    truth, found = np.array([[0, 1, 2, 2]], np.uint8), np.array([[0, 0, 1, 2]], np.uint8)
    counts = regions.count_pixels(truth, found, classes=2)
    assert counts.tolist() == [[1, 0, 0], [1, 0, 0], [0, 1, 1]]
    # 255 classes: the pair (255, 255) is far over what uint8 holds.
    many = np.full((1, 2), 255, np.uint8)
    assert regions.count_pixels(many, many, classes=255)[255, 255] == 2


def test_ids_need_names():
    regions.require_ids(np.array([[0, 2]], np.uint8), CLASSES, where="x")
    regions.require_ids(np.zeros((0, 0), np.uint8), CLASSES, where="x")
    with pytest.raises(errors.DataError, match="x: class id out of range"):
        regions.require_ids(np.array([[3]], np.uint8), CLASSES, where="x")


def test_regions_are_scored_from_the_highest_peak_down():
    truth = np.zeros((2, 20), np.uint8)
    truth[0, 0:5] = truth[0, 6:10] = 1
    truth[1, 0:4] = 2
    long, short = (
        dataclasses.replace(region(*edges), peak_score=peak)
        for edges, peak in (((0, 10), 0.9), ((3, 5), 0.5))
    )
    false = dataclasses.replace(region(12, 15), peak_score=0.8)
    other = dataclasses.replace(region(0, 4, row=1, name="fray"), peak_score=0.7)
    given = [short, other, false, long]
    found = regions.score_regions(truth, given, CLASSES)
    assert found.peak.tolist() == [0.9, 0.8, 0.7, 0.5]
    assert found.matched.tolist() == [1, 1, 2, 3]
    assert found.true == 3
    # The whole of it is what `match_regions` counts.
    assert regions.match_regions(truth, given, CLASSES) == (3, 4, 3)
    nothing = regions.score_regions(truth, [], CLASSES)
    assert (nothing.peak.size, nothing.matched.size, nothing.true) == (0, 0, 3)
