"""Imports between modules go one way, and the contracts of import-linter know every module.

The layers and what each room may know stand in `pyproject.toml`; `lint-imports` checks them.
"""

import tomllib
from pathlib import Path

import grimp
import package_tree
import pytest

ROOT = Path(__file__).parents[1]


def imports_of(graph):
    """Return all imports of a graph: for a type checker and inside functions too."""
    return {
        module: set(graph.find_modules_directly_imported_by(module))
        for module in sorted(graph.modules)
    }


@pytest.fixture(scope="module")
def imports():
    graph = grimp.build_graph("inspection_tf", "pipelines", cache_dir=None)
    return imports_of(graph)


def circles(imports):
    """Return the circles of imports: sets of modules, each of which leads to all others.

    Tarjan's algorithm for strongly connected components.
    """
    found, order, lowest, stack = [], {}, {}, []

    def visit(module):
        order[module] = lowest[module] = len(order)
        stack.append(module)
        for imported in sorted(imports[module]):
            if imported not in order:
                visit(imported)
                lowest[module] = min(lowest[module], lowest[imported])
            elif imported in stack:
                lowest[module] = min(lowest[module], order[imported])
        if lowest[module] == order[module]:
            start = stack.index(module)
            if len(stack) - start > 1:
                found.append(set(stack[start:]))
            del stack[start:]

    for module in imports:
        if module not in order:
            visit(module)
    return found


def closing(imports, circle):
    """Return the imports inside a circle, as text."""
    return sorted(
        f"{module} -> {imported}" for module in circle for imported in imports[module] & circle
    )


def test_no_import_closes_a_circle(imports):
    assert [closing(imports, circle) for circle in circles(imports)] == []


def test_a_circle_is_found_wherever_it_is_imported(tmp_path, monkeypatch):
    texts = {
        "__init__": "",
        "one": "from typing import TYPE_CHECKING\nif TYPE_CHECKING:\n    from ring import two",
        "two": "def late():\n    import ring.three",
        "three": "from ring.one import name",
        "four": "from ring import one",
    }
    (tmp_path / "ring").mkdir()
    for name, text in texts.items():
        (tmp_path / "ring" / f"{name}.py").write_text(text)
    monkeypatch.syspath_prepend(tmp_path)
    found = circles(imports_of(grimp.build_graph("ring", cache_dir=None)))
    assert found == [{"ring.one", "ring.two", "ring.three"}]


# Contracts

# What needs Keras or TensorFlow: rooms, and of tasks the half that is for training.
KERAS_ROOMS = {"models", "losses", "metrics", "training", "export", "recipes", "conversion"}
KERAS_IN_DATASETS = {"datasets.loading", "datasets.builders"}
KERAS_IN_TASKS = {"class_learning", "learning", "saved_networks"}
# What commands and scripts use; they start whatever is asked for.
USERS = {"__main__", "cli", "bench", "editing"}


def contract(name):
    settings = tomllib.loads((ROOT / "pyproject.toml").read_text())["tool"]["importlinter"]
    return next(one for one in settings["contracts"] if one["name"] == name)


def children(parent=""):
    """Return the modules and rooms in a room, dotted, without the package's name."""
    folder = package_tree.PACKAGE / parent.replace(".", "/")
    names = {path.stem for path in folder.glob("*.py")} - {"__init__"}
    names |= {path.parent.name for path in folder.glob("*/__init__.py")}
    return {f"{parent}.{name}" if parent else name for name in names}


def test_every_module_that_inspects_is_kept_from_tensorflow():
    expected = children() - KERAS_ROOMS - USERS - {"datasets", "tasks"}
    expected |= children("datasets") - KERAS_IN_DATASETS
    for name in children("tasks"):  # folders, and the files that all tasks share
        own = children(name) or {name}
        expected |= {file for file in own if file.rpartition(".")[2] not in KERAS_IN_TASKS}
    listed = contract("No TensorFlow or Keras where images are inspected")["source_modules"]
    listed = {name.removeprefix("inspection_tf.") for name in listed}
    assert sorted(expected - listed) == [], "add it to the contract in pyproject.toml"
    assert sorted(listed - expected) == [], "take it out of the contract in pyproject.toml"


def test_each_task_is_in_the_contract_of_their_independence():
    folders = {f"tasks.{path.parent.name}" for path in package_tree.PACKAGE.glob("tasks/*/*.py")}
    listed = contract("Tasks do not know one another")["modules"]
    assert {f"inspection_tf.{name}" for name in folders} == set(listed)
