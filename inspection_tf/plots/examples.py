"""Pictures of single images: `plots.grid`, and what it shares with `plots.outlined`."""

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, TypeAlias

import numpy as np
from numpy.typing import NDArray

from inspection_tf import decision, errors, evaluation, images
from inspection_tf.images import Image
from inspection_tf.plots import curves, overlays
from inspection_tf.plots.overlays import Colour, Mask

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

Show: TypeAlias = Callable[[str], evaluation.Look]
"""Id of a row to its image, labels and verdict."""

_CELL_IN = 2.3  # width of one picture in a grid, inch
_SHARP_PX = 320  # smaller pictures are enlarged first, so that outlines stay fine
_MAP_HEADING = "probability, black 0 to yellow 1"
_ENTRY_IN = 1.25  # width of an entry in a legend, inch
_LONGEST_CAPTION = 40  # letters


@dataclass(frozen=True, slots=True)
class Example:
    """One line of `grid`: an image with its map and its masks.

    Attributes:
        image: (H, W) or (H, W, 3) RGB, uint8 or uint16.
        probability: (H, W) or (H, W, classes), 0..1; None where no map was made.
        mask_true: (H, W), bool or class ids; None where the truth is unknown.
        mask_found: (H, W), such as `verdict.class_mask()`; by default where the map reaches a
            threshold, each pixel of its likeliest class.
        caption: shown beside the line.
        template: (H, W) or (H, W, 3) RGB, shown beside the image.
        note: shown in place of the map where there is none.
    """

    image: Image
    probability: NDArray[np.floating] | None
    mask_true: Mask | None = None
    mask_found: Mask | None = None
    caption: str = ""
    template: Image | None = None
    note: str = "no map"


def stop_of(verdict: decision.Verdict) -> str:
    """Return which stage ended the inspection before there was a map, in words; "" if none did."""
    stage = verdict.decided_by
    if verdict.probability is not None or not stage:
        return ""
    what = "stopped" if verdict.outcome == "OK" else "review"
    return f"{what} by {stage} {verdict.stages.get(stage, math.nan):.2g}"


def show_picture(axes: "Axes", picture: NDArray[np.bool_] | NDArray[np.uint8]) -> None:
    """Fill axes with a bool mask, grey values or RGB, 0..255."""
    axes.imshow(picture, cmap="gray", vmin=0, vmax=1 if picture.dtype == np.bool_ else 255)
    axes.set(xticks=[], yticks=[])


def _say(axes: "Axes", text: str) -> None:
    axes.text(
        0.5,
        0.5,
        curves.plain(text),
        color="white",
        ha="center",
        va="center",
        transform=axes.transAxes,
    )


def outline_legend(figure: "Figure", classes: Sequence[str], *, with_truth: bool) -> None:
    """Add a legend of the outlines of `overlays.overlay`, by class where there are several."""
    from matplotlib.lines import Line2D

    names: list[str] = []

    def line(name: str, rgb: Colour, width: float, *, dashed: bool = False) -> Line2D:
        names.append(curves.short(name))
        colour = (rgb[0] / 255, rgb[1] / 255, rgb[2] / 255)
        entry = Line2D([], [], color=colour, linewidth=width, label="entry")
        if dashed:
            entry.set_linestyle((0, (1.2, 0.8)))
        return entry

    if len(classes) == 1:
        lines = [line("truth", overlays.TRUTH_RGB, 4)] if with_truth else []
        lines.append(line("found", overlays.FOUND_RGB, 2))
    else:
        grey = (90, 90, 90)
        lines = [
            *(line(name, overlays.class_rgb(k), 6) for k, name in enumerate(classes, start=1)),
            *([line("truth", grey, 4, dashed=True)] if with_truth else []),
            line("found", grey, 2),
        ]
    columns = max(2, int(figure.get_figwidth() / _ENTRY_IN))
    legend = figure.legend(
        handles=lines, loc="outside lower right", ncols=columns, frameon=False, fontsize=9
    )
    # Not as labels: of those matplotlib drops what begins with an underscore.
    for entry, name in zip(legend.get_texts(), names, strict=True):
        entry.set_text(name)


def height_ratio(picture: Image) -> float:
    """Return height over width, within what a figure can show."""
    height, width = picture.shape[:2]
    return float(min(max(height / width, 0.2), 3.0))


def zoom_of(image: Image) -> int:
    """Return how many times to enlarge a small picture so that outlines are fine."""
    longest: int = max(image.shape[:2])
    return max(1, round(_SHARP_PX / longest))


def _overlap(found: NDArray[np.bool_], truth: NDArray[np.bool_] | None) -> str:
    if truth is None or not truth.any():
        return f"{int(found.sum())} px found"
    return f"Dice {2 * (found & truth).sum() / (found.sum() + truth.sum()):.2f}"


def _maps(example: Example, mask_threshold: float) -> tuple[NDArray[np.floating] | None, Mask]:
    """Return the map of any defect (None if there is none) and the class ids that were found."""
    if example.probability is None:
        empty = np.zeros(example.image.shape[:2], np.uint8)
        return None, empty if example.mask_found is None else np.asarray(example.mask_found)
    probability = np.asarray(example.probability)
    likeliest = np.ones(probability.shape[:2], np.uint8)
    if probability.ndim == 3:
        likeliest = (probability.argmax(axis=2) + 1).astype(np.uint8)
        probability = np.minimum(probability.sum(axis=2), 1)
    if example.mask_found is not None:
        return probability, np.asarray(example.mask_found)
    return probability, likeliest * (probability >= mask_threshold)


def _draw(cells: dict[str, "Axes"], example: Example, mask_threshold: float, many: bool) -> None:
    """Fill one line of `grid`; the cells by their headings."""
    probability, class_mask = _maps(example, mask_threshold)
    truth = None if example.mask_true is None else np.asarray(example.mask_true)
    show_picture(cells["image"], images.to_uint8(images.read(example.image)))
    cells["image"].set_ylabel(curves.plain(example.caption, longest=_LONGEST_CAPTION), fontsize=9)
    if example.template is not None:
        show_picture(cells["template"], images.to_uint8(images.read(example.template)))
    elif "template" in cells:
        show_picture(cells["template"], np.zeros(class_mask.shape, bool))
        _say(cells["template"], "none")
    if truth is None:
        show_picture(cells["truth"], np.zeros(class_mask.shape, bool))
        _say(cells["truth"], "unknown")
    else:
        show_picture(cells["truth"], overlays.class_picture(truth) if many else truth.astype(bool))
    if probability is None:
        show_picture(cells["map"], overlays.dimmed(example.image))
        _say(cells["map"], example.note)
    else:
        show_picture(cells["map"], overlays.probability_map(probability))
    zoom = zoom_of(example.image)
    outlines = overlays.overlay(example.image, class_mask, truth, zoom=zoom, by_class=many)
    show_picture(cells["outlines"], outlines)
    overlap = _overlap(class_mask.astype(bool), None if truth is None else truth.astype(bool))
    cells["outlines"].set_xlabel(overlap, fontsize=9)


def grid(
    examples: Sequence[Example],
    *,
    mask_threshold: float = 0.5,
    title: str = "",
    classes: Sequence[str] = ("defect",),
) -> "Figure":
    """Return a line of pictures per example: image, truth, probability, and both as outlines.

    Where an example has a template, it stands beside the image. With several classes masks and
    outlines have a colour each; the map is that of any defect.

    Args:
        examples: at least one; a few, since each takes a line.
        mask_threshold: probability from which a pixel counts as found, where an example has no
            `mask_found`.
        title: above it all, such as the epoch.
        classes: names of the class ids 1, 2, ...

    Raises:
        errors.DataError: there is no example, or a mask has another size than its image.
    """
    if not examples:
        raise errors.DataError("A grid needs at least one example. Got none. Give some images.")
    paired = any(example.template is not None for example in examples)
    names = ("image", *(("template",) if paired else ()), "truth", "map", "outlines")
    cell_in = [_CELL_IN * height_ratio(example.image) + 0.25 for example in examples]
    figure = curves.new(len(names) * _CELL_IN + 0.4, sum(cell_in) + 0.75)
    cells = figure.subplots(len(examples), len(names), squeeze=False, height_ratios=cell_in)
    for row, example in zip(cells, examples, strict=True):
        _draw(dict(zip(names, row, strict=True)), example, mask_threshold, len(classes) > 1)
    for axes, name in zip(cells[0], names, strict=True):
        axes.set_title(_MAP_HEADING if name == "map" else name, fontsize=10)
    with_truth = any(example.mask_true is not None for example in examples)
    outline_legend(figure, classes, with_truth=with_truth)
    if title:
        figure.suptitle(curves.plain(title), fontsize=12)
    return figure
