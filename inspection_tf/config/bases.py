"""A YAML file that names another one beside it, its base, and holds only what differs from it.

```yaml
base: dagm_real.yaml
model:
  filters: [16, 32, 48, 64]
data: !override
  format: folder
```

Sections are merged at every depth: a key that the base has too is replaced, any other is added. A
list, a number or a text replaces what the base has. A section marked `!override` replaces that of
the base as a whole, as in the files of Docker Compose. A base may have a base itself.
"""

import contextlib
from collections.abc import Iterator
from pathlib import Path

import yaml

from inspection_tf import errors
from inspection_tf.config import strict_yaml

KEY = "base"
_OVERRIDE = "!override"
_MAPPING = "tag:yaml.org,2002:map"


def read(path: Path) -> strict_yaml.Document:
    """Read a YAML file, merged into its base where it names one.

    Raises:
        errors.ConfigError: the file or a base is absent, is not YAML or says something twice, a
            base is no file beside the one that names it, or it leads back to it.
    """
    root = _merged_file(path, ())
    with _one_sentence(path):
        return strict_yaml.construct(root)


@contextlib.contextmanager
def _one_sentence(path: Path) -> Iterator[None]:
    """Turn what reading and parsing a file may raise into a `ConfigError` that names the place."""
    try:
        yield
    except OSError as problem:
        raise errors.ConfigError(
            f"The configuration must be a readable file. Got {str(path)!r} ({problem.strerror}). "
            "Check the path given with --config."
        ) from problem
    except (yaml.YAMLError, UnicodeDecodeError, RecursionError) as problem:
        mark = getattr(problem, "problem_mark", None)
        where = "" if mark is None else f"line {mark.line + 1}, column {mark.column + 1}: "
        what = getattr(problem, "problem", None) or str(problem).splitlines()[0]
        raise errors.ConfigError(
            f"{path if mark is None else mark.name} must be YAML. Got a file that does not parse: "
            f"{where}{what}. Correct it."
        ) from problem


def _merged_file(path: Path, variants: tuple[Path, ...]) -> yaml.Node | None:
    """Return the node of a file with its bases, which `variants` have led to."""
    with _one_sentence(path):
        root = strict_yaml.compose(path.read_text(encoding="utf-8"), origin=str(path))
    if not isinstance(root, yaml.MappingNode):
        return root
    differing = [(key, value) for key, value in root.value if key.value != KEY]
    named = next((value for key, value in root.value if key.value == KEY), None)
    if named is None:
        return root
    base_path = _beside(path, named)
    if base_path in (*variants, path):
        raise errors.ConfigError(
            f"{path}, line {strict_yaml.line(named)}: a base must not lead back to itself. Got "
            f"{named.value!r}, which is built on {path.name}. Name another base."
        )
    base = _merged_file(base_path, (*variants, path))
    variant = yaml.MappingNode(root.tag, differing, root.start_mark, root.end_mark)
    if base is None:
        return variant
    with _one_sentence(path):
        return _merged(base, variant)


def _beside(path: Path, named: yaml.Node) -> Path:
    """Return the file that a base names.

    Raises:
        errors.ConfigError: it is none in the folder of the file that names it.
    """
    name = named.value if isinstance(named, yaml.ScalarNode) else ""
    found = path.with_name(name) if name and Path(name).name == name else None
    if found is None or not found.is_file():
        raise errors.ConfigError(
            f"{path}, line {strict_yaml.line(named)}: base must be the name of a file in the same "
            f"folder. Got {name!r}{'' if found is None else ', which is absent there'}. Put the "
            "base beside it, or begin with the config.yaml of a run, which has no base."
        )
    return found


def _merged(base: yaml.Node, variant: yaml.Node) -> yaml.Node:
    """Return a new node of what a variant says and, in mappings, what its base says besides."""
    if not (isinstance(base, yaml.MappingNode) and isinstance(variant, yaml.MappingNode)):
        return variant
    if variant.tag == _OVERRIDE:
        return yaml.MappingNode(_MAPPING, variant.value, variant.start_mark, variant.end_mark)
    pairs = {_name(key): (key, value) for key, value in base.value}
    for key, value in variant.value:
        replaced = pairs.get(_name(key))
        pairs[_name(key)] = (key, value if replaced is None else _merged(replaced[1], value))
    return yaml.MappingNode(variant.tag, list(pairs.values()), variant.start_mark, variant.end_mark)


def _name(key: yaml.Node) -> str | int:
    """Return what equal keys have in common; a key that is a list or a mapping is its own."""
    return key.value if isinstance(key, yaml.ScalarNode) else id(key)
