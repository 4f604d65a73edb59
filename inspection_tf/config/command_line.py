"""The command line of a recipe: each field of its configuration is an option."""

import sys
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import get_args

import pydantic

from inspection_tf import errors
from inspection_tf.config.paths import expanded
from inspection_tf.config.section import SectionT, first_problem, load, section_within
from inspection_tf.config.tagged import TaggedSection, listed

NOTATION = "Numbers may have an exponent, as 3e-4; a path may begin with ~, your home folder."


def _annotation(section: type[pydantic.BaseModel], field: str) -> object:
    """Return the type of a field by its dotted name; None where there is no such field."""
    *path, name = field.split(".")
    model: type[pydantic.BaseModel] | None = section
    for part in path:
        inner = model.model_fields.get(part) if model else None
        model = None if inner is None else section_within(inner.annotation)
    last = model.model_fields.get(name) if model else None
    return None if last is None else last.annotation


def _with_switches_spelt_out(
    section: type[pydantic.BaseModel], words: Sequence[str]
) -> Sequence[str]:
    """Return a command line on which `--a.b` and `--a.no-b` are `--a.b True` and `--a.b False`.

    Only of fields that take a word besides true and false: for tyro they are no switches.
    """
    spelt: list[str] = []
    for word, following in zip(words, [*words, "--"][1:], strict=True):
        *path, name = word.removeprefix("--").replace("-", "_").split(".")
        is_off = name.startswith("no_") and word.startswith("--")
        field = ".".join([*path, name.removeprefix("no_") if is_off else name])
        is_alone = word.startswith("--") and (is_off or following.startswith("--"))
        if is_alone and bool in get_args(_annotation(section, field)):
            spelt += [f"--{field}", str(not is_off)]
        else:
            spelt.append(word)
    return spelt


def _unions(section: type[pydantic.BaseModel]) -> Iterator[tuple[str, type[TaggedSection]]]:
    """Give name and type of each field of a configuration that is one of several sections."""
    for name, field in section.model_fields.items():
        if isinstance(field.annotation, type) and issubclass(field.annotation, TaggedSection):
            yield name, field.annotation


def _with_tags_of(words: Sequence[str], default: SectionT, program: str) -> SectionT:
    """Return the default with the members of its unions that a command line names.

    Raises:
        errors.ConfigError: it names none, or has an option of another one.
    """
    for name, union in _unions(type(default)):
        for word, following in zip(words, [*words, ""][1:], strict=True):
            option, _, value = word.partition("=")
            if option == f"--{name}.{union.TAG}":
                chosen = value or following
                if chosen not in (known := union.members()):
                    raise errors.ConfigError(
                        f"{option} must be {listed(list(known), 'or')}. Got {chosen!r}. "
                        f"See {program} --help."
                    )
                changed = getattr(default, name).converted(chosen)
                default = default.model_copy(update={name: changed})
        _require_own(words, name, getattr(default, name))
    return default


def _require_own(words: Sequence[str], name: str, section: TaggedSection) -> None:
    for word in words:
        if not word.startswith(f"--{name}."):
            continue
        field = word.partition("=")[0].split(".")[1].replace("-", "_").removeprefix("no_")
        owners = section.owners(field)
        if owners and field not in type(section).model_fields:
            raise errors.ConfigError(
                f"--{name}.{section.TAG} {getattr(section, section.TAG)} must have each option of "
                f"{name}. Got {word.partition('=')[0]}, which belongs to {listed(list(owners))}. "
                f"Leave it out, or choose another --{name}.{section.TAG}."
            )


def from_command_line(
    section: type[SectionT],
    arguments: Sequence[str] | None = None,
    *,
    default_path: Path,
    program: str,
    description: str,
) -> tuple[SectionT, Path | None]:
    """Read `[--config FILE] [--out DIR] [--section.field VALUE ...]`.

    Args:
        section: the class of the whole configuration.
        arguments: words after the program's name; `sys.argv` by default.
        default_path: the YAML file that is read when no `--config` is given.
        program: shown in `--help`.
        description: shown in `--help`.

    Returns:
        The configuration, and the run folder of `--out`; None without it.

    Raises:
        errors.ConfigError: a file or a field is not valid.
        SystemExit: 0 after `--help`, 2 after a usage error (printed by tyro).
    """
    import argparse

    import tyro

    words = list(sys.argv[1:] if arguments is None else arguments)
    wants_help = "--help" in words or "-h" in words
    front = argparse.ArgumentParser(prog=program, add_help=False, allow_abbrev=False)
    front.add_argument("--config", type=expanded, default=default_path)
    front.add_argument("--out", type=expanded, default=None)
    options, rest = front.parse_known_args(words)
    beside = default_path.with_name(options.config.name)
    if not options.config.exists() and beside.is_file():
        raise errors.ConfigError(
            f"--config must be a file. Got {str(options.config)!r}, which is absent here. "
            f"The one of that name lies at {beside}."
        )
    default = _with_tags_of(rest, load(section, options.config), program)
    unions = "".join(
        f"\n--{name}.{union.TAG} {{{','.join(union.members())}}}\n"
        f"               which options of {name} there are"
        for name, union in _unions(section)
    )
    usage = (
        f"{description}\n\n"
        f"--config FILE  YAML with the whole experiment (default: {default_path.name})"
        "\n--out DIR      the run folder (default: runs/NAME/<UTC time>)"
        f"{unions}"
        f"\n\n{NOTATION}"
    )
    try:
        parsed = tyro.cli(
            section,
            prog=program,
            description=usage,
            default=default,
            args=["--help"] if wants_help else _with_switches_spelt_out(section, rest),
        )
        # tyro builds copies field by field; validating again runs the checks between fields.
        return section.model_validate(parsed.model_dump()), options.out
    except pydantic.ValidationError as problem:
        field, message, received = first_problem(problem)
        raise errors.ConfigError(
            f"--{field} must be valid. Got {received}: {message}. See {program} --help."
        ) from None
