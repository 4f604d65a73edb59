"""YAML files that hold only what differs from another one beside them."""

import json
from pathlib import Path
from typing import Any

import pydantic
import pytest
import yaml

from inspection_tf import config, errors
from inspection_tf.config import bases

PIPELINES = sorted((Path(__file__).parents[2] / "pipelines").glob("*.yaml"))


class Train(config.Section):
    epochs: int = 1
    """Passes."""
    rates: tuple[float, ...] = ()
    """Steps."""
    options: dict[str, float] = pydantic.Field(default_factory=dict)
    """Numbers."""


class Whole(config.Section):
    name: str = ""
    """Text."""
    root: Path | None = None
    """Folder."""
    train: Train = Train()
    """Nested."""
    teacher: Train = Train()
    """Nested."""
    changes: dict[str, Any] = pydantic.Field(default_factory=dict)
    """Anything."""


@pytest.fixture
def load(tmp_path):
    """Write texts as files of a folder, and read the one called a.yaml."""

    def read(**texts):
        for name, text in texts.items():
            (tmp_path / f"{name}.yaml").write_text(text, encoding="utf-8")
        return config.load(Whole, tmp_path / "a.yaml")

    return read


def test_a_variant_holds_only_what_differs(load):
    found = load(
        base="name: whole\ntrain: {epochs: 3, rates: [1, 2], options: {x: 1, y: 2}}\n",
        a="base: base.yaml\ntrain:\n  rates: [5]\n  options: {y: 3, z: 4}\nteacher: {epochs: 7}\n",
    )
    assert found == Whole(
        name="whole",
        train=Train(epochs=3, rates=(5,), options={"x": 1, "y": 3, "z": 4}),
        teacher=Train(epochs=7),
    )


def test_a_base_may_have_a_base(load):
    found = load(
        first="name: first\nroot: data\ntrain: {epochs: 3}\n",
        second="base: first.yaml\nname: second\ntrain: {epochs: 4}\n",
        a="base: second.yaml\nroot: null\n",
    )
    assert found == Whole(name="second", root=None, train=Train(epochs=4))


def test_a_section_may_replace_that_of_its_base(load):
    found = load(
        base="train: {epochs: 3, rates: [1]}\nteacher: {epochs: 3}\n",
        a="base: base.yaml\ntrain: !override\n  rates: [2]\nteacher: !override {}\n",
    )
    assert found == Whole(train=Train(rates=(2,)))


@pytest.mark.parametrize("own", ["", "train: {epochs: 3}\n"])
def test_a_section_is_only_marked_where_there_is_one_to_replace(load, own):
    with pytest.raises(errors.ConfigError, match=r"a.yaml must be YAML.*line 2.*'!override'"):
        load(base=own, a="base: base.yaml\nteacher: !override {epochs: 1}\n")


def test_anchors_and_merge_keys_work_on_both_sides(load):
    found = load(
        base="train: &t {epochs: 3, options: {x: 1}}\nteacher: {<<: *t, epochs: 4}\n",
        a="base: base.yaml\ntrain: &t\n  rates: [1]\nteacher: {<<: *t, options: {y: 2}}\n",
    )
    assert found.train == Train(epochs=3, rates=(1,), options={"x": 1})
    assert found.teacher == Train(epochs=4, rates=(1,), options={"x": 1, "y": 2})
    # What a variant merges in wins over what its base says, as if it were written out.
    found = load(
        base="train: &t {epochs: 3}\nteacher: {<<: *t, epochs: 4}\n",
        a="base: base.yaml\nchanges: &t {epochs: 5}\nteacher: {<<: *t}\n",
    )
    assert found.teacher.epochs == 5


@pytest.mark.parametrize(
    "name", ["other.yaml", "''", "../base.yaml", "folder/base.yaml", "[base.yaml]", "null", "."]
)
def test_a_base_is_a_file_beside(load, tmp_path, name):
    (tmp_path / "folder").mkdir()
    (tmp_path / "folder" / "base.yaml").touch()
    with pytest.raises(errors.ConfigError, match=r"a.yaml, line 2: base must be the name of a fil"):
        load(base="", a=f"name: a\nbase: {name}\n")


@pytest.mark.parametrize(
    "texts",
    [
        {"a": "base: a.yaml\n"},
        {"a": "base: b.yaml\n", "b": "base: a.yaml\n"},
        {"a": "base: b.yaml\n", "b": "base: c.yaml\n", "c": "base: b.yaml\n"},
    ],
)
def test_a_base_that_leads_back_is_refused(load, texts):
    with pytest.raises(errors.ConfigError, match="must not lead back to itself"):
        load(**texts)


def test_what_is_wrong_is_named_with_its_own_file_and_line(load):
    whole = "name: a\ntrain:\n  epochs: much\n"
    with pytest.raises(errors.ConfigError, match=r"base.yaml, line 3: train.epochs must be valid"):
        load(base=whole, a="base: base.yaml\ntrain:\n  rates: [1]\n")
    with pytest.raises(errors.ConfigError, match=r"a.yaml, line 3: train.epochs must be valid"):
        load(base="train: {epochs: 1}\n", a="base: base.yaml\ntrain:\n  epochs: more\n")
    with pytest.raises(errors.ConfigError, match=r"base.yaml must be YAML.* line 2"):
        load(base="name: a\ntrain: [", a="base: base.yaml\n")
    with pytest.raises(errors.ConfigError, match=r"base.yaml, line 2: a key must stand once"):
        load(base="name: a\nname: b\n", a="base: base.yaml\n")


def test_what_is_written_down_has_no_base(load):
    found = load(base="train: {epochs: 3}\n", a="base: base.yaml\nname: variant\n")
    assert load(a=config.to_yaml(found)) == found
    assert "base" not in config.to_yaml(found)


# The recipes


class Override(dict):
    """A section that replaces that of its base."""


class Reader(yaml.SafeLoader):
    """Reads a variant as it is written."""


Reader.add_constructor(
    "!override", lambda loader, node: Override(loader.construct_mapping(node, deep=True))
)


def written(path):
    return yaml.load(path.read_text(encoding="utf-8"), Loader=Reader)


def whole(path):
    """What a file and its bases say, merged by other means than the package's."""
    own = written(path)
    base = own.pop("base", None)
    return own if base is None else merged(whole(path.with_name(base)), own)


def merged(base, own):
    if isinstance(own, Override) or not (isinstance(own, dict) and isinstance(base, dict)):
        return own
    return base | {name: merged(base.get(name), value) for name, value in own.items()}


def repeated(own, base, path=""):
    """Fields of a variant that say what its base says, or replace a section for nothing."""
    for name, value in own.items():
        known = base.get(name) if isinstance(base, dict) else None
        if isinstance(value, Override):
            if not isinstance(known, dict) or known.keys() <= value.keys():
                yield f"{path}{name}: !override"
        elif isinstance(value, dict) and isinstance(known, dict):
            yield from repeated(value, known, f"{path}{name}.")
        elif isinstance(base, dict) and name in base and known == value:
            yield f"{path}{name}"


@pytest.mark.parametrize("path", PIPELINES, ids=lambda path: path.stem)
def test_every_shipped_file_says_what_it_and_its_bases_say(path):
    assert json.dumps(bases.read(path).values) == json.dumps(whole(path))


@pytest.mark.parametrize("path", PIPELINES, ids=lambda path: path.stem)
def test_no_variant_repeats_its_base(path):
    own = written(path)
    base = own.pop("base", None)
    if base is not None:
        assert list(repeated(own, whole(path.with_name(base)))) == []


def test_what_a_variant_repeats_is_found():
    base = {"a": 1, "b": {"c": [1], "d": None}}
    assert list(repeated({"a": 1, "b": {"c": [2], "d": None}}, base)) == ["a", "b.d"]
    assert list(repeated({"b": Override(c=[1])}, base)) == []
    assert list(repeated({"b": Override(c=[1], d=2)}, base)) == ["b: !override"]
    assert list(repeated({"new": None}, base)) == []
