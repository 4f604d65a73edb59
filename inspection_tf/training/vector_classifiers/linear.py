"""A linear classifier, and how it becomes the last layer of a network.

A classifier that was fitted to standardised features z = (x - mean) / deviation has the logits

    w . z + b  =  (w / deviation) . x  +  b - w . (mean / deviation),

a linear function of the features x themselves, so that the network ships as one ordinary graph.
"""

import dataclasses

import keras
import numpy as np
from keras import layers
from numpy.typing import ArrayLike, NDArray

from inspection_tf import errors
from inspection_tf.losses.keras_types import Layer
from inspection_tf.models import classifier

_Floats = NDArray[np.float64]


@dataclasses.dataclass(frozen=True, slots=True)
class LinearHead:
    """A linear function from features to the logits of classes, in float64.

    Attributes:
        coefficients: (features, classes).
        intercept: (classes,).
    """

    coefficients: _Floats
    intercept: _Floats

    @classmethod
    def on_standardized(
        cls, coefficients: ArrayLike, intercept: ArrayLike, *, mean: _Floats, deviation: _Floats
    ) -> "LinearHead":
        """Return the function of the features that is the given one of standardised features.

        Args:
            coefficients: (features, classes), for `(x - mean) / deviation`.
            intercept: (classes,).
            mean: (features,).
            deviation: (features,), none 0.
        """
        folded = np.asarray(coefficients, np.float64) / deviation[:, None]
        return cls(folded, np.asarray(intercept, np.float64) - mean @ folded)

    def probabilities(self, features: ArrayLike) -> _Floats:
        """Return the probability of each class.

        Args:
            features: (n, features).

        Returns:
            (n, classes), in 0..1, each row adding up to 1.
        """
        logits = np.asarray(features, np.float64) @ self.coefficients + self.intercept
        powers = np.exp(logits - logits.max(axis=1, keepdims=True))
        return np.asarray(powers / powers.sum(axis=1, keepdims=True))


def last_layer(model: keras.Model) -> Layer | None:
    """Return the last layer with weights of a classifier, of whatever kind; None: it has none."""
    return next((layer for layer in model.layers if layer.name == classifier.LOGITS), None)


def logits_layer(model: keras.Model) -> Layer:
    """Return the layer of a classifier that computes the logits from features.

    Raises:
        errors.ConfigError: no layer `class_logits` is dense or a convolution over single cells.
    """
    layer = last_layer(model)
    is_linear = isinstance(layer, layers.Dense) or (
        isinstance(layer, layers.Conv2D) and tuple(layer.kernel_size) == (1, 1)
    )
    if layer is None or not is_linear or not layer.use_bias:
        found = "no such layer" if layer is None else f"a {type(layer).__name__}"
        raise errors.ConfigError(
            f"A linear head needs a model whose layer {classifier.LOGITS} is dense or a "
            f"convolution of 1 x 1, with a bias. Got {found} in {model.name!r}. "
            "Build it with models.classifier."
        )
    return layer


def set_linear_head(model: keras.Model, coefficients: ArrayLike, intercept: ArrayLike) -> None:
    """Make a linear classifier the last layer of a network.

    Args:
        model: whose layer `class_logits` is dense, or a convolution over single cells whose logits
            are averaged over the cells.
        coefficients: (features, classes) of the features that the layer reads, or of their mean
            over the cells.
        intercept: (classes,).

    Raises:
        errors.ConfigError: there is no such layer, or it has other features or classes.
    """
    layer = logits_layer(model)
    kernel = np.asarray(coefficients, np.float32)
    bias = np.asarray(intercept, np.float32)
    shape = tuple(layer.kernel.shape)
    if kernel.shape != shape[-2:] or bias.shape != shape[-1:]:
        raise errors.ConfigError(
            f"The layer {classifier.LOGITS} of {model.name!r} takes coefficients of shape "
            f"{shape[-2:]} and an intercept of shape {shape[-1:]}. "
            f"Got {kernel.shape} and {bias.shape}. "
            "Compute the features with features.of_classifier of the same model."
        )
    layer.set_weights([kernel.reshape(shape), bias])
