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


ASKED = {"method": "edge_corner", "size": [100, 120]}
METHOD, SIZE = "--preprocessing.focus.method", "--preprocessing.focus.size"


@pytest.mark.parametrize(
    ("words", "is_wanted", "size"),
    [
        (("--seed", "3"), False, (320, 320)),
        ((METHOD, "edge_corner"), True, (320, 320)),
        ((METHOD, "edge_corner", SIZE, "200", "300", "--seed", "3"), True, (200, 300)),
    ],
)
def test_a_focus_is_asked_for_on_the_command_line(tmp_path, words, is_wanted, size):
    focus = read(tmp_path, *words).preprocessing.focus
    assert (focus.is_wanted, focus.size) == (is_wanted, size)


def test_a_focus_of_the_yaml_stays_unless_it_is_taken_out(tmp_path):
    assert read(tmp_path, "--seed", "3", focus=ASKED).preprocessing.focus.size == (100, 120)
    assert not read(tmp_path, METHOD, "none", focus=ASKED).preprocessing.focus.is_wanted


def test_a_configuration_with_a_focus_is_written_and_read_again(tmp_path):
    recipe = read(tmp_path, focus=ASKED)
    path = tmp_path / "again.yaml"
    path.write_text(config.to_yaml(recipe))
    assert config.load(Recipe, path) == recipe
