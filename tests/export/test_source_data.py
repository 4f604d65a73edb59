"""The images that a bundle was made from are found again, from every working folder."""

import types

import numpy as np
import pytest

from inspection_tf import config, errors, images
from inspection_tf.datasets import data_spec
from inspection_tf.export import source_data
from inspection_tf.recipes import ending


class Settings(config.Section):
    data: data_spec.DataSpec
    """Images."""


@pytest.fixture
def root(tmp_path):
    for name in ("good", "defect", "masks"):
        (tmp_path / "set" / name).mkdir(parents=True)
    for number in range(6):
        image = np.random.default_rng(number).integers(0, 200, (8, 8), dtype=np.uint8)
        folder = "defect" if number % 2 else "good"
        images.write_png(tmp_path / "set" / folder / f"{number}.png", image)
        if number % 2:
            images.write_png(tmp_path / "set" / "masks" / f"{number}.png", np.eye(8) > 0)
    return tmp_path / "set"


@pytest.fixture
def manifest(root, tmp_path, monkeypatch):
    """Return a function that makes provenance in the folder that holds the set."""

    def make(given):
        monkeypatch.chdir(tmp_path)
        data = data_spec.DataSpec(format="folder", root=given, tune=0.3, test=0.3)
        found = data_spec.read(data)
        parts = data_spec.split(found, data, seed=0)
        made = ending.provenance("toy", Settings(data=data), data, found, parts, seed=0)
        return types.SimpleNamespace(provenance=made)

    return make


def test_a_relative_root_is_kept_as_it_was_given_and_as_an_absolute_one(manifest, root):
    made = manifest("set").provenance
    assert (made.data.root, made.data.absolute_root) == ("set", str(root.resolve()))
    assert made.data.source["root"] == made.config["data"]["root"] == "set"


@pytest.mark.parametrize("given", ["set", "./set/../set", "ABSOLUTE"])
def test_the_images_are_found_from_elsewhere(manifest, root, monkeypatch, given):
    made = manifest(str(root) if given == "ABSOLUTE" else given)
    monkeypatch.chdir("/")
    assert len(source_data.everything(made)) == 6
    assert len(source_data.parts(made)["test"]) == 2


def test_on_another_machine_the_path_as_it_was_given_counts(manifest, root, tmp_path, monkeypatch):
    made = manifest("set")
    (tmp_path / "machine").mkdir()
    root.rename(tmp_path / "machine" / "set")
    monkeypatch.chdir(tmp_path / "machine")
    assert len(source_data.everything(made)) == 6


def test_a_bundle_of_an_earlier_version_knows_the_given_path_alone(manifest, root, monkeypatch):
    made = manifest("set")
    data = made.provenance.data.model_dump(exclude={"absolute_root"})
    old = types.SimpleNamespace(
        provenance=made.provenance.model_copy(update={"data": type(made.provenance.data)(**data)})
    )
    assert old.provenance.data.absolute_root is None
    assert len(source_data.everything(old)) == 6
    monkeypatch.chdir("/")
    with pytest.raises(errors.DataError, match=r"Got nothing at '/set'\. Restore"):
        source_data.everything(old)


def test_a_missing_root_names_each_folder_that_was_tried(manifest, root, tmp_path, monkeypatch):
    made = manifest("set")
    root.rename(tmp_path / "gone")
    (tmp_path / "other").mkdir()
    monkeypatch.chdir(tmp_path / "other")
    with pytest.raises(errors.DataError, match="Got nothing at") as caught:
        source_data.everything(made)
    assert f"'{tmp_path}/set' or '{tmp_path}/other/set'" in str(caught.value)
    assert caught.value.exit_code == 3
    assert len(source_data.everything(made, tmp_path / "gone")) == 6


@pytest.mark.parametrize(
    ("name", "what"),
    [
        ("absent", "No such file"),
        ("file", "which is a file"),
        ("x" * 300, "too long"),
        ("a\0b", ""),
    ],
)
def test_a_root_that_cannot_be_read_names_the_folder_that_was_tried(
    tmp_path, monkeypatch, name, what
):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "file").touch()
    for data in (
        data_spec.DataSpec(format="folder", root=name),
        data_spec.DataSpec(format="dagm", root=name),
        data_spec.DataSpec(format="corners", root=name),
    ):
        with pytest.raises(errors.DataError, match="The data root must be a folder") as caught:
            data_spec.read(data)
        assert repr(str(tmp_path / name)) in str(caught.value)
        assert what in str(caught.value)
