"""Sections of configuration: frozen, strict, kept in YAML."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any, TypeVar, get_args

import pydantic

from inspection_tf import errors


class Section(pydantic.BaseModel):
    """A frozen group of settings that refuses a field it does not know.

    The docstring under each field is what `--help` prints (tyro reads it there); it names the unit.
    """

    # Schemas are built when first used: with them importing the runtime would take twice as long.
    model_config = pydantic.ConfigDict(extra="forbid", frozen=True, defer_build=True)


SectionT = TypeVar("SectionT", bound=Section)
_LONGEST_VALUE = 100  # of what was received, in a message


def first_problem(problem: pydantic.ValidationError) -> tuple[str, str, str]:
    """Return field, what is wrong with it, and what was received, cut to a sentence's length."""
    # A misspelt field is also a missing one; the misspelling is what helps.
    first = min(problem.errors(), key=lambda error: error["type"] != "extra_forbidden")
    received = repr(first.get("input"))
    if len(received) > _LONGEST_VALUE:
        received = f"{received[:_LONGEST_VALUE]}..."
    return ".".join(str(part) for part in first["loc"]), first["msg"].rstrip("."), received


def _section_within(annotation: Any) -> type[pydantic.BaseModel] | None:
    """Return the section of `Section`, `Section | None`, `tuple[Section, ...]` and the like."""
    if isinstance(annotation, type) and issubclass(annotation, pydantic.BaseModel):
        return annotation
    found = (_section_within(part) for part in get_args(annotation))
    return next((section for section in found if section is not None), None)


def _closest(field: str, section: type[Section]) -> str:
    import difflib

    *path, name = field.split(".")
    model: type[pydantic.BaseModel] | None = section
    for part in path:  # numbers are places in a tuple of sections
        if model is not None and part in model.model_fields:
            model = _section_within(model.model_fields[part].annotation)
    known = [] if model is None else list(model.model_fields)
    match = difflib.get_close_matches(name, known, n=1)
    where = ".".join([*path, match[0]]) if match else ", ".join(known)
    return f"Perhaps you meant {where!r}." if match else f"Known fields: {where}."


def in_a_sentence(problem: pydantic.ValidationError, origin: str = "The command line") -> str:
    """Return requirement, what was received and the way out, of the first field that is wrong."""
    field, message, received = first_problem(problem)
    return (
        f"{origin}: {field or 'the configuration'} must be valid. Got {received}: {message}. "
        "Correct that field."
    )


def validate(section: type[SectionT], values: Any, *, origin: str) -> SectionT:
    """Check a mapping against a section.

    Args:
        section: the section's class.
        values: what YAML or JSON gave.
        origin: the file or place named in the message.

    Raises:
        errors.ConfigError: a field is unknown, missing or out of range.
    """
    try:
        return section.model_validate(values)
    except pydantic.ValidationError as problem:
        field, message, _ = first_problem(problem)
        if message.startswith("Extra inputs"):
            raise errors.ConfigError(
                f"{origin} may hold only known fields. Got {field!r}. {_closest(field, section)}"
            ) from None
        raise errors.ConfigError(in_a_sentence(problem, origin)) from None


def replace(section: SectionT, fields: Mapping[str, Any], *, origin: str) -> SectionT:
    """Return a copy of a section with some fields replaced, checked as a whole.

    Raises:
        errors.ConfigError: a field is unknown or out of range.
    """
    return validate(type(section), {**section.model_dump(), **fields}, origin=origin)


def load(section: type[SectionT], path: str | Path) -> SectionT:
    """Read a section from a YAML file.

    Raises:
        errors.ConfigError: the file is absent, is not YAML, or does not fit the section.
    """
    import yaml

    path = Path(path)
    try:
        values = yaml.safe_load(path.read_text(encoding="utf-8"))
    except OSError as problem:
        raise errors.ConfigError(
            f"The configuration must be a readable file. Got {str(path)!r} ({problem.strerror}). "
            "Check the path given with --config."
        ) from problem
    except (yaml.YAMLError, UnicodeDecodeError) as problem:
        mark = getattr(problem, "problem_mark", None)
        where = "" if mark is None else f"line {mark.line + 1}, column {mark.column + 1}: "
        what = getattr(problem, "problem", None) or str(problem).splitlines()[0]
        raise errors.ConfigError(
            f"{path} must be YAML. Got a file that does not parse: {where}{what}. Correct it."
        ) from problem
    return validate(section, {} if values is None else values, origin=str(path))


def to_yaml(section: Section) -> str:
    """Return a section as YAML text that `load` reads back to an equal section."""
    import yaml

    return yaml.safe_dump(section.model_dump(mode="json"), sort_keys=False, allow_unicode=True)
