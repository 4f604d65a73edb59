"""Files, modules, commands and options that documentation and configurations name are there."""

import contextlib
import functools
import importlib.util
import io
import json
import re
import shlex
from pathlib import Path

import tyro

from inspection_tf import config
from inspection_tf.cli.main import COMMANDS
from inspection_tf.config import bases
from pipelines import (
    certificate_corners,
    dagm_segmentation,
    insert_wear,
    two_stage_defects,
    xray_pose,
)

ROOT = Path(__file__).parents[1]
RECIPES = (certificate_corners, dagm_segmentation, insert_wear, two_stage_defects, xray_pose)
SOURCES = sorted(
    path
    for pattern in ("*.md", "docs/*.md", "pipelines/*", "benchmarks/*.py", "notebooks/*.ipynb")
    for path in ROOT.glob(pattern)
    if path.is_file() and path.name != "CHANGELOG.md"
)
FILE = re.compile(r"(?<![\w/.{}-])((?:[\w.-]+/)*[\w-]+\.(?:yaml|py|ipynb|md))\b")
MODULE = re.compile(r"python -m ([\w.]+)")
# What a shell would start: at the beginning of a line or of `code`, or after a prompt's `&&`.
COMMAND = re.compile(r"(?:^|`|&& |#  +)inspection ([a-z][^`\n]*)", re.MULTILINE)
BENCHMARK = re.compile(r"python (?:-m )?benchmarks[./](\w+)(?:\.py)?([^`\n]*)")
SETTING = re.compile(r"(?<![\w-])--([a-z_]+(?:\.[a-z0-9_-]+)+)")


def prose(path):
    """What a file tells its reader: comments of YAML, docstrings of Python, text of notebooks."""
    text = path.read_text(encoding="utf-8")
    if path.suffix == ".yaml":
        comments = re.findall(r"^ *#.*", text, re.MULTILINE)
        # A command goes on in the line below, further in.
        return re.sub(r"\n *# *--", " --", "\n".join(comments))
    if path.suffix == ".py":
        return text.split('"""')[1] if text.startswith('"""') else ""
    if path.suffix == ".ipynb":
        cells = json.loads(text)["cells"]
        return "\n".join("".join(c["source"]) for c in cells if c["cell_type"] == "markdown")
    return text


PROSE = {path.relative_to(ROOT).as_posix(): prose(path) for path in SOURCES}


@functools.cache
def written_by_the_package():
    """Names of files in the package's code: of run folders and bundles, which are not here."""
    code = "\n".join(path.read_text() for path in (ROOT / "inspection_tf").rglob("*.py"))
    return set(re.findall(r"[\"/]([\w-]+\.(?:yaml|py|md))\"", code))


def is_there(name, beside):
    """Whether a named file is in the tree, in the package, or one that a run or bundle holds."""
    places = (ROOT, beside, ROOT / "inspection_tf")
    return any((place / name).is_file() for place in places) or (
        name.rpartition("/")[2] in written_by_the_package()
    )


def absent_files(text, beside):
    found = {name for name in FILE.findall(text) if "NAME" not in name}
    return sorted(name for name in found if not is_there(name, beside))


def of_each(find):
    """What `find` finds wrong, by the file that says it."""
    return {name: wrong for name, text in PROSE.items() if (wrong := find(text))}


def test_a_file_that_is_named_exists():
    found = {name: absent_files(text, (ROOT / name).parent) for name, text in PROSE.items()}
    assert {name: absent for name, absent in found.items() if absent} == {}


def absent_modules(text):
    return [name for name in MODULE.findall(text) if not importlib.util.find_spec(name)]


def test_a_module_that_is_started_exists():
    assert of_each(absent_modules) == {}


def stub(command):
    """A command that takes the same words and does nothing."""

    @functools.wraps(command)
    def nothing(*_arguments, **_options):
        return 0

    return nothing


STUBS = {name: stub(command) for name, command in COMMANDS.items()}


def is_command(words):
    """Whether `inspection` takes the words, or, where they only name a command, has it."""
    names = [word for word in words if re.fullmatch("[a-z]+", word)]
    is_name_alone = names == words and len(words) == 1 + (words[0] == "synthesize")
    stream = io.StringIO()
    given = [*words, "--help"] if is_name_alone else words
    with contextlib.redirect_stdout(stream), contextlib.redirect_stderr(stream):
        try:
            tyro.extras.subcommand_cli_from_dict(STUBS, prog="inspection", args=given)
        except SystemExit as ended:
            # The help of an unknown command is that of the whole.
            return ended.code == 0 and f"inspection {' '.join(words)} [" in stream.getvalue()
    return True


def wrong_commands(text):
    """Commands of `inspection` that do not exist, or do not take what they are given."""
    one_line = re.sub(r"(?<!`)`[^`]+`", lambda code: code.group().replace("\n", " "), text)
    lines = [re.sub(" +#.*", "", line).strip() for line in COMMAND.findall(one_line)]
    return [line for line in lines if not is_command(shlex.split(line))]


def test_a_command_that_is_named_exists_with_its_options():
    assert of_each(wrong_commands) == {}


def unknown_options(text):
    """Options that a benchmark is given and its file does not know."""
    one_line = re.sub(r"(?<!`)`[^`]+`", lambda code: code.group().replace("\n", " "), text)
    wrong = []
    for name, words in BENCHMARK.findall(one_line):
        code = (ROOT / "benchmarks" / f"{name}.py").read_text().split('"""', 2)[2]
        # Of argparse, or an argument of `main` for tyro.
        known = set(re.findall(r"\"--([a-z-]+)\"|[( ]([a-z_]+): ", code))
        options = re.findall(r"(?<![\w-])--([a-z-]+)", words)
        names = {part.replace("_", "-") for pair in known for part in pair}
        wrong += [f"{name} --{option}" for option in options if option not in names]
    return wrong


def test_an_option_that_a_benchmark_is_given_exists():
    assert of_each(unknown_options) == {}


@functools.cache
def settings():
    """Every field of every configuration that is shipped, by its dotted name."""

    def names(values, path=""):
        for key, value in values.items():
            yield path + key
            if isinstance(value, dict):
                yield from names(value, f"{path}{key}.")

    found = set()
    for path in (ROOT / "pipelines").glob("*.yaml"):
        sections = set(bases.read(path).values)
        recipe = next(r for r in RECIPES if set(r.Config.model_fields) >= sections)
        found |= set(names(config.load(recipe.Config, path).model_dump()))
    return found


def unknown_settings(text):
    given = {name.replace("-", "_") for name in SETTING.findall(text)} - {"section.field"}
    return sorted(
        name for name in given if not {name, re.sub(r"\.no_([a-z_]+)$", r".\1", name)} & settings()
    )


def test_a_setting_that_is_given_on_a_command_line_exists():
    assert of_each(unknown_settings) == {}


def test_what_is_not_there_is_found():
    text = "See sudoku_corners.yaml and `golden/check.py`; `pipelines/dagm_real.yaml`, `NAME.yaml`."
    assert absent_files(text, ROOT / "pipelines") == ["sudoku_corners.yaml"]
    assert absent_files("See dagm_real.yaml.", ROOT) == ["dagm_real.yaml"]
    assert absent_modules("python -m venv X && python -m benchmarks.nothing") == [
        "benchmarks.nothing"
    ]
    told = (
        "inspection threshold BUNDLE --set 0.4  # --sat\ninspection threshold BUNDLE --sat 1\n"
        "`inspection look BUNDLE` at inspection, `inspection\nmarkers DIR`, `inspection markers`\n"
        "`inspection synthesize squares` or `inspection synthesize grid`"
    )
    assert wrong_commands(told) == [
        "threshold BUNDLE --sat 1",
        "look BUNDLE",
        "markers DIR",  # without --out
        "synthesize squares",
    ]
    told = "`python -m benchmarks.locators\n--run RUN --runs RUN` or\n"
    told += "python benchmarks/backbones.py [--quick] [--names vgg10 mobilenet ...]\n"
    assert unknown_options(told) == ["locators --runs"]
    told = "--data.root X --data.no-templates --classifier.model.backbone.weight F"
    assert unknown_settings(told) == ["classifier.model.backbone.weight"]


def test_the_texts_hold_what_is_looked_for():
    everything = "\n".join(PROSE.values())
    assert len(set(FILE.findall(everything))) > 20
    assert len(COMMAND.findall(everything)) > 20
    assert {"pipelines.dagm_segmentation", "benchmarks.locators"} <= set(MODULE.findall(everything))
    assert {"data.root", "locator.weights"} <= set(SETTING.findall(everything))
