"""Images with outlines of what is true and what was found, one beside the other."""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from inspection_tf import errors
from inspection_tf.images import Image
from inspection_tf.plots import curves, examples, overlays
from inspection_tf.plots.overlays import Mask

if TYPE_CHECKING:
    from matplotlib.figure import Figure

_WIDE = 1.8  # pictures over this width / height are shown larger, two in a row


@dataclass(frozen=True, slots=True)
class Outlined:
    """An image and the masks that are outlined on it.

    Attributes:
        image: (H, W) or (H, W, 3) RGB, uint8 or uint16.
        mask_found: (H, W), bool or class ids.
        mask_true: (H, W), bool or class ids; None where the truth is unknown.
        template: (H, W) or (H, W, 3) RGB, shown left of the image.
        heading: over the picture, lines as `curves.plain` returns them.
    """

    image: Image
    mask_found: Mask
    mask_true: Mask | None = None
    template: Image | None = None
    heading: str = ""

    def picture(self, *, by_class: bool) -> NDArray[np.uint8]:
        """Return it as pixels, its template left of it; by class, colours tell classes apart."""
        zoom = examples.zoom_of(self.image)
        picture = overlays.overlay(
            self.image, self.mask_found, self.mask_true, zoom=zoom, by_class=by_class
        )
        if self.template is None:
            return picture
        return overlays.beside(self.template, picture, zoom=zoom)


def outlined(
    cases: Sequence[Outlined], *, classes: Sequence[str] = ("defect",), title: str = ""
) -> "Figure":
    """Return images with the outlines of what is true and of what was found.

    Args:
        cases: at least one; a few, as each takes room.
        classes: names of the class ids 1, 2, ...
        title: above them all.

    Raises:
        errors.DataError: there is no image, or a mask has another size than its image.
    """
    if not cases:
        raise errors.DataError("Outlines need at least one image. Got none. Give some images.")
    pictures = [case.picture(by_class=len(classes) > 1) for case in cases]
    is_wide = max(picture.shape[1] / picture.shape[0] for picture in pictures) > _WIDE
    columns = min(2 if is_wide else 4, len(cases))
    width_in = 5.2 if is_wide else 2.9
    lines = max(case.heading.count("\n") for case in cases)
    heights_in = [0.3 + 0.15 * lines] * math.ceil(len(cases) / columns)
    for line in range(len(heights_in)):
        beside = pictures[line * columns : (line + 1) * columns]
        heights_in[line] += width_in * max(map(examples.height_ratio, beside))
    figure = curves.new(width_in * columns, sum(heights_in) + 0.7)
    cells = figure.add_gridspec(len(heights_in), columns, height_ratios=heights_in)
    for index, (case, picture) in enumerate(zip(cases, pictures, strict=True)):
        axes = figure.add_subplot(cells[divmod(index, columns)])
        examples.show_picture(axes, picture)
        axes.set_title(case.heading, fontsize=9)
        axes.set_anchor("N")
    with_truth = any(case.mask_true is not None for case in cases)
    examples.outline_legend(figure, classes, with_truth=with_truth)
    if title:
        figure.suptitle(curves.plain(title), fontsize=12)
    return figure
