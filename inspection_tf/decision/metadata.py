"""Metadata of an image that its verdict passes through: camera, lot, time."""

import json
from collections.abc import Mapping
from typing import Any

from inspection_tf import errors


def checked(metadata: Mapping[str, object] | None) -> dict[str, Any]:
    """Return a copy of metadata in plain values that JSON holds as they are.

    Args:
        metadata: names to strings. Numbers, booleans, None, and lists and mappings of these pass
            too, since JSON holds them.

    Returns:
        The same as plain values.

    Raises:
        errors.ConfigError: it is no mapping, a name is no string, or JSON cannot hold a value.
    """
    if metadata is None:
        return {}
    try:
        fields = dict(metadata)
    except (TypeError, ValueError) as problem:
        raise errors.ConfigError(
            f"Metadata must map names to strings. Got one of type {type(metadata).__name__}. "
            'Give a dictionary, such as {"camera": "left"}.'
        ) from problem
    return {_name(name): _value(name, value) for name, value in fields.items()}


def _name(name: object) -> str:
    if not isinstance(name, str):
        raise errors.ConfigError(
            f"Metadata must have names that are strings. Got {name!r}. Write it as a string."
        )
    return str.__str__(name)


def _value(name: str, value: object) -> object:
    try:
        _require_names(value)
        plain: object = json.loads(json.dumps(value, allow_nan=False))
    except errors.ConfigError:
        raise
    except (TypeError, ValueError, RecursionError) as problem:
        raise errors.ConfigError(
            f"Metadata must hold what JSON holds, as a rule strings. Got for {name!r}: {problem}. "
            "Write it as a string."
        ) from problem
    return plain


def _require_names(value: object) -> None:
    """Refuse inner names that JSON would turn into others: 1 into "1"."""
    if isinstance(value, Mapping):
        for name in value:
            _name(name)
        value = tuple(value.values())
    if isinstance(value, list | tuple):
        for item in value:
            _require_names(item)
