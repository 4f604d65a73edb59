"""`inspection predict` where several verdicts are one: of the images of a part, or of bundles."""

import dataclasses
import os
import re
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from inspection_tf import errors, files, process, runtime
from inspection_tf.cli.paths import Item

if TYPE_CHECKING:
    import rich.table

    from inspection_tf import decision

FOLDER = "folder"
"""Instead of a pattern: the images of one folder are a part."""
POSITION = "position"
"""Group of a pattern, and metadata: where in a part, such as a tool head, an image was taken."""


@dataclasses.dataclass(frozen=True, slots=True)
class Setup:
    """What inspects each image of a command, and what is done with its verdict.

    Attributes:
        inspectors: what decides, by the name of its bundle.
        template_of: returns the template of an image; None where it needs none.
        metadata: passed through to every verdict.
        write: writes the pictures of a verdict; takes the number of its bundle, from 0, and the
            image's stem.
        report: tells the user what is wrong with an image, and returns it.
    """

    inspectors: Mapping[str, runtime.Inspector]
    template_of: Callable[[Path], Path | None]
    metadata: Mapping[str, str]
    write: "Callable[[int, str, decision.Verdict], None]"
    report: Callable[[Exception], str]


def load(
    bundles: Sequence[Path], start: Callable[[Path], runtime.Inspector]
) -> dict[str, runtime.Inspector]:
    """Start each bundle; they are called by their folders.

    Args:
        bundles: folders.
        start: loads one.

    Raises:
        errors.ConfigError: a folder comes twice.
    """
    inspectors: dict[str, runtime.Inspector] = {}
    places = set[str]()
    for folder in bundles:
        place = os.path.realpath(folder)
        if place in places:
            raise errors.ConfigError(
                f"Each bundle must be named once. Got {folder} twice. Leave one out."
            )
        places.add(place)
        inspectors[str(folder)] = start(folder)
    return inspectors


def compiled(pattern: str | None) -> re.Pattern[str] | None:
    """Return a `--part` as a regular expression; None where it is `FOLDER`, or nothing.

    Raises:
        errors.ConfigError: it is none, or has no group but that of the position.
    """
    if pattern is None or pattern == FOLDER:
        return None
    try:
        expression = re.compile(pattern)
    except re.error as problem:
        raise errors.ConfigError(
            f"part must be a regular expression, or {FOLDER}. Got {pattern}: {problem}. "
            r"Write for example '(\d+)_cam\d\.png$'."
        ) from problem
    if not expression.groups or expression.groupindex.get(POSITION) == 1:
        raise errors.ConfigError(
            f"part must have a group, which is the name of the part. Got {pattern}. "
            "Put the part's own characters into parentheses, before any others."
        )
    return expression


def _part_of(path: Path, pattern: re.Pattern[str] | None) -> str:
    """Return the part that an image shows.

    Raises:
        errors.DataError: the pattern does not say.
    """
    if pattern is None:
        return str(path.parent)
    # Letters that are composed on one disk and decomposed on the other are one part's name.
    match = pattern.search(files.composed(path.as_posix()))
    if match is None or not match.group(1):
        raise errors.DataError(
            f"{path}: the path must name its part. Got none by {pattern.pattern}. "
            "Change the pattern, or leave the image out."
        )
    return match.group(1)


def _position_of(path: Path, pattern: re.Pattern[str] | None) -> str | None:
    """Return where in its part an image was taken; None where the pattern has no such group."""
    if pattern is None or POSITION not in pattern.groupindex:
        return None
    match = pattern.search(files.composed(path.as_posix()))
    return match.group(POSITION) if match else None


def composite_lines(
    items: Iterable[Item], setup: Setup, pattern: str | None
) -> Iterator[tuple[dict[str, Any], int]]:
    """Yield a line for each part once all of it is inspected; without parts, one for each image.

    Args:
        items: images; those of a part need not follow each other.
        setup: what inspects each.
        pattern: of `--part`; None: each image is on its own, and its bundles decide together.

    Yields:
        Lines, ready for JSON, with their exit codes. An image that names no part has a line of its
        own, with an error, and so has a folder that cannot be used.
    """
    if pattern is None:
        for item in items:
            yield _line({"path": str(item.path)}, [item], setup)
        return
    expression = compiled(pattern)
    parts: dict[str, list[Item]] = {}
    for item in items:
        if item.problem is not None:  # a folder: no image of any part
            line = {"path": str(item.path), "error": setup.report(item.problem)}
            yield line, item.problem.exit_code
            continue
        try:
            parts.setdefault(_part_of(item.path, expression), []).append(item)
        except errors.DataError as problem:
            yield {"path": str(item.path), "error": setup.report(problem)}, problem.exit_code
    for part, members in parts.items():
        yield _line({"part": part}, members, setup, expression)


def _line(
    about: dict[str, Any],
    items: Sequence[Item],
    setup: Setup,
    pattern: re.Pattern[str] | None = None,
) -> tuple[dict[str, Any], int]:
    from inspection_tf import decision

    verdicts: dict[str, decision.Verdict] = {}
    failures: dict[str, str] = {}
    codes = []
    for item in items:
        position = _position_of(item.path, pattern)
        metadata = dict(setup.metadata) | ({} if position is None else {POSITION: position})
        for number, (bundle, inspector) in enumerate(setup.inspectors.items()):
            labels = [position or str(item.path)] if "part" in about else []
            labels += [bundle] if len(setup.inspectors) > 1 else []
            name = _free(": ".join(labels), {*verdicts, *failures})
            try:
                verdicts[name], code = _inspect(
                    item, number, inspector, dataclasses.replace(setup, metadata=metadata)
                )
                codes.append(code)
            except Exception as problem:  # of one image, whatever it is: the part is not OK
                is_reported = str(problem) in failures.values()  # for another bundle
                failures[name] = str(problem) if is_reported else setup.report(problem)
                codes.append(process.exit_code_of(problem))
    whole = decision.CompositeVerdict.of(verdicts, failures)
    if pattern is not None and POSITION in pattern.groupindex:
        whole = whole.worst_first()
    codes.append(errors.OK if whole.outcome == "OK" else errors.NOT_OK)
    return {**about, **whole.to_dict()}, errors.gravest(codes)


def _inspect(
    item: Item, number: int, inspector: runtime.Inspector, setup: Setup
) -> "tuple[decision.Verdict, int]":
    """Inspect an image; returns its verdict without pixels, and the exit code of its pictures."""
    if item.problem is not None:
        raise item.problem
    template = setup.template_of(item.path) if inspector.manifest.has_template else None
    verdict = inspector.inspect(item.path, template=template, metadata=setup.metadata)
    code = errors.OK
    try:
        setup.write(number, item.stem, verdict)
    except Exception as problem:  # the verdict stands all the same
        setup.report(problem)
        code = process.exit_code_of(problem)
    # A part may have many images, and only what is said of them is kept.
    return verdict.without_pixels(), code


def _free(name: str, taken: set[str]) -> str:
    """Return a name that no other image of the part has."""
    numbered, number = name, 1
    while numbered in taken:
        number += 1
        numbered = f"{name} ({number})"
    return numbered


def _in_words(wear: Mapping[str, Mapping[str, Any]]) -> list[str]:
    """Return the flank wear of each image of a part: `3: NG, worn, VB_B 312 um`."""
    return [
        ", ".join(
            [
                f"{name}: {one['outcome']}",
                *([] if one["level"] is None else [one["level"]]),
                *([] if one["vb_mean_um"] is None else [f"VB_B {one['vb_mean_um']:.0f} um"]),
            ]
        )
        for name, one in wear.items()
    ]


def table(lines: Sequence[Mapping[str, Any]]) -> "rich.table.Table":
    """Return the table of the lines of parts, or of images that several bundles inspected."""
    import rich.table

    heading = "part" if any("part" in line for line in lines) else "image"
    verdict_table = rich.table.Table(
        heading, "outcome", "verdicts", "decided by", "reasons", box=None
    )
    for line in lines:
        name = line.get("part", line.get("path", ""))
        cells = [name, "error", "", "", line.get("error", "")]
        if "error" not in line:
            count = len(line["verdicts"]) + len(line["failures"])
            reasons = "; ".join([*_in_words(line.get("wear", {})), *line["reasons"]])
            cells = [name, line["outcome"], str(count), line["decided_by"], reasons]
        verdict_table.add_row(*map(process.cell, cells))
    return verdict_table
