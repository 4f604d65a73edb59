"""The pictures of an evaluation, written to files: those of every task, and those of its own."""

import logging
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Protocol

import numpy as np

from inspection_tf import evaluation, images
from inspection_tf.plots import curves
from inspection_tf.plots.examples import Show

if TYPE_CHECKING:
    from matplotlib.figure import Figure

_LOG = logging.getLogger("inspection_tf")


class Task(Protocol):
    """What `write_evaluation` asks a task, such as one of `tasks`."""

    def pictures(
        self, rows: Sequence[evaluation.ImageResult], show: Show, report: evaluation.Report
    ) -> "Mapping[str, Callable[[], Figure] | None]":
        """Return the pictures that the task adds, by file name.

        Args:
            rows: of `evaluation.inspect_records`.
            show: gives image, labels and verdict of an image by its id.
            report: of `evaluation.report`; empty: it was not made.

        Returns:
            What draws each of them; None: these images do not define it.
        """
        ...


def save(figure: "Figure", path: str | Path) -> None:
    """Write a figure as PNG, whole or not at all; equal figures give equal bytes.

    Raises:
        errors.StorageError: the disk is full or the folder cannot be written.
    """
    from matplotlib.backends.backend_agg import FigureCanvasAgg

    canvas = FigureCanvasAgg(figure)
    canvas.draw()  # type: ignore[no-untyped-call]
    images.write_png(path, np.asarray(canvas.buffer_rgba())[..., :3])  # type: ignore[no-untyped-call]


def write_evaluation(
    folder: str | Path,
    rows: Sequence[evaluation.ImageResult],
    *,
    task: Task,
    threshold: float | None,
    show: Show,
    report: evaluation.Report | None = None,
) -> list[Path]:
    """Write `pr.png`, `roc.png`, `scores.png` and what the task adds; log what is left out.

    Args:
        folder: exists.
        rows: of `evaluation.inspect_records`.
        task: whose rows they are; it adds pictures.
        threshold: of the operating point; None where there are several (folds).
        show: gives image, labels and verdict of an id; called for the shown ones only.
        report: of `evaluation.report`; without it, all defects are one class.

    Returns:
        The files that were written.

    Raises:
        errors.StorageError: the disk is full or the folder cannot be written.
    """
    both = len({row.is_ng for row in rows}) == 2
    pictures: dict[str, Callable[[], Figure] | None] = {
        "pr.png": (lambda: curves.precision_recall(rows)) if both else None,
        "roc.png": (lambda: curves.roc(rows)) if both else None,
        "scores.png": (lambda: curves.score_histogram(rows, threshold)) if rows else None,
        **task.pictures(rows, show, {} if report is None else report),
    }
    written = []
    for name, draw in pictures.items():
        if draw is None:
            _LOG.info(
                "%s is left out: these images do not define it (%s)", name, curves.counted(rows)
            )
            continue
        save(draw(), Path(folder) / name)
        written.append(Path(folder) / name)
    return written
