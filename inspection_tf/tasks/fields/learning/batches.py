"""Batches of photos whose labels are the four corners of a field."""

import numpy as np
import tensorflow as tf
from numpy.typing import NDArray

from inspection_tf import errors
from inspection_tf.datasets.loading import augment, loader

OUTPUT = "corners"
"""What networks that locate a field call their output."""


def corners_of(cached: loader.Cache) -> NDArray[np.float32]:
    """Return the corners of every photo, (photos, n, 2) px of the network's input.

    Raises:
        errors.DataError: the labels are others.
    """
    if cached.corners_xy is None:
        raise errors.DataError(
            "A network that locates a field needs images whose labels are corners. Got "
            f"{cached.label_kind}. Choose a data.format with corners."
        )
    return cached.corners_xy


def for_training(
    cached: loader.Cache,
    *,
    spec: loader.LoaderSpec,
    augmentation: augment.AugmentSpec,
    seed: int,
    epochs: int,
    first_epoch: int = 0,
    first_step: int = 0,
) -> tf.data.Dataset:
    """Serve the batches of epochs `first_epoch` to `epochs - 1`; see `loader.for_training`.

    Returns:
        Batches `({"image": uint8 (b, h, w, c)}, {"corners": float32 (b, 9)})`; see
        `augment.corner_target`.

    Raises:
        errors.DataError: the labels are no corners.
    """
    corners_xy, per_epoch = corners_of(cached), loader.steps_per_epoch(cached, spec)
    deal = loader.dealer(cached, spec=spec, augmentation=augmentation, seed=seed, target="label")

    def read_batch(step: np.int64) -> tuple[NDArray[np.generic], ...]:
        _, _, rows, drawn = deal(int(step))
        return cached.image[rows], corners_xy[rows], cached.label[rows] == 0, drawn

    def make_batch(step: tf.Tensor) -> loader.Batch:
        kinds = (tf.uint8, tf.float32, tf.bool, tf.float32)
        image, corners, has_field, parameters = tf.numpy_function(
            read_batch, [step], kinds, stateful=False
        )
        image = tf.ensure_shape(image, (spec.batch_size, *cached.image.shape[1:]))
        corners = tf.ensure_shape(corners, (spec.batch_size, *corners_xy.shape[1:]))
        has_field = tf.ensure_shape(has_field, (spec.batch_size,))
        parameters = tf.ensure_shape(parameters, (spec.batch_size, augment.WIDTH))
        image, label = augment.apply_to_corners(image, corners, has_field, parameters, augmentation)
        return {"image": image}, {OUTPUT: label}

    served = tf.data.Dataset.range(first_epoch * per_epoch + first_step, epochs * per_epoch)
    return loader.untuned(
        served.map(make_batch, num_parallel_calls=2, deterministic=True).prefetch(2)
    )


def for_evaluation(cached: loader.Cache, *, batch_size: int = 4) -> tf.data.Dataset:
    """Serve every photo once, in order, unchanged; the last batch may be smaller.

    Returns:
        Batches as `for_training`.
    """
    label = augment.corner_target(corners_of(cached), cached.label == 0, size=cached.size)
    return loader.in_order(cached, {OUTPUT: label.numpy()}, batch_size=batch_size)
