"""`docs/architecture.md` is held against the code: its tree, its layers, and every name in it."""

import importlib
import re
import tomllib
from pathlib import Path

import package_tree
import pytest

ROOT = Path(__file__).parents[1]
PAGE = (ROOT / "docs" / "architecture.md").read_text(encoding="utf-8")
BLOCK = re.compile(r"^```\n(.*?)^```$", re.MULTILINE | re.DOTALL)
LINE = re.compile(r"^( *)(\w+)(/?)  +(\S.*)$")


def block(heading):
    """Return the lines of the first block under a heading."""
    text = PAGE.split(f"\n## {heading}\n")[1].split("\n## ")[0]
    return BLOCK.search(text)[1].splitlines()


def entries(lines):
    """Return what the lines of a tree stand for: "images/" of a room, "images/codec" of a file.

    Two spaces further in lies what is in a folder; its own line ends the name with a `/`.
    """
    found, folders = [], []
    for line in filter(None, lines):
        match = LINE.match(line)
        assert match, f"a line must be a name, two spaces or more, and what it is. Got {line!r}"
        depth = len(match[1]) // 2
        assert depth <= len(folders), f"{line!r} stands too far in"
        del folders[depth:]
        found.append("/".join([*folders[1:], match[2]]) + match[3] if depth else "")
        if match[3]:
            folders.append(match[2])
    return found[1:]


def differences(listed, there):
    """Say, in a sentence each, what a tree lacks and what it has too much."""
    sentences = [f"{name} is there twice" for name in set(listed) if listed.count(name) > 1]
    for name in sorted(there - set(listed)):
        folder = name.rstrip("/").rpartition("/")[0]
        file = name if name.endswith("/") else f"{name}.py"
        sentences.append(f"{file} is not in the tree: add a line to {folder or 'inspection_tf'}/")
    for name in sorted(set(listed) - there):
        sentences.append(f"{name} is in the tree and not in the package: take its line out")
    return sentences


def test_the_tree_has_a_line_for_every_room_and_every_file():
    there = {name for name in package_tree.modules() if not name.endswith("__init__")}
    there |= {f"{name}/" for name in package_tree.rooms()}
    assert differences(entries(block("The tree")), there) == []


def test_the_layers_are_those_of_the_contract():
    settings = tomllib.loads((ROOT / "pyproject.toml").read_text())["tool"]["importlinter"]
    layers = next(one["layers"] for one in settings["contracts"] if one["name"] == "Layers")
    assert [re.split("  +", line)[0] for line in block("The layers")] == layers


# Names

PATH = re.compile(r"(?<![\w./-])[a-z]\w*/(?:\w+/?)*(?:\.\w+)?")
DOTTED = re.compile(r"[a-z]\w*(?:\.\w+)+")
CLASS = re.compile(r"(?<![\w.])[A-Z][a-z]\w*(?![\w.])")


def is_path(name):
    """Whether a name is a folder or file, with its suffix or without, here or in the package."""
    places = [place / name for place in (ROOT, package_tree.PACKAGE)]
    return any(path.exists() or path.with_suffix(".py").exists() for path in places)


def is_name(dotted):
    """Whether a name is one of the package: a module, something in it, or a field of a section."""
    parts = ("inspection_tf", *dotted.removeprefix("inspection_tf.").split("."))
    known = package_tree.module_names()
    length = max(n for n in range(1, len(parts) + 1) if ".".join(parts[:n]) in known)
    value = importlib.import_module(".".join(parts[:length]))
    for part in parts[length:]:
        fields = getattr(value, "model_fields", {})
        if part not in fields and not hasattr(value, part):
            return False
        value = fields[part] if part in fields else getattr(value, part)
    return True


def absent(text):
    """Return what a text names and the code has not: between backticks, and in pictures."""
    code = re.findall("`([^`\n]+)`", BLOCK.sub("", text))
    pictures = "\n".join(BLOCK.findall(text))
    paths = [word for word in code if PATH.fullmatch(word)] + PATH.findall(pictures)
    names = [word for word in code if DOTTED.fullmatch(word) and not is_path(word)]
    source = "\n".join(path.read_text() for path in package_tree.modules().values())
    classes = set(re.findall(r"^class (\w+)", source, re.MULTILINE))
    return sorted(
        {path for path in paths if not is_path(path)}
        | {name for name in names if not is_name(name)}
        | {name for name in CLASS.findall(pictures) if name not in classes}
    )


def test_every_name_in_the_page_is_in_the_code():
    without_tree = PAGE.replace("\n".join(block("The tree")), "")
    assert absent(without_tree) == []
    assert len(PATH.findall(without_tree)) > 20


# What the checks find


def test_a_missing_and_an_extra_line_of_the_tree_are_named():
    lines = [
        "inspection_tf/  the package",
        "  errors        what can go wrong",
        "",
        "  images/       pixels",
        "    codec       decoding",
        "    more/       a room in a room",
        "      old       gone",
        "    tiff        structure",
    ]
    listed = entries(lines)
    assert listed == ["errors", "images/", "images/codec", "images/more/", "images/more/old",
                      "images/tiff"]  # fmt: skip
    there = {"errors", "images/", "images/codec", "images/more/", "images/tiff", "images/new", "x/"}
    assert differences(listed, there) == [
        "images/new.py is not in the tree: add a line to images/",
        "x/ is not in the tree: add a line to inspection_tf/",
        "images/more/old is in the tree and not in the package: take its line out",
    ]


@pytest.mark.parametrize("line", ["  images/", "  errors what can go wrong", "    too  deep"])
def test_a_line_of_the_tree_that_is_none_is_refused(line):
    with pytest.raises(AssertionError, match=r"a line must be|too far in"):
        entries(["inspection_tf/  the package", line])


def test_a_name_that_is_not_in_the_code_is_found():
    text = """
`images/codec.py`, `images/`, `images/nothing.py`, `decision.Rules.min_area_px`,
`inspection_tf.load`, `decision.Rules.min_area_mm`, `decision.nothing`,
`lint-imports`, `pipelines/dagm_edge.yaml`
```
 images/codec --Verdict--> decision/, images/gone --Verdikt--> keras.Model
```
"""
    assert absent(text) == [
        "Verdikt",
        "decision.Rules.min_area_mm",
        "decision.nothing",
        "images/gone",
        "images/nothing.py",
    ]
