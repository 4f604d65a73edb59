from typing import Literal

import pydantic
import pytest

from inspection_tf import config, errors


class Inner(config.Section):
    rate: float = 0.1
    """Share of something, 0..1."""
    names: tuple[str, ...] = ()
    """Names."""


class Chosen(config.Section):
    flips: bool | Literal["across", "along"] = True
    """Which."""
    is_on: bool = True
    """A switch."""


class Outer(config.Section):
    seed: int
    """Seed."""
    inner: Inner = Inner()
    """Nested."""
    maybe: Inner | None = None
    """Nested, or none."""
    several: tuple[Inner, ...] = ()
    """A few."""
    chosen: Chosen = Chosen()
    """Of a few words."""

    @pydantic.model_validator(mode="after")
    def _seed_is_under_the_rate(self):
        if self.seed < self.inner.rate:
            raise ValueError("seed must not be under inner.rate.")
        return self


def command_line(words, default_path):
    return config.from_command_line(
        Outer, words, default_path=default_path, program="program", description="Words."
    )


@pytest.fixture
def path(tmp_path):
    path = tmp_path / "outer.yaml"
    path.write_text("seed: 4\ninner:\n  rate: 3e-4\n")
    return path


def test_a_section_survives_yaml(tmp_path):
    section = Outer(seed=2, inner=Inner(rate=0.25, names=("ä", "b")), several=(Inner(),))
    (tmp_path / "a.yaml").write_text(config.to_yaml(section), encoding="utf-8")
    assert config.load(Outer, tmp_path / "a.yaml") == section


def test_a_number_that_yaml_takes_for_text_is_a_number(path):
    assert config.load(Outer, path).inner.rate == 3e-4


def test_a_section_cannot_be_changed():
    with pytest.raises(pydantic.ValidationError, match="frozen"):
        Inner().rate = 0.5


def test_replaced_fields_are_checked_with_the_others():
    before = Outer(seed=4, several=(Inner(rate=0.5),))
    after = config.replace(before, {"inner": {"rate": 3}}, origin="here")
    assert after == Outer(seed=4, inner=Inner(rate=3), several=(Inner(rate=0.5),))
    with pytest.raises(errors.ConfigError, match=r"here.*must not be under inner\.rate"):
        config.replace(before, {"inner": {"rate": 5}}, origin="here")


@pytest.mark.parametrize(
    ("values", "field", "suggestion"),
    [
        ({"seed": 1, "iner": {}}, "'iner'", "'inner'"),
        ({"seed": 1, "inner": {"rat": 1}}, "'inner.rat'", "'inner.rate'"),
        ({"seed": 1, "maybe": {"rat": 1}}, "'maybe.rat'", "'maybe.rate'"),
        ({"seed": 1, "several": [{}, {"rat": 1}]}, "'several.1.rat'", "'several.1.rate'"),
    ],
)
def test_a_misspelt_field_is_named_with_the_closest_known_one(values, field, suggestion):
    with pytest.raises(errors.ConfigError, match=f"Got {field}. Perhaps you meant {suggestion}"):
        config.validate(Outer, values, origin="a.yaml")


def test_a_field_like_no_other_lists_the_known_ones():
    with pytest.raises(errors.ConfigError, match="Known fields: rate, names"):
        config.validate(Outer, {"seed": 1, "inner": {"zzz": 1}}, origin="a.yaml")


def test_a_wrong_value_is_named_with_its_field():
    with pytest.raises(errors.ConfigError, match=r"a.yaml: inner.rate must be valid. Got 'much'"):
        config.validate(Outer, {"seed": 1, "inner": {"rate": "much"}}, origin="a.yaml")


@pytest.mark.parametrize(("values", "field"), [({}, "seed"), ({"inner": {"rate": 1}}, "seed")])
def test_a_missing_field_is_named_with_the_way_out(values, field):
    with pytest.raises(errors.ConfigError, match=f"none called '{field}'. Add it; of a recipe"):
        config.validate(Outer, values, origin="a.yaml")


def test_a_message_never_repeats_a_whole_configuration():
    values = {"seed": 0, "inner": {"names": ["name"] * 1000}}
    with pytest.raises(errors.ConfigError, match=r"\.\.\.") as caught:
        config.validate(Outer, values, origin="a.yaml")
    assert len(str(caught.value)) < 300


@pytest.mark.parametrize("values", [[1, 2], "text", 3])
def test_yaml_that_is_no_mapping_is_refused(values):
    with pytest.raises(errors.ConfigError, match="the configuration must be valid"):
        config.validate(Outer, values, origin="a.yaml")


def test_an_empty_file_is_a_configuration_without_fields(tmp_path):
    (tmp_path / "empty.yaml").touch()
    assert config.load(Inner, tmp_path / "empty.yaml") == Inner()


def test_an_absent_file_is_named(tmp_path):
    with pytest.raises(errors.ConfigError, match=r"no.yaml.*No such file.*--config"):
        config.load(Outer, tmp_path / "no.yaml")


def test_broken_yaml_is_refused_with_line_and_column(tmp_path):
    (tmp_path / "a.yaml").write_text("seed: 1\ninner: {rate: [}\n")
    with pytest.raises(errors.ConfigError, match="line 2, column 16: "):
        config.load(Outer, tmp_path / "a.yaml")


def test_bytes_that_are_no_text_are_refused(tmp_path):
    (tmp_path / "a.yaml").write_bytes(b"seed: \xff\xfe")
    with pytest.raises(errors.ConfigError, match="must be YAML"):
        config.load(Outer, tmp_path / "a.yaml")


def test_the_command_line_overrides_single_fields(path, tmp_path):
    words = ["--inner.names", "a", "b", "--out", str(tmp_path / "run"), "--seed", "9"]
    section, out = command_line(words, path)
    assert section == Outer(seed=9, inner=Inner(rate=3e-4, names=("a", "b")))
    assert out == tmp_path / "run"


def test_another_file_may_be_given(path, tmp_path):
    other = tmp_path / "other.yaml"
    other.write_text("seed: 7\n")
    assert command_line(["--config", str(other)], path) == (Outer(seed=7), None)


def test_checks_between_fields_run_on_the_command_line_too(path, capsys):
    with pytest.raises(SystemExit) as caught:
        command_line(["--inner.rate", "5"], path)
    assert caught.value.code == 2
    assert "seed must not be under inner.rate" in capsys.readouterr().err


def test_an_unknown_option_is_a_usage_error(path, capsys):
    with pytest.raises(SystemExit) as caught:
        command_line(["--inner.rat", "5"], path)
    assert caught.value.code == 2
    assert "inner.rate" in capsys.readouterr().err


def test_help_lists_every_field_with_its_docstring(path, capsys):
    with pytest.raises(SystemExit) as caught:
        command_line(["--help"], path)
    assert caught.value.code == 0
    shown = capsys.readouterr().out
    assert "--inner.rate" in shown
    assert "Share of something, 0..1." in shown
    assert "--config" in shown


@pytest.mark.parametrize(
    ("words", "flips"),
    [
        (["--chosen.flips", "along"], "along"),
        (["--chosen.flips=across"], "across"),
        (["--chosen.flips", "False"], False),
        # As of a switch, which this field was before it took words.
        (["--chosen.no-flips"], False),
        (["--chosen.no_flips", "--seed", "5"], False),
        (["--chosen.flips"], True),
        (["--chosen.flips", "--seed", "5"], True),
        ([], True),
    ],
)
def test_a_field_of_true_false_or_a_word_is_a_switch_as_well(words, flips, path):
    section, _ = command_line(words, path)
    assert section.chosen == Chosen(flips=flips)


def test_a_switch_stays_a_switch(path):
    assert command_line(["--chosen.no-is-on"], path)[0].chosen == Chosen(is_on=False)
    assert command_line(["--chosen.is-on"], path)[0].chosen == Chosen()


@pytest.mark.parametrize("word", ["--chosen.no-flops", "--nothing.no-flips", "--no-flips"])
def test_a_switch_that_is_none_is_a_usage_error(word, path):
    with pytest.raises(SystemExit) as caught:
        command_line([word], path)
    assert caught.value.code == 2
