"""Dealing groups to the parts of a split: each part gets its share of every class."""

from collections import Counter
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

GOOD = 0  # stratum of the groups without a defect


def deal(
    groups: Sequence[str],
    class_ids: Sequence[tuple[int, ...]],
    shares: Sequence[float],
    *,
    seed: int,
) -> NDArray[np.int64]:
    """Give each record a part, group by group.

    Groups of the rarest class are dealt first, while every part still lacks some; what else they
    hold counts for its own class. Groups without a defect come last. A group counts with the images
    of a class that it holds. Where there is but one class it counts with all its images.

    Args:
        groups: (records,) names.
        class_ids: (records,) ids of the classes that each holds, none where it is good.
        shares: (parts,) in any unit.
        seed: of the draw.

    Returns:
        (records,) numbers of parts.
    """
    share = np.asarray(shares, dtype=np.float64) / np.sum(shares)
    part_of = np.full(len(groups), -1, dtype=np.int64)
    table = _table(groups, class_ids)
    total = sum((counts for _, counts in table), Counter[int]())
    strata = sorted(total, key=lambda number: (number == GOOD, total[number], number))
    filled = {number: np.zeros(len(share)) for number in strata}
    held = np.zeros(len(share))
    for stratum in strata:
        waiting = [entry for entry in table if stratum in entry[1] and part_of[entry[0][0]] < 0]
        rng = np.random.default_rng([seed, stratum])
        # Large groups first: the small ones then even out what is left.
        order = sorted(rng.permutation(len(waiting)), key=lambda row: -waiting[row][1][stratum])
        for row in order:
            rows, counts = waiting[row]
            lacking = filled[stratum] - share * total[stratum]
            # The part that lacks most; of equal ones the emptiest, or small folds stay empty.
            part = int(np.lexsort((held, lacking))[0])
            part_of[rows] = part
            held[part] += len(rows)
            for number, count in counts.items():
                filled[number][part] += count
    return part_of


def _table(
    groups: Sequence[str], class_ids: Sequence[tuple[int, ...]]
) -> list[tuple[list[int], Counter[int]]]:
    """Return rows and images of each class of the groups, in the order of their names."""
    members: dict[str, list[int]] = {}
    for index, group in enumerate(groups):
        members.setdefault(group, []).append(index)
    several = len({number for ids in class_ids for number in ids}) > 1
    table = []
    for _, rows in sorted(members.items()):
        counts = Counter(number for row in rows for number in class_ids[row] or (GOOD,))
        if not several:  # splits of one class are drawn as they always were
            counts = Counter({max(counts): len(rows)})
        table.append((rows, counts))
    return table
