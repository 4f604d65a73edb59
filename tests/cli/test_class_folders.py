"""`inspection evaluate` on folders that each hold a class."""

import types

import numpy as np
import pytest

from inspection_tf import bundle, cli, errors, images
from inspection_tf.cli import data
from inspection_tf.datasets import data_spec

CLASSES = ("broken", "chipped", "worn")


def write(root, *names):
    for number, name in enumerate(names):
        path = root / f"{name}.png"
        path.parent.mkdir(parents=True, exist_ok=True)
        images.write_png(path, np.full((9, 13), number, np.uint8))
    return root


@pytest.fixture
def own(tmp_path):
    """The images of a bundle, whose good ones lie in a folder of an unusual name."""
    return write(tmp_path / "own", "A/0", "A/1", "broken/0", "chipped/0", "D/0")


@pytest.fixture
def manifest(own):
    source = data_spec.DataSpec(
        format="classes_folder", root=own, ok_class="A", class_names={"D": "worn"}
    )
    found = data_spec.read(source)
    assert found.classes == CLASSES
    return types.SimpleNamespace(
        classes=CLASSES, has_template=False, task="segmentation",
        provenance=types.SimpleNamespace(
            data=bundle.Data(
                format="classes_folder", sha256=found.sha256(),
                splits={"test": list(found.ids[1:3])}, source=source.model_dump(mode="json"),
            )
        ),
    )  # fmt: skip


def test_other_folders_are_read_as_those_of_the_bundle(manifest, own, tmp_path):
    assert data.from_root(manifest, own, data.Labels(), "test").ids == ("A/1", "D/0")
    other = write(tmp_path / "other", "A/5", "broken/5", "chipped/5", "D/5")
    found = data.from_root(manifest, other, data.Labels(), None)
    assert [record.label for record in found] == [0, 3, 1, 2]  # A, D, broken, chipped


def test_a_class_may_have_no_image_to_measure(manifest, tmp_path):
    other = write(tmp_path / "other", "A/5", "chipped/5")
    found = data.from_root(manifest, other, data.Labels(), None)
    assert found.classes == CLASSES
    assert [record.label for record in found] == [0, 2]
    assert found[1].class_ids() == (2,)


def test_folders_of_other_classes_are_refused(manifest, tmp_path):
    other = write(tmp_path / "other", "A/5", "cracked/5", "worn/5")
    told = r"classes of the bundle, broken, chipped, worn\. Got cracked, worn in .*Call the folders"
    with pytest.raises(errors.DataError, match=told):
        data.from_root(manifest, other, data.Labels(), None)


def test_another_folder_of_good_images_is_named(manifest, tmp_path):
    other = write(tmp_path / "other", "fine/5", "broken/5")
    with pytest.raises(errors.DataError, match=r"data\.ok_class .*Got 'A'; .*broken, fine"):
        data.from_root(manifest, other, data.Labels(), None)
    found = data.from_root(manifest, other, data.Labels(ok_class="fine"), None)
    assert [record.label for record in found] == [1, 0]  # broken, fine
    bad = write(tmp_path / "bad", "broken/5")
    assert data.from_root(manifest, bad, data.Labels(ok_class=""), None)[0].label == 1


def test_settings_of_another_layout_do_not_count(manifest, tmp_path):
    other = write(tmp_path / "other", "good/5", "defect/5", "masks/5")
    told = r"Got defect in .*Evaluate with images of the same task"
    with pytest.raises(errors.DataError, match=told):
        data.from_root(manifest, other, data.Labels("folder"), None)
    with pytest.raises(errors.ConfigError, match="the format classes_folder, not to folder"):
        data.from_root(manifest, other, data.Labels("folder", ok_class="good"), None)


@pytest.fixture
def evaluated(toy_bundle, tmp_path):
    """Evaluate a bundle that finds where defects are on folders with these images."""
    height, width = bundle.read(toy_bundle).inputs[0].preprocessing.size

    def evaluate(*names, words=()):
        for name in names:
            path = tmp_path / "set" / f"{name}.png"
            path.parent.mkdir(parents=True, exist_ok=True)
            images.write_png(path, np.full((height, width), 128, np.uint8))
        command = ["evaluate", str(toy_bundle), str(tmp_path / "set"), "--out", str(tmp_path / "o")]
        return cli.main([*command, "--format", "classes_folder", *words])

    return evaluate


def test_masks_cannot_be_measured_on_classes(evaluated, capsys):
    assert evaluated("fine/a", "defect/b", words=["--ok-class", "fine"]) == 3
    assert "needs images whose labels are masks. Got one whose" in capsys.readouterr().err


def test_other_classes_end_with_the_exit_code_of_data(evaluated, capsys):
    assert evaluated("ok/a", "worn/b") == 3
    err = " ".join(capsys.readouterr().err.split())
    assert "must have the classes of the bundle, defect. Got worn in" in err


def test_a_folder_of_good_images_that_is_unknown_ends_likewise(evaluated, capsys):
    assert evaluated("fine/a", "defect/b") == 3
    assert "--ok-class" in capsys.readouterr().err
