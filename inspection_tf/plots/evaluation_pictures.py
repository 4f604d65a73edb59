"""Every picture: one function a picture, each returns a `matplotlib.figure.Figure`.

Figures are made without pyplot, so they need no display, leak nothing and may be drawn in threads.
`overlay` and `probability_map` return pixels and do not load matplotlib at all.
"""

import logging
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from inspection_tf import evaluation, images
from inspection_tf.plots import curves, worst
from inspection_tf.plots.classes import class_bars, confusion
from inspection_tf.plots.comparisons import comparison, joint_thresholds
from inspection_tf.plots.curves import learning_curves, precision_recall, roc, score_histogram
from inspection_tf.plots.engines import engine_times
from inspection_tf.plots.examples import Example, Show, grid
from inspection_tf.plots.fields import Located, corner_errors, located, worst_located
from inspection_tf.plots.overlays import class_picture, class_rgb, overlay, probability_map
from inspection_tf.plots.pareto_front import pareto
from inspection_tf.plots.worst import worst_cases

if TYPE_CHECKING:
    from matplotlib.figure import Figure

__all__ = [
    "Example",
    "Located",
    "Show",
    "class_bars",
    "class_picture",
    "class_rgb",
    "comparison",
    "confusion",
    "corner_errors",
    "engine_times",
    "grid",
    "joint_thresholds",
    "learning_curves",
    "located",
    "overlay",
    "pareto",
    "precision_recall",
    "probability_map",
    "roc",
    "save",
    "score_histogram",
    "worst_cases",
    "worst_located",
    "write_evaluation",
]

_LOG = logging.getLogger("inspection_tf")


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
    threshold: float | None,
    show: Show,
    report: Mapping[str, Any] | None = None,
) -> list[Path]:
    """Write `pr.png`, `roc.png`, `scores.png` and `worst.png`; say in the log what is left out.

    When the report names several classes, also `classes.png` and `confusion.png`. Of fields also
    `corners.png`, and `worst.png` shows them.

    Args:
        folder: exists.
        rows: of `evaluation.inspect_records`.
        threshold: of the operating point; None where there are several (folds).
        show: as in `worst_cases`.
        report: of `evaluation.report`; without it, all defects are one class.

    Returns:
        The files that were written.

    Raises:
        errors.StorageError: the disk is full or the folder cannot be written.
    """
    both = len({row.is_defect for row in rows}) == 2
    report = report or {}
    classes: Sequence[str] = report.get("classes", ("defect",))
    is_worst = bool(worst.worst_rows(rows))
    pictures: dict[str, tuple[bool, Callable[[], Figure]]] = {
        "pr.png": (both, lambda: precision_recall(rows)),
        "roc.png": (both, lambda: roc(rows)),
        "scores.png": (bool(rows), lambda: score_histogram(rows, threshold)),
        "worst.png": (is_worst, lambda: worst_cases(rows, show, classes=classes)),
    }
    if rows and rows[0].is_located:
        has_field = any(row.corners is not None for row in rows)
        pictures["worst.png"] = (True, lambda: worst_located(rows, show))
        pictures["corners.png"] = (has_field, lambda: corner_errors(rows))
    if len(classes) > 1:
        pictures["classes.png"] = (True, lambda: class_bars(report))
        pictures["confusion.png"] = (bool(rows), lambda: confusion(rows, classes))
    written = []
    for name, (is_defined, draw) in pictures.items():
        if not is_defined:
            _LOG.info(
                "%s is left out: these images do not define it (%s)", name, curves.counted(rows)
            )
            continue
        save(draw(), Path(folder) / name)
        written.append(Path(folder) / name)
    return written
