"""Folders with annotations of Pascal VOC."""

import os
from pathlib import Path

import numpy as np
import pytest

from inspection_tf import errors, images
from inspection_tf.datasets import checks, data_spec
from inspection_tf.datasets.readers.voc import reader

SIZE = (9, 13)


def picture(path, value=7):
    path.parent.mkdir(parents=True, exist_ok=True)
    images.write_png(path, np.full(SIZE, value, np.uint8))


def annotate(path, *objects):
    """Write objects: a name and four edges each."""
    path.parent.mkdir(parents=True, exist_ok=True)
    parts = ["<annotation>"]
    for name, *edges in objects:
        inside = "".join(
            f"<{tag}>{value}</{tag}>"
            for tag, value in zip(("xmin", "ymin", "xmax", "ymax"), edges, strict=True)
        )
        parts.append(f"<object><name>{name}</name><bndbox>{inside}</bndbox></object>")
    path.write_text("\n".join((*parts, "</annotation>")))


@pytest.fixture
def beside(tmp_path):
    """A good image, one without an object, and one of two defects; annotations beside them."""
    picture(tmp_path / "intact" / "a.png", 1)
    picture(tmp_path / "worn" / "b.png", 2)
    annotate(tmp_path / "worn" / "b.xml")
    picture(tmp_path / "worn" / "c.png", 3)
    annotate(tmp_path / "worn" / "c.xml", ("wear", 1, 2, 4, 5), ("chip", 3, 4, 6, 6))
    return tmp_path


@pytest.fixture
def devkit(tmp_path):
    """Six images in the folders of the original devkit; the first three have a crack."""
    root = tmp_path / "VOC2007"
    for number in range(6):
        picture(root / "JPEGImages" / f"{number}.png", number)
        box = [("crack", 2, 2, 5, 5)] if number < 3 else []
        annotate(root / "Annotations" / f"{number}.xml", *box)
    return root


def test_boxes_become_masks_of_their_classes(beside):
    found = reader.read_voc(beside)
    assert found.ids == ("intact/a", "worn/b", "worn/c")
    assert found.is_defect.tolist() == [False, False, True]
    assert (found.classes, found.label_kind) == (("chip", "wear"), "masks")
    assert [record.class_ids() for record in found] == [(), (), (1, 2)]
    # Wear is 3 x 3 px and chip 3 x 2, which share the pixel of row 4 and column 3; chip is smaller.
    ids = found[2].read_classes()
    assert (ids.shape, ids.dtype) == (SIZE, np.uint8)
    assert np.bincount(ids.ravel()).tolist() == [9 * 13 - 14, 6, 8]
    assert ids[4, 3] == 1
    assert not found[1].read_mask().any()


def test_boxes_are_evidence_too(beside):
    found = reader.read_voc(beside)
    assert found[2].read_evidence().tolist() == [[1, 2, 4, 5], [3, 4, 6, 6]]
    assert found[0].read_evidence() is None


def test_the_check_finds_nothing_wrong_with_it(beside):
    fitting = images.Preprocessing(size=SIZE)
    assert checks.check(reader.read_voc(beside), preprocessing=fitting).problems == ()


def test_objects_are_chosen_in_the_order_of_their_ids(beside):
    found = reader.read_voc(beside, objects=["wear"])
    assert found.classes == ("wear",)
    assert np.bincount(found[2].read_classes().ravel()).tolist() == [9 * 13 - 9, 9]
    assert reader.read_voc(beside, objects=["wear", "chip"]).classes == ("wear", "chip")
    with pytest.raises(errors.DataError, match=r"Got were, where the objects are chip, wear\."):
        reader.read_voc(beside, objects=["were"])


def test_an_image_without_the_chosen_object_is_good(beside):
    picture(beside / "d.png")
    annotate(beside / "d.xml", ("dirt", 1, 1, 2, 2))
    found = reader.read_voc(beside, objects=["wear", "chip"])
    assert found.select(["d"]).is_defect.tolist() == [False]


def test_the_folders_of_the_devkit_are_read(devkit):
    found = reader.read_voc(devkit)
    assert found.ids == tuple(f"JPEGImages/{number}" for number in range(6))
    assert (found.classes, found.counts()["defective"]) == (("crack",), 3)
    assert found[0].split is None


def test_lists_of_the_devkit_fix_the_split(devkit):
    lists = {"train": "0\n3\n", "val": "1\n4\n", "test": "2\n5\n", "crack_val": "9 -1\n"}
    for name, text in lists.items():
        path = devkit / "ImageSets" / "Main" / f"{name}.txt"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    spec = data_spec.DataSpec(format="voc", root=devkit)
    parts = data_spec.split(data_spec.read(spec), spec, seed=0)
    assert {name: [name[-1] for name in part.ids] for name, part in parts.items()} == {
        "train": ["0", "3"],
        "tune": ["1", "4"],
        "test": ["2", "5"],
    }


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("0\n9\n", r"val\.txt, line 2: .*Got '9', which is absent"),
        ("3\n", r"val\.txt, line 1: .*Got '3', again, after train"),
    ],
)
def test_a_list_names_each_image_once(devkit, text, told):
    folder = devkit / "ImageSets" / "Main"
    folder.mkdir(parents=True)
    (folder / "train.txt").write_text("3\n")
    (folder / "val.txt").write_text(text)
    with pytest.raises(errors.DataError, match=told):
        reader.read_voc(devkit)


def test_an_annotation_has_its_image(beside, devkit):
    annotate(devkit / "Annotations" / "9.xml")
    with pytest.raises(errors.DataError, match=r"9\.xml: each annotation must have its image"):
        reader.read_voc(devkit)
    (beside / "worn" / "c.png").unlink()
    with pytest.raises(errors.DataError, match=r"c\.xml: each annotation .*Got 1 without one"):
        reader.read_voc(beside / "worn")


def test_a_folder_too_high_is_told_where_the_devkit_is(devkit):
    with pytest.raises(errors.DataError, match=r"or point data\.root at the folder that holds Ann"):
        reader.read_voc(devkit.parent)


def test_a_set_without_annotations_is_refused(tmp_path):
    picture(tmp_path / "a" / "a.png")
    spec = data_spec.DataSpec(format="voc", root=tmp_path)
    with pytest.raises(errors.DataError, match=r"XML file of Pascal VOC\. Got images in the fold"):
        data_spec.read(spec)
    (tmp_path / "a" / "a.png").unlink()
    with pytest.raises(errors.DataError, match=r"Got none\. Put each file beside its image"):
        data_spec.read(spec)


def test_a_moved_box_is_other_data(beside):
    before = reader.read_voc(beside).sha256()
    assert reader.read_voc(beside).sha256() == before
    annotate(beside / "worn" / "c.xml", ("wear", 1, 2, 4, 5), ("chip", 3, 4, 6, 7))
    assert reader.read_voc(beside).sha256() != before


def test_groups_stand_beside_it(beside):
    rows = ["file,group", "intact/a.png,one", "worn/b.png,two", "worn/c.png,two"]
    (beside / "groups.csv").write_text("\n".join(rows))
    assert reader.read_voc(beside).groups == ("one", "two", "two")


@pytest.mark.skipif(
    "INSPECTION_DATA" not in os.environ,
    reason="needs INSPECTION_DATA, the folder of the real data sets",
)
def test_cutting_inserts_have_boxes_around_their_wear():
    found = reader.read_voc(Path(os.environ["INSPECTION_DATA"]) / "cutting_inserts")
    assert (found.classes, found.counts()) == (("flank_wear",), {"images": 51, "defective": 31})
    record = found.select(["worn/image16a"])[0]
    # 885 - 235 columns and 381 - 233 rows.
    assert record.read_mask().sum() == 650 * 148
    assert len(set(found.groups)) == 9
