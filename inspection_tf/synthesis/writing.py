"""Text on a page: outline fonts that come with matplotlib, drawn by Pillow."""

import functools
import math
from pathlib import Path
from typing import TYPE_CHECKING, Literal

import numpy as np
from numpy.typing import NDArray

if TYPE_CHECKING:
    from PIL import ImageFont

FontName = Literal[
    "sans", "sans_bold", "mono", "mono_bold", "serif", "serif_bold",
    "stix", "stix_bold", "modern", "modern_sans", "typewriter",
]  # fmt: skip
FILES: dict[FontName, str] = {
    "sans": "DejaVuSans",
    "sans_bold": "DejaVuSans-Bold",
    "mono": "DejaVuSansMono",
    "mono_bold": "DejaVuSansMono-Bold",
    "serif": "DejaVuSerif",
    "serif_bold": "DejaVuSerif-Bold",
    "stix": "STIXGeneral",
    "stix_bold": "STIXGeneralBol",
    "modern": "cmb10",
    "modern_sans": "cmss10",
    "typewriter": "cmtt10",
}
# Ink of capitals over the size that a font is asked for; the exact box is measured all the same.
_CAPITAL = 0.72
_ROOM_PX = 4  # beside a text, for ink that hangs over
Box = tuple[float, float, float, float]


@functools.lru_cache(maxsize=256)
def _font(name: FontName, size: int) -> "ImageFont.FreeTypeFont":
    import matplotlib
    from PIL import ImageFont

    file = Path(matplotlib.get_data_path()) / "fonts" / "ttf" / f"{FILES[name]}.ttf"
    return ImageFont.truetype(str(file), size, layout_engine=ImageFont.Layout.BASIC)


class Page:
    """A page of paper that is written on. Lengths are in mm; pixels are `unit` to the mm."""

    def __init__(
        self, size_mm: tuple[float, float], unit: float, paper: tuple[int, int, int]
    ) -> None:
        """Begin an empty page of (height, width), in the colour (R, G, B) of the paper."""
        from PIL import Image, ImageDraw

        height, width = (max(8, round(side * unit)) for side in size_mm)
        self._image = Image.new("RGB", (width, height), paper)
        self._draw = ImageDraw.Draw(self._image)
        self.unit = unit
        self.size = (height, width)

    def write(
        self,
        xy: tuple[float, float],
        text: str,
        font: FontName,
        *,
        height: float,
        ink: tuple[int, int, int],
    ) -> Box:
        """Write capitals of a height from (x, y), the top left corner of the text's ink, mm.

        Returns:
            (x0, y0, x1, y1): the borders of the ink, px; 0, 0 is the centre of the first pixel.
        """
        from PIL import Image, ImageDraw

        outlines = _font(font, max(4, round(height * self.unit / _CAPITAL)))
        # What Pillow calls the box of a text begins at the pen, not at the ink.
        _, _, right, bottom = outlines.getbbox(text)
        size = math.ceil(right) + 2 * _ROOM_PX, math.ceil(bottom) + 2 * _ROOM_PX
        mask = Image.new("L", size)
        ImageDraw.Draw(mask).text((_ROOM_PX, _ROOM_PX), text, fill=255, font=outlines)
        is_ink = np.asarray(mask) >= 128
        columns, rows = np.flatnonzero(is_ink.any(axis=0)), np.flatnonzero(is_ink.any(axis=1))
        if not len(rows):
            return (*xy, *xy)
        x0, y0 = (round(value * self.unit) for value in xy)
        left, top = int(columns[0]), int(rows[0])
        self._image.paste(ink, (x0 - left, y0 - top), mask)
        x1, y1 = x0 - left + int(columns[-1]), y0 - top + int(rows[-1])
        return (x0 - 0.5, y0 - 0.5, x1 + 0.5, y1 + 0.5)

    def measure(self, text: str, font: FontName, *, height: float) -> float:
        """Return how wide a text is, mm."""
        left, _, right, _ = _font(font, max(4, round(height * self.unit / _CAPITAL))).getbbox(text)
        return float(right - left) / self.unit

    def box(
        self,
        box_mm: Box,
        *,
        line: tuple[int, int, int] | None = None,
        fill: tuple[int, int, int] | None = None,
    ) -> None:
        """Draw a rectangle (x0, y0, x1, y1), mm."""
        x0, y0, x1, y1 = (round(value * self.unit) for value in box_mm)
        if x1 >= x0 and y1 >= y0:
            self._draw.rectangle((x0, y0, x1, y1), outline=line, fill=fill)

    def array(self) -> NDArray[np.uint8]:
        """Return (H, W, 3) uint8 RGB."""
        return np.array(self._image)

    def paste(self, image: NDArray[np.uint8]) -> None:
        """Replace the whole page by (H, W, 3) uint8 of its size."""
        from PIL import Image, ImageDraw

        self._image = Image.fromarray(image)
        self._draw = ImageDraw.Draw(self._image)
