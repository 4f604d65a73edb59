"""YAML that says things twice, or nearly; and paths with a `~`."""

from pathlib import Path
from typing import Any, Literal

import pydantic
import pytest
import yaml

from inspection_tf import cli, config, errors


class Train(config.Section):
    epochs: int = 1
    """Passes."""
    rate: float = 0.1
    """Step."""
    deterministic: bool = False
    """Whether."""


class Whole(config.Section):
    name: str = ""
    """Text."""
    root: Path | None = None
    """Folder."""
    weights: Literal["imagenet"] | Path | None = None
    """File."""
    train: Train = Train()
    """Nested."""
    sizes: tuple[int, ...] = ()
    """Numbers."""
    options: dict[str, float | bool] = pydantic.Field(default_factory=dict)
    """Either."""
    changes: dict[str, Any] = pydantic.Field(default_factory=dict)
    """Anything."""


@pytest.fixture
def load(tmp_path):
    def read(text):
        (tmp_path / "a.yaml").write_text(text, encoding="utf-8")
        return config.load(Whole, tmp_path / "a.yaml")

    return read


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("train: {epochs: 2}\nname: a\ntrain:\n  rate: 1\n", "line 3: .*Got 'train' twice.*line 1"),
        ("train:\n  epochs: 2\n  rate: 1\n  epochs: 3\n", "line 4: .*Got 'epochs' twice.*line 2"),
        ('name: a\n"name": b\n', "line 2: .*Got 'name' twice"),
        ("train: {epochs: 1, epochs: 1}\n", "line 1: .*Got 'epochs' twice"),
        ("changes:\n  - {a: 1}\n  - a: 1\n    a: 2\n", "line 4: .*Got 'a' twice"),
        ("name: a\n---\nname: b\n", "another document"),
    ],
)
def test_what_stands_twice_is_refused_with_its_line(load, text, message):
    with pytest.raises(errors.ConfigError, match=message):
        load(text)


def test_a_section_appended_to_a_shipped_file_is_refused(tmp_path):
    from pipelines import dagm_segmentation

    text = Path(dagm_segmentation.__file__).with_suffix(".yaml").read_text()
    (tmp_path / "a.yaml").write_text(f"{text}\ntrain:\n  validate_every: 3\n")
    with pytest.raises(errors.ConfigError, match="Got 'train' twice"):
        config.load(dagm_segmentation.Config, tmp_path / "a.yaml")


def test_what_is_merged_in_may_be_replaced(load):
    assert load("changes: &a {x: 1, y: 2}\noptions: {<<: *a, y: 3}\n").options == {"x": 1, "y": 3}


@pytest.mark.parametrize(
    "value",
    ["yes", "no", "On", "off", "true", "False", "010", "-07", "018", "'010'", "1:30", "0:0:1",
     "1:30.5", "2026-01-31", "2026-01-31 10:00:00", "!!int 010", "0o17", "1e", "null", "[1]", "="],
)  # fmt: skip
@pytest.mark.parametrize("field", ["epochs", "rate"])
def test_a_number_is_never_made_of_something_else(load, field, value):
    with pytest.raises(errors.ConfigError, match=rf"a\.yaml, line 3: train\.{field} must be valid"):
        load(f"name: a\ntrain:\n  {field}: {value}\n")


@pytest.mark.parametrize("value", ["true", "010", "no"])
def test_nor_is_one_in_a_list(load, value):
    with pytest.raises(errors.ConfigError, match=r"line 1: sizes"):
        load(f"sizes: [3, {value}]\n")


@pytest.mark.parametrize(
    ("text", "value"),
    [("3e-4", 3e-4), ("3E-4", 3e-4), ("1e3", 1000), ("1.5e+2", 150), (".5", 0.5), ("7", 7),
     ("1_000", 1000), ("+2", 2), ("-0.0", 0), ("00.5", 0.5)],
)  # fmt: skip
def test_numbers_are_read_as_they_are_written(load, text, value):
    assert load(f"train: {{rate: {text}}}\n").train.rate == value


@pytest.mark.parametrize(
    ("text", "value"), [("12", 12), ("0", 0), ("-3", -3), ("0x1F", 31), ("1_000", 1000), ("3.0", 3)]
)
def test_whole_numbers_are_read_as_they_are_written(load, text, value):
    assert load(f"train: {{epochs: {text}}}\n").train.epochs == value


@pytest.mark.parametrize(
    ("text", "value"),
    [("true", True), ("False", False), ("yes", True), ("no", False), ("on", True), ("OFF", False)],
)
def test_a_switch_takes_every_word_for_on_and_off(load, text, value):
    assert load(f"train: {{deterministic: {text}}}\n").train.deterministic is value
    assert load(f"options: {{a: {text}}}\n").options == {"a": value}


@pytest.mark.parametrize(
    "text", ["no", "on", "010", "018", "1:30", "22:22", "2026-01-31", "3e-4", "=", "ja: nein"]
)
def test_text_stays_the_text_that_it_is(load, text):
    quoted = text if ": " not in text else f"'{text}'"
    assert load(f"name: {quoted}\n").name == text
    assert load(f"root: {quoted}\n").root == Path(text)
    assert load(f"changes: {{a: {quoted}}}\n").changes == {"a": text}
    assert load(config.to_yaml(Whole(name=text, root=text))) == Whole(name=text, root=text)


@pytest.mark.parametrize("text", ["true", "1.10", "12", "null"])
def test_text_that_would_become_something_else_is_refused(load, text):
    with pytest.raises(errors.ConfigError, match=r"line 2: name must be valid"):
        load(f"sizes: []\nname: {text}\n")
    assert load(f"name: '{text}'\n").name == text


def test_a_misspelt_field_is_named_with_its_line(load):
    with pytest.raises(errors.ConfigError, match=r"line 3 may hold only .*'train\.epoch'.*epochs"):
        load("name: a\ntrain:\n  epoch: 3\n")


def test_a_file_that_is_nested_too_deeply_is_refused(load):
    with pytest.raises(errors.ConfigError, match="must be YAML"):
        load("[" * 1500)


def test_a_configuration_that_was_written_is_read_again(load):
    values = Whole(name="no", root="1:30", sizes=(10, 8), changes={"a": "010", "b": [True, 1e-5]})
    assert load(config.to_yaml(values)) == values
    # As earlier versions wrote it, and by hand.
    assert load(yaml.safe_dump(values.model_dump(mode="json"), sort_keys=False)) == values


# Paths


@pytest.fixture
def home(tmp_path, monkeypatch):
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    return tmp_path / "home"


def test_a_tilde_is_the_home_folder(load, home):
    found = load("root: ~/set\nweights: ~/own.keras\n")
    assert (found.root, found.weights) == (home / "set", home / "own.keras")


@pytest.mark.parametrize(
    ("text", "expected"),
    [("/~/set", "/~/set"), ("a/~/set", "a/~/set"), ("~nobody-at-all/x", "~nobody-at-all/x")],
)
def test_other_paths_stay_as_they_are(load, home, text, expected):
    assert load(f"root: {text}\n").root == Path(expected)


def test_a_tilde_alone_is_nothing_in_yaml_and_the_home_folder_in_quotes(load, home):
    assert load("root: ~\n").root is None
    assert load("root: '~'\n").root == home


def test_a_word_is_no_path(load):
    assert load("weights: imagenet\n").weights == "imagenet"


def test_a_recipe_takes_a_tilde_on_its_command_line(tmp_path, home):
    home.mkdir()
    (home / "a.yaml").write_text("name: a\n")
    words = ["--config=~/a.yaml", "--out", "~/run", "--root=~/set", "--train.rate", "3e-4"]
    section, out = config.from_command_line(
        Whole, words, default_path=tmp_path, program="x", description="x"
    )
    assert (section.name, section.root, out) == ("a", home / "set", home / "run")
    assert section.train.rate == 3e-4


def test_commands_take_a_tilde(home, capsys):
    assert cli.main(["verify", "~/bundle"]) == 4
    assert f"{home}/bundle: a bundle must be a folder" in capsys.readouterr().err


def test_help_says_how_numbers_and_paths_may_be_written(tmp_path, capsys):
    (tmp_path / "a.yaml").write_text("name: a\n")
    with pytest.raises(SystemExit):
        config.from_command_line(
            Whole, ["--help"], default_path=tmp_path / "a.yaml", program="x", description="x"
        )
    assert "3e-4; a path may begin with ~" in " ".join(capsys.readouterr().out.split())
    with pytest.raises(SystemExit):
        cli.main(["--help"])
    assert "3e-4; a path may begin with ~" in " ".join(capsys.readouterr().out.split())
