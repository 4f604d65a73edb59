"""Figures that compare: the stages of a cascade, the arms of an experiment, strategies."""

import math
from collections.abc import Mapping, Sequence
from types import MappingProxyType
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import ArrayLike, NDArray

from inspection_tf import errors
from inspection_tf.evaluation import strategies
from inspection_tf.plots import curves

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

_DECADES = (4, 9)  # of an axis, from 0.5 to each end: at least, at most
_SCORED = (("good", False, curves.GOOD, "o"), ("defective", True, curves.BAD, "^"))


def _decades(thresholds: Sequence[float]) -> int:
    """Return how near to 0 and 1 an axis must reach, as a power of 10, to go past thresholds."""
    nearest = min((min(t, 1 - t) for t in thresholds if 0 < t < 1), default=0.5)
    return int(np.clip(math.ceil(-math.log10(nearest)) + 1, *_DECADES))


def _logit(score: ArrayLike, decades: int) -> NDArray[np.float64]:
    """Return log10(s / (1 - s)), which draws out both ends of 0..1 alike; clipped there."""
    end = 10.0**-decades
    clipped = np.clip(np.asarray(score, np.float64), end, 1 - end)
    return np.asarray(np.log10(clipped / (1 - clipped)))


def _ticks(decades: int) -> tuple[NDArray[np.float64], list[str]]:
    """Return places and labels of an axis in `_logit`."""
    powers = range(decades, 0, -1 if decades < 5 else -2)
    near_0 = [10.0**-power for power in powers]
    near_1 = [1 - 10.0**-power for power in powers][::-1]
    labels = [f"{tick:g}" for tick in near_0] + ["0.5"]
    labels += [f"{tick:.{power}f}" for tick, power in zip(near_1, reversed(powers), strict=True)]
    labels[0], labels[-1] = f"≤ {labels[0]}", f"≥ {labels[-1]}"
    return _logit([*near_0, 0.5, *near_1], decades), labels


def _counted(chosen: NDArray[np.bool_], bad: NDArray[np.bool_]) -> str:
    return f"{(chosen & bad).sum()} defective, {(chosen & ~bad).sum()} good"


def _scale(axes: "Axes", decades: int, *, all_scored: bool) -> None:
    """Set ticks and limits; a line for images without a second score only where there are some."""
    places, labels = _ticks(decades)
    margin = 0.35
    axes.set_xticks(places, labels, fontsize=8)
    if all_scored:
        axes.set_yticks(places, labels, fontsize=8)
    else:
        axes.set_yticks([-decades - 1.0, *places], ["none", *labels], fontsize=8)
    axes.set_xlim(-decades - margin, decades + margin)
    axes.set_ylim(-decades - margin - (not all_scored), decades + margin)


def _shade(axes: "Axes", x1: float | None, y2: float, stopped: str, is_ng: str) -> None:
    """Mark what the first threshold stops (None: nothing), and what is NG."""
    low, high = axes.get_xlim()
    if x1 is not None:
        axes.axvspan(low, x1, color="#888888", alpha=0.16, linewidth=0, label=stopped)
        axes.axvline(x1, color=curves.LINE, linestyle="--", linewidth=1.2)
    area = (low if x1 is None else x1, high)
    axes.fill_between(area, y2, high, color=curves.BAD, alpha=0.13, linewidth=0, label=is_ng)
    axes.plot(area, (y2, y2), color=curves.LINE, linestyle="--", linewidth=1.2)


def joint_thresholds(
    first_score: ArrayLike,
    second_score: ArrayLike,
    is_defect: ArrayLike,
    t1: float,
    t2: float,
    *,
    stages: tuple[str, str] = ("classifier", "segmenter"),
) -> "Figure":
    """Return images by their scores in both stages of a cascade, and what the thresholds do.

    The axes draw out both ends: log10(s / (1 - s)). Images without a second score lie on a line of
    their own underneath.

    Args:
        first_score: (images,), 0..1.
        second_score: (images,), 0..1; nan where the second stage did not run.
        is_defect: (images,).
        t1: images whose first score reaches it go on to the second stage; 0 stops none.
        t2: those whose second score reaches it are NG.
        stages: names of the two.

    Raises:
        errors.DataError: the arrays differ in length, or are empty.
    """
    first, second = np.asarray(first_score, np.float64), np.asarray(second_score, np.float64)
    bad = np.asarray(is_defect, np.bool_)
    if not len(first) == len(second) == len(bad) or not len(first):
        raise errors.DataError(
            "Each image must have two scores and a label, and there must be one. "
            f"Got {len(first)}, {len(second)} and {len(bad)}. Give arrays of equal length."
        )
    passed, decades = first >= t1, _decades((t1, t2))
    stages = curves.short(stages[0]), curves.short(stages[1])
    figure = curves.new(6.4, 6.2)
    axes = figure.add_subplot()
    curves.tidy(axes)
    _scale(axes, decades, all_scored=bool(np.isfinite(second).all()))
    stopped = f"stopped by the {stages[0]}: {_counted(~passed & np.isfinite(first), bad)}"
    is_ng = f"NG: {_counted(passed & (second >= t2), bad)}"
    x1 = float(_logit(t1, decades)) if t1 > 0 else None
    _shade(axes, x1, float(_logit(t2, decades)), stopped, is_ng)
    y = np.where(np.isfinite(second), _logit(np.nan_to_num(second), decades), -decades - 1.0)
    for word, label, colour, marker in _SCORED:
        selected = (bad == label) & np.isfinite(first)
        axes.plot(
            _logit(first[selected], decades),
            y[selected],
            marker,
            color=colour,
            alpha=0.65,
            markersize=5.5,
            markeredgewidth=0,
            label=f"{word}, n = {(bad == label).sum()}",
        )
    axes.set_xlabel(f"score of the {stages[0]}; dashed: threshold {t1:.3g}")
    axes.set_ylabel(f"score of the {stages[1]}; dashed: threshold {t2:.3g}")
    under = _counted(passed & (second < t2), bad)
    axes.set_title(f"passed on, but under the second threshold: {under}", fontsize=10)
    if not np.isfinite(first).all():
        figure.suptitle(f"{(~np.isfinite(first)).sum()} without a first score (not shown)")
    figure.legend(loc="outside lower center", ncols=2, frameon=False, fontsize=9)
    return figure


def _point(axes: "Axes", y: float, numbers: tuple[float, float, float]) -> None:
    """Draw a value as a point with its interval as a line, and write the value above it."""
    value, low, high = numbers
    if math.isnan(value):
        inside = ("axes fraction", "data")
        axes.annotate(
            "not defined", (0.02, y), xycoords=inside, va="center", fontsize=9, color=curves.LINE
        )
        return
    if not math.isnan(low):
        axes.plot([low, high], [y, y], color=curves.GOOD, linewidth=3, solid_capstyle="butt")
    axes.plot(value, y, "o", color=curves.GOOD, ms=8, mec="white", clip_on=False)
    axes.annotate(
        f"{value:.3f}",
        (value, y),
        xytext=(0, 8),
        textcoords="offset points",
        ha="center",
        fontsize=9,
        color=curves.LINE,
    )


def comparison(
    table: Mapping[str, Mapping[str, curves.Numbers | None]],
    *,
    names: Sequence[str] | None = None,
    meanings: Mapping[str, str] = MappingProxyType({}),
) -> "Figure":
    """Return one panel per metric, in it a point with its interval for each arm.

    Args:
        table: arm to metrics, such as `{"pretrained": report["metrics"], "random": ...}`; a metric
            is an `Estimate` or its `{"value", "low", "high"}`.
        names: the metrics; by default all that some arm has, in the order of their coming.
        meanings: what they are in words, such as of `evaluation.meanings`.

    Raises:
        errors.DataError: there is no arm or no such metric.
    """
    known = dict.fromkeys(name for metrics in table.values() for name in metrics)
    names = [name for name in known if names is None or name in names]
    if not names:
        raise errors.DataError(
            "A comparison needs arms with metrics. Got none of the metrics asked for. "
            "Give the metrics of at least one report."
        )
    from matplotlib.ticker import MaxNLocator

    wide = 2 if len(names) == 4 else min(len(names), 3)
    high = math.ceil(len(names) / wide)
    figure = curves.new(3.6 * wide + 1.0, (0.5 * len(table) + 1.2) * high)
    for index, name in enumerate(names):
        axes = figure.add_subplot(high, wide, index + 1)
        curves.tidy(axes)
        for place, metrics in enumerate(table.values()):
            _point(axes, place, curves.numbers(metrics.get(name) or {}))
        axes.set(ylim=(len(table) - 0.5, -0.7), xlabel=meanings.get(name, ""))
        axes.set_yticks(
            range(len(table)), [curves.short(arm) for arm in table] if index % wide == 0 else []
        )
        axes.set_title(curves.short(name), fontsize=10)
        axes.margins(x=0.12)
        axes.xaxis.set_major_locator(MaxNLocator(nbins=5))
    return figure


def roc_curves(results: Mapping[str, strategies.Scores]) -> "Figure":
    """Return the ROC of several strategies on the same images, in one picture.

    Where images were scored several times the curve is the mean of the repeats at each overkill
    rate. The legend has the AUROC with its interval from a bootstrap over groups.

    Args:
        results: name of each strategy to its scores.

    Raises:
        errors.DataError: there is no strategy, or the images are not of both kinds.
    """
    for scores in results.values():
        if len(set(scores.is_defect.tolist())) < 2:
            raise errors.DataError(
                "A ROC needs good and defective images. Got one kind only. Choose images of both."
            )
    if not results:
        raise errors.DataError("A ROC needs at least one strategy. Got none. Score one.")
    figure = curves.new(5.6, 5.4)
    axes = figure.add_subplot()
    curves.tidy(axes)
    overkill = np.linspace(0, 1, 501)
    for name, scores in results.items():
        estimate = strategies.estimates(scores)["image_auroc"]
        value, low, high = curves.numbers(estimate)
        interval = "" if math.isnan(low) else f" ({low:.3f} - {high:.3f})"
        found = [_roc(score, scores.is_defect) for score in scores.score]
        # One curve keeps its steps; several have no common ones.
        if len(found) == 1:
            x, y = found[0]
        else:
            x, y = overkill, np.mean([np.interp(overkill, *one) for one in found], axis=0)
        label = f"{curves.short(name)}: {value:.3f}{interval}"
        axes.plot(x, y, linewidth=1.6, clip_on=False, label=label)
    axes.plot([0, 1], [0, 1], color="#888888", linestyle=":", label="at random: 0.5")
    axes.set(xlim=(0, 1), ylim=(0, 1.02), xlabel="overkill rate (good images judged NG)")
    axes.set_ylabel("defective images judged NG")
    good = int((~scores.is_defect).sum())
    axes.set_title(f"{len(scores.ids) - good} defective, {good} good images", fontsize=11)
    axes.legend(loc="lower right", fontsize=8, title="AUROC (95 % interval)", title_fontsize=8)
    return figure


def _roc(
    score: NDArray[np.float64], is_defect: NDArray[np.bool_]
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Return overkill rate and share of defective images found, at each distinct score."""
    order = np.argsort(-score, kind="stable")
    last = np.flatnonzero(np.append(score[order][1:] != score[order][:-1], True))
    hits, false_alarms = is_defect[order].cumsum()[last], (~is_defect[order]).cumsum()[last]
    return np.append(0, false_alarms / false_alarms[-1]), np.append(0, hits / hits[-1])
