"""YAML in which nothing is said twice, and nothing means two things.

PyYAML reads YAML 1.1 and keeps the last of two equal keys. Here a key stands once. A plain value
that YAML 1.1 takes for something else than YAML 1.2 does stays the text that it is: `yes`, `no`,
`on`, `off`; `010` (octal, or ten); `1:30` (90, to base 60); dates. Whether such a text will do says
the field that it is for.
"""

import dataclasses
import re
from collections.abc import Iterator, Sequence
from typing import Any

import yaml

from inspection_tf import errors

_TAG = "tag:yaml.org,2002:"
_TRUTH = frozenset({"true", "false"})
_OCTAL = re.compile(r"[-+]?0[0-9_]+")
_TO_BASE_60 = re.compile(r".*:.*")


@dataclasses.dataclass(frozen=True, slots=True)
class Document:
    """What a text says, and where.

    Attributes:
        values: plain lists, dictionaries and scalars; None where the text is empty.
        root: the node that they were made of.
    """

    values: Any
    root: yaml.Node | None

    def place(self, path: Sequence[str | int]) -> str | None:
        """Return file and line of the value at a path, or of the last part that is there.

        Args:
            path: keys and places in lists, from the outermost on.

        Returns:
            Such as `a.yaml, line 3`; None where not even the first part is there.
        """
        node, place = self.root, None
        for part in path:
            child = _child(node, part)
            if child is None:
                break
            place, node = child
        return place


def line(node: yaml.Node) -> int:
    """Return the line on which a node begins, from 1."""
    return int(node.start_mark.line) + 1


def _child(node: yaml.Node | None, part: str | int) -> tuple[str, yaml.Node] | None:
    """Return file and line, and the node, of a member of a mapping or a list."""
    if isinstance(node, yaml.MappingNode):
        for key, value in reversed(node.value):  # what was merged in stands before
            if key.value == part:
                return f"{key.start_mark.name}, line {line(key)}", value
    if isinstance(node, yaml.SequenceNode) and isinstance(part, int) and part < len(node.value):
        member = node.value[part]
        return f"{member.start_mark.name}, line {line(member)}", member
    return None


def _nodes(root: yaml.Node) -> Iterator[yaml.Node]:
    """Give each node once, although anchors may bring it back."""
    waiting, seen = [root], set()
    while waiting:
        node = waiting.pop()
        if id(node) in seen:
            continue
        seen.add(id(node))
        yield node
        if isinstance(node, yaml.MappingNode):
            waiting += [part for pair in node.value for part in pair]
        elif isinstance(node, yaml.SequenceNode):
            waiting += node.value


def _require_once(node: yaml.MappingNode, origin: str) -> None:
    """Refuse a mapping with a key that stands twice.

    Raises:
        errors.ConfigError: one does.
    """
    first: dict[Any, int] = {}
    for key, _ in node.value:
        name = key.value if isinstance(key, yaml.ScalarNode) else id(key)
        if name in first:
            raise errors.ConfigError(
                f"{origin}, line {line(key)}: a key must stand once in its section. "
                f"Got {name!r} twice, first in line {first[name]}. Put both into one."
            )
        first[name] = line(key)


def _is_text(node: yaml.ScalarNode) -> bool:
    """Return whether a scalar that YAML 1.1 takes for something else is to stay text."""
    kind, value = node.tag.removeprefix(_TAG), node.value
    if kind == "bool":
        return value.lower() not in _TRUTH
    if kind in ("int", "float"):
        return bool(_OCTAL.fullmatch(value) or _TO_BASE_60.fullmatch(value))
    return kind in ("timestamp", "value")


def compose(text: str, origin: str) -> yaml.Node | None:
    """Return the node that a text of YAML describes; None where the text is empty.

    Args:
        text: one document.
        origin: the file, for messages and as the name in the marks of the nodes.

    Raises:
        errors.ConfigError: a key stands twice in one mapping.
        yaml.YAMLError: it is no YAML.
    """
    loader = yaml.SafeLoader(text)
    loader.name = origin
    try:
        root = loader.get_single_node()
        if root is None:
            return None
        for node in _nodes(root):
            if isinstance(node, yaml.MappingNode):
                _require_once(node, origin)
            elif isinstance(node, yaml.ScalarNode) and _is_text(node):
                node.tag = f"{_TAG}str"
        for node in _nodes(root):
            if isinstance(node, yaml.MappingNode):
                loader.flatten_mapping(node)  # puts what `<<` names before the keys of the mapping
        return root
    finally:
        loader.dispose()


def construct(root: yaml.Node | None) -> Document:
    """Return the values that a node of `compose` describes.

    Raises:
        yaml.YAMLError: a value has a tag that is unknown.
    """
    if root is None:
        return Document(None, None)
    loader = yaml.SafeLoader("")
    try:
        return Document(loader.construct_document(root), root)
    finally:
        loader.dispose()


def parse(text: str, origin: str) -> Document:
    """Parse a text of YAML; see `compose` and `construct`.

    Args:
        text: one document.
        origin: the file, for messages.

    Raises:
        errors.ConfigError: a key stands twice in one mapping.
        yaml.YAMLError: it is no YAML.
    """
    return construct(compose(text, origin))
