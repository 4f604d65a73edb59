"""Curves and histograms, and the helpers that figures share. Made without pyplot."""

import functools
import math
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, TypeAlias

import numpy as np
from numpy.typing import NDArray

from inspection_tf import errors, evaluation, process

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

Cell: TypeAlias = str | float | None
"""A number of a history, or its text; None or "" where it was not measured."""
Numbers: TypeAlias = evaluation.Estimate | Mapping[str, float | None]
"""A metric with its interval: an `Estimate`, or what its `to_dict` returns."""
History: TypeAlias = Sequence[Mapping[str, Cell]] | Mapping[str, Sequence[Cell]]
"""What training measured: a line for each epoch, or a column for each quantity."""
_LONGEST_LINE, _LONGEST_LABEL = 61, 31  # letters
GOOD, BAD, LINE = "#0072B2", "#D55E00", "#333333"


def new(width_in: float, height_in: float) -> "Figure":
    """Return an empty figure that belongs to no window and no global state."""
    from matplotlib.figure import Figure

    return Figure(figsize=(width_in, height_in), dpi=110, layout="constrained")


def plain(text: str, *, longest: int = _LONGEST_LINE) -> str:
    r"""Return text that a figure shows as it is: no mathematics between two dollars, no box.

    A character that the fonts of `font.family` lack is shown as Python writes it, `\u68c0`; name a
    font that has it there, and it is shown itself. The middle of a line that is longer than any
    figure has room for is left out.

    Args:
        text: may have several lines.
        longest: letters of a line.
    """
    lines = process.printable(text, keep="\n").split("\n")
    readable = "\n".join(_shortened(line, longest) for line in lines)
    if not readable.isascii():
        fonts = _font_files()
        readable = "".join(c if _has_glyph(c, fonts) else process.escaped(c) for c in readable)
    return readable.replace("$", r"\$")


def short(name: str, *, longest: int = _LONGEST_LABEL) -> str:
    """Return a name as `plain` does, on one line that is short enough beside axes."""
    return plain(process.printable(name), longest=longest)


def _shortened(line: str, longest: int) -> str:
    half = (longest - 3) // 2
    return line if len(line) <= longest else f"{line[:half]}...{line[-half:]}"


def _font_files() -> tuple[str, ...]:
    """Return the files of the fonts that texts are drawn with, in their order."""
    import matplotlib
    from matplotlib import font_manager

    families: list[str] = matplotlib.rcParams["font.family"]
    return tuple(
        str(font_manager.findfont(font_manager.FontProperties(family=[name]))) for name in families
    )


@functools.lru_cache(maxsize=10_000)
def _has_glyph(character: str, fonts: tuple[str, ...]) -> bool:
    from matplotlib import font_manager

    return character.isascii() or any(
        font_manager.get_font(path).get_char_index(ord(character)) for path in fonts
    )


def _axes(width_in: float = 5.0, height_in: float = 4.4) -> tuple["Figure", "Axes"]:
    figure = new(width_in, height_in)
    axes = figure.add_subplot()
    tidy(axes)
    return figure, axes


def tidy(axes: "Axes") -> None:
    """Set a light grid behind the data, and no frame above and to the right."""
    axes.grid(visible=True, color="#dddddd", linewidth=0.6)
    axes.set_axisbelow(True)
    axes.spines[["top", "right"]].set_visible(False)


def _scores(
    rows: Sequence[evaluation.ImageResult],
) -> tuple[NDArray[np.float64], NDArray[np.bool_]]:
    score = np.array([math.inf if math.isnan(row.score) else row.score for row in rows])
    return score, np.array([row.is_ng for row in rows], bool)


def numbers(estimate: Numbers) -> tuple[float, float, float]:
    """Return value, low and high of an `Estimate` or its dict; nan where there is none."""
    if isinstance(estimate, evaluation.Estimate):
        estimate = estimate.to_dict()
    value, low, high = (
        math.nan if (number := estimate.get(key)) is None else float(number)
        for key in ("value", "low", "high")
    )
    return value, low, high


def _cumulated(
    rows: Sequence[evaluation.ImageResult],
) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Return defective and good images at or above each distinct score, the highest first."""
    score, is_defect = _scores(rows)
    if not is_defect.any() or is_defect.all():
        raise errors.DataError(
            "A curve needs good and defective images. "
            f"Got {int(is_defect.sum())} defective of {len(rows)}. Choose a split that has both."
        )
    order = np.argsort(-score, kind="stable")
    last = np.flatnonzero(np.append(score[order][1:] != score[order][:-1], True))
    return is_defect[order].cumsum()[last], (~is_defect[order]).cumsum()[last]


def _interval(rows: Sequence[evaluation.ImageResult], name: str) -> str:
    estimate = evaluation.ranking(rows)[name]
    text = f"{estimate.value or 0:.3f}"
    return text if estimate.low is None else f"{text} ({estimate.low:.3f} - {estimate.high:.3f})"


def _verdicts(rows: Sequence[evaluation.ImageResult]) -> tuple[int, int, int, int]:
    """Return defective NG, all defective, good NG, all good."""
    ng = [row.is_ng for row in rows if row.outcome == "NG"]
    defective = sum(row.is_ng for row in rows)
    return sum(ng), defective, len(ng) - sum(ng), len(rows) - defective


def counted(rows: Sequence[evaluation.ImageResult]) -> str:
    """Return how many images there are of each class, in words."""
    defective = sum(row.is_ng for row in rows)
    return f"{defective} defective, {len(rows) - defective} good images"


def precision_recall(rows: Sequence[evaluation.ImageResult]) -> "Figure":
    """Return precision over recall of images, with the verdicts as a point on it.

    Raises:
        errors.DataError: the rows are not of both classes.
    """
    hits, false_alarms = _cumulated(rows)
    figure, axes = _axes()
    precision = hits / (hits + false_alarms)
    label = f"average precision {_interval(rows, 'image_average_precision')}"
    recall = np.append(0, hits / hits[-1])
    # Between two thresholds nothing was measured: steps, as average precision counts them.
    axes.step(recall, np.append(precision[0], precision), where="pre", color=GOOD, label=label)
    caught, defective, overkill, _ = _verdicts(rows)
    share = defective / len(rows)
    axes.axhline(share, color="#888888", linestyle=":", label=f"at random {share:.2f}")
    if caught + overkill:
        point = (caught / defective, caught / (caught + overkill))
        name = f"verdicts: recall {point[0]:.3f}, precision {point[1]:.3f}"
        axes.plot(*point, "o", color=BAD, markersize=8, clip_on=False, zorder=3, label=name)
    axes.set(xlim=(0, 1), ylim=(0, 1.02), xlabel="recall (defective images found)")
    axes.set(ylabel="precision (NG images that are defective)", title=counted(rows))
    axes.legend(loc="lower left", fontsize=9)
    return figure


def roc(rows: Sequence[evaluation.ImageResult]) -> "Figure":
    """Return found defective images over overkill, with the verdicts as a point on it.

    Raises:
        errors.DataError: the rows are not of both classes.
    """
    hits, false_alarms = _cumulated(rows)
    figure, axes = _axes()
    label = f"AUROC {_interval(rows, 'image_auroc')}"
    x, y = np.append(0, false_alarms / false_alarms[-1]), np.append(0, hits / hits[-1])
    axes.plot(x, y, color=GOOD, label=label, clip_on=False)
    axes.plot([0, 1], [0, 1], color="#888888", linestyle=":", label="at random 0.5")
    caught, defective, overkill, good = _verdicts(rows)
    point = (overkill / good, caught / defective)
    name = f"verdicts: overkill {point[0]:.3f}, found {point[1]:.3f}"
    axes.plot(*point, "o", color=BAD, markersize=8, clip_on=False, zorder=3, label=name)
    axes.set(xlim=(0, 1), ylim=(0, 1.02), xlabel="overkill rate (good images judged NG)")
    axes.set(ylabel="defective images judged NG", title=counted(rows))
    axes.legend(loc="lower right", fontsize=9)
    return figure


def score_histogram(
    rows: Sequence[evaluation.ImageResult], threshold: float | None = None
) -> "Figure":
    """Return the scores of good and of defective images, one above the other, and the threshold.

    Args:
        rows: at least one.
        threshold: drawn as a line; None for none.

    Raises:
        errors.DataError: there is no row.
    """
    if not rows:
        raise errors.DataError("A histogram needs at least one image. Got none. Give some rows.")
    from matplotlib.ticker import MaxNLocator

    score, is_defect = _scores(rows)
    finite = np.isfinite(score)
    ends = [0.0, 1.0, *score[finite], *([] if threshold is None else [threshold])]
    bins = np.linspace(min(ends), max(ends), 51)
    figure = new(6.4, 4.4)
    panels = figure.subplots(2, 1, sharex=True)
    for axes, kind, colour, name in (
        (panels[0], ~is_defect, GOOD, "good"),
        (panels[1], is_defect, BAD, "defective"),
    ):
        tidy(axes)
        axes.hist(score[kind & finite], bins=bins, color=colour)
        axes.set_ylabel("images")
        axes.yaxis.set_major_locator(MaxNLocator(nbins=4, integer=True))
        heading = f"{name}, n = {kind.sum()}"
        if threshold is not None:
            axes.axvline(threshold, color=LINE, linestyle="--", linewidth=1.2)
            above = int((score[kind & finite] >= threshold).sum())
            under = int((kind & finite).sum()) - above
            heading += f": {under} under {threshold:.3f}, {above} at or above"
        axes.set_title(heading, loc="left", fontsize=10, color=colour)
    panels[1].set_xlabel(
        "score of the image" + ("" if threshold is None else "; dashed: threshold")
    )
    if not finite.all():
        figure.suptitle(f"{(~finite).sum()} of {len(rows)} without a finite score (not shown)")
    return figure


def _columns(history: History) -> dict[str, NDArray[np.float64]]:
    if isinstance(history, Mapping):
        columns = history
    else:
        lines = list(history)
        names = dict.fromkeys(name for line in lines for name in line)
        columns = {name: [line.get(name) for line in lines] for name in names}
    return {
        name: np.array([math.nan if cell in (None, "") else float(cell) for cell in cells])
        for name, cells in columns.items()
    }


def learning_curves(
    history: History,
    *,
    names: Sequence[str] | None = None,
) -> "Figure":
    """Return one panel per quantity, training and validation (`val_NAME`) in each.

    The learning rate stands in the first panel, on an axis of its own. A line joins the epochs at
    which its quantity was measured, each a dot, whatever lies between them.

    Args:
        history: lines, such as of `csv.DictReader`, or columns, of numbers. `epoch` is the x axis
            if there; an empty cell was not measured; `learning_rate` or `lr` is the learning rate.
        names: the quantities, without `val_`; by default all, in the order of the columns.

    Raises:
        errors.DataError: there is nothing to draw.
    """
    from matplotlib.ticker import MaxNLocator

    columns = _columns(history)
    epoch = columns.pop("epoch", None)
    rates = [columns.pop(name) for name in ("learning_rate", "lr") if name in columns]
    known = list(dict.fromkeys(name.removeprefix("val_") for name in columns))
    names = [name for name in known if names is None or name in names]
    if not names or not len(columns[next(iter(columns))]):
        raise errors.DataError(
            "Learning curves need a history. Got no epoch or no such column. Train for one epoch."
        )
    if epoch is None:
        epoch = np.arange(1.0, 1 + len(next(iter(columns.values()))))
    wide = min(len(names), 3)
    figure = new(4.4 * wide, 3.2 * math.ceil(len(names) / wide))
    for index, name in enumerate(names):
        axes = figure.add_subplot(math.ceil(len(names) / wide), wide, index + 1)
        tidy(axes)
        for column, label, colour in ((name, "train", GOOD), (f"val_{name}", "validation", BAD)):
            value = columns.get(column, epoch[:0])
            measured = np.flatnonzero(np.isfinite(value))
            if len(measured):
                text = f"{label}, last {value[measured[-1]]:.4g}"
                axes.plot(epoch[measured], value[measured], ".-", ms=4, color=colour, label=text)
        axes.set(xlabel="epoch", ylabel=short(name))
        axes.xaxis.set_major_locator(MaxNLocator(integer=True))
        if index == 0 and rates:
            second = axes.twinx()
            has_rate = np.isfinite(rates[0])
            second.plot(epoch[has_rate], rates[0][has_rate], color="#999999", linestyle=":")
            second.set_ylabel("learning rate (dotted)", color="#777777")
            second.set_ylim(bottom=0)
        if axes.lines:
            axes.legend(fontsize=9)
    figure.suptitle(f"{len(epoch)} epochs")
    return figure
