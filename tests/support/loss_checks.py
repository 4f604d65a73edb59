"""Losses of images and their gradients."""

import numpy as np


def each(loss, y_true, y_pred):
    """Return the loss of each image."""
    return np.asarray(loss.call(y_true, y_pred))


def gradient(loss, y_true, y_pred):
    import tensorflow as tf

    y_pred = tf.constant(y_pred)
    with tf.GradientTape() as tape:
        tape.watch(y_pred)
        value = loss(y_true, y_pred)
    return np.asarray(tape.gradient(value, y_pred))
