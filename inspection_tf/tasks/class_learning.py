"""How a classifier learns what an image shows: OK, or one of the classes of defects."""

import functools

from inspection_tf import losses, metrics
from inspection_tf.datasets.loading import loader
from inspection_tf.tasks.learning import Learning

LEARNING = Learning(
    output="class_probability",
    losses=losses.CLASSIFICATION,
    for_training=functools.partial(loader.for_training, target="label"),
    for_evaluation=functools.partial(loader.for_evaluation, target="label"),
    monitor=lambda classes: "val_ok_ng_accuracy",
    metrics=lambda fitted: [metrics.OkNgAccuracy()],
)
