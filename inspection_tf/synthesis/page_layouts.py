"""Layouts of made-up certificates: no real document's, and nobody's data.

A layout follows from its number: size and colours of the paper, the guilloche under the text, a
title, and a grid of ruled cells, each with a code, a small caption and a value. The number field
is the cell with the code "A" on a dark square and the largest text; everything else varies.
"""

import dataclasses
import math
from typing import NamedTuple

import cv2
import numpy as np
from numpy.typing import NDArray

from inspection_tf.synthesis.writing import Box, FontName, Page

Colour = tuple[int, int, int]
LETTERS = "ABCDEFGHIKLMNOPRSTUVWXYZ"  # none with ink under the line
_SYLLABLES = (
    "ta",
    "vo",
    "ri",
    "len",
    "ka",
    "mo",
    "ser",
    "ni",
    "du",
    "pel",
    "os",
    "gra",
    "tin",
    "e",
)
_STAMP_INKS = ((40, 60, 160), (160, 40, 60), (60, 60, 60), (30, 110, 80))


class Cell(NamedTuple):
    """A ruled cell: (x0, y0, x1, y1) in mm, and its code."""

    box: Box
    code: str


@dataclasses.dataclass(frozen=True, slots=True)
class Layout:
    """What all certificates of one layout share; lengths in mm, (height, width)."""

    number: int
    size: tuple[float, float]
    paper: Colour
    line: Colour
    ink: Colour
    wave: tuple[float, float, float, float]
    title: str
    cells: tuple[Cell, ...]
    field: int
    """Index of the number field among the cells."""
    text_mm: float
    """Height of the capitals of values; captions are smaller, the number is larger."""
    number_mm: float
    ruled_share: float
    stamps: tuple[tuple[float, float, float], ...]
    """x, y and radius."""


def words(rng: np.random.Generator, count: int) -> str:
    """Return words of no language."""
    made = ("".join(rng.choice(_SYLLABLES, int(rng.integers(2, 4)))) for _ in range(count))
    return " ".join(made)


def layout(number: int) -> Layout:
    """Return the layout of a number; two numbers share nothing but the rules above."""
    rng = np.random.default_rng([0x1A1, number])
    aspect = float(rng.choice([0.7, 0.72, 1.0, 1.35, 1.42, 1.58])) * rng.uniform(0.95, 1.05)
    width = 150.0 * min(1.0, aspect)
    height = width / aspect
    tint = rng.uniform(0.86, 1.0, 3)
    paper = (rng.uniform(215, 250) * tint).astype(int)
    cells, field = _cells(rng, height, width)
    box = cells[field].box
    return Layout(
        number=number,
        size=(height, width),
        paper=_colour(paper),
        line=_colour(paper * rng.uniform(0.55, 0.85, 3)),
        ink=_colour(rng.uniform(10, 60, 3)),
        wave=(rng.uniform(6, 40), rng.uniform(1, 8), rng.uniform(1.5, 4), rng.uniform(0.5, 2.5)),
        title=words(rng, int(rng.integers(2, 4))).upper(),
        cells=cells,
        field=field,
        text_mm=float(rng.uniform(2.2, 2.8)),
        number_mm=float(min(rng.uniform(4.6, 6.0), 0.5 * (box[3] - box[1]))),
        ruled_share=float(rng.choice([0.0, 0.5, 1.0])),
        stamps=tuple(
            (rng.uniform(0.1, 0.9) * width, rng.uniform(0.3, 0.95) * height, rng.uniform(6, 14))
            for _ in range(int(rng.integers(0, 3)))
        ),
    )


def _colour(values: NDArray[np.floating]) -> Colour:
    red, green, blue = (int(value) for value in np.clip(values, 0, 255))
    return red, green, blue


def _cells(rng: np.random.Generator, height: float, width: float) -> tuple[tuple[Cell, ...], int]:
    """Divide the page into rows, and rows into cells; one of them is wide and high enough."""
    edge = rng.uniform(4, 8)
    y = edge + rng.uniform(10, 16)  # under the title
    rows: list[float] = []
    while y + sum(rows) < height - edge - 9:
        rows.append(float(rng.uniform(8, 11)))
    chosen = int(rng.integers(0, max(1, math.ceil(len(rows) * 0.7))))
    rows[chosen] = float(rng.uniform(12, 14))
    cells: list[Cell] = []
    field = 0
    code = 0
    for row, depth in enumerate(rows):
        if y + depth > height - edge:
            break
        columns = int(rng.integers(1, 3 if width < 120 else 4))
        if row == chosen:
            columns = min(columns, max(1, int((width - 2 * edge) // 66)))
        widths = (width - 2 * edge) * rng.dirichlet(np.full(columns, 12.0))
        at = int(rng.integers(columns)) if row == chosen else -1
        if at >= 0 and widths[at] < 62 and columns > 1:
            widths[:] = (width - 2 * edge - 62) / (columns - 1)
            widths[at] = 62
        x = edge
        for column, wide in enumerate(widths):
            code += 1
            name = f"{LETTERS[1 + code // 4 % 20]}.{1 + code % 4}"
            if column == at:
                field, name = len(cells), "A"
            cells.append(Cell((x, y, x + float(wide), y + depth), name))
            x += float(wide)
        y += depth
    return tuple(cells), field


def draw(
    rng: np.random.Generator,
    chosen: Layout,
    *,
    fonts: tuple[FontName, ...],
    unit: float,
    has_field: bool,
    number: str,
) -> tuple[NDArray[np.uint8], Box | None]:
    """Draw one certificate.

    Args:
        rng: source of what is written.
        chosen: its layout.
        fonts: to draw from.
        unit: pixels to the mm.
        has_field: False: of one kind in two the field is left blank, of the other it is a cell like
            all others.
        number: text of the field.

    Returns:
        The page, (h, w, 3) uint8 RGB, and the border of the number's ink (x0, y0, x1, y1) px, or
        None.
    """
    page = Page(chosen.size, unit, chosen.paper)
    _guilloche(rng, page, chosen)
    title, caption, value, big = (fonts[int(at)] for at in rng.integers(len(fonts), size=4))
    page.write((6.0, 5.0), chosen.title, title, height=4.0, ink=chosen.line)
    is_blank = not has_field and rng.random() < 0.5
    box = None
    for place, cell in enumerate(chosen.cells):
        is_field = place == chosen.field and (has_field or is_blank)
        if is_field or rng.random() < chosen.ruled_share:
            page.box(cell.box, line=chosen.line)
        x0, y0, _, y1 = cell.box
        small = 0.55 * chosen.text_mm
        page.write((x0 + 8, y0 + 0.9), words(rng, 2), caption, height=small, ink=chosen.line)
        if is_field:
            page.box((x0 + 0.8, y0 + 0.8, x0 + 7, y1 - 0.8), fill=chosen.ink)
            page.write((x0 + 2.4, y0 + 3.4), "A", "sans_bold", height=4.2, ink=chosen.paper)
            if not is_blank:
                at = (x0 + 9.5, y1 - 1.6 - chosen.number_mm)
                box = page.write(at, number, big, height=chosen.number_mm, ink=chosen.ink)
            continue
        page.write((x0 + 0.8, y0 + 2), cell.code, caption, height=small * 1.3, ink=chosen.line)
        if rng.random() < 0.85:
            _write_value(rng, page, cell, value, chosen)
    for x, y, radius in chosen.stamps:
        _stamp(rng, page, (x, y), radius, None if box is None else chosen.cells[chosen.field].box)
    return page.array(), box


def _write_value(
    rng: np.random.Generator, page: Page, cell: Cell, font: FontName, chosen: Layout
) -> None:
    kind = int(rng.integers(4))
    digits = "".join(str(digit) for digit in rng.integers(0, 10, int(rng.integers(3, 9))))
    day = f"{rng.integers(1, 29):02d}.{rng.integers(1, 13):02d}.{rng.integers(1960, 2030)}"
    text = (digits, day, words(rng, 1).upper(), words(rng, 2).title())[kind]
    x0, y0, x1, y1 = cell.box
    while text and page.measure(text, font, height=chosen.text_mm) > x1 - x0 - 9.5:
        text = text[:-1]
    if text:
        at = (x0 + 8.5, min(y0 + 4.4, y1 - chosen.text_mm - 0.6))
        page.write(at, text, font, height=chosen.text_mm, ink=chosen.ink)


def _guilloche(rng: np.random.Generator, page: Page, chosen: Layout) -> None:
    """Draw interwoven waves under the text: the fine print that makes copying hard."""
    image = page.array()
    height, width = image.shape[:2]
    period, swing, gap, beat = (value * page.unit for value in chosen.wave)
    pale = np.asarray(chosen.line) * 0.4 + np.asarray(chosen.paper) * 0.6
    x = np.arange(-8.0, width + 8.0, max(2.0, period / 12))
    phase = rng.uniform(0, 2 * math.pi)
    base = swing * np.sin(2 * math.pi * x / period + phase)
    slow = swing * np.sin(2 * math.pi * x / (period * 3.7))
    for number, y in enumerate(np.arange(-2 * swing, height + 2 * swing, max(gap, 3.0))):
        wave = y + base * math.cos(number * beat / 7) + slow * math.sin(number * beat / 5)
        points = np.round(np.column_stack([x, wave]) * 16).astype(np.int32)
        cv2.polylines(image, [points[:, None]], False, pale.tolist(), 1, cv2.LINE_AA, shift=4)
    page.paste(image)


def _stamp(
    rng: np.random.Generator,
    page: Page,
    xy: tuple[float, float],
    radius: float,
    number_box: Box | None,
) -> None:
    """Press a round stamp on the page, beside the number and not over it."""
    image = page.array()
    centre = np.array(xy) * page.unit
    if number_box is not None and number_box[1] - radius < xy[1] < number_box[3] + radius:
        centre[1] = (number_box[3] + radius + 1) * page.unit
    ink = np.asarray(_STAMP_INKS[int(rng.integers(len(_STAMP_INKS)))], float)
    layer = np.zeros(image.shape[:2], np.float32)
    middle = tuple(np.round(centre * 16).astype(int).tolist())
    thick = max(1, round(0.4 * page.unit))
    for share in (1.0, 0.7):
        size = round(radius * share * page.unit * 16)
        cv2.circle(layer, middle, size, 1.0, thick, cv2.LINE_AA, shift=4)
    for angle in np.arange(0, 2 * math.pi, 0.5):
        along = np.array([math.cos(angle), math.sin(angle)]) * radius * page.unit
        ends = [np.round((centre + along * share) * 16).astype(int) for share in (0.76, 0.92)]
        cv2.line(layer, ends[0].tolist(), ends[1].tolist(), 1.0, thick, cv2.LINE_AA, shift=4)
    layer *= np.float32(rng.uniform(0.3, 0.7))
    page.paste(np.rint(image + layer[..., None] * (ink - image)).astype(np.uint8))
