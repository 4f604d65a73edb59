"""Figures of how far a network can be relied on: calibration, number of images, perturbations."""

import math
from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np

from inspection_tf import errors
from inspection_tf.evaluation import calibration, robustness, strategies
from inspection_tf.plots import curves

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

_PALE = "#888888"


def reliability(found: calibration.Reliability) -> "Figure":
    """Return how often a classifier is right against how sure it is, and how many images that are.

    Args:
        found: of `evaluation.calibration.reliability`.
    """
    figure = curves.new(5.0, 5.4)
    upper, lower = figure.subplots(2, 1, sharex=True, height_ratios=[3, 1])
    for axes in (upper, lower):
        curves.tidy(axes)
    left, width = found.edges[:-1], np.diff(found.edges)
    filled = found.counts > 0
    upper.bar(
        left[filled],
        found.accuracy[filled],
        width[filled],
        align="edge",
        color=curves.GOOD,
        edgecolor="white",
        label="images that it classifies rightly",
    )
    # A bin's gap is the way from its mark to the top of its bar.
    upper.plot(
        found.confidence[filled],
        found.confidence[filled],
        "_",
        color=curves.BAD,
        markersize=14,
        markeredgewidth=2,
        label="if calibrated",
    )
    upper.plot([0, 1], [0, 1], color=_PALE, linestyle=":")
    upper.set(xlim=(0, 1), ylim=(0, 1.02), ylabel="accuracy")
    error = f"expected calibration error {found.expected_calibration_error:.3f}"
    upper.set_title(f"{error}, n = {found.counts.sum()}", fontsize=11)
    upper.legend(loc="upper left", fontsize=9)
    lower.bar(left, found.counts, width, align="edge", color=_PALE, edgecolor="white")
    lower.set(xlabel="probability of the likeliest class", ylabel="images")
    return figure


def learning_curve(
    points: Sequence[strategies.LearningPoint], *, metric: str = "image_auroc"
) -> "Figure":
    """Return a metric against the number of images that trained, with intervals and each draw.

    Args:
        points: of `evaluation.strategies.learning_curve`.
        metric: what they measure.

    Raises:
        errors.DataError: there is no point.
    """
    if not points:
        raise errors.DataError(
            "A learning curve needs at least one point. Got none. Train with a share of the images."
        )
    figure = curves.new(5.6, 4.2)
    axes = figure.add_subplot()
    curves.tidy(axes)
    images = np.array([point.images for point in points])
    value, low, high = np.array([curves.numbers(point.estimate) for point in points]).T
    axes.fill_between(
        images, low, high, color=curves.GOOD, alpha=0.18, linewidth=0, label="95 % interval"
    )
    axes.plot(images, value, "o-", color=curves.GOOD, label="mean of the draws")
    drawn = [(point.images, one) for point in points for one in point.values if one is not None]
    if len(drawn) > len(points):
        axes.plot(*zip(*drawn, strict=True), ".", color=curves.BAD, label="one draw")
    axes.set(xlabel="images that train", ylabel=curves.short(metric))
    axes.set_xlim(left=0)
    axes.legend(loc="lower right", fontsize=9)
    last = f"{value[-1]:.3f} with {images[-1]:.0f} images"
    axes.set_title(last if not math.isnan(value[-1]) else "not defined", fontsize=11)
    return figure


_LINES = {
    robustness.ACCURACY: ("judged rightly", curves.LINE, "o-"),
    "escape_rate": ("escapes, of defective", curves.BAD, "^--"),
    "overkill_rate": ("overkill, of good", curves.GOOD, "s--"),
}


def robustness_curves(points: Sequence[robustness.Point]) -> "Figure":
    """Return, for each perturbation, accuracy, escapes and overkill against its strength.

    Args:
        points: of `evaluation.robustness.trial`.

    Raises:
        errors.DataError: there is no point.
    """
    if not points:
        raise errors.DataError(
            "A picture of robustness needs at least one point. Got none. Give those of a trial."
        )
    names = list(dict.fromkeys(point.perturbation for point in points))
    wide = min(len(names), 4)
    high = math.ceil(len(names) / wide)
    figure = curves.new(2.9 * wide + 0.4, 2.6 * high + 0.9)
    panels = figure.subplots(high, wide, sharex=True, sharey=True, squeeze=False)
    for axes, name in zip(panels.flat, names, strict=False):
        _panel(axes, [point for point in points if point.perturbation == name])
        axes.set_title(name, fontsize=10)
        axes.set_xlabel(_wrapped(robustness.PERTURBATIONS[name].full), fontsize=8)
    for axes in panels.flat[len(names) :]:
        axes.set_visible(False)
    for row in panels:
        row[0].set_ylabel("share of images")
    handles, labels = panels[0, 0].get_legend_handles_labels()
    figure.legend(
        handles, labels, loc="outside lower center", ncols=len(_LINES), frameon=False, fontsize=9
    )
    figure.suptitle(
        f"{points[0].images} images, perturbed by strength; bands: 95 % intervals", fontsize=11
    )
    return figure


def _panel(axes: "Axes", points: Sequence[robustness.Point]) -> None:
    """Draw the rates of one perturbation."""
    curves.tidy(axes)
    strength = [point.strength for point in points]
    for rate, (label, colour, style) in _LINES.items():
        numbers = np.array([curves.numbers(point.rates[rate]) for point in points])
        axes.plot(strength, numbers[:, 0], style, color=colour, markersize=4, label=label)
        if rate == robustness.ACCURACY:
            axes.fill_between(
                strength, numbers[:, 1], numbers[:, 2], color=colour, alpha=0.15, linewidth=0
            )
    axes.set(xlim=(-0.03, 1.03), ylim=(-0.03, 1.03), xticks=(0, 0.5, 1))
    axes.tick_params(labelbottom=True)


def _wrapped(text: str) -> str:
    """Return a text on lines that are as wide as a panel."""
    import textwrap

    return "\n".join(textwrap.wrap(f"1: {text}", 38))
