"""Sections of configuration: frozen, strict, kept in YAML."""

import functools
import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, Self, TypeVar, get_args, get_origin

import pydantic

from inspection_tf import errors
from inspection_tf.config.paths import expanded

if TYPE_CHECKING:
    import pydantic_core

_LEADING_ZERO = re.compile(r"[-+]?0[0-9_]+")


def _value_types(annotation: object) -> Iterator[object]:
    """Yield the types that a value of an annotation may have, also inside lists and mappings."""
    origin, arguments = get_origin(annotation), get_args(annotation)
    if origin is Literal:
        yield from map(type, arguments)
    elif isinstance(origin, type) and issubclass(origin, Mapping):
        yield from _value_types(arguments[1])
    elif arguments:
        for argument in arguments:
            yield from _value_types(argument)
    else:
        yield annotation


def _scalars(value: object) -> Iterator[object]:
    """Yield the scalars of a value, also those inside lists and mappings."""
    if isinstance(value, Mapping):
        value = tuple(value.values())
    if isinstance(value, list | tuple):
        for member in value:
            yield from _scalars(member)
    else:
        yield value


class Section(pydantic.BaseModel):
    """A frozen group of settings that refuses a field it does not know.

    The docstring under each field is what `--help` prints (tyro reads it there); it names the unit.
    """

    # Schemas are built when first used: with them importing the runtime would take twice as long.
    model_config = pydantic.ConfigDict(extra="forbid", frozen=True, defer_build=True)

    @classmethod
    def for_values(cls, values: object) -> type[Self]:
        """Return the section that values are checked against: another one only in a union."""
        return cls

    @classmethod
    def within(cls, field: str, values: object) -> type[pydantic.BaseModel] | None:
        """Return the section that one of the fields holds; None: it holds none.

        Args:
            field: its name.
            values: what was given for all fields of this section.
        """
        return section_within(cls.model_fields[field].annotation)

    @classmethod
    @functools.cache
    def _types(cls, field: str) -> frozenset[object]:
        """Return the types that the values of a field may have."""
        return frozenset(_value_types(cls.model_fields[field].annotation))

    @pydantic.field_validator("*", mode="before")
    @classmethod
    def _require_numbers(cls, value: object, info: pydantic.ValidationInfo) -> object:
        """Refuse what pydantic would take for a number: true for 1, and 010 for 10."""
        types = cls._types(str(info.field_name))
        if not types & {int, float} or types & {Any, object}:
            return value
        for scalar in _scalars(value):
            if isinstance(scalar, bool) and bool not in types:
                raise ValueError("a number must be given in digits")
            takes_text = bool(types & {str, Path})
            if isinstance(scalar, str) and not takes_text and _LEADING_ZERO.fullmatch(scalar):
                raise ValueError("a number must have no zeros before it: 010 may mean 10 or 8")
        return value

    @pydantic.field_validator("*", mode="after")
    @classmethod
    def _expand_home(cls, value: object) -> object:
        """Put the home folder in place of the `~` of a path."""
        return expanded(value) if isinstance(value, Path) else value


SectionT = TypeVar("SectionT", bound=Section)
_LONGEST_VALUE = 100  # of what was received, in a message


def _first_error(problem: pydantic.ValidationError) -> "pydantic_core.ErrorDetails":
    """Return the error that a message is about."""
    # A misspelt field is also a missing one; the misspelling is what helps.
    return min(problem.errors(), key=lambda error: error["type"] != "extra_forbidden")


def first_problem(problem: pydantic.ValidationError) -> tuple[str, str, str]:
    """Return field, what is wrong with it, and what was received, cut to a sentence's length."""
    first = _first_error(problem)
    received = repr(first.get("input"))
    if len(received) > _LONGEST_VALUE:
        received = f"{received[:_LONGEST_VALUE]}..."
    return ".".join(str(part) for part in first["loc"]), first["msg"].rstrip("."), received


def section_within(annotation: object) -> type[pydantic.BaseModel] | None:
    """Return the section of `Section`, `Section | None`, `tuple[Section, ...]` and the like."""
    if isinstance(annotation, type) and issubclass(annotation, pydantic.BaseModel):
        return annotation
    sections = (section_within(part) for part in get_args(annotation))
    return next((section for section in sections if section is not None), None)


def _closest(field: str, section: type[Section], values: object) -> str:
    import difflib

    *path, name = field.split(".")
    model: type[pydantic.BaseModel] | None = section
    for part in path:  # numbers are places in a tuple of sections
        if model is not None and issubclass(model, Section) and part in model.model_fields:
            model = model.within(part, values)
        values = values.get(part) if isinstance(values, Mapping) else None
        if values is not None and model is not None and issubclass(model, Section):
            model = model.for_values(values)
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


def validate(
    section: type[SectionT],
    values: object,
    *,
    origin: str,
    place_of: Callable[[Sequence[str | int]], str | None] = lambda path: None,
) -> SectionT:
    """Check a mapping against a section.

    Args:
        section: the section's class.
        values: what YAML or JSON gave.
        origin: the file or place named in the message.
        place_of: from the path of a field to its file and line, for the message; None where the
            field stands in no file.

    Raises:
        errors.ConfigError: a field is unknown, missing or out of range.
    """
    try:
        return section.model_validate(values)
    except pydantic.ValidationError as problem:
        field, message, _ = first_problem(problem)
        origin = place_of(_first_error(problem)["loc"]) or origin
        if message.startswith("Extra inputs"):
            raise errors.ConfigError(
                f"{origin} may hold only known fields. Got {field!r}. "
                f"{_closest(field, section, values)}"
            ) from None
        if message.startswith("Field required"):
            raise errors.ConfigError(
                f"{origin} must hold every field that has no default. Got none called {field!r}. "
                "Add it; of a recipe, begin with a copy of its whole YAML."
            ) from None
        raise errors.ConfigError(in_a_sentence(problem, origin)) from None


def replace(section: SectionT, fields: Mapping[str, object], *, origin: str) -> SectionT:
    """Return a copy of a section with some fields replaced, checked as a whole.

    Raises:
        errors.ConfigError: a field is unknown or out of range.
    """
    return validate(type(section), {**section.model_dump(), **fields}, origin=origin)


def load(section: type[SectionT], path: str | Path) -> SectionT:
    """Read a section from a YAML file, which may name another one beside it as its `base`.

    Raises:
        errors.ConfigError: the file or its base is absent, is not YAML, says something twice, or
            does not fit the section; with the line.
    """
    from inspection_tf.config import bases  # a YAML parser is not needed to inspect

    path = expanded(path)
    document = bases.read(path)
    values = {} if document.values is None else document.values
    return validate(section, values, origin=str(path), place_of=document.place)


def to_yaml(section: Section) -> str:
    """Return a section as YAML text that `load` reads back to an equal section."""
    import yaml

    return yaml.safe_dump(section.model_dump(mode="json"), sort_keys=False, allow_unicode=True)
