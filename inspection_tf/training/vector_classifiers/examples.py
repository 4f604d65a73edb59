"""Labelled vectors of features, and folds of them in which no group straddles."""

import dataclasses

import numpy as np
from numpy.typing import NDArray

from inspection_tf import errors
from inspection_tf.datasets import dealing

_DEALS = 10  # that are tried for a number of folds: of few groups one may miss a class
Fold = tuple[NDArray[np.intp], NDArray[np.intp]]
"""Rows that are learned, and rows that are tried."""


@dataclasses.dataclass(frozen=True, slots=True)
class Examples:
    """What a classifier of vectors learns from.

    Attributes:
        features: (n, width), finite.
        labels: (n,) ids of classes, 0 for the good one.
        groups: (n,) names; images of one group show one part, or one series.
        classes: names of all classes, the good one first.

    Raises:
        errors.DataError: lengths differ, a feature is not finite, or a class has no example.
    """

    features: NDArray[np.float64] | NDArray[np.float32]
    labels: NDArray[np.int64]
    groups: tuple[str, ...]
    classes: tuple[str, ...]

    def __post_init__(self) -> None:
        """Check that the parts fit each other."""
        lengths = (self.features.shape[0], len(self.labels), len(self.groups))
        if self.features.ndim != 2 or len(set(lengths)) != 1:
            raise errors.DataError(
                "Each example must have a vector of features, a label and a group. Got features of "
                f"shape {self.features.shape}, {lengths[1]} labels and {lengths[2]} groups. "
                "Give one of each."
            )
        if not np.isfinite(self.features).all():
            raise errors.DataError(
                "Features must be finite. Got NaN or infinity. Compute them again."
            )
        known = range(len(self.classes))
        strange = sorted(set(map(int, self.labels)) - set(known))
        absent = [self.classes[k] for k in known if not (self.labels == k).any()]
        if strange or absent or len(known) < 2:
            what = f"label {strange[0]}" if strange else f"none of {', '.join(absent) or 'two'}"
            raise errors.DataError(
                "A classifier must see examples of two classes or more, and of each one. "
                f"Got {what} of the classes {', '.join(self.classes)}. "
                "Add images of it, or leave the class out."
            )

    def standardization(self) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        """Return mean and standard deviation of each feature, (width,); 1 for a constant one."""
        values = self.features.astype(np.float64)
        mean, deviation = values.mean(axis=0), values.std(axis=0)
        # A constant in float64 can have a deviation of its rounding.
        is_constant = deviation <= 1e-9 * np.maximum(np.abs(mean), 1)
        return mean, np.where(is_constant, 1.0, deviation)

    def part(self, rows: NDArray[np.intp]) -> "Examples":
        """Return some of the examples.

        Raises:
            errors.DataError: a class has no example among them.
        """
        groups = tuple(self.groups[row] for row in rows)
        return Examples(self.features[rows], self.labels[rows], groups, self.classes)


def grouped_folds(examples: Examples, *, count: int, seed: int) -> list[Fold]:
    """Divide examples so that each one is tried once, by what has not learned its group.

    Args:
        examples: of two groups or more in each class.
        count: of folds; fewer where a class has fewer groups.
        seed: of the draw.

    Returns:
        The folds; every class is among what each of them learns.

    Raises:
        errors.DataError: a class has one group only, or no such folds exist.
    """
    groups = np.array(examples.groups)
    held = [
        len(set(groups[examples.labels == number].tolist()))
        for number in range(len(examples.classes))
    ]
    defects = [(int(label),) if label != dealing.GOOD else () for label in examples.labels]
    for parts in range(min(count, *held), 1, -1):
        for attempt in range(_DEALS):
            part_of = dealing.deal(examples.groups, defects, [1] * parts, seed=seed + attempt)
            folds = [
                (np.flatnonzero(part_of != part), np.flatnonzero(part_of == part))
                for part in np.unique(part_of)
            ]
            learned = [set(examples.labels[learn].tolist()) for learn, _ in folds]
            if all(len(found) == len(examples.classes) for found in learned):
                return folds
    rarest = int(np.argmin(held))
    raise errors.DataError(
        "Settings and sigmoids are chosen on groups that were not learned, which takes two groups "
        "or more of each class, and folds of which each learns every class. "
        f"Got {held[rarest]} of {examples.classes[rarest]}. "
        "Add images of other groups; a logistic regression with one value of c needs no others."
    )
