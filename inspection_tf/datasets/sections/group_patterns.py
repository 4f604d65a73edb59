"""Expressions that name the part which an image shows, by the name of its file."""

import re


def compiled(pattern: str) -> re.Pattern[str]:
    """Return an expression that names a part.

    Raises:
        ValueError: it is none, or has no group.
    """
    try:
        expression = re.compile(pattern)
    except re.error as problem:
        raise ValueError(f"it must be a regular expression: {problem}") from None
    if not expression.groups:
        raise ValueError(r"it must have a group that is the part, such as (\d+) in tile(\d+)_")
    return expression
