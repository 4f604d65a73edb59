"""A run goes on with the data, the classes and the weights that it began with."""

import json
import logging
import shutil
from pathlib import Path

import numpy as np
import pytest

from inspection_tf import config, errors, images
from inspection_tf.datasets import data_spec
from inspection_tf.training.runs import run_folder, run_inputs

EXACT = images.Preprocessing(size=(12, 16))


class Stage(config.Section):
    weights: Path | None = None
    """File."""


class Settings(config.Section):
    data: data_spec.DataSpec
    """Images."""
    stage: Stage = Stage()
    """Network."""


def write(root, folder, name, seed):
    image = np.random.default_rng(seed).integers(0, 200, (12, 16), dtype=np.uint8)
    mask = np.zeros((12, 16), np.uint8)
    mask[3:6, 4:9] = 1 + seed % 2
    for place, array in ((folder, image), *([("masks", mask)] if folder == "defect" else [])):
        (root / place).mkdir(parents=True, exist_ok=True)
        images.write_png(root / place / f"{name}.png", array)


@pytest.fixture
def root(tmp_path):
    for number in range(4):
        write(tmp_path / "set", "good", f"g{number}", number)
        write(tmp_path / "set", "defect", f"d{number}", 10 + number)
    (tmp_path / "set" / "classes.txt").write_text("dent\nscratch\n")
    return tmp_path / "set"


@pytest.fixture
def begin(tmp_path, root):
    """Open the run's folder, new or unfinished, and read its data."""

    def read(stage=None, several_classes=True, **data):
        settings = Settings(
            data=data_spec.DataSpec(**{"format": "folder", "root": root, **data}),
            stage=stage or Stage(),
        )
        run = run_folder.open_run(tmp_path / "run", settings, name="toy")
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(run, "update", lambda *state, **fields: None)  # never finished
            with run.guarded():
                return run_inputs.read(
                    settings.data, EXACT, run=run, several_classes=several_classes
                )

    return read


def refusal(begin, **options):
    with pytest.raises(
        errors.DataError, match="goes on with the data that it began with"
    ) as caught:
        begin(**options)
    assert caught.value.exit_code == 3
    return str(caught.value)


def test_the_run_folder_says_what_it_was_begun_with(begin, tmp_path):
    found = begin()
    kept = json.loads((tmp_path / "run" / "data.json").read_text())
    assert kept["sha256"] == found.sha256()
    assert kept["classes"] == ["dent", "scratch"]
    assert kept["records"] == found.sha256_of_each()
    assert kept["files"] == {}


def test_the_same_data_goes_on(begin):
    assert begin().ids == begin().ids == begin().ids


@pytest.mark.parametrize("folds", [0, 2])
def test_images_that_came_are_named_and_counted(begin, root, folds):
    begin(folds=folds)
    for number in range(5):
        write(root, "good", f"new{number}", 50 + number)
    said = refusal(begin, folds=folds)
    assert "5 images that came (good/new0, good/new1, good/new2 and 2 more). Restore it" in said
    assert "changed" not in said


def test_images_that_went_or_changed_are_named(begin, root):
    begin()
    (root / "good" / "g1.png").unlink()
    write(root, "good", "g2", 99)
    write(root, "defect", "d3", 12)  # another mask too
    said = refusal(begin)
    assert "1 image that went (good/g1)" in said
    assert "2 images whose pixels, label or group changed (defect/d3, good/g2)" in said


def test_a_mask_alone_that_changed_is_found(begin, root):
    begin()
    images.write_png(root / "masks" / "d0.png", np.full((12, 16), 2, np.uint8))
    assert "1 image whose pixels, label or group changed (defect/d0)" in refusal(begin)


@pytest.mark.parametrize("text", ["scratch\ndent\n", "dent\nscratch\nhole\n", "dent\nscratches\n"])
def test_another_list_of_classes_is_refused(begin, root, text):
    begin()
    (root / "classes.txt").write_text(text)
    assert f"the classes {', '.join(text.split())}, not dent, scratch" in refusal(begin)


def test_drawn_images_go_on_and_others_are_another_configuration(begin):
    drawn = {"format": "synthetic", "root": None, "count": 8}
    assert len(begin(**drawn)) == len(begin(**drawn)) == 8
    with pytest.raises(errors.ConfigError, match="resumes with its own configuration"):
        begin(**drawn | {"count": 9})


def test_weights_that_changed_are_refused(begin, tmp_path):
    weights = tmp_path / "own.keras"
    weights.write_bytes(b"first")
    begin(stage=Stage(weights=weights))
    begin(stage=Stage(weights=weights))
    weights.write_bytes(b"second")
    assert "another content of stage.weights" in refusal(begin, stage=Stage(weights=weights))
    weights.unlink()
    assert "no file for stage.weights" in refusal(begin, stage=Stage(weights=weights))


def test_of_a_bundle_the_network_counts(begin, tmp_path):
    source = tmp_path / "teacher" / "source" / "model.keras"
    source.parent.mkdir(parents=True)
    source.write_bytes(b"first")
    teacher = Stage(weights=tmp_path / "teacher")
    begin(stage=teacher)
    (tmp_path / "teacher" / "manifest.json").write_text("another threshold")
    begin(stage=teacher)
    source.write_bytes(b"second")
    assert "another content of stage.weights" in refusal(begin, stage=teacher)


def test_a_set_that_was_refused_may_be_corrected_before_the_run_begins(begin, root):
    (root / "good" / "g1.png").write_bytes(b"no image")
    with pytest.raises(errors.DataError, match="must be fit for use"):
        begin()
    write(root, "good", "g1", 1)
    assert len(begin()) == 8


def test_a_recipe_of_one_class_refuses_several_and_takes_the_corrected_set(begin, root):
    with pytest.raises(
        errors.DataError, match=r"one class of defects\. Got .* dent, scratch\. Take"
    ):
        begin(several_classes=False)
    (root / "classes.txt").unlink()
    for mask in (root / "masks").iterdir():  # 1 and 2 were ids of classes
        ids = images.read(mask)
        images.write_png(mask, np.where(ids > 0, np.uint8(255), np.uint8(0)))
    assert begin(several_classes=False).classes == ("defect",)


def test_values_that_are_named_differently_are_several_classes_too(begin, root):
    (root / "classes.txt").unlink()
    with pytest.raises(errors.DataError, match="the classes hole, crack"):
        begin(several_classes=False, mask_values={1: "hole", 2: "crack"})


def test_values_with_one_name_are_one_class(begin, root):
    (root / "classes.txt").unlink()
    found = begin(several_classes=False, mask_values={1: "defect", 2: "defect"})
    assert found.classes == ("defect",)


def test_a_run_of_an_earlier_version_goes_on_with_a_warning(begin, tmp_path, root, caplog):
    begin()
    (tmp_path / "run" / "data.json").unlink()
    (tmp_path / "run" / "history.csv").write_text("epoch,loss\n1.0,0.5\n")
    write(root, "good", "new", 77)
    with caplog.at_level(logging.WARNING, logger="inspection_tf"):
        assert len(begin()) == 9
    assert "does not say which data it was begun with" in caplog.text
    assert len(begin()) == 9  # known from now on
    write(root, "good", "newer", 78)
    assert "1 image that came (good/newer)" in refusal(begin)


def test_a_run_that_was_killed_before_it_trained_goes_on_without_a_word(begin, tmp_path, caplog):
    begin()
    (tmp_path / "run" / "data.json").unlink()
    with caplog.at_level(logging.WARNING, logger="inspection_tf"):
        begin()
    assert [told for told in caplog.records if told.levelno >= logging.WARNING] == []


@pytest.mark.parametrize("text", ["", "{", "[]", '{"sha256": 1}'])
def test_a_damaged_note_is_refused(begin, tmp_path, text):
    begin()
    (tmp_path / "run" / "data.json").write_text(text)
    with pytest.raises(errors.DataError, match=r"data\.json must say what the run was begun with"):
        begin()


# Where it lies


@pytest.mark.parametrize("written", ["set", "./set", "sub/../set/", "link"])
def test_a_root_may_be_written_in_another_way(begin, root, tmp_path, monkeypatch, written):
    begin()
    (tmp_path / "sub").mkdir()
    (tmp_path / "link").symlink_to(root)
    monkeypatch.chdir(tmp_path)
    assert len(begin(root=written)) == 8


def test_a_run_without_a_note_of_its_data_takes_an_equal_root(begin, root, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    begin(root="set")
    (tmp_path / "run" / "data.json").unlink()
    (tmp_path / "run" / "config.yaml").write_text(  # relative, as earlier versions wrote it
        config.to_yaml(Settings(data=data_spec.DataSpec(format="folder", root="set")))
    )
    begin(root="./set")
    (tmp_path / "run" / "data.json").unlink()
    with pytest.raises(errors.ConfigError, match="resumes with its own configuration"):
        begin(root="run")


def test_the_configuration_of_a_run_means_the_same_from_every_folder(
    begin, root, tmp_path, monkeypatch
):
    monkeypatch.chdir(tmp_path)
    begin(root="set")
    stored = config.load(Settings, tmp_path / "run" / "config.yaml")
    assert stored.data.root == root.resolve()
    monkeypatch.chdir("/")
    assert len(begin(root=stored.data.root)) == 8


def test_data_that_was_moved_is_the_same(begin, root, tmp_path):
    begin()
    moved = shutil.move(root, tmp_path / "elsewhere")
    assert len(begin(root=moved)) == 8
    stored = config.load(Settings, tmp_path / "run" / "config.yaml")
    assert stored.data.root == tmp_path / "elsewhere"


def test_another_root_is_told_by_what_it_holds(begin, root, tmp_path):
    begin()
    other = shutil.copytree(root, tmp_path / "other")
    write(other, "good", "new", 77)
    said = refusal(begin, root=other)
    assert f"{other} with 1 image that came (good/new)" in said
    stored = config.load(Settings, tmp_path / "run" / "config.yaml")
    assert stored.data.root == root
