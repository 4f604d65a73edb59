"""Paths as people write them, and those that a configuration names."""

from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeVar

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

    def mapped(value: Any, name: str) -> Any:
        if isinstance(value, Path):
            return change(name, value)
        if isinstance(value, pydantic.BaseModel):
            fields = type(value).model_fields
            prefix = f"{name}." if name else ""
            changed = {key: mapped(getattr(value, key), f"{prefix}{key}") for key in fields}
            return value.model_copy(update=changed)
        if isinstance(value, tuple):
            return tuple(mapped(part, f"{name}.{place}") for place, part in enumerate(value))
        return value

    return mapped(section, "")  # type: ignore[no-any-return]  # a section for a section


def paths_of(section: pydantic.BaseModel) -> dict[str, Path]:
    """Return the paths in a section by the names of their fields, such as `data.root`."""
    found: dict[str, Path] = {}

    def note(name: str, path: Path) -> Path:
        return found.setdefault(name, path)

    map_paths(section, note)
    return found


def with_absolute_paths(section: SectionT) -> SectionT:
    """Return a section whose paths mean the same from every working folder."""
    return map_paths(section, lambda name, path: absolute(path))
