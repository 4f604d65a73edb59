"""The texts of `--help`, which Python leaves out of its compiled modules under -OO."""

import ast
import sys
from pathlib import Path
from types import ModuleType

_OWN = ("inspection_tf", "pipelines", "__main__")
_OPTIMIZED = 2  # -OO


def restore() -> None:
    """Restore the docstrings of the package's functions and classes from their source.

    Does nothing where Python has kept them. Where the source is not there, `--help` names each
    option without a text.
    """
    if sys.flags.optimize < _OPTIMIZED:
        return
    for name, module in list(sys.modules.items()):
        if name.split(".")[0] in _OWN:
            restore_in(module)


def restore_in(module: ModuleType) -> None:
    """Set the docstrings of a module, its functions and its classes from its source."""
    try:
        tree = ast.parse(Path(module.__file__ or "").read_bytes())
    except (AttributeError, OSError, SyntaxError):
        return
    module.__doc__ = ast.get_docstring(tree)
    for node in tree.body:
        if isinstance(node, ast.FunctionDef | ast.ClassDef):
            member = getattr(module, node.name, None)
            text = ast.get_docstring(node)
            # What a dataclass calls itself without one is no help.
            if text is not None and getattr(member, "__module__", None) == module.__name__:
                member.__doc__ = text
