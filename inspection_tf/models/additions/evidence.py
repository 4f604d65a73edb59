# mypy: disallow-subclassing-any=False
"""Class activation maps as an output of the network: what each place adds to each class.

A classifier whose head pools its deepest feature is linear from there to its logits, so each logit
is a sum over the cells of the feature. The map holds the terms of that sum.

Source: Zhou et al. 2016, "Learning deep features for discriminative localization", eq. 2, for the
mean; the share of a maximum goes to the cell that has it.
"""

import keras
import numpy as np
from keras import layers, ops
from numpy.typing import NDArray

from inspection_tf import errors
from inspection_tf.losses.keras_types import Shape, Tensor
from inspection_tf.models import classifier, place_pool
from inspection_tf.models.additions import joining

OUTPUT = "class_evidence"
_ROUNDING = 1e-5  # of a maximum, relative
_MEAN, _MAXIMUM, _NORM = "average_pool", "max_pool", "pooled_norm"


@keras.saving.register_keras_serializable("inspection_tf")
class AtMaximum(layers.Layer):
    """Gives each cell that holds the maximum of a channel its share of it, and the others 0.

    Cells within a rounding of the maximum share it evenly: an engine that computes otherwise would
    else give all of it to one of them. So the sum over the cells is the maximum.
    """

    def call(self, inputs: Tensor) -> Tensor:
        """Return (batch, height, width, channels)."""
        highest = ops.max(inputs, axis=(1, 2), keepdims=True)
        near = highest - _ROUNDING * ops.abs(highest)
        has = ops.cast(ops.greater_equal(inputs, near), inputs.dtype)
        return highest * has / ops.sum(has, axis=(1, 2), keepdims=True)

    def compute_output_shape(self, input_shape: Shape) -> Shape:
        """Return the shape that came in."""
        return input_shape


def is_pooled(model: keras.Model) -> bool:
    """Whether a classifier pools, so that its logits come from those of places."""
    return place_pool.of(model) is not None or any(layer.name == _MEAN for layer in model.layers)


def _folded(model: keras.Model) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Return kernel (features, classes) and bias (classes,) from pooled features to logits."""
    kernel, bias = (
        np.asarray(w, np.float64) for w in model.get_layer(classifier.LOGITS).get_weights()
    )
    if not any(layer.name == _NORM for layer in model.layers):
        return kernel, bias
    norm = model.get_layer(_NORM)
    gamma, beta, mean, variance = (np.asarray(w, np.float64) for w in norm.get_weights())
    scale = gamma / np.sqrt(variance + norm.epsilon)
    # What the norm does while it infers: (x - mean) * scale + beta.
    return scale[:, None] * kernel, (beta - mean * scale) @ kernel + bias


def attach(model: keras.Model) -> keras.Model:
    """Return a trained classifier with its class activation map as a second output.

    Args:
        model: of `classifier.build`, trained, whose head is not `vgg` or that sees patches; it is
            not changed.

    Returns:
        A model with the outputs `class_probability`, as before, and `class_evidence`, float32
        (batch, rows, columns, classes). Over all cells its sum is the logit of each class. Where
        each cell, or each patch, has logits of its own, the sum is the mean of these.

    Raises:
        errors.ConfigError: the head does not pool.
    """
    if not is_pooled(model):
        raise errors.ConfigError(
            "Evidence in the graph needs a head that pools. Got one of dense layers over all "
            "cells. Build the classifier with another head, or use Grad-CAM."
        )
    if (pool := place_pool.of(model)) is not None:
        return joining.with_output(model, OUTPUT, place_pool.laid_out(pool))
    kernel, bias = _folded(model)
    feature = model.get_layer(_MEAN).input
    _, rows, columns, channels = feature.shape
    cells, classes = rows * columns, kernel.shape[1]
    mean = layers.Conv2D(classes, 1, dtype="float32", name="evidence_of_mean")
    evidence = mean(feature)
    mean.set_weights([kernel[:channels].reshape(1, 1, channels, classes) / cells, bias / cells])
    if len(kernel) > channels:
        at_maximum = AtMaximum(name="at_maximum")(feature)
        highest = layers.Conv2D(
            classes, 1, use_bias=False, dtype="float32", name="evidence_of_maximum"
        )
        of_maximum = highest(at_maximum)
        highest.set_weights([kernel[channels:].reshape(1, 1, channels, classes)])
        evidence = layers.Add(dtype="float32", name="evidence_sum")([evidence, of_maximum])
    return joining.with_output(model, OUTPUT, evidence)


def set_temperature(model: keras.Model, temperature: float) -> None:
    """Divide the logits of a classifier by a temperature, in its last layer, in place.

    The likeliest class stays; its probability falls where the temperature is over 1.

    Args:
        model: of `classifier.build`.
        temperature: over 0.

    Raises:
        errors.ConfigError: it is not over 0, or not finite.
    """
    if not (0 < temperature < float("inf")):
        raise errors.ConfigError(
            f"The temperature must be a finite number over 0. Got {temperature}. Use 1 for none."
        )
    if (pool := place_pool.of(model)) is not None:
        place_pool.set_temperature(pool, temperature)
        return
    logits = model.get_layer(classifier.LOGITS)
    logits.set_weights([weights / temperature for weights in logits.get_weights()])
