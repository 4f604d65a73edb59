"""Vectors of features whose classes can be told apart, for the tests of what learns them."""

import numpy as np

from inspection_tf.training import vector_classifiers

NAMES = ("OK", "worn", "broken", "dirty")


def make(count=120, *, classes=2, width=12, shift=2.0, seed=0):
    """Examples of unequal scales, six of a group, with one feature that is constant.

    The first feature of class k lies `shift` deviations higher for each k.
    """
    rng = np.random.default_rng(seed)
    labels = np.arange(count) % classes
    features = rng.normal(size=(count, width))
    features[:, 0] += shift * labels
    features = features * rng.uniform(0.1, 20, width) + rng.normal(0, 50, width)
    features[:, -1] = 0.7
    groups = tuple(f"part{row // 6}" for row in range(count))
    return vector_classifiers.Examples(features, labels, groups, NAMES[:classes])


def accuracy(classifier, examples):
    found = classifier.probabilities(examples.features).argmax(axis=1)
    return float((found == examples.labels).mean())
