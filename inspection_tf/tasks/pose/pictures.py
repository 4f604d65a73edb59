"""Pictures of an evaluation of poses: what went worst, found beside true, errors against phi."""

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING

import numpy as np

from inspection_tf import plots, process
from inspection_tf.evaluation import ImageResult
from inspection_tf.plots import curves
from inspection_tf.tasks.pose.measures import PoseResult, is_told, results
from inspection_tf.tasks.pose.results import PoseFound
from inspection_tf.tasks.pose.settings import ANGLES, NAMES, UNITS

if TYPE_CHECKING:
    from matplotlib.figure import Figure

_WIDE = 4  # images shown, below one another
_LEAST = 1e-5  # degrees: nearer is drawn as that


def draw(rows: Sequence[ImageResult], show: plots.Show) -> "dict[str, Callable[[], Figure] | None]":
    """Return the worst images, errors against phi, and found beside true numbers.

    Args:
        rows: of `comparison.compare`.
        show: gives image, labels and verdict of an image by its id.
    """
    told = [row for row in rows if is_told(row)]
    return {
        "worst.png": (lambda: worst(rows, show)) if rows else None,
        "errors.png": (lambda: errors_against_phi(told)) if told else None,
        "poses.png": (lambda: found_beside_true(told)) if told else None,
    }


def worst(rows: Sequence[ImageResult], show: plots.Show, *, count: int = _WIDE) -> "Figure":
    """Return what was measured, what should be, and the difference, of what went worst.

    Args:
        rows: of `evaluation.inspect_records`; at least one.
        show: gives image, labels and verdict of an id; called for the shown ones only.
        count: how many at most.
    """

    def badness(row: ImageResult) -> tuple[float, ...]:
        if row.error is not None:
            return (0.0 if row.error == "escape" else 1.0), -row.score
        turn = row.result_as(PoseResult).turn_deg
        return (2.0 if row.outcome == "REVIEW" else 3.0), -np.nan_to_num(turn, nan=180.0)

    chosen = sorted(sorted(rows, key=lambda row: row.id), key=badness)[:count]
    figure = curves.new(8.4, 2.9 * len(chosen) + 0.5)
    panels = figure.subplots(len(chosen), 1, squeeze=False)
    for row, (axes,) in zip(chosen, panels, strict=True):
        look = show(row.id)
        result = look.verdict.result
        shown = result.pictures(look.image) if isinstance(result, PoseFound) else {}
        axes.imshow(shown.get("difference", look.image), cmap="gray")
        axes.set_axis_off()
        axes.set_title(_caption(row), fontsize=9)
    figure.suptitle(
        f"The worst {len(chosen)} of {curves.counted(rows)}: measured, as it should be, difference",
        fontsize=11,
    )
    return figure


def _caption(row: ImageResult) -> str:
    result = row.result_as(PoseResult)
    turn = "no pose" if result.found is None else f"{result.turn_deg:.3f} deg off"
    should = "deviates" if row.is_ng else "intact"
    why = curves.short(row.reasons[0], longest=130) if row.reasons else ""
    return f"{process.printable(row.id)}: {should}, judged {row.outcome}, {turn}\n{why}"


def errors_against_phi(rows: Sequence[ImageResult]) -> "Figure":
    """Return the errors of the three angles against phi, beside what was stated.

    Args:
        rows: that have a pose; at least one.
    """
    found = results(rows)
    figure = curves.new(8.4, 3.4)
    panels = figure.subplots(1, len(ANGLES), sharey=True)
    phi = [one.truth.phi for one in found]
    for place, (axes, name) in enumerate(zip(panels, ANGLES, strict=True)):
        curves.tidy(axes)
        size = np.maximum(np.abs([one.off[place] for one in found]), _LEAST)
        stated = np.maximum([one.stated[place] for one in found], _LEAST)
        axes.semilogy(phi, stated, ".", color=curves.BAD, label="stated deviation", markersize=4)
        axes.semilogy(phi, size, ".", color=curves.GOOD, label="error", markersize=4)
        axes.set(xlabel="phi, deg", title=f"{name}: mean {size.mean():.2g} deg")
    panels[0].set_ylabel("deg")
    panels[0].legend(fontsize=8)
    return figure


def found_beside_true(rows: Sequence[ImageResult]) -> "Figure":
    """Return each found number against the true one.

    Args:
        rows: that have a pose; at least one.
    """
    found = results(rows)
    figure = curves.new(8.4, 5.6)
    panels = figure.subplots(2, 3)
    for place, (axes, name) in enumerate(zip(panels.flat, NAMES, strict=True)):
        curves.tidy(axes)
        truth = np.array([getattr(one.truth, name) for one in found])
        # Beside the nearest pose that looks alike: 359.9 is found as 0.1 without a leap.
        axes.plot(truth, truth + [one.off[place] for one in found], ".", color=curves.GOOD)
        low, high = float(truth.min()), float(truth.max())
        axes.plot([low, high], [low, high], ":", color="#888888")
        axes.set(title=f"{name}, {UNITS[name]}", xlabel="true", ylabel="found")
    return figure
