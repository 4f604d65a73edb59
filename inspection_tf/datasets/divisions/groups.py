"""Which images show one part: from a table beside them, or from their names.

A split never parts the images of a part, and a promise counts parts. The table is `groups.csv` in
the folder of the set, with the columns `file` and `group`; it names every image. An image that
shows a part of its own gets a group of its own there.
"""

import dataclasses
import re
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path, PurePosixPath

from inspection_tf import errors, files, images
from inspection_tf.datasets import tables
from inspection_tf.datasets.records import Record, Records
from inspection_tf.datasets.sections import group_patterns

CSV_NAME = "groups.csv"
_HEADER = ("file", "group")
_NAMED = "group"  # of an expression's groups, where one is called so


def _id_of(path: PurePosixPath) -> str:
    """Return the id of a file's record: its path without the suffix of an image."""
    is_image = path.suffix.lower() in images.IMAGE_SUFFIXES
    return (path.with_suffix("") if is_image else path).as_posix()


def _listed(row: tables.Row, base: Path) -> PurePosixPath:
    """Return the path, under the folder of the set, of the file that a row names.

    Raises:
        errors.DataError: it lies elsewhere.
    """
    text = row.cells["file"]
    path = Path(text.replace("\\", "/"))
    if path.is_absolute():
        path = tables.within(row, "file", path, base)
    return PurePosixPath(path.as_posix())


def _read(path: Path, id_of: Callable[[PurePosixPath], str]) -> dict[str, tuple[tables.Row, str]]:
    """Return row and group of each id that a table names, in composed Unicode."""
    table = tables.read(
        path, needs=",".join(_HEADER), row_needs="a line must be a file and its group"
    )
    if not set(_HEADER) <= set(table.header):
        raise errors.DataError(
            f"{table.where}: the header must be {','.join(_HEADER)}. "
            f"Got {tables.shown(','.join(table.header))}. Correct it."
        )
    found: dict[str, tuple[tables.Row, str]] = {}
    for row in table.rows:
        file, group = (row.cells[name] for name in _HEADER)
        if not (file and group):
            raise errors.DataError(
                f"{row.where}: a line must be a file and its group. "
                f"Got {tables.shown(','.join((file, group)))}. "
                "Complete it; a part of its own needs a group of its own."
            )
        name = files.composed(id_of(_listed(row, path.parent)))
        group = files.composed(group)
        first, known = found.setdefault(name, (row, group))
        if known != group:
            raise errors.DataError(
                f"{row.where}: a file must be in one group. Got {tables.shown(file)} in a second, "
                f"after {first.where}. Remove one of the lines."
            )
    return found


def from_table(
    found: Sequence[Record],
    base: Path,
    *,
    id_of: Callable[[PurePosixPath], str] = _id_of,
    of_a_part: bool = False,
) -> list[Record]:
    """Return records with the groups of `groups.csv`, or as they are where there is none.

    Args:
        found: the records of a folder.
        base: the folder.
        id_of: from a file's path under the folder to the id of its record.
        of_a_part: the folder may be a part of the set that the table is about.

    Raises:
        errors.DataError: the table leaves an image out, names one that is not there, or is wrong
            otherwise; with the line.
    """
    path = base / CSV_NAME
    if not path.is_file():
        return list(found)
    table = _read(path, id_of)
    ids = [files.composed(record.id) for record in found]
    absent = [] if of_a_part else [row for name, (row, _) in table.items() if name not in set(ids)]
    if absent:
        raise errors.DataError(
            f"{absent[0].where}: each listed image must exist. "
            f"Got {tables.shown(absent[0].cells['file'])}, which is absent; {len(absent)} are. "
            "Name the files from the folder of the table, or remove the rows."
        )
    grouped = []
    for record, name in zip(found, ids, strict=True):
        if name not in table:
            raise errors.DataError(
                f"{path} must name the group of every image. Got none of {record.id}. "
                "Add a line, or remove the table and with it all groups."
            )
        grouped.append(dataclasses.replace(record, group=table[name][1]))
    return grouped


def by_pattern(found: Records, pattern: str) -> Records:
    """Return records in groups by their names.

    Args:
        found: records without groups.
        pattern: a regular expression that is searched for in each id, a path under the root without
            suffix; its group named `group`, or else its first, is the part.

    Raises:
        errors.ConfigError: it is no regular expression or has no group, or the images have groups
            already.
        errors.DataError: an id does not match.
    """
    try:
        expression = group_patterns.compiled(pattern)
    except ValueError as problem:
        raise errors.ConfigError(
            f"A group pattern names the part that an image shows. Got {pattern!r}: {problem}. "
            "Correct it."
        ) from None
    return dataclasses.replace(found, items=tuple(_matched(found, expression)))


def _matched(found: Records, expression: re.Pattern[str]) -> Iterable[Record]:
    key = _NAMED if _NAMED in expression.groupindex else 1
    for record in found:
        if record.group:
            raise errors.ConfigError(
                f"The groups of images come from their data set or from a group pattern. Got both: "
                f"{record.id} of {found.origin} is in group {record.group}. Leave out the pattern, "
                "or remove groups.csv."
            )
        match = expression.search(record.id)
        if match is None or not match[key]:
            raise errors.DataError(
                f"A group pattern must match every image. Got {record.id!r} of {found.origin}, "
                f"which {expression.pattern!r} does not match. Correct the pattern, or write the "
                "groups into groups.csv."
            )
        yield dataclasses.replace(record, group=match[key])
