"""Logistic regression on features, whose strength is chosen on groups that were not learned."""

import logging
from typing import Annotated

import numpy as np
import pydantic
from numpy.typing import NDArray

from inspection_tf import config
from inspection_tf.engines import installed
from inspection_tf.training.vector_classifiers import examples as labelled
from inspection_tf.training.vector_classifiers.examples import Examples
from inspection_tf.training.vector_classifiers.linear import LinearHead

_LOG = logging.getLogger("inspection_tf")


class Options(config.Section):
    """How a logistic regression is fitted to standardised features."""

    c: tuple[Annotated[float, pydantic.Field(gt=0, allow_inf_nan=False)], ...] = pydantic.Field(
        default=(1e-4, 1e-3, 1e-2, 0.1, 1.0), min_length=1
    )
    """Inverse strengths of the regularisation to choose from, rising; one: nothing is chosen."""
    folds: int = pydantic.Field(default=5, ge=2)
    """Of the training images, to choose on; fewer where a class has fewer groups."""
    balanced: bool = False
    """Whether each class counts as much as any other; else each image does."""


def fit(examples: Examples, *, options: Options | None = None, seed: int = 0) -> LinearHead:
    """Fit a logistic regression.

    Args:
        examples: which are learned, and on whose groups the strength is chosen.
        options: `Options()` by default.
        seed: of the folds.

    Returns:
        The classifier, of the features as they are: their standardisation is folded in.

    Raises:
        errors.DataError: no folds of whole groups exist, and there are several strengths.
        errors.BundleError: scikit-learn is absent.
    """
    chosen = options or Options()
    c = choose_c(examples, options=chosen, seed=seed)
    return fit_with(examples, c=c, balanced=chosen.balanced)


def choose_c(examples: Examples, *, options: Options, seed: int) -> float:
    """Return the inverse strength whose probabilities fit best to groups that were not learned.

    That is the one of the smallest mean cross entropy over all examples; of equal ones the first.

    Raises:
        errors.DataError: no folds of whole groups exist, and there are several strengths.
    """
    if len(options.c) == 1:
        return options.c[0]
    losses = np.zeros(len(options.c))
    for learn, tried in labelled.grouped_folds(examples, count=options.folds, seed=seed):
        learned, rest = examples.part(learn), (examples.features[tried], examples.labels[tried])
        for place, c in enumerate(options.c):
            head = fit_with(learned, c=c, balanced=options.balanced)
            losses[place] += _cross_entropy(head.probabilities(rest[0]), rest[1]).sum()
    best = int(np.argmin(losses))
    mean = losses / len(examples.labels)
    _LOG.info("logistic regression: c = %g, cross entropy %.4f", options.c[best], mean[best])
    return options.c[best]


def _cross_entropy(
    probability: NDArray[np.float64], labels: NDArray[np.int64]
) -> NDArray[np.float64]:
    true = probability[np.arange(len(labels)), labels]
    return np.asarray(-np.log(np.maximum(true, 1e-15)))


def fit_with(examples: Examples, *, c: float, balanced: bool) -> LinearHead:
    """Fit a logistic regression of one strength.

    For two classes scikit-learn gives one function d, the log odds of the second. Softmax of the
    logits (-d / 2, d / 2) is the same: its second entry is

        exp(d/2) / (exp(-d/2) + exp(d/2)) = 1 / (1 + exp(-d)),

    and the weights of both classes add up to 0, as those of three classes and more do.

    Args:
        examples: which are learned.
        c: inverse strength of the regularisation.
        balanced: whether each class counts as much as any other.

    Raises:
        errors.BundleError: scikit-learn is absent.
    """
    try:
        import threadpoolctl  # comes with scikit-learn
        from sklearn import linear_model
    except ImportError as problem:
        raise installed.missing("scikit-learn", "classical", "A logistic regression") from problem

    mean, deviation = examples.standardization()
    regression = linear_model.LogisticRegression(
        C=c, class_weight="balanced" if balanced else None, max_iter=5000
    )
    # Its many small products take ten times as long when several threads share them.
    with threadpoolctl.threadpool_limits(1):
        regression.fit((examples.features - mean) / deviation, examples.labels)
    weights, intercept = regression.coef_, regression.intercept_
    if len(weights) == 1:
        weights, intercept = (np.concatenate([-x / 2, x / 2]) for x in (weights, intercept))
    return LinearHead.on_standardized(weights.T, intercept, mean=mean, deviation=deviation)
