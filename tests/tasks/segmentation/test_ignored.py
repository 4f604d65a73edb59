"""Ignored pixels count neither as missed nor as found."""

import image_rows
import numpy as np
import pytest

from inspection_tf import decision, evaluation, thresholds
from inspection_tf.datasets import records
from inspection_tf.tasks.segmentation import labels, pictures, regions

POINT = thresholds.OperatingPoint(threshold=0.7, mask_threshold=0.5)
CLASSES = ("crack", "fray")


class Source:
    has_ignored = True

    def __init__(self, image, mask, ignored):
        self.image, self.mask = np.array(image, np.uint8), np.array(mask, np.uint8)
        self.ignored = np.array(ignored, bool)

    def read_image(self, *, orientation="apply"):
        return self.image

    def read_mask(self, *, orientation="apply"):
        return self.mask

    def read_ignored(self, *, orientation="apply"):
        return self.ignored

    def class_ids(self):
        return tuple(np.unique(self.mask[self.mask > 0]).tolist())

    def identity(self):
        return self.image.tobytes()


class Brightness:
    """An inspector whose probability is the image over 100."""

    def inspect(self, source, /):
        return decision.decide(np.asarray(source / 100, np.float32), POINT)


def inspect(image, mask, ignored, *, is_defect=True):
    record = records.Record("x", is_defect, Source(image, mask, ignored))
    (row,) = image_rows.inspected(Brightness(), record)
    return row


# Found: a region of three pixels on the left, one of two on the right.
IMAGE = [[90, 80, 0, 0, 0, 90], [60, 0, 0, 0, 0, 80]]
TRUTH = [[1, 0, 0, 1, 0, 0], [0, 0, 0, 0, 0, 0]]


def test_pixels_by_hand():
    # Ignored: the second pixel of the left region, and the right region.
    row = inspect(IMAGE, TRUTH, [[0, 1, 0, 0, 0, 1], [0, 0, 0, 0, 0, 1]])
    result = row.result
    assert (result.overlap_px, result.true_area_px, result.found_area_px) == (1, 2, 2)
    assert result.dice == pytest.approx(2 / 4)  # 2 * 1 / (2 + 2)
    assert result.iou == pytest.approx(1 / 3)  # 1 / (2 + 2 - 1)
    # Of two true regions one is found: one pixel of it and of two found ones.
    assert (result.regions_true, result.regions_found, result.regions_matched) == (2, 1, 1)
    # What the line will see is the whole image.
    assert (row.outcome, result.regions) == ("NG", 2)
    assert row.score == pytest.approx(0.9)


def test_with_nothing_ignored_it_is_as_ever():
    row = inspect(IMAGE, TRUTH, np.zeros((2, 6))).result
    assert (row.overlap_px, row.true_area_px, row.found_area_px) == (1, 2, 5)
    assert (row.regions_true, row.regions_found, row.regions_matched) == (2, 2, 1)


def test_a_good_image_on_which_only_ignored_pixels_are_found_is_clean_in_pixels():
    row = inspect(IMAGE, np.zeros((2, 6)), np.ones((2, 6)), is_defect=False)
    assert (row.result.found_area_px, row.result.regions_found) == (0, 0)
    metrics = evaluation.summarize([row, inspect(IMAGE, TRUTH, np.zeros((2, 6)))], resamples=20)
    # Overlap 1 of 2 true and 5 found pixels, and none of the good image.
    assert metrics["iou_pooled"].value == pytest.approx(1 / 6)
    # Two true regions, two found, one matched.
    assert metrics["region_f1"].value == pytest.approx(2 / 4)


def test_a_source_without_such_pixels_is_asked_for_none():
    class Plain:
        def read_image(self, *, orientation="apply"):
            return np.array(IMAGE, np.uint8)

        def read_mask(self, *, orientation="apply"):
            return np.array(TRUTH, bool)

    record = records.Record("x", True, Plain())
    assert labels.read_ignored(record) is None
    (row,) = image_rows.inspected(Brightness(), record)
    assert row.result.found_area_px == 5


def region(left, right, *, mask=None):
    mask = np.ones((1, right - left), bool) if mask is None else mask
    return decision.Region("crack", (left, 0, right, 1), (0.0, 0.0), mask.sum(), 1, 1, 1, mask=mask)


def test_regions_lose_their_ignored_pixels():
    ignored = np.array([[0, 0, 1, 1, 1, 1, 0, 0]], bool)
    given = [region(0, 4), region(2, 6), region(6, 8)]
    left = regions.without_ignored(given, ignored)
    assert [found.area_px for found in left] == [2, 2]
    assert left[0].mask.tolist() == [[True, True, False, False]]
    assert regions.without_ignored(given, None) == given


def test_pictures_show_of_what_was_found_what_counts():
    record = records.Record("x", True, Source(IMAGE, TRUTH, [[0] * 5 + [1]] * 2))
    image = record.read_image()
    look = evaluation.Look(image, labels.read(record), Brightness().inspect(image))
    assert pictures.example(look).mask_found.sum() == 3
    every = labels.MaskLabels(record.read_classes())
    assert pictures.example(evaluation.Look(image, every, look.verdict)).mask_found.sum() == 5
