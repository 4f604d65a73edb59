"""Batches of X-rays whose labels are poses."""

import numpy as np
import tensorflow as tf
from numpy.typing import NDArray

from inspection_tf import errors
from inspection_tf.datasets.loading import augment, loader
from inspection_tf.tasks.pose.learning.network import OUTPUT

_MOVING = ("resampled_share", "shift")


def poses_of(cached: loader.Cache) -> NDArray[np.float32]:
    """Return the pose of every image, (images, 7), degrees, mm and symmetry: see `loader.Cache`.

    Raises:
        errors.DataError: the labels are others.
    """
    if cached.pose is None:
        raise errors.DataError(
            "A network that finds poses needs images whose labels are poses. Got "
            f"{cached.label_kind}. Choose a data.format with poses."
        )
    return cached.pose


def require_still(augmentation: augment.AugmentSpec) -> None:
    """Refuse what moves an image: another place or angle is another pose, a mirrored part another.

    Raises:
        errors.ConfigError: something does.
    """
    moves = [name for name in _MOVING if getattr(augmentation, name) > 0]
    moves += ["flips"] if augmentation.flips not in (False, "none") else []
    moves += ["right_angles"] if augmentation.right_angles else []
    if moves:
        raise errors.ConfigError(
            "augment must leave images of poses where they are, as their labels say. Got "
            f"{', '.join(moves)}. Set them to 0 or false, and draw more images instead."
        )


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
        Batches `({"image": uint8 (b, h, w, c)}, {"pose_modes": float32 (b, 7)})`.

    Raises:
        errors.DataError: the labels are no poses.
        errors.ConfigError: the augmentation moves images.
    """
    require_still(augmentation)
    poses, per_epoch = poses_of(cached), loader.steps_per_epoch(cached, spec)
    deal = loader.dealer(cached, spec=spec, augmentation=augmentation, seed=seed, target="label")

    def read_batch(step: np.int64) -> tuple[NDArray[np.generic], ...]:
        _, _, rows, drawn = deal(int(step))
        return cached.image[rows], poses[rows], drawn

    def make_batch(step: tf.Tensor) -> loader.Batch:
        kinds = (tf.uint8, tf.float32, tf.float32)
        image, pose, parameters = tf.numpy_function(read_batch, [step], kinds, stateful=False)
        image = tf.ensure_shape(image, (spec.batch_size, *cached.image.shape[1:]))
        pose = tf.ensure_shape(pose, (spec.batch_size, poses.shape[1]))
        parameters = tf.ensure_shape(parameters, (spec.batch_size, augment.WIDTH))
        return {"image": augment.photometric(image, parameters, augmentation)}, {OUTPUT: pose}

    served = tf.data.Dataset.range(first_epoch * per_epoch + first_step, epochs * per_epoch)
    return loader.untuned(
        served.map(make_batch, num_parallel_calls=2, deterministic=True).prefetch(2)
    )


def for_evaluation(cached: loader.Cache, *, batch_size: int = 4) -> tf.data.Dataset:
    """Serve every image once, in order, unchanged; the last batch may be smaller.

    Returns:
        Batches as `for_training`.
    """
    return loader.in_order(cached, {OUTPUT: poses_of(cached)}, batch_size=batch_size)
