"""Pictures of an evaluation of maps: what went worst, and what was taken for what."""

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING

from inspection_tf import decision, errors, evaluation, plots
from inspection_tf.evaluation import ImageResult
from inspection_tf.plots import curves, examples
from inspection_tf.tasks.segmentation.labels import MaskLabels
from inspection_tf.tasks.segmentation.results import MapResult

if TYPE_CHECKING:
    from matplotlib.figure import Figure

_LONGEST_ID, _LONGEST_CLASS = 45, 19  # letters over a picture


def draw(
    rows: Sequence[ImageResult], show: plots.Show, report: evaluation.Report
) -> "dict[str, Callable[[], Figure] | None]":
    """Return the worst images and, with several classes, what tells these apart.

    Args:
        rows: of `comparison.compare`.
        show: gives image, labels and verdict of an image by its id.
        report: of the evaluation.
    """
    classes: Sequence[str] = report.get("classes", ("defect",))
    is_worst = bool(_by_badness(rows))
    pictures: dict[str, Callable[[], Figure] | None] = {
        "worst.png": (lambda: worst_cases(rows, show, classes=classes)) if is_worst else None
    }
    if len(classes) > 1:
        pictures["classes.png"] = lambda: plots.class_bars(report)
        pictures["confusion.png"] = (lambda: confusion(rows, classes)) if rows else None
    return pictures


def example(look: evaluation.Look, *, caption: str = "") -> plots.Example:
    """Return a line of `plots.grid`, which of what was found shows only what counts."""
    truth = look.labels_as(MaskLabels)
    found = look.verdict.class_mask()
    if truth.ignored is not None:
        found[truth.ignored] = 0
    return plots.Example(
        image=look.image,
        probability=look.verdict.probability,
        mask_true=truth.ids,
        mask_found=found,
        caption=caption,
        template=look.template,
        note=examples.stop_of(look.verdict) or "no map",
    )


def _by_badness(rows: Sequence[ImageResult]) -> list[ImageResult]:
    """Return escapes, then overkills, then reviews, then defective images by their Dice."""

    def badness(row: ImageResult) -> tuple[float, ...]:
        if row.error == "escape":
            return 0, row.score
        if row.error == "overkill":
            return 1, -row.score
        return 2 if row.outcome == "REVIEW" else 3, row.result_as(MapResult).dice or 0.0

    chosen = [row for row in rows if row.is_ng or row.outcome != "OK"]
    return sorted(sorted(chosen, key=lambda row: row.id), key=badness)


def worst_cases(
    rows: Sequence[ImageResult],
    show: plots.Show,
    *,
    count: int = 8,
    classes: Sequence[str] = ("defect",),
) -> "Figure":
    """Return the worst images as outlines: escapes, overkills, reviews, then the lowest Dice.

    Where a record has a template, it stands left of its image.

    Args:
        rows: of `evaluation.inspect_records`.
        show: gives image, labels and verdict of an id; called for the shown ones only.
        count: how many at most.
        classes: names of the class ids 1, 2, ...

    Raises:
        errors.DataError: no image is defective and every one is OK: nothing went wrong.
    """
    worst = _by_badness(rows)
    if not worst:
        raise errors.DataError(
            f"Worst cases need a defect or a verdict that is not OK. Got {len(rows)} good images, "
            "all OK. Choose a split that holds defective images."
        )
    chosen = worst[:count]
    cases = [_outlines(row, show(row.id), classes) for row in chosen]
    which = "; left: template" if any(case.template is not None for case in cases) else ""
    title = f"The worst {len(chosen)} of {curves.counted(rows)}{which}"
    return plots.outlined(cases, classes=classes, title=title)


def _outlines(row: ImageResult, look: evaluation.Look, classes: Sequence[str]) -> plots.Outlined:
    return plots.Outlined(
        image=look.image,
        mask_found=look.verdict.class_mask(),
        mask_true=look.labels_as(MaskLabels).ids,
        template=look.template,
        heading=_heading(row, look.verdict, classes),
    )


def _heading(row: ImageResult, verdict: decision.Verdict, classes: Sequence[str]) -> str:
    """Return two lines over a picture; three short ones where there is more to tell."""
    result = row.result_as(MapResult)
    image = curves.short(row.id, longest=_LONGEST_ID)
    dice = "" if result.dice is None else f", Dice {result.dice:.2f}"
    stop = examples.stop_of(verdict)
    score = (curves.plain(stop) or f"score {row.score:.3f}") + dice
    if len(classes) == 1:
        what = row.error or ("defective" if row.is_ng else "good")
        return f"{image}\n{what}: {row.outcome}" + ("\n" if stop else ", ") + score
    truth = (
        curves.short(row.true_class or "defective", longest=_LONGEST_CLASS) if row.is_ng else "good"
    )
    found = (
        f" as {curves.short(name, longest=_LONGEST_CLASS)}"
        if (name := result.found_class(classes))
        else ""
    )
    error = f" ({row.error})" if row.error else ""
    return f"{image}\n{truth}: {row.outcome}{found}{error}\n{score}"


def confusion(rows: Sequence[ImageResult], classes: Sequence[str]) -> "Figure":
    """Return how images of each class were judged: of the class with most found pixels.

    Args:
        rows: of `evaluation.inspect_records`; at least one.
        classes: names of the class ids 1, 2, ...

    Raises:
        errors.DataError: there is no row.
    """
    found = [row.result_as(MapResult).found_class(classes) for row in rows]
    return plots.confusion(rows, classes, found_classes=found)
