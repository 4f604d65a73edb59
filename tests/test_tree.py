"""What holds for the repository as a whole."""

import configparser
import re
from pathlib import Path

import package_tree
import pytest

ROOT = Path(__file__).parents[1]


# Rooms

FOUNDATION = {"__init__", "__main__", "errors", "files"}
# One file of a subject; and one line each, for names that files mention which have been shipped.
OTHERS = {"metrics", "registration", "closeups"}
# TFDS asks for a package a data set.
TFDS = {
    "datasets/builders",
    "datasets/builders/dagm2007",
    "datasets/builders/synthetic_surfaces",
}


def test_the_root_of_the_package_holds_its_foundation_and_rooms_only():
    files = {path.name for path in package_tree.PACKAGE.iterdir() if path.is_file()}
    expected = {f"{name}.py" for name in FOUNDATION | OTHERS} | {"py.typed"}
    assert sorted(files - expected) == [], "a module belongs to a room: move it into a folder"
    assert sorted(expected - files) == []


@pytest.mark.parametrize("name", ["registration", "closeups"])
def test_a_name_of_shipped_files_is_one_line(name):
    text = (package_tree.PACKAGE / f"{name}.py").read_text()
    lines = [line for line in text.splitlines() if line]
    assert len(lines) == 2
    assert lines[1].startswith("from inspection_tf.")


def size_of(folder):
    files = [path for path in folder.glob("*.py") if path.stem not in package_tree.ENTRANCES]
    return len(files), any(path.parent.parent == folder for path in folder.glob("*/*.py"))


def wrong_sizes(rooms):
    """Which rooms do not hold 3 to 12 files; one with rooms of its own may hold fewer."""
    sizes = {name: size_of(folder) for name, folder in rooms.items()}
    return {
        name: f"{files} files; a room holds 3 to 12"
        for name, (files, has_rooms) in sizes.items()
        if name not in TFDS and (files > 12 or (files < 3 and not has_rooms))
    }


def test_a_room_holds_3_to_12_files():
    assert wrong_sizes(package_tree.rooms()) == {}
    assert package_tree.rooms().keys() >= TFDS


def test_a_room_of_another_size_is_found(tmp_path):
    for name, count in (("small", 2), ("large", 13), ("right", 3), ("outer/inner", 3)):
        folder = tmp_path / name
        folder.mkdir(parents=True)
        for number in range(count):
            (folder / f"m{number}.py").touch()
        (folder / "__init__.py").touch()
    rooms = {name: tmp_path / name for name in ("small", "large", "right", "outer", "outer/inner")}
    assert wrong_sizes(rooms).keys() == {"small", "large"}


def test_a_room_is_a_package_that_says_what_it_is_for():
    silent = [
        name
        for name, folder in package_tree.rooms().items()
        if not (folder / "__init__.py").is_file()
        or not (folder / "__init__.py").read_text().startswith('"""')
    ]
    assert silent == []


def test_no_module_is_private():
    assert [name for name in package_tree.modules() if "/_" in f"/{name}".replace("/__", "/")] == []


def test_the_folders_of_tests_mirror_the_rooms():
    others = {"bundles", "pipelines", "support", "toy_task"}
    folders = {
        path.parent.relative_to(ROOT / "tests").as_posix()
        for path in (ROOT / "tests").glob("**/test_*.py")
    } - {"."}
    strange = {name for name in folders if name.partition("/")[0] not in others}
    assert sorted(strange - package_tree.rooms().keys()) == []


# Private names

CODE = sorted(
    path
    for pattern in (
        "inspection_tf/**/*.py",
        "tests/**/*.py",
        "benchmarks/*.py",
        "pipelines/*.py",
        "notebooks/*.ipynb",
    )
    for path in ROOT.glob(pattern)
    if (ROOT / "tests" / "bundles") not in path.parents
)


def own_room(path):
    """The room of a file, dotted: a test's is the one that its folder mirrors."""
    parts = path.parent.relative_to(ROOT).parts
    return ".".join(("inspection_tf", *parts[1:])) if parts[0] == "tests" and parts[1:] else ""


def private_names_of_other_rooms():
    known = package_tree.module_names()
    return {
        f"{path.relative_to(ROOT).as_posix()}: {name.removeprefix('inspection_tf.')}"
        for path in CODE
        for name in package_tree.private_names(package_tree.code_of(path), known)
        if not (own_room(path) and name.startswith(f"{own_room(path)}."))
    }


def test_nothing_takes_a_private_name_of_another_room():
    found = private_names_of_other_rooms()
    assert sorted(found) == [], "a name that is used elsewhere is public: drop its _"


def test_every_way_to_a_private_name_is_seen():
    known = {"inspection_tf", "inspection_tf.images", "inspection_tf.images.codec"}
    code = """
from PACKAGE import images
from PACKAGE.images import codec as reader
from PACKAGE.images import _one
from PACKAGE.images._two import name
import PACKAGE.images.codec as again
import PACKAGE.images.codec

def test(self, monkeypatch):
    reader._three()
    again._four
    monkeypatch.setattr(images, "_five", 0)
    monkeypatch.setattr("PACKAGE.images._six", 0)
    PACKAGE.images.codec._seven
    self._mine, images.__name__, reader.public, monkeypatch._other
""".replace("PACKAGE", "inspection_tf")
    assert {name.split("._")[1] for name in package_tree.private_names(code, known)} == {
        "one", "two.name", "three", "four", "five", "six", "seven",
    }  # fmt: skip


# Recipes and texts


def test_recipes_are_short():
    long = {
        path.name: lines
        for path in (ROOT / "pipelines").glob("*.py")
        if (lines := len(path.read_text().splitlines())) > 95
    }
    assert long == {}


@pytest.mark.parametrize(
    "line",
    [
        'pip install -e ".[train]" && python -m pipelines.dagm_segmentation',
        'pip install -e ".[train,test]" && pytest',
    ],
)
def test_the_readme_holds_its_two_commands(line):
    assert line in (ROOT / "README.md").read_text().splitlines()


def test_links_in_the_readme_lead_somewhere():
    text = (ROOT / "README.md").read_text()
    targets = re.findall(r"\]\((?!https?:)([^)#]+)", text)
    assert targets
    assert [target for target in targets if not (ROOT / target).exists()] == []


def test_there_is_no_project_table_beside_setup_cfg():
    assert "[project]" not in (ROOT / "pyproject.toml").read_text()


def test_the_pythons_that_are_named_are_those_that_ci_tries():
    settings = configparser.ConfigParser()
    settings.read(ROOT / "setup.cfg")
    named = re.findall(r"Python :: (3\.\d+)", settings["metadata"]["classifiers"])
    tried = re.search(r"for version in ([\d. ]+);", (ROOT / ".ci" / "run").read_text())
    assert sorted(named, reverse=True) == tried[1].split()
    newest = int(named[-1].split(".")[1])
    assert settings["options"]["python_requires"] == f">={named[0]},<3.{newest + 1}"


# What is installed under another name than it is imported by.
_MODULES = {"opencv-python-headless": "cv2", "pyyaml": "yaml", "pillow": "PIL"}


def test_the_package_imports_everything_that_its_base_install_brings():
    settings = configparser.ConfigParser()
    settings.read(ROOT / "setup.cfg")
    names = re.findall(r"^([\w-]+)", settings["options"]["install_requires"], re.MULTILINE)
    source = "\n".join(path.read_text() for path in (ROOT / "inspection_tf").rglob("*.py"))
    unused = [
        name
        for name in names
        if not re.search(rf"^\s*(import|from) {_MODULES.get(name, name)}\b", source, re.MULTILINE)
    ]
    assert "numpy" in names
    assert unused == []
