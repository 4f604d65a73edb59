"""Figures by class: the IoU of each class, and the confusion of classes."""

import math
from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from inspection_tf import errors, evaluation
from inspection_tf.evaluation import class_measures
from inspection_tf.plots import curves, overlays

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

_MUTED = "#777777"


def _interval(numbers: tuple[float, float, float]) -> str:
    value, low, high = numbers
    return f"{value:.3f}" + ("" if math.isnan(low) else f" ({low:.3f} - {high:.3f})")


def _bar(axes: "Axes", place: int, numbers: tuple[float, float, float]) -> None:
    """Draw a class's value as a bar, its interval over it, and both in words at the right."""
    value, low, high = numbers
    text = "neither there nor found"
    if not math.isnan(value):
        text = _interval(numbers)
        colour = tuple(part / 255 for part in overlays.class_rgb(place + 1))
        axes.barh(place, value, 0.62, color=colour)
    if not math.isnan(low):
        axes.plot([low, high], [place, place], "|-", color=curves.LINE, lw=1.6, ms=8)
    beside = ("axes fraction", "data")
    axes.annotate(text, (1.02, place), xycoords=beside, va="center", fontsize=9)


def class_bars(report: evaluation.Report) -> "Figure":
    """Return the IoU of each class with its interval, and the mean of the classes.

    Args:
        report: of `evaluation.report`, with several classes.

    Raises:
        errors.DataError: the report has one class.
    """
    classes: Sequence[str] = report.get("classes", ())
    if not classes:
        raise errors.DataError(
            "A picture of classes needs a report of several. Got one class. "
            "Give evaluation.report the names of the classes."
        )
    metrics = report["metrics"]
    figure = curves.new(6.4, 0.45 * len(classes) + 1.9)
    axes = figure.add_subplot()
    curves.tidy(axes)
    axes.grid(visible=False, axis="y")
    for place, name in enumerate(classes):
        _bar(axes, place, curves.numbers(metrics[f"iou_class_{name}"]))
    mean = curves.numbers(metrics["iou_class_mean"])
    if not math.isnan(mean[0]):
        label = f"mean of the classes {_interval(mean)}"
        axes.axvline(mean[0], color=_MUTED, linestyle="--", linewidth=1.2, label=label)
        figure.legend(loc="outside lower center", frameon=False, fontsize=9)
    if not math.isnan(mean[1]):
        axes.axvspan(*mean[1:], color="#888888", alpha=0.18, linewidth=0, zorder=0)
    axes.set(xlim=(0, 1), ylim=(len(classes) - 0.5, -0.5))
    axes.set_yticks(range(len(classes)), [curves.short(name) for name in classes])
    axes.set_xlabel("IoU of the class's pixels on all images, 95 % interval")
    counts = report["counts"]
    good = counts["images"] - counts["defective"]
    parts = f" of {counts['groups']} parts" if "groups" in counts else ""
    axes.set_title(f"{counts['defective']} defective, {good} good images{parts}", fontsize=11)
    return figure


_GOOD, _REVIEW, _NO_REGION, _UNMARKED = range(-1, -5, -1)
_WORDS = {_GOOD: "OK", _REVIEW: "REVIEW", _NO_REGION: "NG, no region", _UNMARKED: "unmarked"}


def _judged(row: evaluation.ImageResult, found_class: str, classes: Sequence[str]) -> int:
    """Return the place of a class, or one of `_WORDS`: a class may be called as one of these."""
    if row.outcome != "NG":
        return _GOOD if row.outcome == "OK" else _REVIEW
    return classes.index(found_class) if found_class else _NO_REGION


def _true(row: evaluation.ImageResult, classes: Sequence[str]) -> int:
    if not row.is_ng:
        return _GOOD
    return classes.index(row.true_class) if row.true_class else _UNMARKED


def _counts(
    rows: Sequence[evaluation.ImageResult], classes: Sequence[str], found_classes: Sequence[str]
) -> tuple[NDArray[np.int64], list[str], list[str]]:
    """Return counts (true, judged) and the names of both; extra names only where they occur."""
    pairs = [
        (_true(row, classes), _judged(row, found, classes))
        for row, found in zip(rows, found_classes, strict=True)
    ]
    known, odd = [_GOOD, *range(len(classes))], [_REVIEW, _NO_REGION, _UNMARKED]
    true, judged = (
        [*known, *(kind for kind in odd if kind in kinds)] for kinds in zip(*pairs, strict=True)
    )
    counts = np.zeros((len(true), len(judged)), np.int64)
    for one, other in pairs:
        counts[true.index(one), judged.index(other)] += 1

    def names(kinds: Sequence[int]) -> list[str]:
        return [_WORDS[kind] if kind in _WORDS else classes[kind] for kind in kinds]

    return counts, names(true), names(judged)


def confusion(
    rows: Sequence[evaluation.ImageResult],
    classes: Sequence[str],
    *,
    found_classes: Sequence[str],
) -> "Figure":
    """Return how images of each class were judged: counts, and shares of the true class.

    REVIEW, NG without a region, and images of no known class have a place of their own where they
    occur.

    Args:
        rows: of `evaluation.inspect_records`; at least one.
        classes: names of what can be wrong with an image.
        found_classes: which of them each image was judged to be of; "" for none.

    Raises:
        errors.DataError: there is no row.
    """
    if not rows:
        raise errors.DataError("A confusion needs at least one image. Got none. Give some rows.")
    counts, true, judged = _counts(rows, classes, found_classes)
    figure, axes = _matrix(counts, true, judged)
    axes.set(xlabel="judged", ylabel="truth")
    right = sum(row.outcome == ("NG" if row.is_ng else "OK") for row in rows)
    axes.set_title(f"{right} of {len(rows)} images rightly OK or NG", fontsize=11)
    return figure


def confusion_matrix(counts: NDArray[np.int64], names: Sequence[str]) -> "Figure":
    """Return what images of each class were taken for: counts, and shares of the true class.

    Args:
        counts: (classes, classes) of `evaluation.class_measures.confusion_counts`.
        names: of the classes.

    Raises:
        errors.DataError: there is no image, or not a name for each class.
    """
    if counts.shape != (len(names), len(names)) or not counts.sum():
        raise errors.DataError(
            "A confusion needs images, and a name for each class. "
            f"Got {int(counts.sum())} images of {counts.shape[0]} classes and {len(names)} names. "
            "Name the good class too."
        )
    figure, axes = _matrix(counts, names, names)
    axes.set(xlabel="taken for", ylabel="truth")
    right = int(np.trace(counts))
    balanced = class_measures.balanced_accuracy(counts)
    title = f"{right} of {counts.sum()} images right\nbalanced accuracy {balanced:.3f}"
    axes.set_title(title, fontsize=11)
    return figure


def _matrix(
    counts: NDArray[np.int64], true: Sequence[str], judged: Sequence[str]
) -> tuple["Figure", "Axes"]:
    """Draw counts, and their shares of a line as its colours."""
    totals = counts.sum(axis=1)
    share = counts / np.maximum(totals, 1)[:, None]
    figure = curves.new(len(judged) + 2.0, 0.72 * len(true) + 1.7)
    axes = figure.add_subplot()
    axes.imshow(share, cmap="Blues", vmin=0, vmax=1.15, aspect="auto")
    for (line, column), number in np.ndenumerate(counts):
        if number:
            colour = "white" if share[line, column] > 0.6 else curves.LINE
            text = f"{number}\n{share[line, column]:.0%}"
            axes.text(column, line, text, ha="center", va="center", fontsize=9, color=colour)
    axes.set_xticks(
        range(len(judged)), [curves.short(name) for name in judged], rotation=30, ha="right"
    )
    named = [f"{curves.short(name)}, n = {total}" for name, total in zip(true, totals, strict=True)]
    axes.set_yticks(range(len(true)), named)
    axes.set_xticks(np.arange(0.5, len(judged) - 1), minor=True)
    axes.set_yticks(np.arange(0.5, len(true) - 1), minor=True)
    axes.grid(visible=True, which="minor", color="white", linewidth=2)
    axes.tick_params(which="both", length=0)
    axes.spines[:].set_visible(False)
    return figure, axes
