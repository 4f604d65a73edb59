"""Pictures of fields and their corners."""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import ArrayLike

from inspection_tf import errors, images
from inspection_tf.images import Image, geometry
from inspection_tf.plots import curves, examples, overlays
from inspection_tf.plots.overlays import Colour

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

_COLUMNS = 4
_CELL_IN = 3.2
_LONGEST_CAPTION = 50  # letters


@dataclass(frozen=True, slots=True)
class Located:
    """A photo with the corners of its field.

    Attributes:
        image: (H, W) or (H, W, 3) RGB, uint8 or uint16.
        found_xy: (4, 2) px: top left, top right, bottom right, bottom left, or (1, 2): one of them;
            None: none were found.
        true_xy: likewise, the truth; None: there is no field, or it is not known.
        caption: over the picture.
    """

    image: Image
    found_xy: ArrayLike | None
    true_xy: ArrayLike | None = None
    caption: str = ""


def _line(axes: "Axes", corners: ArrayLike, rgb: Colour, width: float) -> None:
    """Draw a quadrilateral, with a dot on its top left corner; or one corner."""
    colour = (rgb[0] / 255, rgb[1] / 255, rgb[2] / 255)
    points = np.asarray(corners)
    if len(points) == 1:
        axes.plot(*points[0], "+", color=colour, markersize=6 * width, markeredgewidth=width)
        return
    around = geometry.check_corners(points)[[0, 1, 2, 3, 0]]
    axes.plot(around[:, 0], around[:, 1], color=colour, linewidth=width)
    axes.plot(*around[0], "o", color=colour, markersize=1.6 * width + 1)


def located(samples: Sequence[Located], *, title: str = "") -> "Figure":
    """Return a grid of photos: the field that was found in orange, over the truth in sky blue.

    A dot marks the top left corner of the text.

    Args:
        samples: at least one; corners that are not finite are left out.
        title: above them all.

    Raises:
        errors.DataError: there is no sample.
    """
    if not samples:
        raise errors.DataError("A grid needs at least one photo. Got none. Give some.")
    columns = min(_COLUMNS, len(samples))
    rows = math.ceil(len(samples) / columns)
    ratio = max(examples.height_ratio(sample.image) for sample in samples)
    figure = curves.new(columns * _CELL_IN, rows * (_CELL_IN * ratio + 0.3) + 0.5)
    cells = figure.subplots(rows, columns, squeeze=False).ravel()
    for axes in cells[len(samples) :]:
        axes.set_axis_off()
    for axes, sample in zip(cells, samples, strict=False):
        picture = images.to_uint8(images.read(sample.image))
        examples.show_picture(axes, picture)
        axes.set_title(curves.plain(sample.caption, longest=_LONGEST_CAPTION), fontsize=9)
        for corners, rgb, width in (
            (sample.true_xy, overlays.TRUTH_RGB, 2.5),
            (sample.found_xy, overlays.FOUND_RGB, 1.2),
        ):
            if corners is not None and np.isfinite(corners).all():
                _line(axes, corners, rgb, width)
        height, wide = picture.shape[:2]
        axes.set(xlim=(-0.5, wide - 0.5), ylim=(height - 0.5, -0.5))
    if any(sample.found_xy is not None for sample in samples):
        with_truth = any(sample.true_xy is not None for sample in samples)
        examples.outline_legend(figure, ("field",), with_truth=with_truth)
    if title:
        figure.suptitle(curves.plain(title), fontsize=12)
    return figure


def corner_errors(errors_relative: Sequence[Sequence[float] | None]) -> "Figure":
    """Return the share of corners that lie within a distance, as a curve.

    Args:
        errors_relative: of each image how far each of its corners is from the true one, in shares
            of the image's width; None where it shows no field. At least one shows one.

    Raises:
        errors.DataError: no image shows a field.
    """
    with_field = [distances for distances in errors_relative if distances is not None]
    if not with_field:
        raise errors.DataError(
            f"Errors of corners need an image with a field. Got {len(errors_relative)} without. "
            "Choose other images."
        )
    off = np.sort([100 * distance for distances in with_field for distance in distances])
    figure = curves.new(5.2, 3.8)
    axes = figure.subplots()
    axes.plot(np.maximum(off, 1e-3), np.arange(1, len(off) + 1) / len(off), color="#0072B2")
    for share, name in ((0.5, "median"), (0.95, "95 %")):
        value = float(np.quantile(off, share, method="inverted_cdf"))
        axes.axvline(value, color="0.6", linewidth=1)
        axes.annotate(f"{name}: {value:.2f} %", (value, 0.03 + 0.07 * (share > 0.9)), fontsize=9)
    axes.set(
        xscale="log",
        xlabel="distance from the true corner, % of the image's width",
        ylabel="share of corners",
        ylim=(0, 1.02),
        title=f"{len(with_field)} images with a field, {len(off)} corners",
    )
    axes.grid(alpha=0.3)
    return figure
