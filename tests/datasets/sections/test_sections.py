"""The data section of each format: what it has, what it refuses, and older forms of it."""

import importlib
import json
from pathlib import Path

import pytest

from inspection_tf import config, errors
from inspection_tf.datasets import data_spec, readers
from inspection_tf.datasets.sections import base

ROOT = Path(__file__).parents[3]
COMMON = {"format", "seed", "group_pattern", "tune", "test", "sealed", "folds"}
OF_MASKS = {"defects", "compose"}
OF_STORED_MASKS = OF_MASKS | {"root", "empty_masks"}
OF_MASK_FILES = OF_STORED_MASKS | {"mask_values", "mask_ignore"}
OWN = {
    "xray": {"count", "flawed_share", "training_shrink", "training_samples", "xray"},
    "poses": {"root", "symmetry"},
    "synthetic": OF_MASKS | {"count", "defective_share", "weak_labels", "surface"},
    "certificate": {"count", "certificate", "unseen", "unseen_count"},
    "grid": {"count", "grid"},
    "inserts": {"count", "broken_share", "labels", "insert"},
    "dagm": OF_MASK_FILES,
    "folder": OF_MASK_FILES | {"templates"},
    "magnetic_tile": OF_MASK_FILES,
    "deeppcb": OF_STORED_MASKS | {"templates"},
    "corners": {"root", "corner_order"},
    "smartdoc": {"root"},
    "voc": OF_STORED_MASKS | {"objects", "one_based"},
    "classes_folder": {"root", "ok_class", "class_names", "leave_out", "suffixes", "evidence"},
}
RECIPES = {
    "certificate_corners": ("page_corners", "sudoku_finetuned", "sudoku_grids"),
    "dagm_segmentation": ("dagm_edge", "dagm_real", "dagm_zero_defect"),
    "two_stage_defects": ("deeppcb", "magnetic_tile"),
    "xray_pose": ("xray_pose_long", "xray_pose_talk"),
}
SHIPPED = [(recipe, name) for recipe, names in RECIPES.items() for name in (recipe, *names)]
KEPT = sorted((ROOT / "tests" / "bundles").glob("*/manifest.json"))


def flat(**changes):
    """Return a data section as earlier versions wrote it: the fields of all formats."""
    found = {}
    for name in OWN:
        found |= data_spec.DataSpec(format=name).model_dump(mode="json")
    return found | changes


def recipe_config(recipe):
    return importlib.import_module(f"pipelines.{recipe}").Config


def test_each_format_has_its_own_fields_and_the_common_ones():
    fields = {name: set(one.model_fields) for name, one in data_spec.DataSpec.members().items()}
    assert fields == {name: COMMON | own for name, own in OWN.items()}


def test_a_format_is_drawn_or_has_a_reader():
    members = data_spec.DataSpec.members()
    drawn = {name for name, one in members.items() if issubclass(one, base.DrawnSpec)}
    assert drawn == members.keys() - readers.FORMATS.keys()
    assert all(members[name] is one.section for name, one in readers.FORMATS.items())


@pytest.mark.parametrize("name", readers.FORMATS)
def test_a_format_that_is_read_needs_a_root(name):
    with pytest.raises(errors.ConfigError, match=rf"data.format {name} needs data.root"):
        data_spec.read(data_spec.DataSpec(format=name))


@pytest.mark.parametrize(
    ("values", "told"),
    [
        (
            {"format": "folder", "count": 560},
            "formats certificate, grid, inserts, synthetic and xray, not to fol",
        ),
        ({"format": "dagm", "templates": False}, "formats deeppcb and folder, not to dagm"),
        ({"format": "smartdoc", "corner_order": ["tl", "bl", "br", "tr"]}, "the format corners,"),
        (
            {"count": 4, "root": "set"},
            "data.root .*Got 'set': .*formats classes_folder, corn",
        ),
        (
            {"format": "grid", "defects": "composed"},
            ", synthetic and voc, not to grid",
        ),
    ],
)
def test_a_field_of_another_format_is_refused_with_that_format(values, told):
    class Whole(config.Section):
        data: data_spec.DataSpec

    with pytest.raises(errors.ConfigError, match=told):
        config.validate(Whole, {"data": values}, origin="a.yaml")


@pytest.mark.parametrize(("recipe", "name"), SHIPPED, ids=[name for _, name in SHIPPED])
def test_what_ships_holds_only_fields_of_its_format(recipe, name):
    found = config.load(recipe_config(recipe), ROOT / "pipelines" / f"{name}.yaml")
    again = config.validate(type(found), found.model_dump(mode="json"), origin="x")
    assert again == found
    assert set(found.data.model_dump()) == COMMON | OWN[found.data.format]


@pytest.mark.parametrize("name", readers.FORMATS)
def test_what_a_format_has_for_itself_says_how_it_is_read(name):
    section = readers.FORMATS[name].section
    shared = COMMON | OF_MASK_FILES | {"templates"}
    source = section().model_dump(mode="json")
    assert section.how_read(source).keys() == OWN[name] - shared


@pytest.mark.parametrize("name", OWN)
def test_what_earlier_versions_wrote_is_read(name):
    found = data_spec.DataSpec.model_validate(flat(format=name))
    assert found == data_spec.DataSpec(format=name)


def test_an_earlier_run_on_a_folder_kept_what_its_file_said_of_drawn_images():
    """As `--data.format folder` with dagm_segmentation.yaml wrote it."""
    surface = {"size": [64, 64], "textures": ["weave"]}
    written = flat(format="folder", root="set", count=560, surface=surface, tune=0.3)
    found = data_spec.DataSpec.model_validate(written)
    assert found == data_spec.DataSpec(format="folder", root="set", tune=0.3)


@pytest.mark.parametrize("path", KEPT, ids=[path.parent.name for path in KEPT])
def test_the_source_of_a_kept_bundle_is_read(path):
    provenance = json.loads(path.read_text())["provenance"]
    source = provenance["data"]["source"]
    found = data_spec.DataSpec.model_validate(source)
    assert found.format == source["format"]
    for name, value in found.model_dump(mode="json").items():
        assert name not in source or source[name] == value
    config.validate(recipe_config(provenance["recipe"]), provenance["config"], origin=str(path))


def parse(recipe, *words, name=None):
    return config.from_command_line(
        recipe_config(recipe),
        words,
        default_path=ROOT / "pipelines" / f"{name or recipe}.yaml",
        program=f"python -m pipelines.{recipe}",
        description="A recipe.",
    )[0]


def test_the_documented_command_lines_are_read():
    words = ["--config", str(ROOT / "pipelines" / "dagm_real.yaml"), "--data.format", "dagm"]
    found = parse("dagm_segmentation", *words, "--data.root", "set").data
    assert found == data_spec.DataSpec(format="dagm", root="set", folds=5)
    # As the README has it: the format of the file is another one.
    found = parse("dagm_segmentation", "--data.format", "folder", "--data.root", "set").data
    assert found == data_spec.DataSpec(format="folder", root="set", tune=0.25, test=0.25)
    config_file = str(ROOT / "pipelines" / "magnetic_tile.yaml")
    found = parse("two_stage_defects", "--config", config_file, "--data.root", "set").data
    assert (found.format, found.root, found.empty_masks) == ("magnetic_tile", Path("set"), "accept")


def test_an_option_of_another_format_is_refused_with_that_format():
    words = ["--data.format", "folder", "--data.root", "set", "--data.count", "5"]
    with pytest.raises(
        errors.ConfigError, match=r"--data.count, .*certificate, grid, inserts, synthetic and xray"
    ):
        parse("dagm_segmentation", *words)


def test_the_help_of_a_recipe_lists_the_formats_and_the_options_of_one(capsys):
    for words, option in (([], "--data.surface.size"), (["--data.format", "dagm"], "--data.root")):
        with pytest.raises(SystemExit):
            parse("dagm_segmentation", *words, "--help")
        text = capsys.readouterr().out
        assert f"--data.format {{{','.join(sorted(OWN))}}}" in text
        assert option in text
        assert "--data.folds" in text
