"""What of a folder is an image, for predict, readers and markers alike."""

import logging
import os
import shutil

import numpy as np
import pytest

from inspection_tf import errors, images
from inspection_tf.datasets import data_spec, image_files, readers, records
from inspection_tf.datasets.readers.located import markers

posix = pytest.mark.skipif(os.name != "posix", reason="links and pipes of POSIX")
IMAGE = np.full((8, 8), 128, np.uint8)


@pytest.fixture
def closed(monkeypatch):
    """A function that closes a folder: listing it is forbidden, also to root."""

    def close(folder):
        scan = os.scandir

        def refuse(path="."):
            if os.fspath(path) == os.fspath(folder):
                raise PermissionError(13, "Permission denied", os.fspath(path))
            return scan(path)

        monkeypatch.setattr(os, "scandir", refuse)
        return folder

    return close


def put(folder, *names):
    folder.mkdir(parents=True, exist_ok=True)
    for name in names:
        images.write_png(folder / f"{len(name)}.tmp", IMAGE)
        (folder / f"{len(name)}.tmp").rename(folder / name)


def names(folder):
    return [path.name for path in image_files.look(folder).paths]


def test_images_are_told_by_their_suffix_in_the_order_of_their_names(tmp_path):
    put(tmp_path, "b.PNG", "a.tif", "notes.txt", "c.jpeg", "d")
    assert names(tmp_path) == ["a.tif", "b.PNG", "c.jpeg"]
    assert image_files.look(tmp_path).left_out == {}


@pytest.mark.parametrize(
    "name", ["._a.png", ".DS_Store", "Thumbs.db", ".hidden.jpg", "desktop.ini"]
)
def test_hidden_files_and_those_of_a_file_manager_are_no_images(tmp_path, name):
    put(tmp_path, "a.png", name)
    assert names(tmp_path) == ["a.png"]
    assert image_files.look(tmp_path).left_out == {}


def test_images_of_other_suffixes_and_folders_are_counted(tmp_path):
    put(tmp_path, "a.png", "b.jfif", "c.JFIF", "d.gif", "e.mpo", "f.jpe")
    put(tmp_path / "inner", "x.png")
    put(tmp_path / "named.png")
    put(tmp_path / ".git")
    found = image_files.look(tmp_path)
    assert [path.name for path in found.paths] == ["a.png"]
    assert image_files.told(found.left_out) == "1 .gif, 2 .jfif, 1 .jpe, 1 .mpo, 2 subfolders"
    assert image_files.told({}) == ""


@posix
def test_links_that_lead_nowhere_are_named_and_pipes_are_not_waited_for(tmp_path):
    put(tmp_path, "a.png")
    (tmp_path / "gone.png").symlink_to("nowhere")
    (tmp_path / "round.png").symlink_to("round.png")
    (tmp_path / "self").symlink_to(tmp_path)
    (tmp_path / "good.png").symlink_to("a.png")
    os.mkfifo(tmp_path / "pipe.png")
    os.mkfifo(tmp_path / "other")
    assert names(tmp_path) == ["a.png", "gone.png", "good.png", "round.png"]
    left = image_files.look(tmp_path).left_out
    assert image_files.told(left) == "1 special file, 1 subfolder"


def test_a_folder_that_cannot_be_listed_is_refused_with_the_reason(tmp_path, closed):
    put(tmp_path, "a.png")
    with pytest.raises(errors.DataError, match=r"can be listed\. Got: Permission denied"):
        image_files.look(closed(tmp_path))
    with pytest.raises(errors.DataError, match="File name too long"):
        image_files.look(tmp_path / ("n" * 300))


# Readers


def labelled(root):
    put(root / "good", "a.png", "._a.png", ".DS_Store")
    put(root / "defect", "b.png", "._b.png")
    put(root / "masks", "b.png", "._b.png", "Thumbs.db")
    return root


def test_resource_files_are_no_records_and_no_masks(tmp_path):
    found = readers.read_folder(labelled(tmp_path))
    assert found.ids == ("defect/b", "good/a")


def test_images_that_a_reader_leaves_out_are_told(tmp_path, caplog):
    put(labelled(tmp_path) / "good", "c.jfif", "d.gif")
    with caplog.at_level(logging.WARNING, logger="inspection_tf"):
        readers.read_folder(tmp_path)
    assert [record.getMessage() for record in caplog.records] == [
        f"{tmp_path / 'good'}: left out 1 .gif, 1 .jfif"
    ]


def test_a_reader_refuses_a_folder_that_it_cannot_list(tmp_path, closed):
    closed(labelled(tmp_path) / "masks")
    with pytest.raises(errors.DataError, match=r"masks.*Permission denied"):
        readers.read_folder(tmp_path)


def test_readers_that_look_at_every_depth_see_nothing_hidden_and_refuse_what_is_closed(
    tmp_path, closed
):
    put(tmp_path / "Class1", "1.png", "._1.png")
    put(tmp_path / "Class1" / "Label", "._1_label.png")
    shutil.copytree(tmp_path / "Class1", tmp_path / ".trash" / "Class1")
    assert readers.read_dagm(tmp_path).ids == ("Class1/1",)
    closed(tmp_path / "Class1" / "Label")
    with pytest.raises(errors.DataError, match=r"Label must be .*Permission denied"):
        readers.read_dagm(tmp_path)


def test_a_name_that_is_too_long_is_no_folder(tmp_path):
    with pytest.raises(errors.DataError, match="must be a folder"):
        readers.read_folder(tmp_path / ("n" * 300))


def test_painted_images_are_not_looked_for_in_resource_files(tmp_path):
    put(tmp_path / "in", "a.png", "._a.png")
    (tmp_path / "in" / "._a.png").write_bytes(b"no image")
    out = markers.convert(tmp_path / "in", tmp_path / "out", unmarked=True)
    assert sorted(path.name for path in out.iterdir()) == ["a.png", "corners.csv"]


# Names that a bundle cannot hold


def of(classes=("defect",), name="good/a"):
    record = records.Record(name, False, records.FileSource("a.png"))
    return records.Records.of([record], classes=classes)


def test_a_class_called_as_the_mean_of_all_is_refused_before_training():
    found = of(classes=("scratch", "mean"))
    with pytest.raises(errors.DataError, match="not 'mean', which is another metric"):
        data_spec.check(found, data_spec.DataSpec(), images.Preprocessing(size=(8, 8)))


@pytest.mark.parametrize("given", [{"name": "good/\udcff"}, {"classes": ("a", "\udcff")}])
def test_names_that_are_no_text_are_refused_before_training(given):
    with pytest.raises(errors.DataError, match="must be text"):
        of(**given).require_names()


@pytest.mark.parametrize("name", ["$a$|b", "[x] :y:", "检查", "two\nlines", "OK"])
def test_other_names_are_kept(name):
    of(classes=("a", name), name=f"good/{name}").require_names()
