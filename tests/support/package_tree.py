"""The package as it lies on disk: its rooms, its modules, and the names that they take."""

import ast
import json
import re
from pathlib import Path

ROOT = Path(__file__).parents[2]
PACKAGE = ROOT / "inspection_tf"
# Files in which each package and program starts.
ENTRANCES = {"__init__", "__main__"}


def rooms():
    """Return the folders of modules, by their path in the package: "datasets/readers"."""
    folders = {path.parent for path in PACKAGE.rglob("*.py")} - {PACKAGE}
    return {path.relative_to(PACKAGE).as_posix(): path for path in sorted(folders)}


def modules():
    """Return the modules of the package, by their path without suffix: "images/codec"."""
    return {
        path.relative_to(PACKAGE).with_suffix("").as_posix(): path
        for path in sorted(PACKAGE.rglob("*.py"))
    }


def module_names():
    """Return the dotted names of all modules and packages."""
    names = {f"inspection_tf.{name.replace('/', '.')}" for name in modules()}
    return {name.removesuffix(".__init__") for name in names} | {"inspection_tf"}


def is_private(name):
    return name.startswith("_") and not name.startswith("__")


def code_of(path):
    """Return the Python of a module, or of a notebook's cells but for their commands."""
    text = path.read_text(encoding="utf-8")
    if path.suffix != ".ipynb":
        return text
    cells = json.loads(text)["cells"]
    code = "\n".join("".join(c["source"]) + "\n" for c in cells if c["cell_type"] == "code")
    return re.sub(r"^[%!].*", "", code, flags=re.MULTILINE)


def private_names(code, known):
    """Return the private names of other modules that a module takes, dotted.

    By an import, as an attribute of a module, as a string beside the module (as in
    `patch.setattr(module, "_x")`), and in a program that is kept in a string.

    Args:
        code: of the module.
        known: dotted names of the package's modules.
    """
    tree = ast.parse(code)
    found = set()
    modules_by_name = {}
    for node in ast.walk(tree):
        if isinstance(node, ast.ImportFrom) and (node.module or "").startswith("inspection_tf"):
            for alias in node.names:
                dotted = f"{node.module}.{alias.name}"
                if dotted in known:
                    modules_by_name[alias.asname or alias.name] = dotted
                if any(is_private(part) for part in dotted.split(".")):
                    found.add(dotted)
        elif isinstance(node, ast.Import):
            for alias in node.names:
                if alias.asname and alias.name in known:
                    modules_by_name[alias.asname] = alias.name
    for node in ast.walk(tree):
        if isinstance(node, ast.Attribute) and is_private(node.attr):
            owner = ast.unparse(node.value)
            owner = modules_by_name.get(owner, owner)
            if owner in known:
                found.add(f"{owner}.{node.attr}")
        elif isinstance(node, ast.Call) and len(node.args) > 1:
            owner, name = node.args[:2]
            dotted = modules_by_name.get(ast.unparse(owner))
            if dotted and isinstance(name, ast.Constant) and is_private(str(name.value)):
                found.add(f"{dotted}.{name.value}")
        elif isinstance(node, ast.Constant) and isinstance(node.value, str):
            found |= set(re.findall(r"\binspection_tf(?:\.[a-z]\w*)*\._[a-zA-Z]\w*", node.value))
    return found
