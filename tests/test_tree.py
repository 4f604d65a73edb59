"""What holds for the repository as a whole."""

import configparser
import re
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]


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
