"""How often images are taken for their own class: confusion, recall of each class, their mean.

`recall of a class = its images taken for it / its images`;
`balanced accuracy = mean of the recalls of the classes that occur`. A class without an image has no
recall. Classes are numbered as in `datasets.records`: 0 is good.
"""

import numpy as np
from numpy.typing import ArrayLike, NDArray

from inspection_tf import errors
from inspection_tf.evaluation import intervals
from inspection_tf.evaluation.intervals import Floats, Statistic


def require_classes(name: str, ids: ArrayLike, classes: int) -> NDArray[np.int64]:
    """Return the classes of images as (images,) int64.

    Args:
        name: what they are called in a message.
        ids: (images,) numbers of classes, at least one.
        classes: how many there are, the good one included.

    Raises:
        errors.DataError: they have another shape, are no whole numbers, or one is not among the
            classes.
    """
    found = np.asarray(ids)
    if found.ndim != 1 or not len(found) or not np.issubdtype(found.dtype, np.integer):
        raise errors.DataError(
            f"{name} must be the number of a class for each of at least one image. "
            f"Got {found.dtype} of shape {found.shape}. Give a list of whole numbers."
        )
    if found.min() < 0 or found.max() >= classes:
        raise errors.DataError(
            f"{name} must be numbers of classes, 0 to {classes - 1}. "
            f"Got {found.min()} to {found.max()}. Count the good class too."
        )
    return found.astype(np.int64)


def confusion_counts(true: ArrayLike, predicted: ArrayLike, classes: int) -> NDArray[np.int64]:
    """Return (classes, classes): images of each true class, by the class they were taken for.

    Args:
        true: (images,) classes.
        predicted: (images,) classes.
        classes: how many there are, the good one included.

    Raises:
        errors.DataError: there is no image, the lengths differ, or a number is no class.
    """
    truth = require_classes("true", true, classes)
    taken = require_classes("predicted", predicted, classes)
    _require_one_length(truth, taken)
    pairs = np.bincount(truth * classes + taken, minlength=classes**2)
    return pairs.reshape(classes, classes)


def recalls(counts: NDArray[np.int64]) -> Floats:
    """Return (classes,), the recall of each class; nan where it has no image.

    Args:
        counts: (classes, classes) of `confusion_counts`.
    """
    total = counts.sum(axis=1)
    value = np.full(len(counts), np.nan)
    np.divide(np.diagonal(counts), total, out=value, where=total > 0)
    return value


def balanced_accuracy(counts: NDArray[np.int64]) -> float:
    """Return the mean recall of the classes that occur; nan where there is no image.

    Args:
        counts: (classes, classes) of `confusion_counts`.
    """
    found = recalls(counts)
    occurring = found[~np.isnan(found)]
    return float(occurring.mean()) if len(occurring) else float("nan")


def recall_statistics(
    true: ArrayLike, predicted: ArrayLike, classes: int, group_of: NDArray[np.int64]
) -> list[tuple[Statistic, int]]:
    """Return the recall of each class as a statistic of how often each group was drawn.

    Args:
        true: (images,) classes.
        predicted: (images,) classes; a number that is none, such as -1, is never right.
        classes: how many there are, the good one included.
        group_of: (images,), the index of each image's group.

    Returns:
        Of each class the statistic, and the number of groups that hold it.

    Raises:
        errors.DataError: there is no image, the lengths differ, or a true number is no class.
    """
    truth = require_classes("true", true, classes)
    taken = np.asarray(predicted)
    _require_one_length(truth, taken)
    found = []
    for number in range(classes):
        of_class = (truth == number).astype(np.float64)
        found.append(intervals.ratio_of_sums(of_class * (taken == number), of_class, group_of))
    return found


def balanced_accuracy_statistic(
    true: ArrayLike, predicted: ArrayLike, classes: int, group_of: NDArray[np.int64]
) -> tuple[Statistic, int]:
    """Return the balanced accuracy as a statistic of how often each group was drawn.

    In a resample it is the mean over the classes that the resample holds.

    Args:
        true: (images,) classes.
        predicted: (images,) classes; a number that is none, such as -1, is never right.
        classes: how many there are, the good one included.
        group_of: (images,), the index of each image's group.

    Returns:
        The statistic, and the groups that the scarcest of the occurring classes has: with one of
        them there is nothing to vary.

    Raises:
        errors.DataError: there is no image, the lengths differ, or a true number is no class.
    """
    of_classes = recall_statistics(true, predicted, classes, group_of)
    occurring = [(statistic, bearing) for statistic, bearing in of_classes if bearing]
    mean = intervals.mean_of_defined([statistic for statistic, _ in occurring])
    return mean, min(bearing for _, bearing in occurring)


def accuracy_statistic(
    true: ArrayLike, predicted: ArrayLike, group_of: NDArray[np.int64]
) -> tuple[Statistic, int]:
    """Return the share of images taken for their own class as a statistic.

    Args:
        true: (images,) classes.
        predicted: (images,) classes.
        group_of: (images,), the index of each image's group.

    Raises:
        errors.DataError: the lengths differ.
    """
    truth, taken = np.asarray(true), np.asarray(predicted)
    _require_one_length(truth, taken)
    right = (truth == taken).astype(np.float64)
    return intervals.ratio_of_sums(right, np.ones(len(right)), group_of)


def _require_one_length(true: NDArray[np.int64], predicted: NDArray[np.int64]) -> None:
    if true.shape != predicted.shape:
        raise errors.DataError(
            "Each image must have a true class and one that it was taken for. "
            f"Got {true.shape} and {predicted.shape}. Give arrays of equal length."
        )
