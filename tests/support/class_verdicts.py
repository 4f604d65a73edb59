"""A bundle's context and verdicts of classes, for images of `class_images`."""

from class_images import CLASSES

from inspection_tf import decision, images, thresholds
from inspection_tf.tasks import classification
from inspection_tf.tasks.base import Context
from inspection_tf.tasks.classification.results import Classes

CONTEXT = Context(
    CLASSES,
    images.Preprocessing(size=(32, 32)),
    classification.Settings(),
    thresholds.OperatingPoint(threshold=0.5),
)


def verdict(probability, outcome="NG"):
    """Return a verdict that found these probabilities, OK first; None: not finite."""
    return decision.Verdict(
        outcome,
        0.5,
        0.5,
        image_size=(32, 32),
        result=Classes(("OK", *CLASSES), probability),
        classes=CLASSES,
    )
