"""Photos of printed grids of numbers, with the corners of the grid that fills the photo.

A page of a puzzle book or a newspaper: one grid of N x N cells with strong lines around its blocks,
other grids, headings and columns of text around it. All of it is drawn, none of it copied.

**Label rule.** The corners are those of the outermost edges of the grid's frame: top left, top
right, bottom right, bottom left as they lie on the page.
"""

import dataclasses
import math
from typing import Annotated, get_args

import numpy as np
import pydantic
from numpy.typing import NDArray

from inspection_tf import config
from inspection_tf.synthesis import certificate
from inspection_tf.synthesis.photo import Photo, PhotoSpec
from inspection_tf.synthesis.surface import Share
from inspection_tf.synthesis.writing import FontName, Page

Colour = tuple[int, int, int]
_FONTS: tuple[FontName, ...] = ("sans", "sans_bold", "mono", "serif", "serif_bold", "stix")
_WORDS = "abcdefghiklmnoprstuv"


class GridSpec(config.Section):
    """What printed grids are drawn from."""

    cells: int = pydantic.Field(default=9, ge=2, le=30)
    """Cells along each side."""
    block: int = pydantic.Field(default=3, ge=1, le=30)
    """Cells along each side of a block, between whose borders lines are strong."""
    fonts: Annotated[tuple[FontName, ...], pydantic.Field(min_length=1)] = get_args(FontName)
    """Fonts of the numbers."""
    without_field_share: Share = 0.1
    """Share of photos that do not show a whole grid."""
    portrait_share: Share = 0.25
    """Share of photos whose height and width are swapped."""
    photo: PhotoSpec = PhotoSpec(
        coverage=(1.5, 2.6),
        turned_share=0.0,
        cut_off_share=0.0,
        perspective=0.06,
        blur_px=2.5,
        jpeg_quality=(25, 90),
    )
    """How the page is photographed; it is about twice as large as the grid."""


@dataclasses.dataclass(frozen=True, slots=True)
class _Print:
    """How all grids of a page are printed; lengths in mm."""

    ink: Colour
    digit: Colour
    frame_mm: float
    strong_mm: float
    fine_mm: float
    fine: Colour
    font: FontName
    filled: float
    height: float


def render(rng: np.random.Generator, spec: GridSpec, *, has_field: bool = True) -> Photo:
    """Draw a page with a grid and photograph it.

    Args:
        rng: the only source of randomness.
        spec: what to draw from.
        has_field: whether the photo shows the whole of the grid.
    """
    shot = spec.photo
    if rng.random() < spec.portrait_share:
        shot = shot.model_copy(update={"size": shot.size[::-1]})
    image, corners = page(rng, spec)
    template = certificate.from_template(image, corners)
    return template.render(rng, shot, has_field=has_field)


def page(rng: np.random.Generator, spec: GridSpec) -> tuple[NDArray[np.uint8], NDArray[np.float64]]:
    """Draw a page.

    Args:
        rng: the only source of randomness.
        spec: what to draw from.

    Returns:
        (H, W, 3) uint8 RGB, and the (4, 2) corners of its grid, px.
    """
    unit = 5.0
    height, width = rng.uniform(150, 200), rng.uniform(150, 200)
    tone = rng.uniform(165, 250)
    paper = _mixed(rng, tone, 12)
    sheet = Page((height, width), unit, paper)
    side = rng.uniform(78, 100)
    left = rng.uniform(0.3, 0.7) * (width - side)
    top = rng.uniform(0.3, 0.7) * (height - side)
    style = _style(rng, spec, tone)
    _around(rng, sheet, (left, top, side), (height, width), spec, style)
    x0, y0, x1, y1 = _grid(rng, sheet, (left, top), side, spec, style)
    corners = np.array([[x0, y0], [x1, y0], [x1, y1], [x0, y1]])
    return sheet.array(), corners


def _mixed(rng: np.random.Generator, tone: float, spread: float) -> Colour:
    values = np.clip(tone + rng.uniform(-spread, spread, 3), 0, 255).astype(int)
    return int(values[0]), int(values[1]), int(values[2])


def _style(rng: np.random.Generator, spec: GridSpec, tone: float) -> _Print:
    dark = rng.uniform(5, 90)
    pale = dark + rng.uniform(0, 0.75) * (tone - dark)
    digit = _mixed(rng, dark, 15) if rng.random() < 0.7 else (200, 40, 50)
    return _Print(
        ink=_mixed(rng, dark, 15),
        digit=digit,
        frame_mm=float(rng.uniform(0.3, 1.3)),
        strong_mm=float(rng.uniform(0.3, 1.0)),
        fine_mm=float(rng.uniform(0.2, 0.4)),
        fine=_mixed(rng, pale, 5),
        font=spec.fonts[rng.integers(len(spec.fonts))],
        filled=float(rng.uniform(0.15, 0.7)),
        height=float(rng.uniform(0.4, 0.65)),
    )


def _grid(
    rng: np.random.Generator,
    sheet: Page,
    xy: tuple[float, float],
    side: float,
    spec: GridSpec,
    style: _Print,
) -> tuple[float, float, float, float]:
    """Draw one grid and return the outer edges of its frame, px."""
    left, top = xy
    step = side / spec.cells
    if rng.random() < 0.3:  # some cells are shaded
        for _ in range(int(rng.integers(1, 5))):
            row, column = rng.integers(0, spec.cells, 2)
            x, y = left + column * step, top + row * step
            sheet.box((x, y, x + step, y + step), fill=_mixed(rng, rng.uniform(120, 220), 20))
    height = style.height * step
    for row in range(spec.cells):
        for column in range(spec.cells):
            if rng.random() < style.filled:
                text = str(rng.integers(1, 10))
                wide = sheet.measure(text, style.font, height=height)
                x = left + (column + 0.5) * step - wide / 2
                y = top + (row + 0.5) * step - height / 2
                sheet.write((x, y), text, style.font, height=height, ink=style.digit)
    for number in range(1, spec.cells):
        is_strong = number % spec.block == 0
        half = (style.strong_mm if is_strong else style.fine_mm) / 2
        ink, at = style.ink if is_strong else style.fine, number * step
        sheet.box((left + at - half, top, left + at + half, top + side), fill=ink)
        sheet.box((left, top + at - half, left + side, top + at + half), fill=ink)
    half = style.frame_mm / 2
    x0, y0, x1, y1 = left - half, top - half, left + side + half, top + side + half
    for box in (
        (x0, y0, x1, y0 + 2 * half),
        (x0, y1 - 2 * half, x1, y1),
        (x0, y0, x0 + 2 * half, y1),
        (x1 - 2 * half, y0, x1, y1),
    ):
        sheet.box(box, fill=style.ink)
    # `Page.box` rounds to whole pixels and fills the last one too.
    low_x, low_y, high_x, high_y = (round(value * sheet.unit) for value in (x0, y0, x1, y1))
    return low_x - 0.5, low_y - 0.5, high_x + 0.5, high_y + 0.5


def _around(
    rng: np.random.Generator,
    sheet: Page,
    placed: tuple[float, float, float],
    size: tuple[float, float],
    spec: GridSpec,
    style: _Print,
) -> None:
    """Draw what surrounds the grid: other grids, or columns of text under headings."""
    left, top, side = placed
    gap = rng.uniform(4, 16)
    for across, down in ((-1, 0), (1, 0), (0, -1), (0, 1)):
        x, y = left + across * (side + gap), top + down * (side + gap)
        if rng.random() < 0.45:
            _grid(rng, sheet, (x, y), side, spec, style)
        elif rng.random() < 0.7:
            _text(rng, sheet, (x, y, x + side, y + side), size, style)


def _text(
    rng: np.random.Generator,
    sheet: Page,
    box: tuple[float, float, float, float],
    size: tuple[float, float],
    style: _Print,
) -> None:
    height, width = size
    x0, y0, x1, y1 = max(box[0], 1.0), max(box[1], 1.0), min(box[2], width), min(box[3], height)
    font = _FONTS[rng.integers(len(_FONTS))]
    large, small = rng.uniform(3.5, 8), rng.uniform(1.4, 3.2)
    y, tall = y0, large
    while y + tall < y1 and x1 - x0 > 12:
        letters = max(2, math.floor((x1 - x0) / (0.8 * tall)))
        count = letters if tall == small else max(2, letters // 2)
        text = "".join(rng.choice(list(_WORDS + "   "), min(count, 60)))
        sheet.write((x0, y), text or "a", font, height=tall, ink=style.ink)
        y += tall * 1.7
        tall = small


def draw(index: int, *, seed: int, spec: GridSpec) -> Photo:
    """Draw one photo of a set; it depends on `seed` and `index` alone, not on its neighbours.

    Args:
        index: place in the set, from 0.
        seed: of the whole set.
        spec: what to draw from.
    """
    has_field = not certificate.is_without_field(index, spec.without_field_share)
    return render(np.random.default_rng([seed, index]), spec, has_field=has_field)
