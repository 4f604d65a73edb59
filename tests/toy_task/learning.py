"""How the network learns: its loss, batches, metric and picture."""

import keras
import numpy as np
import tensorflow as tf
from matplotlib.figure import Figure

from inspection_tf.datasets.loading import loader
from inspection_tf.tasks.learning import Learning

OUTPUT = "brightness"


def truth(cached):
    """Return the mean grey value of every image as a share of white, (images, 1)."""
    return cached.image.mean(axis=(1, 2), dtype=np.float32) / np.float32(255)


def for_training(cached, *, spec, augmentation, seed, epochs, first_epoch=0, first_step=0):
    per_epoch, labels = loader.steps_per_epoch(cached, spec), truth(cached)
    deal = loader.dealer(cached, spec=spec, augmentation=augmentation, seed=seed, target="label")

    def read_batch(step):
        _, _, rows, _ = deal(int(step))
        return cached.image[rows], labels[rows]

    def make_batch(step):
        image, label = tf.numpy_function(read_batch, [step], (tf.uint8, tf.float32), stateful=False)
        image = tf.ensure_shape(image, (spec.batch_size, *cached.image.shape[1:]))
        return {"image": image}, {OUTPUT: tf.ensure_shape(label, (spec.batch_size, 1))}

    steps = tf.data.Dataset.range(first_epoch * per_epoch + first_step, epochs * per_epoch)
    return loader.untuned(
        steps.map(make_batch, num_parallel_calls=2, deterministic=True).prefetch(2)
    )


def for_evaluation(cached, *, batch_size=4):
    return loader.in_order(cached, {OUTPUT: truth(cached)}, batch_size=batch_size)


def figure(cached, rows, output, title):
    drawn = Figure(figsize=(3, 3))
    axes = drawn.add_subplot(title=title)
    axes.plot(truth(cached)[rows, 0], output[:, 0], "o")
    return drawn


LEARNING = Learning(
    output=OUTPUT,
    losses={"brightness_mae": keras.losses.MeanAbsoluteError},
    for_training=for_training,
    for_evaluation=for_evaluation,
    monitor=lambda classes: "val_brightness_error",
    is_lower_better=True,
    metrics=lambda fitted: [keras.metrics.MeanAbsoluteError(name="brightness_error")],
    pictured=lambda cached, count: np.arange(len(cached))[:count],
    figure=figure,
)
