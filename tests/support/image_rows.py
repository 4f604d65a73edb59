"""Rows of evaluations made by hand, and records compared as a segmentation compares them."""

from inspection_tf import decision, evaluation, images, tasks, thresholds
from inspection_tf.tasks.base import Context
from inspection_tf.tasks.segmentation.measures import MEASURES
from inspection_tf.tasks.segmentation.results import MapResult
from inspection_tf.tasks.segmentation.settings import Settings

SEGMENTATION = tasks.get("segmentation")


def of_map(
    name, *, is_ng, outcome="OK", score=0.0, group=None, true_class="", overlap=0, true=0, found=0,
    **result,
):  # fmt: skip
    """A row of a segmentation; a group of its own by default."""
    return evaluation.ImageResult(
        name,
        name if group is None else group,
        is_ng,
        outcome,
        score,
        0.5,
        MEASURES,
        MapResult(overlap, true, found, **result),
        true_class=true_class,
    )


def context(classes=("defect",), *, rules=None, mask_threshold=0.5):
    """What a segmentation of images of any size decides by."""
    return Context(
        classes=tuple(classes),
        preprocessing=images.Preprocessing(size=(64, 64)),
        settings=Settings(rules=rules or decision.Rules()),
        operating_point=thresholds.OperatingPoint(threshold=0.7, mask_threshold=mask_threshold),
    )


def inspected(inspector, *labelled, classes=("defect",), rules=None, **options):
    """Rows of what has only `inspect`."""
    return evaluation.inspect_records(
        inspector,
        list(labelled),
        task=SEGMENTATION,
        context=context(classes, rules=rules),
        **options,
    )
