"""A focus on the command line of a recipe and in its YAML."""

import pytest
import yaml

from inspection_tf import config, images
from inspection_tf.config import command_line


class Recipe(config.Section):
    """What a recipe asks for."""

    preprocessing: images.Preprocessing
    seed: int = 0
    """of the run"""


def read(tmp_path, *words, focus=None):
    path = tmp_path / "recipe.yaml"
    values = {"size": [224, 224], "fit": "stretch"} | ({"focus": focus} if focus else {})
    path.write_text(yaml.safe_dump({"preprocessing": values}))
    recipe, _ = command_line.from_command_line(
        Recipe, words, default_path=path, program="recipe", description="A recipe."
    )
    return recipe


@pytest.mark.parametrize(
    ("words", "size"),
    [
        ((), None),
        (("--seed", "3"), None),
        (("preprocessing.focus:focus-spec",), (320, 320)),
        (
            ("preprocessing.focus:focus-spec", "--preprocessing.focus.size", "200", "300"),
            (200, 300),
        ),
    ],
)
def test_a_focus_comes_last_on_the_command_line(tmp_path, words, size):
    focus = read(tmp_path, *words).preprocessing.focus
    assert (focus and focus.size) == size


def test_a_focus_of_the_yaml_stays_unless_it_is_taken_out(tmp_path):
    asked = {"size": [100, 120]}
    assert read(tmp_path, "--seed", "3", focus=asked).preprocessing.focus.size == (100, 120)
    assert read(tmp_path, "preprocessing.focus:none", focus=asked).preprocessing.focus is None


def test_a_configuration_with_a_focus_is_written_and_read_again(tmp_path):
    recipe = read(tmp_path, focus={"size": [100, 120]})
    path = tmp_path / "again.yaml"
    path.write_text(config.to_yaml(recipe))
    assert config.load(Recipe, path) == recipe
