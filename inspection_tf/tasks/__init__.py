"""What a bundle can be for: one folder each, asked through one protocol.

A task is imported when it is first asked for: its rules are sections, which bring pydantic.
"""

import importlib
from collections.abc import Collection
from typing import TYPE_CHECKING

from inspection_tf import errors

if TYPE_CHECKING:
    from inspection_tf.tasks.base import Task

TASKS = {
    "segmentation": "inspection_tf.tasks.segmentation.task",
    "two_stage_segmentation": "inspection_tf.tasks.cascade.task",
    "corners": "inspection_tf.tasks.fields.task",
    "classification": "inspection_tf.tasks.classification.task",
    "pose": "inspection_tf.tasks.pose.task",
}
"""Name of each task, as a manifest has it, to the module whose `TASK` it is."""


def get(name: str) -> "Task":
    """Return a task by its name.

    Raises:
        errors.BundleError: there is no such task.
    """
    module = TASKS.get(name)
    if module is None:
        raise errors.BundleError(
            f"A bundle's task must be one of {', '.join(TASKS)}. Got {name!r}. Install the package "
            "that the bundle was written with."
        )
    found: Task = importlib.import_module(module).TASK
    return found


def output_axes() -> dict[str, tuple[str, ...]]:
    """Return what a network of any task may return, by name, each with the names of its axes."""
    known: dict[str, tuple[str, ...]] = {}
    for name in TASKS:
        known |= get(name).output_axes
    return known


def outputs_in_order(names: Collection[str]) -> tuple[str, ...]:
    """Return the outputs of one network in the order in which a bundle lists them.

    The first one is what a bundle decides by; a task says the order in its `output_axes`.

    Args:
        names: of the outputs, in any order.

    Returns:
        The names; empty where no task has networks that return these.
    """
    for task in TASKS:
        axes = get(task).output_axes
        if names and set(names) <= set(axes):
            return tuple(name for name in axes if name in names)
    return ()
