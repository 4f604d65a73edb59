"""The images with the gravest errors: `plots.worst_cases`."""

import math
from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from inspection_tf import decision, errors, evaluation
from inspection_tf.plots import curves, examples, overlays

if TYPE_CHECKING:
    from matplotlib.figure import Figure

_WIDE = 1.8  # pictures over this width / height are shown larger, two in a row
_LONGEST_ID, _LONGEST_CLASS = 45, 19  # letters over a picture


def worst_rows(rows: Sequence[evaluation.ImageResult]) -> list[evaluation.ImageResult]:
    """Return escapes, then overkills, then reviews, then defective images by their Dice."""

    def badness(row: evaluation.ImageResult) -> tuple[float, ...]:
        if row.error == "escape":
            return 0, row.score
        if row.error == "overkill":
            return 1, -row.score
        if row.outcome == "REVIEW":
            return 2, row.dice or 0.0
        return 3, row.dice or 0.0

    candidates = [row for row in rows if row.is_defect or row.outcome != "OK"]
    return sorted(sorted(candidates, key=lambda row: row.id), key=badness)


def _heading(row: evaluation.ImageResult, verdict: decision.Verdict, classes: Sequence[str]) -> str:
    """Return two lines over a picture; three short ones where there is more to tell."""
    image = curves.short(row.id, longest=_LONGEST_ID)
    dice = "" if row.dice is None else f", Dice {row.dice:.2f}"
    stop = examples.stop_of(verdict)
    score = (curves.plain(stop) or f"score {row.score:.3f}") + dice
    if len(classes) == 1:
        what = row.error or ("defective" if row.is_defect else "good")
        return f"{image}\n{what}: {row.outcome}" + ("\n" if stop else ", ") + score
    truth = (
        curves.short(row.true_class or "defective", longest=_LONGEST_CLASS)
        if row.is_defect
        else "good"
    )
    class_found = (
        f" as {curves.short(name, longest=_LONGEST_CLASS)}"
        if (name := row.found_class(classes))
        else ""
    )
    error = f" ({row.error})" if row.error else ""
    return f"{image}\n{truth}: {row.outcome}{class_found}{error}\n{score}"


def _outlined(
    row: evaluation.ImageResult, inspected: examples.Inspected, classes: Sequence[str]
) -> tuple[str, NDArray[np.uint8]]:
    """Return heading and picture of a row, its template left of it."""
    image, truth, verdict = inspected
    zoom = examples.zoom_of(image)
    found_mask = verdict.class_mask()
    picture = overlays.overlay(image, found_mask, truth, zoom=zoom, by_class=len(classes) > 1)
    template = examples.template_of(inspected)
    if template is not None:
        picture = overlays.beside(template, picture, zoom=zoom)
    return _heading(row, verdict, classes), picture


def worst_cases(
    rows: Sequence[evaluation.ImageResult],
    show: examples.Show,
    *,
    count: int = 8,
    classes: Sequence[str] = ("defect",),
) -> "Figure":
    """Return the worst images as outlines: escapes, overkills, reviews, then the lowest Dice.

    Where a record has a template, it stands left of its image.

    Args:
        rows: of `evaluation.inspect_records`.
        show: gives image, truth and verdict of an id; called for the shown ones only.
        count: how many at most.
        classes: names of the class ids 1, 2, ...

    Raises:
        errors.DataError: no image is defective and every one is OK: nothing went wrong.
    """
    worst = worst_rows(rows)
    if not worst:
        raise errors.DataError(
            f"Worst cases need a defect or a verdict that is not OK. Got {len(rows)} good images, "
            "all OK. Choose a split that holds defective images."
        )
    chosen = worst[:count]
    inspections = [show(row.id) for row in chosen]
    outlined = [
        _outlined(row, inspected, classes)
        for row, inspected in zip(chosen, inspections, strict=True)
    ]
    is_wide = max(picture.shape[1] / picture.shape[0] for _, picture in outlined) > _WIDE
    columns = min(2 if is_wide else 4, len(chosen))
    width_in = 5.2 if is_wide else 2.9
    lines = max(heading.count("\n") for heading, _ in outlined)
    heights_in = [0.3 + 0.15 * lines] * math.ceil(len(outlined) / columns)
    for line in range(len(heights_in)):
        pictures = (picture for _, picture in outlined[line * columns : (line + 1) * columns])
        heights_in[line] += width_in * max(map(examples.height_ratio, pictures))
    figure = curves.new(width_in * columns, sum(heights_in) + 0.7)
    cells = figure.add_gridspec(len(heights_in), columns, height_ratios=heights_in)
    for index, (heading, picture) in enumerate(outlined):
        axes = figure.add_subplot(cells[divmod(index, columns)])
        examples.show_picture(axes, picture)
        axes.set_title(heading, fontsize=9)
        axes.set_anchor("N")
    examples.outline_legend(figure, classes, with_truth=True)
    paired = any(examples.template_of(inspected) is not None for inspected in inspections)
    which = "; left: template" if paired else ""
    figure.suptitle(f"The worst {len(chosen)} of {curves.counted(rows)}{which}", fontsize=12)
    return figure
