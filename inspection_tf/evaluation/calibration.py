"""Whether probabilities are what they say: calibration of a classifier, and one number to mend it.

Of images that a classifier is 80 % sure of it should get 80 % right. Source: Guo et al. 2017, "On
calibration of modern neural networks".
"""

from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import ArrayLike, NDArray

from inspection_tf import errors
from inspection_tf.evaluation import class_measures
from inspection_tf.evaluation.intervals import Floats, Statistic

Binning = Literal["width", "count"]
MIN_TEMPERATURE, MAX_TEMPERATURE = 0.05, 20.0
BINS = 15
"""Of equal width, as Guo et al. have them."""
_SUM_TOLERANCE = 1e-3  # of the probabilities of an image; float16 networks are off by some 1e-4
_LEAST_GAIN = 1e-9  # nats an image, under which no temperature is better than 1


@dataclass(frozen=True, slots=True, eq=False)
class Reliability:
    """How sure a classifier was, and how often it was right, in bins of how sure it was.

    Attributes:
        edges: (bins + 1,), rising from 0 to 1; a bin holds its upper edge and not its lower one.
        confidence: (bins,), mean probability of the likeliest class; nan in an empty bin.
        accuracy: (bins,), share of images whose likeliest class is the true one; likewise.
        counts: (bins,), images.
    """

    edges: Floats
    confidence: Floats
    accuracy: Floats
    counts: NDArray[np.int64]

    @property
    def expected_calibration_error(self) -> float:
        """Sum over the bins of `counts / n * |accuracy - confidence|`, 0..1."""
        filled = self.counts > 0
        gap = np.abs(self.accuracy[filled] - self.confidence[filled])
        return float((self.counts[filled] * gap).sum() / self.counts.sum())


def reliability(
    probability: ArrayLike, label: ArrayLike, bins: int = BINS, *, binning: Binning = "width"
) -> Reliability:
    """Return how sure a classifier was and how often it was right.

    Args:
        probability: (images, classes), each row a distribution.
        label: (images,), the number of the true class.
        bins: at least 1.
        binning: `width`: bins of equal width, as Guo et al. have them. `count`: bins of about equal
            numbers of images (Nixon et al. 2019), which says more of a network that is nearly
            always nearly sure: of 15 bins of equal width it fills one or two.

    Raises:
        errors.DataError: the probabilities are none, or do not fit the labels.
        errors.ConfigError: there is no bin.
    """
    shares = _distributions(probability)
    truth = class_measures.require_classes("label", label, shares.shape[1])
    _require_rows(shares, truth)
    if bins < 1:
        raise errors.ConfigError(f"bins must be at least 1. Got {bins}. Use for example 15.")
    likeliest = shares.argmax(axis=1)
    confidence = shares.max(axis=1)
    right = (likeliest == truth).astype(np.float64)
    edges = np.linspace(0, 1, bins + 1)
    if binning == "count":
        edges = np.quantile(confidence, edges)
        edges[0], edges[-1] = 0, 1
    place = _bin_of(confidence, edges)
    counts = np.bincount(place, minlength=bins)
    means = [
        np.divide(
            np.bincount(place, weights=values, minlength=bins),
            counts,
            out=np.full(bins, np.nan),
            where=counts > 0,
        )
        for values in (confidence, right)
    ]
    return Reliability(edges, means[0], means[1], counts)


def expected_calibration_error(
    probability: ArrayLike, label: ArrayLike, bins: int = BINS, *, binning: Binning = "width"
) -> float:
    """Return how far a classifier's sureness is from how often it is right, on average.

    `ECE = sum over bins of n_bin / n * |accuracy_bin - confidence_bin|`, with the probability of
    the likeliest class as the confidence (Guo et al. 2017, eq. 3). It is 0 of a classifier that is
    perfectly calibrated, on ever more images: chance alone makes it positive, by about
    `sqrt(2 / pi) * sqrt(bins * p * (1 - p) / n)` at an accuracy of p.

    Args:
        probability: (images, classes), each row a distribution.
        label: (images,), the number of the true class.
        bins: at least 1.
        binning: see `reliability`.

    Raises:
        errors.DataError: the probabilities are none, or do not fit the labels.
        errors.ConfigError: there is no bin.
    """
    return reliability(probability, label, bins, binning=binning).expected_calibration_error


def _bin_of(confidence: Floats, edges: Floats) -> NDArray[np.int64]:
    """Return the bin of each confidence; a bin holds its upper edge and not its lower one."""
    place = np.searchsorted(edges, confidence, side="left") - 1
    return np.clip(place, 0, len(edges) - 2).astype(np.int64)


def calibration_statistic(
    confidence: Floats, is_right: Floats, group_of: NDArray[np.int64]
) -> tuple[Statistic, int]:
    """Return the statistic "expected calibration error", and the groups that bear on it.

    It is `expected_calibration_error` with its usual bins, of images that are resampled by groups.

    Args:
        confidence: (images,), probability of the likeliest class.
        is_right: (images,), 1 where that is the true class, else 0.
        group_of: (images,), the index of each image's group.
    """
    place = _bin_of(confidence, np.linspace(0, 1, BINS + 1))
    groups = len(np.unique(group_of))
    gap, images = np.zeros((int(group_of.max(initial=-1)) + 1, BINS)), np.bincount(group_of)
    np.add.at(gap, (group_of, place), is_right - confidence)

    def statistic(counts: Floats) -> Floats:
        total = (counts * images).sum(axis=1)
        value = np.full(len(counts), np.nan)
        off = np.abs((counts[:, :, None] * gap[None]).sum(axis=1)).sum(axis=1)
        np.divide(off, total, out=value, where=total > 0)
        return value

    return statistic, groups


def softmax(logits: ArrayLike, temperature: float = 1.0) -> Floats:
    """Return `exp(logits / T) / sum over classes of exp(logits / T)`.

    Args:
        logits: (images, classes). Logarithms of probabilities will do: they are logits.
        temperature: T, positive; over 1 makes a classifier less sure.

    Raises:
        errors.ConfigError: the temperature is not positive.
        errors.DataError: the logits have another shape, or are not finite.
    """
    if not temperature > 0:
        raise errors.ConfigError(
            f"A temperature must be positive. Got {temperature}. Use 1 to change nothing."
        )
    return np.asarray(np.exp(_log_softmax(_logits(logits), temperature)))


def negative_log_likelihood(logits: ArrayLike, label: ArrayLike, temperature: float = 1.0) -> float:
    """Return the mean over the images of `-log softmax(logits / T)[label]`, in nats.

    Args:
        logits: (images, classes).
        label: (images,), the number of the true class.
        temperature: T, positive.

    Raises:
        errors.DataError: the logits are not finite, or do not fit the labels.
    """
    found = _logits(logits)
    truth = class_measures.require_classes("label", label, found.shape[1])
    _require_rows(found, truth)
    return _mean_loss(found, truth, temperature)


def fit_temperature(logits: ArrayLike, label: ArrayLike) -> float:
    """Return the temperature whose probabilities `softmax(logits / T)` fit the labels best.

    It minimises the mean negative log-likelihood, which has one minimum over T, and changes no
    image's likeliest class. Fit it on images that the network has not learned from.

    Where every image is taken for its own class the likelihood grows with ever lower T, and with
    ever higher T where the true class is never the likeliest: T stays between `MIN_TEMPERATURE`
    and `MAX_TEMPERATURE`. Such a set says nothing of how sure to be; add images that the classifier
    gets wrong. Where no T is better than 1, as of logits that are all equal, it is 1.

    Args:
        logits: (images, classes). Logarithms of probabilities will do.
        label: (images,), the number of the true class.

    Raises:
        errors.DataError: the logits are not finite, or do not fit the labels.
    """
    from scipy import optimize

    found = _logits(logits)
    truth = class_measures.require_classes("label", label, found.shape[1])
    _require_rows(found, truth)

    def loss(log_temperature: float) -> float:
        return _mean_loss(found, truth, float(np.exp(log_temperature)))

    ends = (float(np.log(MIN_TEMPERATURE)), float(np.log(MAX_TEMPERATURE)))
    best = optimize.minimize_scalar(loss, bounds=ends, method="bounded", options={"xatol": 1e-6})
    # The search stays inside its bounds, which are the answer where there is no minimum between.
    candidates = {float(np.exp(best.x)), MIN_TEMPERATURE, MAX_TEMPERATURE}
    temperature = min(sorted(candidates), key=lambda value: _mean_loss(found, truth, value))
    gain = _mean_loss(found, truth, 1.0) - _mean_loss(found, truth, temperature)
    return temperature if gain > _LEAST_GAIN else 1.0


def _logits(logits: ArrayLike) -> Floats:
    found = np.asarray(logits, np.float64)
    if found.ndim != 2 or found.shape[1] < 2 or not np.isfinite(found).all():
        raise errors.DataError(
            "logits must be a finite number for each image and each of at least two classes. "
            f"Got shape {found.shape}. Clip probabilities away from 0 before taking logarithms."
        )
    return found


def _log_softmax(logits: Floats, temperature: float) -> Floats:
    scaled = (logits - logits.max(axis=1, keepdims=True)) / temperature
    return np.asarray(scaled - np.log(np.exp(scaled).sum(axis=1, keepdims=True)))


def _mean_loss(logits: Floats, label: NDArray[np.int64], temperature: float) -> float:
    return -float(_log_softmax(logits, temperature)[np.arange(len(label)), label].mean())


def _distributions(probability: ArrayLike) -> Floats:
    shares = np.asarray(probability, np.float64)
    is_right = (
        shares.ndim == 2
        and shares.shape[1] > 1
        and bool((shares >= 0).all())  # and not nan
        and bool((np.abs(shares.sum(axis=1) - 1) <= _SUM_TOLERANCE).all())
    )
    if not is_right:
        raise errors.DataError(
            "probability must be a distribution over at least two classes for each image: not "
            f"negative, of sum 1. Got shape {shares.shape}. Give what a softmax returns."
        )
    return shares


def _require_rows(values: Floats, label: NDArray[np.int64]) -> None:
    if len(values) != len(label):
        raise errors.DataError(
            f"Each image must have a label. Got {len(values)} images and {len(label)} labels. "
            "Give arrays of equal length."
        )
