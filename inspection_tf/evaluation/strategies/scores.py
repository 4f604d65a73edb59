"""What one strategy said of each image of a set, and how well: its scores out of fold."""

import dataclasses
from collections.abc import Callable, Mapping, Sequence

import numpy as np
from numpy.typing import ArrayLike, NDArray

from inspection_tf import errors
from inspection_tf.datasets.records import Records
from inspection_tf.evaluation import class_measures, intervals
from inspection_tf.evaluation.intervals import Estimate, Floats, Statistic


@dataclasses.dataclass(frozen=True, slots=True)
class Resampling:
    """How intervals and p-values are drawn.

    Attributes:
        seed: of both.
        resamples: of the bootstrap.
        permutations: drawn where there are too many to try all.
        confidence: of every interval, 0..1.
    """

    seed: int = 0
    resamples: int = 2000
    permutations: int = 10_000
    confidence: float = 0.95


USUAL = Resampling()
"""As it is drawn where nothing else is asked for."""


@dataclasses.dataclass(frozen=True, slots=True, eq=False)
class Scores:
    """What a strategy said of images that it had not learned from.

    Images may have been scored several times, in the repeats of a cross-validation: a metric is
    then the mean over the repeats. They add nothing to the number of images or groups.

    Attributes:
        ids: (images,) names.
        groups: (images,) names; images of a group err together.
        true: (images,) classes, 0 good.
        score: (repeats, images), of being defective: the higher, the worse; +inf allowed.
        predicted: (repeats, images) classes.
    """

    ids: tuple[str, ...]
    groups: tuple[str, ...]
    true: NDArray[np.int64]
    score: Floats
    predicted: NDArray[np.int64]

    @classmethod
    def of(
        cls,
        ids: Sequence[str],
        groups: Sequence[str],
        *,
        true: ArrayLike,
        score: ArrayLike,
        predicted: ArrayLike,
    ) -> "Scores":
        """Join what is known of images, in any order; they are sorted by id.

        Args:
            ids: (images,) names, each once, at least one.
            groups: (images,) names; "": the image is its own group.
            true: (images,) classes, 0 good.
            score: (images,) or (repeats, images), of being defective.
            predicted: likewise, classes.

        Raises:
            errors.DataError: the shapes differ, an id comes twice, or a score is not a number.
        """
        truth = np.asarray(true, np.int64)
        scores = np.atleast_2d(np.asarray(score, np.float64))
        classes = np.atleast_2d(np.asarray(predicted, np.int64))
        shape = (len(scores), len(ids))
        if (
            not len(ids)
            or len(set(ids)) < len(ids)
            or (len(groups), *truth.shape) != (len(ids), len(ids))
            or scores.shape != shape
            or classes.shape != shape
        ):
            raise errors.DataError(
                "Each image must have an id of its own, a group, a true class, a score and a class "
                f"in every repeat. Got {len(ids)} ids ({len(set(ids))} different), {len(groups)} "
                f"groups and shapes {truth.shape}, {scores.shape}, {classes.shape}. Correct them."
            )
        if np.isnan(scores).any():
            raise errors.DataError(
                f"A score must be a number. Got {int(np.isnan(scores).sum())} that are none. "
                "Let an output that is not finite rank above all others: inf."
            )
        order = sorted(range(len(ids)), key=lambda row: ids[row])
        return cls(
            tuple(ids[row] for row in order),
            tuple(groups[row] or ids[row] for row in order),
            truth[order],
            scores[:, order],
            classes[:, order],
        )

    @classmethod
    def of_probabilities(cls, records: Records, probability: ArrayLike) -> "Scores":
        """Join records and what a classifier said of them.

        The score is the sum of the probabilities of all classes but the good one; an image is taken
        for its likeliest class.

        Args:
            records: at least one; the true class of a defective one is its `class_id`.
            probability: (images, 1 + classes) or (repeats, images, 1 + classes), the good class
                first; images in the order of the records.

        Raises:
            errors.DataError: the shapes differ, or a probability is not a number.
        """
        shares = np.asarray(probability, np.float64)
        if shares.shape[-2:] != (len(records), 1 + len(records.classes)):
            raise errors.DataError(
                "Each image must have a probability of the good class and of each class that can "
                f"be wrong, {len(records)} x {1 + len(records.classes)}. Got {shares.shape}. Score "
                "all records, in their order."
            )
        return cls.of(
            records.ids,
            records.groups,
            true=[record.class_id if record.is_defect else 0 for record in records],
            score=shares[..., 1:].sum(axis=-1),
            predicted=shares.argmax(axis=-1),
        )

    @property
    def repeats(self) -> int:
        """How often each image was scored."""
        return len(self.score)

    @property
    def is_defect(self) -> NDArray[np.bool_]:
        """(images,)."""
        return np.asarray(self.true > 0)

    @property
    def group_of(self) -> NDArray[np.int64]:
        """(images,), the index of each image's group in the order of their names."""
        return np.unique(np.array(self.groups, dtype=object), return_inverse=True)[1]

    @property
    def class_count(self) -> int:
        """One more than the highest class that occurs or is predicted."""
        return 1 + int(max(self.true.max(), self.predicted.max()))

    def joined(self, *others: "Scores") -> "Scores":
        """Return the repeats of several such scores of the same images as one.

        Raises:
            errors.DataError: the images differ.
        """
        for other in others:
            require_same_images(self, other)
        every = (self, *others)
        return dataclasses.replace(
            self,
            score=np.concatenate([one.score for one in every]),
            predicted=np.concatenate([one.predicted for one in every]),
        )


def require_same_images(first: Scores, second: Scores) -> None:
    """Refuse scores of other images, or of other labels of the same.

    Raises:
        errors.DataError: they are.
    """
    if (
        first.ids != second.ids
        or first.groups != second.groups
        or not np.array_equal(first.true, second.true)
    ):
        differing = len(set(first.ids) ^ set(second.ids))
        raise errors.DataError(
            "Strategies must be compared on the same images, with the same groups and labels. "
            f"Got {len(first.ids)} and {len(second.ids)} images, {differing} of them in one alone. "
            "Score all images of the set with each."
        )


def _auroc(scores: Scores, repeat: int) -> tuple[Statistic, int]:
    _, auroc, bearing = intervals.ranking_statistics(
        scores.score[repeat], scores.is_defect, scores.group_of
    )
    return auroc, bearing


def _accuracy(scores: Scores, repeat: int) -> tuple[Statistic, int]:
    return class_measures.accuracy_statistic(scores.true, scores.predicted[repeat], scores.group_of)


def _balanced_accuracy(scores: Scores, repeat: int) -> tuple[Statistic, int]:
    return class_measures.balanced_accuracy_statistic(
        scores.true, scores.predicted[repeat], scores.class_count, scores.group_of
    )


METRICS: Mapping[str, Callable[[Scores, int], tuple[Statistic, int]]] = {
    "image_auroc": _auroc,
    "accuracy": _accuracy,
    "balanced_accuracy": _balanced_accuracy,
}
"""What strategies are compared by: of one repeat the statistic, and the groups that bear on it."""


def require_metric(name: str) -> None:
    """Refuse a name that is no metric of strategies.

    Raises:
        errors.ConfigError: it is none.
    """
    if name not in METRICS:
        raise errors.ConfigError(
            f"Strategies are compared by {', '.join(METRICS)}. Got {name!r}. Use one of them."
        )


def statistic_of(scores: Scores, metric: str) -> tuple[Statistic, int]:
    """Return a metric, averaged over the repeats, as a statistic of how often groups were drawn.

    Args:
        scores: of the strategy.
        metric: one of `METRICS`.

    Raises:
        errors.ConfigError: there is no such metric.
    """
    require_metric(metric)
    parts = [METRICS[metric](scores, repeat) for repeat in range(scores.repeats)]
    mean = intervals.mean_of_defined([statistic for statistic, _ in parts])
    return mean, min(bearing for _, bearing in parts)


def estimates(scores: Scores, *, how: Resampling = USUAL) -> dict[str, Estimate]:
    """Return every metric of `METRICS` with its interval, from a bootstrap over groups.

    Args:
        scores: of the strategy.
        how: the resamples.
    """
    return intervals.bootstrap(
        {name: statistic_of(scores, name) for name in METRICS},
        groups=len(set(scores.groups)),
        images=len(scores.ids),
        seed=how.seed,
        resamples=how.resamples,
        confidence=how.confidence,
    )
