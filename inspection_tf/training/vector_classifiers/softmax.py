"""A dense layer with dropout before it, trained on features by Keras."""

import keras
import numpy as np
import pydantic
from keras import layers

from inspection_tf import config, errors
from inspection_tf.training.vector_classifiers.examples import Examples
from inspection_tf.training.vector_classifiers.linear import LinearHead


class Options(config.Section):
    """How the layer is trained on standardised features."""

    epochs: int = pydantic.Field(default=100, ge=1)
    """Passes."""
    batch_size: int = pydantic.Field(default=32, ge=1)
    """Examples of a step; what remains of an epoch is left out, another part in each."""
    learning_rate: float = pydantic.Field(default=1e-3, gt=0)
    """Of AdamW."""
    weight_decay: float = pydantic.Field(default=1e-2, ge=0)
    """Of AdamW."""
    dropout: float = pydantic.Field(default=0.5, ge=0, lt=1)
    """Share of the features that are dropped while training, 0..1."""
    balanced: bool = False
    """Whether each class counts as much as any other; else each image does."""


def fit(examples: Examples, *, options: Options | None = None, seed: int = 0) -> LinearHead:
    """Train the layer from 0; what is drawn, order and dropout, follows from the seed.

    Args:
        examples: which are learned.
        options: `Options()` by default.
        seed: of order and dropout.

    Returns:
        The classifier, of the features as they are: their standardisation is folded in.

    Raises:
        errors.DivergedError: a weight is no longer finite.
    """
    chosen = options or Options()
    mean, deviation = examples.standardization()
    values = ((examples.features - mean) / deviation).astype(np.float32)
    count, classes = len(examples.labels), len(examples.classes)
    size = min(chosen.batch_size, count)
    weight = np.ones(classes, np.float32)
    if chosen.balanced:
        weight = (count / (classes * np.bincount(examples.labels))).astype(np.float32)
    model = _build(values.shape[1], classes, chosen, seed=seed)
    for epoch in range(chosen.epochs):
        order = np.random.default_rng([seed, epoch]).permutation(count)
        for start in range(0, count - size + 1, size):
            rows = order[start : start + size]
            labels = examples.labels[rows]
            model.train_on_batch(values[rows], labels, sample_weight=weight[labels])
    kernel, bias = (np.asarray(value, np.float64) for value in model.get_weights()[:2])
    if not (np.isfinite(kernel).all() and np.isfinite(bias).all()):
        raise errors.DivergedError(
            "The weights must stay finite. Got NaN or infinity. "
            f"Lower learning_rate (now {chosen.learning_rate:g})."
        )
    return LinearHead.on_standardized(kernel, bias, mean=mean, deviation=deviation)


def _build(width: int, classes: int, options: Options, *, seed: int) -> keras.Model:
    x = features = keras.Input((width,), name="standardized")
    if options.dropout > 0:
        x = layers.Dropout(options.dropout, seed=seed, name="dropout")(x)
    # From 0 on: the loss is convex, and so no start is better than another.
    logits = layers.Dense(classes, kernel_initializer="zeros", name="logits")(x)
    model = keras.Model(features, logits, name="softmax_head")
    optimizer = keras.optimizers.AdamW(options.learning_rate, weight_decay=options.weight_decay)
    optimizer.exclude_from_weight_decay(var_names=["bias"])
    model.compile(optimizer, keras.losses.SparseCategoricalCrossentropy(from_logits=True))
    return model
