"""Paths as people write them, and those that a configuration names."""

from collections.abc import Callable
from pathlib import Path
from typing import TypeVar

import pydantic

SectionT = TypeVar("SectionT", bound=pydantic.BaseModel)


def expanded(path: str | Path) -> Path:
    """Return a path with the home folder in place of a leading `~` or `~NAME`.

    A folder that is really called so is given by its whole path. Where nobody is called NAME the
    path stays as it is, and whoever opens it says that it is absent.
    """
    path = Path(path)
    if not str(path).startswith("~"):
        return path
    try:
        return path.expanduser()
    except RuntimeError:
        return path


def absolute(path: str | Path) -> Path:
    """Return where a path leads from here, links followed: the same from every folder."""
    return expanded(path).resolve()


def map_paths(section: SectionT, change: Callable[[str, Path], Path]) -> SectionT:
    """Return a section with other paths, those of the sections in it too.

    Args:
        section: a configuration.
        change: from the name of a field, such as `data.root`, and its path to another path.
    """
    return _mapped(section, "", change)


def _mapped(section: SectionT, prefix: str, change: Callable[[str, Path], Path]) -> SectionT:
    """Return a section with other paths, whose fields' names begin with a prefix."""

    def value_of(value: object, name: str) -> object:
        if isinstance(value, Path):
            return change(name, value)
        if isinstance(value, pydantic.BaseModel):
            return _mapped(value, f"{name}.", change)
        if isinstance(value, tuple):
            return tuple(value_of(part, f"{name}.{place}") for place, part in enumerate(value))
        return value

    fields = type(section).model_fields
    changed = {key: value_of(getattr(section, key), f"{prefix}{key}") for key in fields}
    return section.model_copy(update=changed)


def paths_of(section: pydantic.BaseModel) -> dict[str, Path]:
    """Return the paths in a section by the names of their fields, such as `data.root`."""
    paths: dict[str, Path] = {}

    def add(name: str, path: Path) -> Path:
        return paths.setdefault(name, path)

    map_paths(section, add)
    return paths


def with_absolute_paths(section: SectionT) -> SectionT:
    """Return a section whose paths mean the same from every working folder."""
    return map_paths(section, lambda name, path: absolute(path))
