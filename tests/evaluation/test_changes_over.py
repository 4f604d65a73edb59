import pytest
from image_rows import of_map

from inspection_tf import errors, evaluation


def rows(groups, right):
    """Two images of each group, a good and a defective one; those in `right` are judged rightly."""
    return [
        of_map(
            f"{group}_{kind}",
            group=group,
            is_ng=kind == "ng",
            outcome="NG" if (kind == "ng") == (group in right) else "OK",
            score=0.9 if kind == "ng" else 0.1,
        )
        for group in groups
        for kind in ("ok", "ng")
    ]


def test_it_is_the_mean_of_the_changes_of_each_split():
    # Right: of the first split 1 of 4 groups, then 3; of the second 2 of 2, then 1.
    splits = [
        (rows("abcd", "a"), rows("abcd", "abc")),
        (rows("de", "de"), rows("de", "d")),
    ]
    found = evaluation.changes_over(splits, resamples=50)["ok_ng_accuracy"]
    assert found.value == pytest.approx((2 / 4 - 1 / 2) / 2)
    singly = [evaluation.changes(*pair, resamples=50)["ok_ng_accuracy"].value for pair in splits]
    assert singly == pytest.approx([0.5, -0.5])


def test_splits_of_the_same_groups_make_nothing_more_certain():
    pair = (rows("abcdefgh", "abc"), rows("abcdefgh", "abcde"))
    once = evaluation.changes(*pair, resamples=300)
    often = evaluation.changes_over([pair] * 5, resamples=300)
    for name, change in once.items():
        assert often[name].value == pytest.approx(change.value), name
        assert often[name].low == pytest.approx(change.low), name
        assert often[name].high == pytest.approx(change.high), name
    assert once["ok_ng_accuracy"].low < once["ok_ng_accuracy"].high


def test_groups_are_told_apart_whatever_order_a_split_holds_them_in():
    # Group b alone changes; a resample that draws it twice changes by twice as much.
    first = (rows("ab", ""), rows("ab", "b"))
    second = (rows("bc", ""), rows("bc", "b"))
    found = evaluation.changes_over([first, second], resamples=4000)["ok_ng_accuracy"]
    assert found.value == pytest.approx(0.5)
    assert found.low == 0.0
    assert found.high == 1.0


def test_splits_must_hold_the_same_images_on_either_side():
    pair = (rows("ab", ""), rows("ab", "b"))
    with pytest.raises(errors.DataError, match=r"Got 4 and 2"):
        evaluation.changes_over([pair, (rows("ab", ""), rows("a", "a"))])
    with pytest.raises(errors.DataError, match=r"Got 0 and 0"):
        evaluation.changes_over([])
