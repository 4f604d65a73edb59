"""Every picture: one function a picture, each returns a `matplotlib.figure.Figure`.

Figures are made without pyplot, so they need no display, leak nothing and may be drawn in threads.
`overlay` and `probability_map` return pixels and do not load matplotlib at all.
"""

import logging
import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from inspection_tf import _curves, _overlays, decision, errors, evaluation, images
from inspection_tf._curves import learning_curves, precision_recall, roc, score_histogram
from inspection_tf._overlays import overlay, probability_map

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

__all__ = [
    "Example",
    "Show",
    "grid",
    "learning_curves",
    "overlay",
    "precision_recall",
    "probability_map",
    "roc",
    "save",
    "score_histogram",
    "worst_cases",
    "write_evaluation",
]

_LOG = logging.getLogger("inspection_tf")

Show = Callable[[str], tuple[NDArray[Any], NDArray[np.bool_], decision.Verdict]]
"""Id of a row to its image (H, W) or (H, W, 3), true mask (H, W) and verdict."""

_CELL_IN = 2.3  # width of one picture in a grid, inch
_SHARP_PX = 320  # smaller pictures are enlarged first, so that outlines stay fine


@dataclass(frozen=True, slots=True)
class Example:
    """One line of `grid`.

    Attributes:
        image: (H, W) or (H, W, 3) RGB, uint8 or uint16.
        probability: (H, W), 0..1.
        mask_true: (H, W); None where the truth is unknown.
        mask_found: (H, W), such as `verdict.mask()`; by default where the map reaches a threshold.
        caption: shown beside the line.
    """

    image: NDArray[Any]
    probability: NDArray[Any]
    mask_true: NDArray[np.bool_] | None = None
    mask_found: NDArray[np.bool_] | None = None
    caption: str = ""


def _show(axes: "Axes", picture: NDArray[Any]) -> None:
    axes.imshow(picture, cmap="gray", vmin=0, vmax=1 if picture.dtype == np.bool_ else 255)
    axes.set(xticks=[], yticks=[])


def _outline_legend(figure: "Figure", *, with_truth: bool) -> None:
    from matplotlib.lines import Line2D

    def line(name: str, rgb: tuple[int, int, int], width: float) -> Line2D:
        colour = (rgb[0] / 255, rgb[1] / 255, rgb[2] / 255)
        return Line2D([], [], color=colour, linewidth=width, label=name)

    lines = [line("truth", _overlays.TRUTH_RGB, 4)] if with_truth else []
    lines.append(line("found", _overlays.FOUND_RGB, 2))
    figure.legend(handles=lines, loc="outside lower right", ncols=2, frameon=False, fontsize=9)


def _zoom(image: NDArray[Any]) -> int:
    longest: int = max(image.shape[:2])
    return max(1, round(_SHARP_PX / longest))


def _overlap(found: NDArray[np.bool_], truth: NDArray[np.bool_] | None) -> str:
    if truth is None or not truth.any():
        return f"{int(found.sum())} px found"
    return f"Dice {2 * (found & truth).sum() / (found.sum() + truth.sum()):.2f}"


def grid(examples: Sequence[Example], *, mask_threshold: float = 0.5, title: str = "") -> "Figure":
    """Return a line of pictures per example: image, truth, probability, and both as outlines.

    Args:
        examples: at least one; a few, since each takes a line.
        mask_threshold: probability from which a pixel counts as found, where an example has no
            `mask_found`.
        title: above it all, such as the epoch.

    Raises:
        errors.DataError: there is no example, or a mask has another size than its image.
    """
    if not examples:
        raise errors.DataError("A grid needs at least one example. Got none. Give some images.")
    height, width = examples[0].image.shape[:2]
    cell_in = _CELL_IN * min(max(height / width, 0.2), 3.0) + 0.25
    figure = _curves.new(4 * _CELL_IN + 0.4, len(examples) * cell_in + 0.75)
    cells = figure.subplots(len(examples), 4, squeeze=False)
    for row, example in zip(cells, examples, strict=True):
        found = np.asarray(
            np.asarray(example.probability) >= mask_threshold
            if example.mask_found is None
            else example.mask_found,
            bool,
        )
        truth = None if example.mask_true is None else np.asarray(example.mask_true, bool)
        _show(row[0], images.to_uint8(images.read(example.image)))
        _show(row[1], np.zeros(found.shape, bool) if truth is None else truth)
        _show(row[2], probability_map(example.probability))
        _show(row[3], overlay(example.image, found, truth, zoom=_zoom(example.image)))
        row[0].set_ylabel(example.caption, fontsize=9)
        row[3].set_xlabel(_overlap(found, truth), fontsize=9)
        if truth is None:
            row[1].text(0.5, 0.5, "unknown", color="white", ha="center", transform=row[1].transAxes)
    headings = ("image", "truth", "probability, black 0 to yellow 1", "outlines")
    for axes, name in zip(cells[0], headings, strict=True):
        axes.set_title(name, fontsize=10)
    _outline_legend(figure, with_truth=any(example.mask_true is not None for example in examples))
    if title:
        figure.suptitle(title, fontsize=12)
    return figure


def _worst(rows: Sequence[evaluation.ImageResult]) -> list[evaluation.ImageResult]:
    """Return escapes, then overkills, then reviews, then defective images by their Dice."""

    def badness(row: evaluation.ImageResult) -> tuple[float, ...]:
        if row.error == "escape":
            return 0, row.score
        if row.error == "overkill":
            return 1, -row.score
        if row.outcome == "REVIEW":
            return 2, row.dice or 0.0
        return 3, row.dice or 0.0

    shown = [row for row in rows if row.is_defect or row.outcome != "OK"]
    return sorted(sorted(shown, key=lambda row: row.id), key=badness)


def worst_cases(rows: Sequence[evaluation.ImageResult], show: Show, *, count: int = 8) -> "Figure":
    """Return the worst images as outlines: escapes, overkills, reviews, then the lowest Dice.

    Args:
        rows: of `evaluation.inspect_records`.
        show: gives image, truth and verdict of an id; called for the shown ones only.
        count: how many at most.

    Raises:
        errors.DataError: no image is defective and every one is OK: nothing went wrong.
    """
    worst = _worst(rows)
    if not worst:
        raise errors.DataError(
            f"Worst cases need a defect or a verdict that is not OK. Got {len(rows)} good images, "
            "all OK. Choose a split that holds defective images."
        )
    chosen = worst[:count]
    pictures = [(row, *show(row.id)) for row in chosen]
    wide = min(4, len(chosen))
    high = math.ceil(len(chosen) / wide)
    ratio = max(image.shape[0] / image.shape[1] for _, image, _, _ in pictures)
    cell_in = 2.9
    figure = _curves.new(cell_in * wide, (cell_in * min(ratio, 3.0) + 0.45) * high + 0.7)
    for index, (row, image, truth, verdict) in enumerate(pictures):
        axes = figure.add_subplot(high, wide, index + 1)
        _show(axes, overlay(image, verdict.mask(), truth, zoom=_zoom(image)))
        dice = "" if row.dice is None else f", Dice {row.dice:.2f}"
        what = row.error or ("defective" if row.is_defect else "good")
        axes.set_title(f"{row.id}\n{what}: {row.outcome}, score {row.score:.3f}{dice}", fontsize=9)
    _outline_legend(figure, with_truth=True)
    figure.suptitle(f"The worst {len(chosen)} of {_curves.counted(rows)}", fontsize=12)
    return figure


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
) -> list[Path]:
    """Write `pr.png`, `roc.png`, `scores.png` and `worst.png`; say in the log what is left out.

    Args:
        folder: exists.
        rows: of `evaluation.inspect_records`.
        threshold: of the operating point; None where there are several (folds).
        show: as in `worst_cases`.

    Returns:
        The files that were written.

    Raises:
        errors.StorageError: the disk is full or the folder cannot be written.
    """
    both = len({row.is_defect for row in rows}) == 2
    pictures: dict[str, tuple[bool, Callable[[], Figure]]] = {
        "pr.png": (both, lambda: precision_recall(rows)),
        "roc.png": (both, lambda: roc(rows)),
        "scores.png": (bool(rows), lambda: score_histogram(rows, threshold)),
        "worst.png": (bool(_worst(rows)), lambda: worst_cases(rows, show)),
    }
    written = []
    for name, (is_defined, draw) in pictures.items():
        if not is_defined:
            _LOG.info(
                "%s is left out: these images do not define it (%s)", name, _curves.counted(rows)
            )
            continue
        save(draw(), Path(folder) / name)
        written.append(Path(folder) / name)
    return written
