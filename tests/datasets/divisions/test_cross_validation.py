"""Folds drawn several times, and each group left out once."""

import collections

import numpy as np
import pytest

from inspection_tf import errors
from inspection_tf.datasets import records
from inspection_tf.datasets.divisions import cross_validation


class Source:
    def read_image(self, *, orientation="apply"):
        return np.zeros((3, 5), np.uint8)

    def read_mask(self, *, orientation="apply"):
        return np.zeros((3, 5), bool)

    def identity(self):
        return b""


def of(*sizes, classes=("worn",)):
    """Records of groups a, b, ...: of each how many images of every class it has, good first."""
    items = [
        records.Record(f"{group}{class_id}{n}", class_id > 0, Source(), group, None, class_id or 1)
        for group, counts in zip("abcdefghij", sizes, strict=False)
        for class_id, count in enumerate(counts)
        for n in range(count)
    ]
    return records.Records.of(items, classes=classes)


# Nine series of unequal size, as of the real inserts: (intact, worn).
SERIES = of((0, 6), (2, 0), (3, 1), (2, 5), (0, 7), (3, 1), (4, 4), (0, 3), (6, 4))


def partition(folds):
    return frozenset(frozenset(fold["test"].groups) for fold in folds)


def test_every_image_is_tested_once_in_each_repeat_and_no_group_straddles():
    repeats = cross_validation.repeated_folds(SERIES, count=3, repeats=6, seed=1)
    assert len(repeats) == 6
    for folds in repeats:
        tested = [name for fold in folds for name in fold["test"].ids]
        assert sorted(tested) == sorted(SERIES.ids)
        for fold in folds:
            assert not set(fold["train"].groups) & set(fold["test"].groups)
            assert sorted((*fold["train"].ids, *fold["test"].ids)) == sorted(SERIES.ids)
            # Stratified: 20 intact and 31 worn, so that a third is 6.7 and 10.3.
            worn = int(fold["test"].is_defect.sum())
            assert worn >= 7
            assert len(fold["test"]) - worn >= 3


def test_repeats_draw_their_folds_anew_where_groups_are_unequal():
    repeats = cross_validation.repeated_folds(SERIES, count=3, repeats=6, seed=1)
    assert len({partition(folds) for folds in repeats}) >= 5
    # Dealt by size they fall alike, whatever the seed: why there is a second way.
    by_size = {partition(records.folds(SERIES, count=3, seed=seed)) for seed in range(6)}
    assert len(by_size) < 5


def test_the_seed_alone_decides():
    again = records.Records.of(reversed(SERIES.items), classes=SERIES.classes)
    first, second = (
        cross_validation.repeated_folds(found, count=3, repeats=2, seed=4)
        for found in (SERIES, again)
    )
    assert first == second
    # Further repeats leave the first ones as they were.
    assert cross_validation.repeated_folds(SERIES, count=3, repeats=3, seed=4)[:2] == first
    assert cross_validation.repeated_folds(SERIES, count=3, repeats=2, seed=5) != first


def test_images_without_groups_are_dealt_evenly():
    single = of((10, 5))
    alone = records.Records.of(
        [records.Record(r.id, r.is_defect, r.source) for r in single], classes=("worn",)
    )
    for folds in cross_validation.repeated_folds(alone, count=5, repeats=3, seed=0):
        counts = collections.Counter(
            (len(fold["test"]), int(fold["test"].is_defect.sum())) for fold in folds
        )
        assert counts == {(3, 1): 5}  # 15 images in 5 folds: one worn and two intact each


def test_each_class_is_in_every_fold_where_the_groups_allow_it():
    groups = [(2, 1, 0), (2, 0, 1), (1, 1, 0), (3, 0, 1), (1, 2, 0), (2, 0, 2)]
    found = of(*groups, classes=("dent", "scratch"))
    for folds in cross_validation.repeated_folds(found, count=3, repeats=4, seed=2):
        for fold in folds:
            assert {record.class_ids() for record in fold["test"]} == {(), (1,), (2,)}


@pytest.mark.parametrize(("count", "repeats"), [(1, 3), (3, 0)])
def test_too_few_folds_or_repeats_are_refused(count, repeats):
    with pytest.raises(errors.ConfigError, match="at least 2 folds and 1 repeat"):
        cross_validation.repeated_folds(SERIES, count=count, repeats=repeats, seed=0)


def test_fewer_groups_than_folds_are_refused():
    with pytest.raises(errors.DataError, match="Got 10 folds and 9 groups"):
        cross_validation.repeated_folds(SERIES, count=10, repeats=1, seed=0)


def test_a_class_in_fewer_groups_than_folds_is_named():
    found = of((2, 1, 0), (2, 1, 0), (2, 0, 4), classes=("dent", "scratch"))
    with pytest.raises(errors.DataError, match="4 images of scratch in 1 groups"):
        cross_validation.repeated_folds(found, count=2, repeats=1, seed=0)
    with pytest.raises(errors.DataError, match="3 images of OK in 1 groups"):
        cross_validation.repeated_folds(of((3, 1), (0, 1)), count=2, repeats=1, seed=0)
    with pytest.raises(errors.DataError, match="0 images of scratch in 0 groups"):
        cross_validation.repeated_folds(
            of((1, 1), (1, 1), classes=("dent", "scratch")), count=2, repeats=1, seed=0
        )


def test_a_set_may_have_no_good_images():
    found = of((0, 2, 1), (0, 1, 1), classes=("dent", "scratch"))
    (folds,) = cross_validation.repeated_folds(found, count=2, repeats=1, seed=0)
    assert partition(folds) == {frozenset("a"), frozenset("b")}


def test_each_group_is_left_out_once():
    splits = cross_validation.leave_one_group_out(SERIES)
    assert [set(one["test"].groups) for one in splits] == [{name} for name in "abcdefghi"]
    assert all(len(one["train"]) + len(one["test"]) == len(SERIES) for one in splits)
    assert not any(set(one["train"].groups) & set(one["test"].groups) for one in splits)


def test_leaving_out_needs_two_groups_and_each_class_in_two():
    with pytest.raises(errors.DataError, match=r"at least 2 groups of images. Got 1"):
        cross_validation.leave_one_group_out(of((2, 2)))
    with pytest.raises(errors.DataError, match="Got 2 images of worn in 1 groups"):
        cross_validation.leave_one_group_out(of((2, 0), (1, 2)))
