"""The XML files of Pascal VOC, read or refused with file and line.

Of a file count `size` and, of each `object`, `name` and `bndbox`; what else tools write is left
alone, `filename` too: a file is about the image of its own name. A document type is refused before
anything in it is declared, so that no entity can grow or lead to another file.

Source: Everingham et al. 2010, "The Pascal visual object classes (VOC) challenge".
"""

import dataclasses
import math
from collections.abc import Mapping
from pathlib import Path
from xml.parsers import expat

from inspection_tf import errors, files, images
from inspection_tf.datasets import tables
from inspection_tf.datasets.readers.voc.boxes import NamedBox

SUFFIX = ".xml"
_ROOT = "annotation"
_EDGES = ("xmin", "ymin", "xmax", "ymax")
_OF_OBJECT: dict[tuple[str, ...], str] = {
    (_ROOT, "object", "name"): "name",
    **{(_ROOT, "object", "bndbox", edge): edge for edge in _EDGES},
}
_OF_SIZE: dict[tuple[str, ...], str] = {(_ROOT, "size", side): side for side in ("width", "height")}


@dataclasses.dataclass(frozen=True, slots=True)
class _Value:
    """The text of an element, and the line that it ends in."""

    text: str
    line: int


class _Document:
    """What of a file counts, collected while it is parsed."""

    def __init__(self, path: Path) -> None:
        """Read a file.

        Raises:
            errors.DataError: it cannot be read, or is no annotation.
        """
        self.path = path
        self.size: dict[str, _Value] = {}
        self.objects: list[tuple[int, dict[str, _Value]]] = []
        self._place: list[str] = []
        self._text = ""
        try:
            self._data = path.read_bytes()
        except OSError as problem:
            raise errors.DataError(
                f"{path} must be a readable file. Got: {problem.strerror}. Restore it."
            ) from problem
        self._parser = expat.ParserCreate()
        self._parser.buffer_text = True
        self._parser.StartDoctypeDeclHandler = self._refuse_doctype
        self._parser.StartElementHandler = self._start
        self._parser.EndElementHandler = self._end
        self._parser.CharacterDataHandler = self._hear
        try:
            self._parser.Parse(self._data, True)
        except (expat.ExpatError, ValueError) as problem:
            line = getattr(problem, "lineno", 1)
            raise errors.DataError(
                f"{self.where(line)}: an annotation must be XML. Got {self.line(line)}: {problem}. "
                "Export it again."
            ) from None

    def where(self, line: int) -> str:
        """Return file and line, for messages."""
        return f"{self.path}, line {line}"

    def line(self, number: int) -> str:
        """Return what a message shows of a line."""
        lines = self._data.decode("utf-8", errors="replace").splitlines()
        return tables.shown(lines[number - 1].strip() if number <= len(lines) else "")

    def _here(self) -> tuple[str, str]:
        line = self._parser.CurrentLineNumber
        return self.where(line), self.line(line)

    def _refuse_doctype(self, *_: object) -> None:
        where, line = self._here()
        raise errors.DataError(
            f"{where}: an annotation must have no document type, which could hold entities. "
            f"Got {line}. Remove it."
        )

    def _start(self, name: str, _: Mapping[str, str]) -> None:
        self._place.append(name)
        self._text = ""
        if self._place[0] != _ROOT:
            where, line = self._here()
            raise errors.DataError(
                f"{where}: an annotation of Pascal VOC must begin with <{_ROOT}>. Got {line}. "
                "Move it out of the data set, or export it again."
            )
        if self._place == [_ROOT, "object"]:
            self.objects.append((self._parser.CurrentLineNumber, {}))

    def _hear(self, text: str) -> None:
        self._text += text

    def _end(self, _: str) -> None:
        place = tuple(self._place)
        value = _Value(self._text.strip(), self._parser.CurrentLineNumber)
        if place in _OF_OBJECT:
            self.objects[-1][1].setdefault(_OF_OBJECT[place], value)
        elif place in _OF_SIZE:
            self.size.setdefault(_OF_SIZE[place], value)
        self._place.pop()
        self._text = ""

    def number(self, name: str, value: _Value) -> float:
        """Return a number.

        Raises:
            errors.DataError: it is none.
        """
        try:
            found = float(value.text.replace("_", "no digit"))
        except ValueError:
            found = math.nan
        if not math.isfinite(found):
            raise errors.DataError(
                f"{self.where(value.line)}: {name} must be a number, px. "
                f"Got {self.line(value.line)}. Correct it."
            )
        return found


def read(path: Path, image_path: Path, *, one_based: bool = False) -> tuple[NamedBox, ...]:
    """Return the boxes of an annotation, in the order of the file.

    Args:
        path: the XML file.
        image_path: its image, whose header is read.
        one_based: coordinates count pixels from 1 and `xmax` is the last one inside, as the
            original devkit has it; else they are edges, from 0, as most tools write them.

    Raises:
        errors.DataError: it is no annotation, is of an image of another size, or a box has no area
            or lies outside; with file and line.
        errors.ImageError: the image cannot be read.
    """
    document = _Document(path)
    height, width = images.read_size(image_path, orientation="apply")
    _require_size(document, (width, height))
    return tuple(
        _box(document, line, values, (width, height), one_based)
        for line, values in document.objects
    )


def _require_size(document: _Document, image_wh: tuple[int, int]) -> None:
    if not document.size:  # some tools write none
        return
    line = max(value.line for value in document.size.values())
    stated = [
        document.number(side, document.size.get(side, _Value("", line)))
        for side in ("width", "height")
    ]
    if tuple(stated) != image_wh:
        turned = tuple(reversed(stated)) == image_wh
        cause = ", as if the image was not turned by its orientation" if turned else ""
        raise errors.DataError(
            f"{document.where(line)}: the size must be that of the image, {image_wh[0]} x "
            f"{image_wh[1]} px (width x height). Got {stated[0]:g} x {stated[1]:g}{cause}. "
            "Annotate the image again, or scale its boxes with it."
        )


def _box(
    document: _Document,
    line: int,
    values: Mapping[str, _Value],
    image_wh: tuple[int, int],
    one_based: bool,
) -> NamedBox:
    missing = [name for name in ("name", *_EDGES) if not values.get(name, _Value("", 0)).text]
    if missing:
        raise errors.DataError(
            f"{document.where(line)}: an object must have a name, and a bndbox with "
            f"{', '.join(_EDGES)}. Got {document.line(line)} without {missing[0]}. Complete it, or "
            "remove the object."
        )
    stated = [document.number(edge, values[edge]) for edge in _EDGES]
    first = 1 if one_based else 0
    x0, y0, x1, y1 = stated[0] - first, stated[1] - first, stated[2], stated[3]
    where = document.where(max(values[edge].line for edge in _EDGES))
    given = ", ".join(f"{edge} {value:g}" for edge, value in zip(_EDGES, stated, strict=True))
    if not (x0 < x1 and y0 < y1):
        raise errors.DataError(
            f"{where}: a box must have an area. Got {given}. Correct it, or remove the object."
        )
    if not (x0 >= 0 and y0 >= 0 and x1 <= image_wh[0] and y1 <= image_wh[1]):
        count = "count from 1" if one_based else "count from 0"
        raise errors.DataError(
            f"{where}: a box must lie inside the image of {image_wh[0]} x {image_wh[1]} px, whose "
            f"pixels {count} (data.one_based). Got {given}. Correct it."
        )
    return NamedBox(files.composed(values["name"].text), (x0, y0, x1, y1))
