"""How a network learns in which poses a part may lie."""

from inspection_tf.tasks.learning import Learning
from inspection_tf.tasks.pose.learning import batches, losses, network
from inspection_tf.tasks.pose.learning.metrics import AngleError

LEARNING = Learning(
    output=network.OUTPUT,
    losses=losses.POSES,
    for_training=batches.for_training,
    for_evaluation=batches.for_evaluation,
    monitor=lambda classes: "val_angle_error",
    is_lower_better=True,
    metrics=lambda fitted: [AngleError()],
)
