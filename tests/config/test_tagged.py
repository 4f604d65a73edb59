"""A section that is one of several, told apart by one of its fields."""

import copy
import pickle
from pathlib import Path
from typing import ClassVar, Literal

import pydantic
import pytest

from inspection_tf import config, errors


class Part(config.TaggedSection):
    """A part."""

    TAG: ClassVar[str] = "shape"
    EARLIER: ClassVar[frozenset[str]] = frozenset({"radius_mm", "sides_mm"})

    shape: str = "disc"
    """Which."""
    name: str = "part"
    """Of the part."""


class Round(Part):
    """What has a radius."""

    radius_mm: float = 5.0
    """Half of its width, mm."""


class Disc(Round):
    """A disc."""

    shape: Literal["disc"] = "disc"


class Ring(Round):
    """A ring."""

    shape: Literal["ring"] = "ring"
    hole_mm: float = 2.0
    """Radius of its hole, mm."""


class Plate(Part):
    """A plate."""

    shape: Literal["plate"] = "plate"
    sides_mm: tuple[float, float] = (4.0, 3.0)
    """Of the plate, mm."""
    is_thin: bool = False
    """Whether it is."""


class Drawing(config.Section):
    """A drawing."""

    part: Part = Disc()
    scale: float = 1.0
    """Of the drawing."""


def drawing(**part):
    return config.validate(Drawing, {"part": part}, origin="a.yaml")


def test_the_union_returns_the_member_that_is_named():
    assert type(Part(shape="plate")) is Plate
    assert type(Part()) is Disc
    assert Part(shape="ring", hole_mm=1) == Ring(hole_mm=1.0)
    assert Part.model_validate({"shape": "ring"}) == Ring()
    assert drawing(shape="plate", sides_mm=[2, 1]).part == Plate(sides_mm=(2.0, 1.0))


def test_members_are_listed_by_name():
    assert list(Part.members()) == ["disc", "plate", "ring"]
    assert list(Round.members()) == ["disc", "ring"]
    assert list(Plate.members()) == ["plate"]


def test_a_member_goes_through_yaml_copies_and_pickles(tmp_path):
    whole = drawing(shape="ring", hole_mm=1.5)
    path = tmp_path / "a.yaml"
    path.write_text(config.to_yaml(whole))
    assert config.load(Drawing, path) == whole
    assert set(whole.model_dump()["part"]) == {"shape", "name", "radius_mm", "hole_mm"}
    assert copy.deepcopy(whole) == pickle.loads(pickle.dumps(whole)) == whole
    assert config.replace(whole, {"scale": 2.0}, origin="x").part == whole.part


@pytest.mark.parametrize(
    ("part", "told"),
    [
        ({"shape": "cube"}, r"a.yaml: part.shape .*Got 'cube': .*'disc', 'plate' or 'ring'"),
        ({"shape": ["disc"]}, r"part.shape .*'disc', 'plate' or 'ring'"),
        (
            {"shape": "plate", "hole_mm": 1},
            r"part.hole_mm .*Got 1: .* the shape ring, not to plate",
        ),
        ({"shape": "plate", "radius_mm": 1}, r"shapes disc and ring, not to plate\. Correct"),
        ({"shape": "plate", "hole_mm": "x"}, r"part.hole_mm .*Got 'x': .*not to plate"),
        (
            {"shape": "plate", "side_mm": 1},
            r"Got 'part.side_mm'. Perhaps you meant 'part.sides_mm'",
        ),
        ({"shape": "plate", "sides_mm": "x"}, r"part.sides_mm must be valid"),
    ],
)
def test_a_section_that_does_not_fit_is_refused(part, told):
    with pytest.raises(errors.ConfigError, match=told):
        drawing(**part)


def test_what_is_no_table_is_refused():
    with pytest.raises(errors.ConfigError, match=r"part must be .*dictionary or instance of Part"):
        config.validate(Drawing, {"part": [1]}, origin="x")


def test_the_default_of_another_member_is_left_out():
    assert drawing(shape="plate", hole_mm=2, radius_mm="5").part == Plate()


def test_what_earlier_versions_wrote_for_all_members_is_left_out():
    written = {"name": "p", "radius_mm": 9.0, "hole_mm": 1.0, "sides_mm": [2, 1], "is_thin": True}
    assert drawing(shape="ring", **written).part == Ring(name="p", radius_mm=9.0, hole_mm=1.0)
    assert drawing(**written).part == Disc(name="p", radius_mm=9.0)


def test_a_member_becomes_another_with_the_fields_that_both_have():
    assert Ring(name="p", radius_mm=9.0).converted("disc") == Disc(name="p", radius_mm=9.0)
    assert Ring(name="p", radius_mm=9.0).converted("plate") == Plate(name="p")


def test_members_keep_their_own_checks():
    with pytest.raises(pydantic.ValidationError, match="valid number"):
        Part(shape="ring", hole_mm="wide")


# --- on the command line


@pytest.fixture
def parse(tmp_path):
    path = tmp_path / "a.yaml"
    path.write_text("part: {shape: ring, name: washer, hole_mm: 1.0, radius_mm: 3.0}\n")

    def parse(*words):
        return config.from_command_line(
            Drawing, words, default_path=Path(path), program="draw", description="Draws."
        )[0]

    return parse


def test_its_options_are_those_of_the_member_in_the_file(parse):
    assert parse("--part.hole-mm", "2.5").part == Ring(name="washer", hole_mm=2.5, radius_mm=3.0)


@pytest.mark.parametrize("words", [["--part.shape", "plate"], ["--part.shape=plate"]])
def test_an_option_chooses_another_member_than_the_file(parse, words):
    found = parse(*words, "--part.is-thin", "--part.sides-mm", "2", "1").part
    assert found == Plate(name="washer", sides_mm=(2.0, 1.0), is_thin=True)


@pytest.mark.parametrize(
    ("words", "told"),
    [
        (["--part.shape", "cube"], r"--part.shape must be disc, plate or ring. Got 'cube'"),
        (["--part.is-thin"], r"shape ring .*Got --part.is-thin, which belongs to plate. Leave"),
        (["--part.no-is-thin"], r"Got --part.no-is-thin, which belongs to plate"),
        (["--part.shape=plate", "--part.radius_mm=1"], r"--part.radius_mm, .* to disc and ring"),
    ],
)
def test_an_option_of_another_member_is_refused(parse, words, told):
    with pytest.raises(errors.ConfigError, match=told):
        parse(*words)


@pytest.mark.parametrize(
    ("words", "option"), [([], "hole-mm"), (["--part.shape", "plate"], "sides-mm")]
)
def test_the_help_lists_the_members_and_the_options_of_the_chosen_one(parse, words, option, capsys):
    with pytest.raises(SystemExit):
        parse(*words, "--help")
    text = capsys.readouterr().out
    assert "--part.shape {disc,plate,ring}" in text
    assert f"--part.{option}" in text
