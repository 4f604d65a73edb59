"""A folder for each class."""

import inspect
import os
from pathlib import Path

import cv2
import numpy as np
import pytest

from inspection_tf import errors, images
from inspection_tf.datasets import checks, data_spec
from inspection_tf.datasets.readers import classes_folder

SIZE = (9, 13)
ANNOTATION = """<annotation><object><name>wear</name><bndbox>
<xmin>1</xmin><ymin>2</ymin><xmax>4</xmax><ymax>8</ymax></bndbox></object></annotation>"""


def write(root, *names):
    """Write images of different pixels."""
    for name in names:
        path = root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        rng = np.random.default_rng(list(name.encode()))
        cv2.imwrite(str(path), rng.integers(0, 256, SIZE, dtype=np.uint8))
    return root


@pytest.fixture
def sorted_images(tmp_path):
    """Two good images, two worn ones and a broken one."""
    return write(tmp_path, "OK/a.png", "OK/b.png", "worn/a.png", "worn/c.jpg", "broken/d.bmp")


def read(root, **settings):
    return data_spec.read(data_spec.DataSpec(format="classes_folder", root=root, **settings))


def test_folders_are_classes(sorted_images):
    found = read(sorted_images)
    assert found.ids == ("OK/a", "OK/b", "broken/d", "worn/a", "worn/c")
    assert (found.classes, found.label_kind) == (("broken", "worn"), "classes")
    assert [record.label for record in found] == [0, 0, 1, 2, 2]
    assert [record.class_ids() for record in found] == [(), (), (1,), (2,), (2,)]
    assert found[2].read_image().shape == found[2].read_mask().shape == SIZE
    assert not found[2].read_mask().any()
    assert found[2].read_evidence() is None


def test_the_check_needs_no_masks(sorted_images):
    fitting = images.Preprocessing(size=SIZE)
    assert checks.check(read(sorted_images), preprocessing=fitting).problems == ()


@pytest.mark.parametrize("name", ["ok", "Good", "INTACT", "unbroken", "normal", "Free"])
def test_the_folder_of_good_images_is_known_by_its_name(tmp_path, name):
    write(tmp_path, f"{name}/a.png", "zz/b.png")
    assert read(tmp_path).is_defect.tolist() == [False, True]


def test_another_folder_of_good_images_is_named(tmp_path):
    write(tmp_path, "MT_Free/a.png", "MT_Crack/b.png")
    told = r"Got none among the folders MT_Crack, MT_Free\. Name it: data\.ok_class"
    with pytest.raises(errors.DataError, match=told):
        read(tmp_path)
    assert read(tmp_path, ok_class="MT_Free").classes == ("MT_Crack",)
    with pytest.raises(errors.DataError, match=r"Got 'free'; the folders are MT_Crack, MT_Free\."):
        read(tmp_path, ok_class="free")


def test_two_folders_of_good_images_are_one_too_many(tmp_path):
    write(tmp_path, "ok/a.png", "intact/b.png", "worn/c.png")
    with pytest.raises(errors.DataError, match=r"Got several, intact, ok, among .*data\.ok_class"):
        read(tmp_path)


def test_no_image_need_be_good(sorted_images):
    (sorted_images / "OK").rename(sorted_images / "chipped")
    found = read(sorted_images, ok_class="")
    assert found.classes == ("broken", "chipped", "worn")
    assert found.is_defect.all()


def test_no_class_of_what_is_wrong_is_called_ok(sorted_images):
    with pytest.raises(errors.DataError, match=r"OK: a class of what is wrong .*data\.class_names"):
        read(sorted_images, ok_class="")
    renamed = read(sorted_images, ok_class="", class_names={"OK": "matt"})
    assert renamed.classes == ("broken", "matt", "worn")


def test_a_class_may_have_another_name_than_its_folder(sorted_images, caplog):
    found = read(sorted_images, class_names={"worn": "flank_wear"})
    assert found.classes == ("broken", "flank_wear")
    both = read(sorted_images, class_names={"worn": "bad", "broken": "bad"})
    assert both.classes == ("bad",)
    assert both.is_defect.sum() == 3
    read(sorted_images, class_names={"warn": "bad"})
    assert "data.class_names is about folders that hold no class: warn" in caplog.text


def test_folders_may_lie_below_that_of_a_class(tmp_path):
    write(tmp_path, "ok/a.png", "worn/day 1/a.png", "worn/day 2/a.png")
    assert read(tmp_path).ids == ("ok/a", "worn/day 1/a", "worn/day 2/a")


def test_folders_without_a_class_are_left_out(sorted_images):
    write(sorted_images, "masks/d.png", ".cache/e.png", "blurred/f.png")
    assert read(sorted_images, leave_out=["masks", "blurred"]).classes == ("broken", "worn")
    assert read(sorted_images).classes == ("blurred", "broken", "worn")


def test_folders_to_leave_out_that_are_not_there_are_told_of(sorted_images, caplog):
    read(sorted_images)  # most images have none called masks
    assert not caplog.records
    read(sorted_images, leave_out=["masks", "blurred"])
    assert "data.leave_out names folders that" in caplog.text
    assert "lacks: blurred, masks" in caplog.text


@pytest.mark.parametrize("suffix", ["png", "PNG"])
def test_a_mask_beside_an_image_may_be_written_in_capitals(tmp_path, suffix):
    write(tmp_path, "ok/a.jpg", "worn/b.jpg", f"worn/b.{suffix}")
    found = read(tmp_path, evidence="masks")
    assert [record.has_evidence for record in found] == [False, True]


def test_masks_beside_images_are_told_by_their_suffix(tmp_path):
    write(tmp_path, "ok/a.jpg", "ok/a.png", "worn/b.JPG", "worn/b.png")
    with pytest.raises(errors.DataError, match=r"a\.png: .*Got a\.jpg beside it.*data\.suffixes"):
        read(tmp_path)
    for suffixes in ([".jpg"], ["JPG"]):
        found = read(tmp_path, suffixes=suffixes)
        assert [record.source.image_path.name for record in found] == ["a.jpg", "b.JPG"]


def test_a_class_without_an_image_is_refused(sorted_images):
    (sorted_images / "chipped").mkdir()
    told = r"chipped: the folder of a class must hold an image\. Got none\. .*data\.leave_out"
    with pytest.raises(errors.DataError, match=told):
        read(sorted_images)
    write(sorted_images, "chipped/a.png")
    with pytest.raises(errors.DataError, match=r"OK: .*Got none with \.jpg\. Add"):
        read(sorted_images, suffixes=[".jpg"])


def test_good_images_alone_are_one_class_only(tmp_path):
    write(tmp_path, "ok/a.png")
    with pytest.raises(errors.DataError, match=r"Got ok alone, the good ones\. Add the folder of"):
        read(tmp_path)


def test_one_class_teaches_nothing(tmp_path):
    write(tmp_path, *(f"worn/{number}.png" for number in range(8)))
    spec = data_spec.DataSpec(format="classes_folder", root=tmp_path, ok_class="")
    with pytest.raises(errors.DataError, match=r"Training a classifier needs.* of one: worn\."):
        data_spec.split(data_spec.read(spec), spec, seed=0)


def test_what_tools_leave_beside_images_is_left_alone(sorted_images, caplog):
    for name in ("d.xml", "d.json", "labels.txt", "a.csv", "Thumbs.db", ".DS_Store", "._d.png"):
        (sorted_images / "broken" / name).write_text("x")
    (sorted_images / "README").write_text("x")
    assert len(read(sorted_images)) == 5
    assert not caplog.records


def test_what_is_no_image_is_refused(sorted_images):
    path = sorted_images / "broken" / "report.pdf"
    path.write_text("x")
    with pytest.raises(errors.DataError, match=r"report\.pdf: the folder of a class must hold im"):
        read(sorted_images)


def test_an_image_of_another_kind_is_told(sorted_images, caplog):
    (sorted_images / "broken" / "a.gif").write_bytes(b"GIF89a")
    assert len(read(sorted_images)) == 5
    assert "left out 1 .gif" in caplog.text


def test_what_only_claims_to_be_an_image_is_found_by_the_check(sorted_images):
    (sorted_images / "broken" / "e.png").write_text("no pixels")
    spec = data_spec.DataSpec(format="classes_folder", root=sorted_images)
    fitting = images.Preprocessing(size=SIZE)
    with pytest.raises(errors.DataError, match=r"broken/e: .*Got 1 problems, the first: .*e\.png"):
        data_spec.check(data_spec.read(spec), spec, fitting)


def test_an_image_lies_in_a_class(sorted_images):
    write(sorted_images, "stray.png")
    with pytest.raises(errors.DataError, match=r"stray\.png: each image must lie in the folder"):
        read(sorted_images)


def test_a_folder_without_classes_is_refused(tmp_path):
    write(tmp_path, "a.png")
    (tmp_path / "empty").mkdir()
    with pytest.raises(errors.DataError, match=r"a folder for each class.*Got none\. Put the good"):
        read(tmp_path)


def test_a_table_says_the_groups(sorted_images):
    rows = [f"{name},{group}" for name, group in (
        ("OK/a.png", "one"), ("OK/b.png", "two"), ("worn/a.png", "one"), ("worn/c.jpg", "two"),
        ("broken/d.bmp", "three"), ("of another folder/e.png", "four"),
    )]  # fmt: skip
    (sorted_images / "groups.csv").write_text("\n".join(("file,group", *rows)))
    assert read(sorted_images).groups == ("one", "two", "three", "one", "two")
    (sorted_images / "groups.csv").write_text("\n".join(("file,group", *rows[1:])))
    with pytest.raises(errors.DataError, match=r"must name the group of every image\. Got none of"):
        read(sorted_images)


def test_names_in_either_unicode_form_are_one(tmp_path):
    write(tmp_path, "good/a.png", "u\u0308bel/b.png")  # as some file systems hand it over
    assert read(tmp_path).classes == ("\u00fcbel",)
    assert read(tmp_path, ok_class="\u00fcbel").classes == ("good",)
    assert read(tmp_path, class_names={"\u00fcbel": "bad"}).classes == ("bad",)


def test_two_folders_that_are_written_alike_are_refused(tmp_path):
    write(tmp_path, "ok/a.png", "u\u0308bel/b.png", "\u00fcbel/c.png")
    with pytest.raises(errors.DataError, match="must have a name of its own"):
        read(tmp_path)


def test_a_mask_in_other_bytes_belongs_to_its_image(tmp_path):
    write(tmp_path, "ok/a.jpg", "worn/u\u0308.jpg")
    cv2.imwrite(str(tmp_path / "worn" / "\u00fc.png"), np.full(SIZE, 255, np.uint8))
    (record,) = read(tmp_path, evidence="masks").where(is_defect=True)
    assert record.read_evidence().all()


def test_a_suffix_that_no_image_has_is_told(tmp_path):
    write(tmp_path, "ok/a.png", "worn/b.png")
    told = r"that end with \.tif\. Got none\. Correct data\.suffixes"
    with pytest.raises(errors.DataError, match=told):
        read(tmp_path, suffixes=[".tif"])


def test_annotations_are_evidence(sorted_images):
    (sorted_images / "worn" / "c.xml").write_text(ANNOTATION)
    assert read(sorted_images).select(["worn/c"])[0].read_evidence() is None
    found = read(sorted_images, evidence="voc")
    assert found.select(["worn/c"])[0].read_evidence().tolist() == [[1, 2, 4, 8]]
    assert found.select(["worn/a"])[0].read_evidence() is None


def test_masks_are_evidence(tmp_path):
    write(tmp_path, "ok/a.jpg", "worn/b.jpg", "worn/c.jpg", "worn/d.jpg")
    mask = np.zeros(SIZE, np.uint8)
    cv2.imwrite(str(tmp_path / "worn" / "c.png"), mask)
    mask[2:5, 3:9] = 255
    cv2.imwrite(str(tmp_path / "worn" / "b.png"), mask)
    found = read(tmp_path, evidence="masks")
    assert found.ids == ("ok/a", "worn/b", "worn/c", "worn/d")
    evidence = [record.read_evidence() for record in found]
    np.testing.assert_array_equal(evidence[1], mask > 0)
    assert evidence[0] is evidence[2] is evidence[3] is None  # the mask of c marks nothing
    assert [record.has_evidence for record in found] == [False, True, True, False]
    before = found.sha256()
    mask[0, 0] = 255
    cv2.imwrite(str(tmp_path / "worn" / "b.png"), mask)
    assert read(tmp_path, evidence="masks").sha256() != before


def test_masks_and_images_are_told_apart(tmp_path, caplog):
    write(tmp_path, "ok/a.jpg", "worn/b.jpg")
    with pytest.raises(errors.DataError, match=r"another suffix than \.png.* Got \.jpg, PNG\."):
        read(tmp_path, evidence="masks", suffixes=[".jpg", "PNG"])
    read(tmp_path, evidence="masks", suffixes=[".jpg"])
    assert "evidence is masks, but no image has a mask NAME.png beside it" in caplog.text
    write(tmp_path, "worn/lone.png")
    with pytest.raises(
        errors.DataError, match=r"lone\.png: .*must be the mask of an image of its n"
    ):
        read(tmp_path, evidence="masks")
    (tmp_path / "worn" / "lone.png").replace(tmp_path / "worn" / "b.png")
    cv2.imwrite(str(tmp_path / "worn" / "b.png"), np.ones((3, 3), np.uint8))
    problems = checks.check(read(tmp_path, evidence="masks")).problems
    assert [(problem.kind, problem.id) for problem in problems] == [("mask", "worn/b")]
    (record,) = read(tmp_path, evidence="masks").where(is_defect=True)
    with pytest.raises(errors.ImageError, match=r"b\.png"):
        record.read_evidence()


def test_evidence_that_is_nowhere_is_told(sorted_images, caplog):
    read(sorted_images)
    assert not caplog.records
    read(sorted_images, evidence="voc")
    assert "data.evidence is voc, but no image has a box" in caplog.text
    (sorted_images / "worn" / "c.XML").write_text(ANNOTATION)
    caplog.clear()
    read(sorted_images, evidence="voc")
    assert not caplog.records


def test_wrong_evidence_is_refused(sorted_images):
    (sorted_images / "worn" / "c.xml").write_text(ANNOTATION.replace(">8<", ">10<"))
    assert len(read(sorted_images)) == 5
    with pytest.raises(errors.DataError, match=r"c\.xml, line 2: a box must lie inside .*13 x 9"):
        read(sorted_images, evidence="voc")


def test_a_changed_image_or_box_is_other_data(sorted_images):
    (sorted_images / "worn" / "c.xml").write_text(ANNOTATION)
    hashes = {read(sorted_images).sha256(), read(sorted_images, evidence="voc").sha256()}
    (sorted_images / "worn" / "c.xml").write_text(ANNOTATION.replace(">8<", ">9<"))
    hashes |= {read(sorted_images).sha256(), read(sorted_images, evidence="voc").sha256()}
    assert len(hashes) == 3  # without evidence the annotation does not count
    write(sorted_images, "worn/x.jpg")
    (sorted_images / "worn" / "x.jpg").replace(sorted_images / "worn" / "c.jpg")
    assert read(sorted_images).sha256() not in hashes


def test_the_good_names_are_those_that_the_help_lists():
    text = inspect.getsource(classes_folder.ClassesFolderSpec)
    names = classes_folder.GOOD_NAMES
    assert f"{', '.join(names[:-1])} or {names[-1]}" in " ".join(text.split())


real = pytest.mark.skipif(
    "INSPECTION_DATA" not in os.environ,
    reason="needs INSPECTION_DATA, the folder of the real data sets",
)


@real
def test_cutting_inserts_are_intact_or_worn():
    found = read(Path(os.environ["INSPECTION_DATA"]) / "cutting_inserts", evidence="voc")
    assert (found.classes, found.counts()) == (("worn",), {"images": 51, "defective": 31})
    assert len(set(found.groups)) == 9
    evidence = [record.read_evidence() for record in found.where(is_defect=True)]
    assert {boxes.shape for boxes in evidence} == {(1, 4)}
    assert all(record.read_evidence() is None for record in found.where(is_defect=False))


@real
def test_magnetic_tiles_are_six_classes():
    root = Path(os.environ["INSPECTION_DATA"]) / "magnetic_tile"
    found = read(root, ok_class="MT_Free", suffixes=[".jpg"])
    counts = np.bincount([record.label for record in found]).tolist()
    assert counts == [523, 75, 44, 24, 21, 44]
    assert found.classes == tuple(
        f"MT_{c}" for c in ("Blowhole", "Break", "Crack", "Fray", "Uneven")
    )
