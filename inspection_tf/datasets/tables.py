"""Tables as spreadsheets and scripts write them: read, or refused with file and line.

The text is UTF-8, with or without a byte-order mark, or UTF-16 with one. Lines end as on any
system, and blank ones count for nothing. In a table with a header, columns are parted by commas,
semicolons, tabs or bars, whichever the header has most of; cells may be quoted and then hold
separators, quotes (doubled) and line breaks. Columns without a name at its end must be empty.
"""

import csv
import dataclasses
import io
import os
import re
from collections.abc import Iterator, Sequence
from pathlib import Path

from inspection_tf import errors, files

_SEPARATORS = (",", ";", "\t", "|")
_STATED = re.compile(r"sep=(.)")  # the first line of a table that says how it is parted
_LINE_END = re.compile(r"\r\n|\r|\n")
_UTF_16 = (b"\xff\xfe", b"\xfe\xff")
_WORD = re.compile(r'"([^"]*)"|([^\s,;"]+)')
_SHOWN = 80  # characters of a cell in a message


@dataclasses.dataclass(frozen=True, slots=True)
class Row:
    """A row of a table.

    Attributes:
        where: file and line, for messages.
        cells: by the name of their column, without blanks around them.
    """

    where: str
    cells: dict[str, str]


@dataclasses.dataclass(frozen=True, slots=True)
class Table:
    """A table with a header.

    Attributes:
        where: file and line of the header, for messages.
        header: names of the columns that have one.
        rows: those that are not blank.
    """

    where: str
    header: tuple[str, ...]
    rows: tuple[Row, ...]


def shown(text: str) -> str:
    """Return what a message shows of a cell or a line."""
    return repr(text if len(text) <= _SHOWN else f"{text[:_SHOWN]}...")


def read_text(path: Path) -> str:
    """Return the text of a file, its line ends as they are.

    Raises:
        errors.DataError: it cannot be read, or is no text.
    """
    try:
        data = path.read_bytes()
        encoding = "utf-16" if data.startswith(_UTF_16) else "utf-8-sig"
        text = data.decode(encoding)
    except (OSError, ValueError) as problem:
        if isinstance(problem, UnicodeDecodeError):
            line = 1 + len(_LINE_END.findall(data[: problem.start].decode("latin-1")))
            what = f"bytes that are not UTF-8 in line {line}. Save it as UTF-8."
        else:
            place = "" if path.is_absolute() else f" at {path.absolute()}"
            what = f"{getattr(problem, 'strerror', None) or problem}{place}. Restore it."
        raise errors.DataError(f"{path} must be a readable text file. Got: {what}") from problem
    if "\0" in text:
        line = 1 + len(_LINE_END.findall(text[: text.index("\0")]))
        raise errors.DataError(
            f"{path}, line {line}: a table must be text. Got a NUL character. Save it as UTF-8."
        )
    return text


def read_lines(path: Path) -> list[tuple[int, str]]:
    """Return number and text of each line of a text file that is not blank.

    Raises:
        errors.DataError: it cannot be read, or is no text.
    """
    lines = enumerate(_LINE_END.split(read_text(path)), start=1)
    stripped = ((number, line.strip()) for number, line in lines)
    return [(number, line) for number, line in stripped if line]


def read_names(path: Path) -> list[str]:
    """Return the names that a file lists, one a line: quoted or not, with empty cells after it.

    Raises:
        errors.DataError: it cannot be read, a quote is not closed in its line, or a name stands
            twice.
    """
    first: dict[str, int] = {}
    for number, line in read_lines(path):
        name = line.rstrip("".join(_SEPARATORS)).strip()
        if name.startswith('"'):
            try:
                ((name, *others),) = csv.reader([name], strict=True)
            except (csv.Error, ValueError):
                others = [line]
            if others:
                raise errors.DataError(
                    f"{path}, line {number}: a line must be one name. Got {shown(line)}. "
                    "Close its quotes in the same line, or leave them out."
                )
        if name in first:
            raise errors.DataError(
                f"{path}, line {number}: the names must stand each once. Got {shown(name)} again, "
                f"after line {first[name]}. Remove one of the lines."
            )
        if name:
            first[name] = number
    return list(first)


def words(line: str) -> list[str]:
    """Return what a line without a header holds: parted by blanks, commas, semicolons or tabs.

    Words may be quoted, and empty ones are left out. A line with a quote that is not closed is one
    word.
    """
    if _WORD.sub("", line).strip(" \t,;"):
        return [line]
    return [quoted or plain for quoted, plain in _WORD.findall(line) if quoted or plain]


def _separator(text: str) -> str:
    """Return what parts the columns of a header."""

    def columns(separator: str) -> int:
        try:
            return len(next(csv.reader(io.StringIO(text, newline=""), delimiter=separator)))
        except (csv.Error, StopIteration):
            return 0

    return max(_SEPARATORS, key=columns)  # of equal ones the first


def _records(path: Path) -> Iterator[tuple[int, list[str]]]:
    """Give the line in which each record begins, and its cells, without blank records.

    Raises:
        errors.DataError: the file cannot be read, or its quotes are wrong.
    """
    lines = _LINE_END.split(read_text(path))
    skipped = next((number for number, line in enumerate(lines) if line.strip()), 0)
    stated = _STATED.fullmatch(lines[skipped].strip().strip('"'))
    skipped += 1 if stated else 0
    text = "\n".join(lines[skipped:])
    separator = stated[1] if stated else _separator(text)
    reader = csv.reader(io.StringIO(text, newline=""), delimiter=separator, strict=True)
    line = skipped + 1
    while True:
        try:
            cells = next(reader, None)
        except csv.Error as problem:
            raise errors.DataError(
                f"{path}, line {line}: a row must be readable. Got: {problem}. "
                "Close its quotes and double those within, or shorten its cells."
            ) from None
        if cells is None:
            return
        stripped = [cell.strip() for cell in cells]
        if any(stripped):
            yield line, stripped
        line = skipped + reader.line_num + 1


def read(path: Path, *, needs: str, row_needs: str = "") -> Table:
    """Read a table with a header.

    Args:
        path: the file.
        needs: a header that fits, for messages.
        row_needs: what a row must be, for messages; "": as many columns as the header.

    Raises:
        errors.DataError: it cannot be read, has no header or a column twice, or a row has other
            columns; with the line.
    """
    (first, header), *records = list(_records(path)) or [(1, [""])]
    while len(header) > 1 and not header[-1]:
        header.pop()
    if not any(header):
        raise errors.DataError(
            f"{path}, line {first}: the header must be there; a table must begin with a header such"
            f" as {needs}. Got an empty file. Write one row for each image under it."
        )
    names = [name for name in header if name]
    twice = next((name for name in names if names.count(name) > 1), None)
    if twice is not None:
        raise errors.DataError(
            f"{path}, line {first}: a column must be named once. Got {shown(twice)} twice. "
            "Rename one of them."
        )
    rows = []
    for number, cells in records:
        while len(cells) > len(header) and not cells[-1]:
            cells.pop()
        if len(cells) != len(header):
            wanted = row_needs or f"a row must have {len(header)} columns as the header"
            shape = len(cells) if not row_needs else shown(",".join(cells))
            raise errors.DataError(
                f"{path}, line {number}: {wanted}. Got {shape}. Correct that line; a cell with a "
                "separator in it needs quotes."
            )
        # A column without a name is the index that a script has written.
        named = {name: cell for name, cell in zip(header, cells, strict=True) if name}
        rows.append(Row(f"{path}, line {number}", named))
    return Table(f"{path}, line {first}", tuple(names), tuple(rows))


# Files that a cell names


def _is_file(path: Path) -> bool:
    return os.path.isfile(path)  # noqa: PTH113  a name too long is no file, and no error


def _same_name(folder: Path, name: str) -> Path:
    """Return the member of a folder of that name, composed or decomposed Unicode."""
    wanted = files.composed(name)
    if not name.isascii() and not os.path.exists(folder / name):  # noqa: PTH110
        try:
            members = sorted(folder.iterdir())
        except OSError:
            members = []
        for member in members:
            if files.composed(member.name) == wanted:
                return member
    return folder / name


def find_file(base: Path, text: str) -> Path | None:
    """Return the file that a cell names; None where there is none.

    Args:
        base: the folder that relative names start from.
        text: relative or absolute, with the separators of any system.
    """
    for name in dict.fromkeys((text, text.replace("\\", "/"))):
        path = base
        for part in Path(name).parts:
            path = _same_name(path, part)
        if _is_file(path):
            return path
    return None


def relative_to(path: Path, base: Path) -> Path | None:
    """Return a file's path under a folder; None where it lies elsewhere.

    Args:
        path: of `find_file`.
        base: the folder; relative or absolute, links or not.
    """
    if path.is_relative_to(base):
        return path.relative_to(base)
    for one, other in (
        (os.path.abspath(path), os.path.abspath(base)),  # noqa: PTH100  links stay
        (path.resolve(), base.resolve()),
    ):
        if Path(one).is_relative_to(other):
            return Path(one).relative_to(other)
    return None


def within(row: Row, column: str, path: Path, base: Path) -> Path:
    """Return the path under a folder of the file that a row names.

    Raises:
        errors.DataError: it lies elsewhere.
    """
    found = relative_to(path, base)
    if found is None:
        raise errors.DataError(
            f"{row.where}: each listed file must lie in the folder of the set, "
            f"{os.path.abspath(base)}. Got {shown(row.cells[column])}. "  # noqa: PTH100
            "Move it there and name it from there."
        )
    return found


def require_listed_once(rows: Sequence[tuple[Row, str]]) -> None:
    """Refuse a table that names a file twice.

    Args:
        rows: each with what it names.

    Raises:
        errors.DataError: two rows name one file.
    """
    first: dict[str, str] = {}
    for row, name in rows:
        if name in first:
            raise errors.DataError(
                f"{row.where}: each file must be listed once. Got {shown(name)} again, after "
                f"{first[name]}. Remove one of the rows."
            )
        first[name] = row.where
