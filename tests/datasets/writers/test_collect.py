"""What was corrected is read back: as a data set, from COCO, from tasks of Label Studio."""

import json
import types
import urllib.parse
import xml.etree.ElementTree as ElementTree

import numpy as np
import pytest
from brush_masks import decoded
from corrections import grey, keep, lines

from inspection_tf import errors, images
from inspection_tf.datasets.readers import classes_folder, folder
from inspection_tf.datasets.readers.located import corners, poses
from inspection_tf.datasets.writers import coco
from inspection_tf.datasets.writers.collect import collect
from inspection_tf.decision.results import Field, Regions
from inspection_tf.projection.poses import Pose
from inspection_tf.tasks.classification.results import Classes
from inspection_tf.tasks.pose.results import PoseFound

ONE = np.zeros((6, 8), np.uint8)
ONE[1:3, 2:5] = 1  # rows 1 and 2, columns 2 to 4
TWO = ONE.copy()
TWO[5, 7] = 2
FIELD = ((1.0, 1.0), (5.0, 1.0), (5.0, 4.0), (1.0, 4.0))


def loaded(path):
    return json.loads(path.read_text())


def tasks_by_label(out):
    return {one["data"]["label"]: one for one in loaded(out / "label_studio.json")}


def results(task):
    (prediction,) = task["predictions"]
    return {one["id"].partition("-")[2]: one for one in prediction["result"]}


@pytest.fixture
def collected(tmp_path):
    """Four corrections of regions: OK, NG as marked, NG without a mark, and a wrong region."""
    labels = tmp_path / "labels"
    keep(labels, grey(1), "OK", mask=ONE)
    keep(labels, grey(2), "NG", mask=ONE)
    keep(labels, grey(3), "NG", outcome="OK")
    keep(labels, grey(4), "region", mask=ONE, note="too <low>")
    out = tmp_path / "out"
    return out, collect([labels], out)


def test_only_what_can_be_trusted_becomes_a_training_label(collected):
    out, told = collected
    assert (told.format, told.ok, told.ng, told.wrong, told.unmarked) == ("folder", 1, 1, 1, 1)
    assert "2 left to label in to_label: 1 marked wrongly, 1 not marked" in told.summary()
    found = folder.read_folder(out / "dataset")
    good, defect = sorted(found, key=lambda record: record.is_defect)
    np.testing.assert_array_equal(good.read_image(), grey(1))
    assert not good.is_defect
    np.testing.assert_array_equal(defect.read_image(), grey(2))
    np.testing.assert_array_equal(defect.read_mask(), ONE > 0)
    left = {path.stem for path in (out / "to_label").iterdir()}
    assert left == {images.digest(grey(3)), images.digest(grey(4))}


def test_coco_holds_the_same_to_the_pixel(collected):
    out, _ = collected
    found = loaded(out / "coco.json")
    assert [one["file_name"].split("/")[1] for one in found["images"]] == ["good", "defect"]
    assert found["categories"] == [{"id": 1, "name": "defect"}]
    assert found["images"][1] | {"file_name": ""} == {
        "id": 2, "file_name": "", "height": 6, "width": 8,
    }  # fmt: skip
    (one,) = found["annotations"]
    # Column by column: 2 columns of 6 and a row, then 2 of each of 3 columns, with 4 between.
    assert one["segmentation"] == {"size": [6, 8], "counts": [13, 2, 4, 2, 4, 2, 21]}
    assert (one["image_id"], one["category_id"], one["iscrowd"]) == (2, 1, 0)
    assert one["area"] == 6
    assert one["bbox"] == [2.0, 1.0, 3.0, 2.0]


def test_run_lengths_are_those_of_pycocotools():
    mask = pytest.importorskip("pycocotools.mask")
    rng = np.random.default_rng(3)
    for size in ((1, 1), (3, 5), (17, 13)):
        for share in (0.0, 0.4, 1.0):
            pixels = rng.random(size) < share
            counts = coco.run_lengths(pixels)
            packed = mask.frPyObjects({"size": list(size), "counts": counts}, *size)
            np.testing.assert_array_equal(mask.decode(packed), pixels)


@pytest.mark.parametrize(
    ("pixels", "counts"),
    [([[0]], [1]), ([[1]], [0, 1]), ([[1, 0], [1, 1]], [0, 2, 1, 1]), ([[0, 1]], [1, 1])],
)
def test_run_lengths_begin_with_what_is_not_marked(pixels, counts):
    assert coco.run_lengths(np.array(pixels, bool)) == counts


def test_tasks_hold_polygons_and_masks(collected):
    out, _ = collected
    tasks = loaded(out / "label_studio.json")
    assert len(tasks) == 4
    for one in tasks:
        assert one["data"]["image"].startswith("/data/local-files/?d=")
        path = urllib.parse.unquote(one["data"]["image"].partition("?d=")[2])
        assert images.digest(images.read(out / path)) == one["data"]["image_sha256"]
    wrong = tasks_by_label(out)["region"]
    assert wrong["data"]["note"] == "too <low>"
    assert "a person said the region is wrong: too <low>" in wrong["data"]["said"]
    assert wrong["predictions"][0]["score"] == 0.75
    assert wrong["predictions"][0]["model_version"] == "line 1"
    found = results(wrong)
    assert found.keys() == {"outcome", "polygon-1", "brush-1"}
    value = found["brush-1"]["value"]
    assert (value["format"], value["brushlabels"]) == ("rle", ["defect"])
    np.testing.assert_array_equal(decoded(value["rle"], (6, 8)), ONE > 0)
    # Columns 2 to 5 of 8 and rows 1 to 3 of 6, in percent.
    corners_of = {tuple(np.round(point, 6)) for point in found["polygon-1"]["value"]["points"]}
    assert corners_of == {
        (25.0, 16.666667), (62.5, 16.666667), (62.5, 50.0), (25.0, 50.0),
    }  # fmt: skip
    assert found["outcome"]["value"] == {"choices": ["NG"]}
    for one in found.values():
        assert (one["original_width"], one["original_height"]) == (8, 6)
    # What is OK has no region, whatever the model saw.
    assert results(tasks_by_label(out)["OK"]).keys() == {"outcome"}


def test_tasks_fit_the_labelling_configuration(collected):
    out, _ = collected
    root = ElementTree.fromstring((out / "label_studio.xml").read_text())
    known = {tag.get("name"): tag for tag in root if tag.get("toName")}
    assert {name: tag.tag for name, tag in known.items()} == {
        "outcome": "Choices", "polygon": "PolygonLabels", "brush": "BrushLabels",
    }  # fmt: skip
    for task in loaded(out / "label_studio.json"):
        for one in results(task).values():
            tag = known[one["from_name"]]
            assert one["to_name"] == tag.get("toName") == root.find("Image").get("name")
            assert one["type"] == tag.tag.lower()
            names = {child.get("value") for child in tag}
            assert set(one["value"][one["type"]]) <= names
        ids = [one["id"] for one in task["predictions"][0]["result"]]
        assert len(set(ids)) == len(ids)


def test_the_same_corrections_give_the_same_bytes(tmp_path):
    labels = tmp_path / "labels"
    for number, label in enumerate(("OK", "NG", "region", "NG")):
        keep(labels, grey(number), label, mask=TWO, classes=("scratch", "dent"))
    trees = []
    for name in ("first", "second"):
        collect([labels], tmp_path / name)
        files = sorted(path for path in (tmp_path / name).rglob("*") if path.is_file())
        trees.append({path.relative_to(tmp_path / name): path.read_bytes() for path in files})
    assert trees[0] == trees[1]
    assert len(trees[0]) == 3 + 4 + 2 + 1  # tables, images, masks, classes.txt


def test_several_classes_keep_their_ids_and_names(tmp_path):
    names = ("scratch & <dent>", 'a "b"')
    keep(tmp_path / "labels", grey(1), "NG", mask=TWO, classes=names)
    collect([tmp_path / "labels"], tmp_path / "out")
    found = folder.read_folder(tmp_path / "out" / "dataset")
    assert found.classes == names
    (record,) = found
    np.testing.assert_array_equal(record.read_classes(), TWO)
    annotations = loaded(tmp_path / "out" / "coco.json")["annotations"]
    assert [(one["category_id"], one["area"]) for one in annotations] == [(1, 6), (2, 1)]
    root = ElementTree.fromstring((tmp_path / "out" / "label_studio.xml").read_text())
    assert [one.get("value") for one in root.find("BrushLabels")] == list(names)


def test_a_name_that_is_no_line_is_refused(tmp_path):
    keep(tmp_path / "labels", grey(1), "NG", mask=TWO, classes=("a,", "b"))
    with pytest.raises(errors.DataError, match="must be a line of its own"):
        collect([tmp_path / "labels"], tmp_path / "out")
    assert [path.name for path in tmp_path.iterdir()] == ["labels"]


def test_wear_inside_its_limits_is_no_absence_of_wear(tmp_path):
    wear = types.SimpleNamespace(to_dict=lambda: {"vb_mean_px": 3.0})
    keep(tmp_path / "labels", grey(1), "OK", result=Regions(wear=wear))
    told = collect([tmp_path / "labels"], tmp_path / "out")
    assert (told.ok, told.unmarked) == (0, 1)
    assert not (tmp_path / "out" / "dataset").exists()


def test_pixels_of_16_bits_stay_so(tmp_path):
    pixels = np.arange(48, dtype=np.uint16).reshape(6, 8) * 1000
    keep(tmp_path / "labels", pixels, "OK")
    collect([tmp_path / "labels"], tmp_path / "out")
    (record,) = folder.read_folder(tmp_path / "out" / "dataset")
    np.testing.assert_array_equal(record.read_image(), pixels)


# Other kinds of labels


def classes_of(name):
    shares = {"ok": (0.9, 0.05, 0.05), "chip": (0.1, 0.8, 0.1)}[name]
    return Classes(("ok", "chip", "crack"), shares)


def test_classes_become_folders(tmp_path):
    labels, many = tmp_path / "labels", {"kind": "classes", "classes": ("chip", "crack")}
    keep(labels, grey(1), "OK", result=classes_of("chip"), **many)
    keep(labels, grey(2), "NG", result=classes_of("chip"), **many)
    keep(labels, grey(3), "NG", result=classes_of("ok"), **many)  # of which class?
    keep(labels, grey(4), "region", result=classes_of("chip"), **many)
    out = tmp_path / "out"
    told = collect([labels], out)
    assert (told.format, told.ok, told.ng, told.wrong, told.unmarked) == (
        "classes_folder", 1, 1, 1, 1,
    )  # fmt: skip
    found = classes_folder.read_classes_folder(out / "dataset")
    assert [(record.id.split("/")[0], record.is_defect) for record in found] == [
        ("chip", True), ("ok", False),
    ]  # fmt: skip
    assert results(tasks_by_label(out)["region"])["class"]["value"] == {"choices": ["chip"]}
    assert loaded(out / "coco.json")["annotations"] == []


def test_where_there_is_one_class_it_is_that_one(tmp_path):
    result = Classes(("ok", "broken"), (0.9, 0.1))
    keep(tmp_path / "a", grey(1), "NG", kind="classes", classes=("broken",), result=result)
    assert collect([tmp_path / "a"], tmp_path / "out").ng == 1
    assert (tmp_path / "out" / "dataset" / "broken").is_dir()


@pytest.mark.parametrize("name", ["a/b", "..", ".a", "masks", "a\\b"])
def test_a_class_that_no_folder_can_be_called_is_refused(tmp_path, name):
    keep(tmp_path / "a", grey(1), "NG", kind="classes", classes=(name,))
    with pytest.raises(errors.DataError, match="a name that its folder can have"):
        collect([tmp_path / "a"], tmp_path / "out")
    assert not (tmp_path / "out").exists()


def test_corners_become_a_table(tmp_path):
    labels, kind = tmp_path / "labels", {"kind": "corners", "classes": ("no field",)}
    keep(labels, grey(1), "OK", result=Field(FIELD, 0.9), **kind)
    keep(labels, grey(2), "NG", result=Field(None, 0.1), **kind)  # both see no field
    keep(labels, grey(3), "NG", result=Field(FIELD, 0.9), **kind)
    keep(labels, grey(4), "OK", result=Field(None, 0.1), **kind)
    outside = ((-3.0, 1.0), *FIELD[1:])
    keep(labels, grey(5), "OK", result=Field(outside, 0.9), **kind)
    keep(labels, grey(6), "region", result=Field(FIELD, 0.9), **kind)
    out = tmp_path / "out"
    told = collect([labels], out)
    assert (told.format, told.ok, told.ng, told.wrong, told.unmarked) == ("corners", 1, 1, 1, 3)
    found = {record.is_defect: record for record in corners.read_corners(out / "dataset")}
    np.testing.assert_array_equal(found[False].read_corners(), FIELD)
    assert found[True].read_corners() is None
    (one,) = loaded(out / "coco.json")["annotations"]
    # From the borders of pixels: half a pixel more. 4 x 3 px.
    assert one["segmentation"] == [[1.5, 1.5, 5.5, 1.5, 5.5, 4.5, 1.5, 4.5]]
    assert (one["area"], one["bbox"]) == (12.0, [1.5, 1.5, 4.0, 3.0])
    shapes = results(tasks_by_label(out)["region"])
    assert shapes["polygon-1"]["value"]["polygonlabels"] == ["field"]
    np.testing.assert_allclose(
        shapes["polygon-1"]["value"]["points"], 100 * (np.array(FIELD) + 0.5) / [8, 6]
    )


def test_poses_become_a_table(tmp_path):
    labels, kind = tmp_path / "labels", {"kind": "pose", "classes": ("deviation",)}
    pose = Pose(10.5, -1.25, 2.0, 0.1, 0.2, 0.3)
    keep(labels, grey(1), "OK", result=PoseFound(pose), **kind)
    keep(labels, grey(2), "NG", result=PoseFound(pose), **kind)
    keep(labels, grey(3), "NG", result=PoseFound(None), **kind)
    keep(labels, grey(4), "region", result=PoseFound(pose), **kind)
    out = tmp_path / "out"
    told = collect([labels], out)
    assert (told.format, told.ok, told.ng, told.wrong, told.unmarked) == ("poses", 1, 1, 1, 1)
    found = list(poses.read_poses(out / "dataset"))
    assert [record.is_defect for record in found] == [False, True]
    assert [record.read_pose() for record in found] == [pose, pose]
    assert results(tasks_by_label(out)["OK"])["outcome"]["value"] == {"choices": ["OK"]}


# What goes wrong


def test_what_is_wrong_leaves_nothing_half_written(tmp_path):
    labels = tmp_path / "labels"
    for number in range(3):
        keep(labels, grey(number), "OK")
    (labels / lines(labels)[2]["image"]).unlink()
    with pytest.raises(errors.DataError, match="line 3"):
        collect([labels], tmp_path / "out")
    assert [path.name for path in tmp_path.iterdir()] == ["labels"]


def test_a_folder_that_holds_something_is_not_touched(tmp_path):
    keep(tmp_path / "labels", grey(1), "OK")
    with pytest.raises(errors.ConfigError, match="must not exist yet"):
        collect([tmp_path / "labels"], tmp_path / "labels")
    assert len(lines(tmp_path / "labels")) == 1
