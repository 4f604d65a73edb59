"""What a refusal says of folders in a layout that is not read."""

import json

import numpy as np
import pytest

from inspection_tf import errors, images
from inspection_tf.datasets import data_spec, readers
from inspection_tf.datasets.readers import recognition

COCO = {
    "info": {},
    "images": [{"id": 1, "file_name": "a.png"}],
    "annotations": [],
    "categories": [],
}
LABELME = {"version": "5.4.1", "shapes": [], "imagePath": "a.png", "imageData": None}
VIA = {"a.png": {"regions": [{"shape_attributes": {"name": "polygon"}}]}}


def picture(path):
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(images.encode_png(np.zeros((4, 4), np.uint8)))


def text(path, content):
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(content if isinstance(content, str) else json.dumps(content))


def mvtec(root):
    for name in (
        "train/good/000",
        "test/good/000",
        "test/crack/000",
        "ground_truth/crack/000_mask",
    ):
        picture(root / f"{name}.png")


def mvtec_with_categories(root):
    mvtec(root / "bottle")
    mvtec(root / "tile")


def mvtec_of_tests_alone(root):
    picture(root / "test" / "good" / "0.png")
    picture(root / "test" / "scratch" / "0.png")
    picture(root / "ground_truth" / "scratch" / "0_mask.png")


def mvtec_without_masks(root):
    picture(root / "train" / "good" / "0.png")
    picture(root / "test" / "good" / "0.png")
    picture(root / "test" / "bad" / "0.png")


def coco(root):
    picture(root / "train2017" / "a.png")
    text(root / "annotations" / "instances_train2017.json", COCO)


def coco_of_roboflow(root):
    picture(root / "train" / "a.png")
    text(root / "train" / "_annotations.coco.json", COCO)


def coco_after_many_images(root):
    listed = [{"id": n, "file_name": f"{n:060d}.png"} for n in range(2000)]
    text(root / "all.json", {"info": {"x": "y" * 2**16}, "images": listed, "annotations": [
        {"image_id": 1, "category_id": 1, "segmentation": [[0, 0, 1, 1, 2, 2]]}
    ]})  # fmt: skip


def yolo(root):
    picture(root / "images" / "train" / "a.png")
    text(root / "labels" / "train" / "a.txt", "0 0.5 0.5 0.25 0.125\n1 0.1 0.2 0.1 0.1\n")


def yolo_of_polygons(root):
    picture(root / "a.png")
    text(root / "a.txt", "2 0.1 0.1 0.4 0.1 0.4 0.375 0.1 1\n")


def yolo_described(root):
    picture(root / "images" / "a.png")
    text(root / "data.yaml", "train: images\nval: images\nnc: 1\nnames: ['scratch']\n")


def voc(root):
    picture(root / "VOC2012" / "JPEGImages" / "a.png")
    text(root / "VOC2012" / "Annotations" / "a.xml", "<annotation>\n<folder>VOC2012</folder>")


def voc_beside_images(root):
    picture(root / "a.png")
    text(root / "a.xml", '<?xml version="1.0"?>\n<annotation>\n<object></object></annotation>')


def labelme(root):
    picture(root / "a.png")
    text(root / "a.json", LABELME)


def cvat(root):
    picture(root / "images" / "a.png")
    text(root / "annotations.xml", '<?xml version="1.0"?>\n<annotations>\n<version>1.1</version>')


def via(root):
    picture(root / "a.png")
    text(root / "via_region_data.json", VIA)


def run_lengths(root):
    picture(root / "train_images" / "a.png")
    text(root / "train.csv", "ImageId,ClassId,EncodedPixels\na.png,1,29 10\n")


FOREIGN = {
    mvtec: ("MVTec AD", "ground_truth/KIND/NNN_mask.png to masks/KIND_NNN.png"),
    mvtec_with_categories: ("MVTec AD", "Copy train/good"),
    mvtec_of_tests_alone: ("MVTec AD", "ground_truth/KIND/NNN_mask.png to masks/KIND_NNN.png"),
    mvtec_without_masks: ("MVTec AD without ground_truth", "draw their masks into"),
    coco: ("COCO", "annToMask"),
    coco_of_roboflow: ("COCO", "annToMask"),
    coco_after_many_images: ("COCO", "annToMask"),
    yolo: ("YOLO", "Draw the boxes or polygons"),
    yolo_of_polygons: ("YOLO", "Draw the boxes or polygons"),
    yolo_described: ("YOLO", "Draw the boxes or polygons"),
    voc: ("Pascal VOC", "Draw the boxes"),
    voc_beside_images: ("Pascal VOC", "Draw the boxes"),
    labelme: ("LabelMe", "labelme2voc.py"),
    cvat: ("CVAT", "Segmentation mask"),
    via: ("VGG Image Annotator", "Draw the shapes"),
    run_lengths: ("run lengths", "Draw the runs"),
}


@pytest.mark.parametrize("make", FOREIGN, ids=lambda make: make.__name__)
@pytest.mark.parametrize("reading", ["folder", "dagm", "magnetic_tile", "deeppcb", "corners"])
def test_a_foreign_layout_is_named_with_its_way_out(tmp_path, make, reading):
    make(tmp_path)
    name, way_out = FOREIGN[make]
    spec = data_spec.DataSpec(format=reading, root=tmp_path)
    with pytest.raises(errors.DataError, match=f"must hold .*Got .*{name}") as caught:
        data_spec.read(spec)
    assert way_out in str(caught.value)
    assert "--data.format folder" in str(caught.value)
    assert caught.value.exit_code == 3


def test_masks_of_voc_have_a_shorter_way_than_its_boxes(tmp_path):
    voc(tmp_path)
    picture(tmp_path / "VOC2012" / "SegmentationClass" / "a.png")
    with pytest.raises(errors.DataError, match=r"SegmentationClass to masks/.*mask-ignore 255"):
        readers.read_folder(tmp_path)


def test_a_file_of_annotations_in_place_of_the_folder_is_named(tmp_path):
    coco(tmp_path)
    root = tmp_path / "annotations" / "instances_train2017.json"
    with pytest.raises(errors.DataError, match=r"must be a folder of images\. Got .*COCO"):
        data_spec.read(data_spec.DataSpec(format="folder", root=root))


def test_annotations_beside_defects_without_masks_are_named(tmp_path, write_folders):
    write_folders(tmp_path)
    (tmp_path / "masks" / "d1.png").unlink()
    text(tmp_path / "defect" / "d1.json", LABELME)
    with pytest.raises(errors.DataError, match=r"none named d1 in .*masks, but .*LabelMe"):
        readers.read_folder(tmp_path)


def test_a_layout_that_is_read_by_another_format_is_named(tmp_path, write_dagm, write_folders):
    write_dagm(tmp_path / "surfaces" / "Class1")
    with pytest.raises(errors.DataError, match=r"--data\.format dagm --data\.root .*Class1"):
        readers.read_folder(tmp_path / "surfaces")
    write_folders(tmp_path / "tiles")
    with pytest.raises(errors.DataError, match=r"--data\.format folder --data\.root .*tiles"):
        readers.read_dagm(tmp_path / "tiles")
    with pytest.raises(errors.DataError, match=r"--data\.format folder --data\.root .*tiles"):
        readers.read_folder(tmp_path)  # one folder too high


def test_folders_of_images_without_masks_are_named(tmp_path):
    picture(tmp_path / "OK" / "a.png")
    picture(tmp_path / "NG" / "b.png")
    with pytest.raises(
        errors.DataError, match=r"images in the folders NG, OK\. Move those without"
    ):
        readers.read_folder(tmp_path)
    with pytest.raises(errors.DataError, match=r"with --data\.format classes_folder --data\.root"):
        readers.read_folder(tmp_path)


def test_folders_of_images_in_folders_of_images_are_no_classes(tmp_path):
    for name in ("OK/a", "NG/b", "NG/deeper/c"):
        picture(tmp_path / f"{name}.png")
    with pytest.raises(errors.DataError, match=r"NG, OK, deeper\. .*--data\.format folder\.$"):
        readers.read_folder(tmp_path)


def test_boxes_of_voc_are_read_where_they_are(tmp_path):
    voc(tmp_path)
    with pytest.raises(errors.DataError, match=r"--data\.format voc --data\.root .*VOC2012, which"):
        readers.read_folder(tmp_path)


def test_an_empty_folder_is_told_how_to_get_a_set(tmp_path):
    assert recognition.recognise(tmp_path, readers.FORMATS, reading="") is None
    with pytest.raises(errors.DataError, match=r"Got none\. Write a set with: inspection synth"):
        readers.read_folder(tmp_path)


def test_boxes_of_deeppcb_are_no_labels_of_yolo(tmp_path):
    text(tmp_path / "group00001" / "00001.txt", "10 10 20 20 1\n")
    assert recognition.recognise_foreign(tmp_path) is None


def test_a_set_with_notes_of_another_tool_is_read(tmp_path, write_folders):
    write_folders(tmp_path)
    text(tmp_path / "defect" / "d1.json", LABELME)
    assert len(readers.read_folder(tmp_path)) == 4


def test_two_sets_of_good_and_defect_are_no_foreign_layout(tmp_path):
    for part in ("train", "test"):
        picture(tmp_path / part / "good" / "0.png")
        picture(tmp_path / part / "defect" / "1.png")
    assert (
        recognition.recognise(tmp_path, readers.FORMATS, reading="folder").name
        == "what looks like the layout folder"
    )
