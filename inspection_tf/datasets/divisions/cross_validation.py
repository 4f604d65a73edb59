"""Cross-validation of small sets: folds drawn several times, and each group left out once."""

import dataclasses
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from inspection_tf import errors
from inspection_tf.datasets.records import Records

_ORDERS = 20  # in which groups are dealt; the best balanced division is taken
_GOOD_NAME = "OK"


@dataclasses.dataclass(frozen=True, slots=True)
class _Table:
    """How many images of each class every group holds.

    Attributes:
        groups: names, rising.
        group_of: (images,) index of each record's group.
        counts: (groups, 1 + classes), images; those without a defect first.
        names: of the columns.
    """

    groups: tuple[str, ...]
    group_of: NDArray[np.int64]
    counts: NDArray[np.int64]
    names: tuple[str, ...]


def _table(records: Records) -> _Table:
    groups, group_of = np.unique(np.array(records.groups, dtype=object), return_inverse=True)
    counts = np.zeros((len(groups), 1 + len(records.classes)), np.int64)
    for record, group in zip(records, group_of, strict=True):
        for class_id in record.class_ids() or (0,):
            counts[group, class_id] += 1
    return _Table(tuple(groups), group_of, counts, (_GOOD_NAME, *records.classes))


def _require_each_class(table: _Table, *, groups: int, purpose: str, origin: str) -> None:
    """Refuse classes that too few groups hold; a set may have no good images at all.

    Raises:
        errors.DataError: a class is held by fewer groups.
    """
    for class_id, name in enumerate(table.names):
        holding = int(np.count_nonzero(table.counts[:, class_id]))
        images = int(table.counts[:, class_id].sum())
        if holding < groups and (class_id or images):
            raise errors.DataError(
                f"{purpose} needs every class in at least {groups} groups of images. Got {images} "
                f"images of {name} in {holding} groups of {origin}. Add images of {name}, or take "
                "fewer folds."
            )


def repeated_folds(
    records: Records, *, count: int, repeats: int, seed: int
) -> list[list[dict[str, Records]]]:
    """Return `repeats` cross-validations, each of which draws its `count` folds anew.

    In each of them every image is tested exactly once, no group straddles, and every fold has about
    its share of every class. `records.folds` deals large groups first, so that few groups of
    unequal size fall alike whatever the seed; here they are dealt in random orders, of which the
    one is taken whose folds lack the fewest classes and are the best balanced.

    Args:
        records: any order gives the same folds.
        count: folds of a repeat, at least 2.
        repeats: at least 1.
        seed: of the draw.

    Returns:
        Of each repeat its folds, each a `train` and a `test`.

    Raises:
        errors.ConfigError: fewer than 2 folds, or no repeat.
        errors.DataError: there are fewer groups than folds, or a class is in fewer groups than
            there are folds.
    """
    if count < 2 or repeats < 1:
        raise errors.ConfigError(
            f"Cross-validation needs at least 2 folds and 1 repeat. Got {count} and {repeats}. "
            "Use for example 5 folds and 10 repeats."
        )
    table = _table(records)
    if len(table.groups) < count:
        raise errors.DataError(
            f"Cross-validation needs a group of images for each fold. Got {count} folds and "
            f"{len(table.groups)} groups of {records.origin}. Take fewer folds or add images."
        )
    _require_each_class(table, groups=count, purpose="Cross-validation", origin=records.origin)
    return [
        _splits(records, _dealt(table, count, seed=(seed, repeat))[table.group_of], count)
        for repeat in range(repeats)
    ]


def leave_one_group_out(records: Records) -> list[dict[str, Records]]:
    """Return a split for each group, in the order of their names: it is tested, the others train.

    It asks how a network does on what it knows nothing of, such as a series of photos of another
    type of part.

    Args:
        records: any order gives the same splits.

    Returns:
        Of each group a `train` and a `test`, in which all images are of the group.

    Raises:
        errors.DataError: there are fewer than two groups, or a class is in one group only, so that
            nothing is left to learn it from.
    """
    table = _table(records)
    purpose = "Leaving a group out"
    if len(table.groups) < 2:
        raise errors.DataError(
            f"{purpose} needs at least 2 groups of images. Got {len(table.groups)} of "
            f"{records.origin}. Name the groups in groups.csv, or by a group pattern."
        )
    _require_each_class(table, groups=2, purpose=purpose, origin=records.origin)
    return _splits(records, table.group_of, len(table.groups))


def _splits(records: Records, part_of: NDArray[np.int64], count: int) -> list[dict[str, Records]]:
    """Return for each part a split in which it is tested."""

    def pick(chosen: NDArray[np.bool_]) -> Records:
        items = tuple(records.items[row] for row in np.flatnonzero(chosen))
        return dataclasses.replace(records, items=items)

    return [
        {"train": pick(part_of != part), "test": pick(part_of == part)} for part in range(count)
    ]


def _dealt(table: _Table, count: int, *, seed: Sequence[int]) -> NDArray[np.int64]:
    """Return (groups,), the fold of each group: the best of several random orders of dealing."""
    rng = np.random.default_rng(seed)
    shares = table.counts / np.maximum(table.counts.sum(axis=0), 1)
    images = np.bincount(table.group_of).astype(np.float64)
    best: tuple[tuple[int, float], NDArray[np.int64]] | None = None
    for _ in range(_ORDERS):
        fold_of, held = _deal_in_order(rng.permutation(len(shares)), shares, images, count)
        present = shares.any(axis=0)
        lacking = int(np.count_nonzero(held[:, present] == 0))
        key = (lacking, float(np.square(held[:, present] - 1 / count).sum()))
        if best is None or key < best[0]:
            best = key, fold_of
    if best is None:  # there is at least one order
        raise errors.InspectionError("No order of groups was tried.")
    return best[1]


def _deal_in_order(
    order: NDArray[np.int64],
    shares: NDArray[np.float64],
    images: NDArray[np.float64],
    count: int,
) -> tuple[NDArray[np.int64], NDArray[np.float64]]:
    """Give each group, one after the other, to the fold that holds least of its classes.

    Args:
        order: (groups,) their indices.
        shares: (groups, classes) of all images of a class.
        images: (groups,).
        count: of folds.

    Returns:
        (groups,) folds, and (count, classes) shares that the folds hold.
    """
    fold_of = np.zeros(len(shares), np.int64)
    held, filled = np.zeros((count, shares.shape[1])), np.zeros(count)
    for group in order:
        # An empty fold holds nothing of them: while there is one, no other gets a group.
        fold = int(np.lexsort((filled, held @ shares[group]))[0])
        fold_of[group] = fold
        held[fold] += shares[group]
        filled[fold] += images[group]
    return fold_of, held
