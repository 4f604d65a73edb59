import os
from pathlib import Path

import cv2
import numpy as np
import pytest

from inspection_tf import errors, images
from inspection_tf.datasets import readers, records
from inspection_tf.datasets.readers import box_masks

REAL = pytest.mark.skipif(
    "INSPECTION_DATA" not in os.environ,
    reason="needs INSPECTION_DATA, the folder of the real data sets",
)
SIDE = 96  # px


def board():
    """White with two black traces and a pad."""
    template = np.full((SIDE, SIDE), 255, np.uint8)
    template[20:32] = 0
    template[:, 60:70] = 0
    cv2.circle(template, (30, 70), 12, 0, -1)
    return template


def defects(template):
    """An open trace (1), a spot of copper (5) and a pin-hole (6), and the boxes around them."""
    image = template.copy()
    image[20:32, 10:15] = 255
    image[45:50, 40:46] = 0
    image[68:72, 28:33] = 255
    return image, ["5 16 20 37 1", "35,40,52,56,5", "20 60 40 78 6"]


def write_pair(folder, name="00000001", *, image=None, template=None, lines=None):
    folder.mkdir(parents=True, exist_ok=True)
    good = board() if template is None else template
    tested, boxes = defects(good) if image is None else (image, [])
    for suffix, array in (("test", tested), ("temp", good)):
        (folder / f"{name}_{suffix}.png").write_bytes(images.encode_png(array))
    text = "\n".join(boxes if lines is None else lines)
    (folder / f"{name}.txt").write_text(text, encoding="utf-8")
    return folder


def components(mask):
    """(class, mask) of each 8-connected region of each class."""
    found = []
    for number in range(1, 7):
        count, labels = cv2.connectedComponents((mask == number).astype(np.uint8), connectivity=8)
        found += [(number, labels == label) for label in range(1, count)]
    return found


def test_pairs_of_boards_are_read(tmp_path):
    write_pair(tmp_path / "group00041")
    write_pair(tmp_path / "group12100", "00000002", image=board())
    found = readers.read_deeppcb(tmp_path)
    assert found.ids == ("group00041/00000001", "group12100/00000002")
    assert found.groups == ("group00041", "group12100")
    assert found.is_defect.tolist() == [True, False]
    assert found.classes == ("open", "short", "mousebite", "spur", "copper", "pin-hole")
    assert [record.class_ids() for record in found] == [(1, 5, 6), ()]
    assert found.has_template
    np.testing.assert_array_equal(found[0].read_template(), board())
    assert not found[1].read_classes().any()


def test_the_board_is_the_folder_group_however_deep_it_lies(tmp_path):
    for group, name in (("group00041", "00000001"), ("group12100", "00000002")):
        write_pair(tmp_path / "PCBData" / group / group.removeprefix("group"), name)
    found = readers.read_deeppcb(tmp_path)
    assert found.groups == ("group00041", "group12100")
    assert found.ids == ("group00041/00000001", "group12100/00000002")
    # Without such a folder it is the first below the root.
    write_pair(tmp_path / "other" / "board", "00000003")
    assert readers.read_deeppcb(tmp_path / "other").groups == ("board",)


def test_the_mask_is_what_changed_inside_the_boxes(tmp_path):
    found = readers.read_deeppcb(write_pair(tmp_path / "group00041").parent)
    ids = found[0].read_classes()
    expected = np.zeros((SIDE, SIDE), np.uint8)
    expected[20:32, 10:15] = 1
    expected[45:50, 40:46] = 5
    expected[68:72, 28:33] = 6
    np.testing.assert_array_equal(ids, expected)
    np.testing.assert_array_equal(found[0].read_mask(), expected > 0)


def test_a_mask_handed_out_may_be_written_to(tmp_path):
    record = readers.read_deeppcb(write_pair(tmp_path / "group00041").parent)[0]
    before = record.read_classes().copy()
    record.read_classes()[:] = 9
    np.testing.assert_array_equal(record.read_classes(), before)


def test_edges_that_lie_a_pixel_apart_are_no_defect(tmp_path):
    image, lines = defects(board())
    thick = cv2.erode(board(), np.ones((3, 3), np.uint8))  # black grows by a pixel everywhere
    write_pair(tmp_path / "group00041", image=image, template=thick, lines=lines)
    found = components(readers.read_deeppcb(tmp_path)[0].read_classes())
    assert [number for number, _ in found] == [1, 5, 6]
    # All of spot and pin-hole; of the gap 14 rows, since the trace grew, and where it grew 2 px
    # to both sides: edge that hangs together with the gap.
    assert [int(region.sum()) for _, region in found] == [14 * 5 + 2 * 2 * 2, 5 * 6, 4 * 5]


def test_a_shifted_template_is_aligned_first(tmp_path):
    image, lines = defects(board())
    shifted = np.roll(board(), (0, 4), axis=(0, 1))
    shifted[:, :4] = board()[:, :4]
    write_pair(tmp_path / "group00041", image=image, template=shifted, lines=lines)
    assert [
        int(region.sum())
        for _, region in components(readers.read_deeppcb(tmp_path)[0].read_classes())
    ] == [60, 30, 20]


def test_fragments_in_a_box_become_one_region():
    template = np.full((22, 32), 0, np.uint8)
    image = np.zeros((20, 30), np.uint8)
    image[5:10, 5:9] = image[5:10, 11:16] = image[7:9, 18:20] = 255
    region = box_masks.changed_region(image, template)
    assert cv2.connectedComponents(region.astype(np.uint8), connectivity=8)[0] == 2
    assert region[image > 0].mean() > 0.9


def test_a_faint_change_still_marks_its_best_pixels():
    template, image = np.full((12, 14), 100, np.uint8), np.full((10, 12), 100, np.uint8)
    image[4, 5:8] = 130, 140, 140
    rows, columns = np.nonzero(box_masks.changed_region(image, template))
    assert set(zip(rows.tolist(), columns.tolist(), strict=True)) == {(4, 6), (4, 7)}


def test_no_change_at_all_marks_the_middle():
    template, image = np.full((12, 14), 100, np.uint8), np.full((10, 12), 100, np.uint8)
    region = box_masks.changed_region(image, template)
    assert np.argwhere(region).tolist() == [[5, 6]]


def test_of_overlapping_boxes_the_smaller_wins_and_regions_of_a_class_stay_apart():
    template = board()
    image = template.copy()
    image[80:90, 70:90] = 0  # one black bar in two boxes
    wide, narrow = box_masks.Box(65, 75, 95, 95, 5), box_masks.Box(82, 75, 95, 95, 5)
    mask = box_masks.class_mask(image, template, [narrow, wide])
    found = sorted((int(region.sum()) for _, region in components(mask)), reverse=True)
    # The narrow box takes columns 82 to 89, a column parts them, the wide one keeps 70 to 80.
    assert found == [10 * 11, 10 * 8]
    other = box_masks.Box(82, 75, 95, 95, 4)
    mask = box_masks.class_mask(image, template, [wide, other])
    # Regions of two classes may touch.
    assert [int((mask == number).sum()) for number in (4, 5)] == [10 * 8, 10 * 12]


def test_boxes_may_lie_in_a_folder_of_their_own(tmp_path):
    folder = write_pair(tmp_path / "group00041" / "00041")
    (tmp_path / "group00041" / "00041_not").mkdir()
    (folder / "00000001.txt").rename(tmp_path / "group00041" / "00041_not" / "00000001.txt")
    found = readers.read_deeppcb(tmp_path)
    assert found.ids == ("group00041/00000001",)
    assert found[0].class_ids() == (1, 5, 6)


@pytest.mark.parametrize("name", ["test", "temp"])
def test_colour_and_gray_make_one_mask(tmp_path, name):
    folder = write_pair(tmp_path / "group00041")
    before = readers.read_deeppcb(tmp_path)[0].read_classes()
    path = folder / f"00000001_{name}.png"
    path.write_bytes(images.encode_png(np.dstack([images.read(path)] * 3)))
    np.testing.assert_array_equal(readers.read_deeppcb(tmp_path)[0].read_classes(), before)


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ("1 2 30 40", r"00000001\.txt, line 1: a box must be x1 y1 x2 y2 type"),
        ("1 2 30 x 5", "whole numbers. Got '1 2 30 x 5'"),
        ("30 2 30 40 5", "x2 and y2 must be over x1 and y1"),
        ("1 2 30 40 7", "type must be 1 to 6. Got 7"),
        ("1 2 30 40 0", "type must be 1 to 6. Got 0"),
    ],
)
def test_a_wrong_line_of_boxes_is_refused(tmp_path, line, message):
    write_pair(tmp_path / "group00041", lines=[line])
    with pytest.raises(errors.DataError, match=message):
        readers.read_deeppcb(tmp_path)


def test_a_box_over_the_border_is_refused(tmp_path):
    write_pair(tmp_path / "group00041", lines=["5 5 97 40 1"])
    with pytest.raises(errors.ImageError, match=r"_test\.png: boxes must lie inside the 96 x 96"):
        readers.read_deeppcb(tmp_path)[0].read_mask()


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("00000001_temp.png", r"must have a template\. Got no 00000001_temp\.png"),
        ("00000001.txt", r"must have a file of boxes\. Got no 00000001\.txt"),
    ],
)
def test_a_file_that_is_missing_is_named(tmp_path, name, message):
    (write_pair(tmp_path / "group00041") / name).unlink()
    with pytest.raises(errors.DataError, match=message):
        readers.read_deeppcb(tmp_path)


def test_an_empty_root_is_refused(tmp_path):
    with pytest.raises(errors.DataError, match="must hold folders groupNNNNN"):
        readers.read_deeppcb(tmp_path)


def test_the_hash_changes_with_image_template_and_boxes(tmp_path):
    folder = write_pair(tmp_path / "group00041")
    hashes = {readers.read_deeppcb(tmp_path).sha256()}
    for name in ("00000001_test.png", "00000001_temp.png"):
        (folder / name).write_bytes((folder / name).read_bytes() + b"\0")
        hashes.add(readers.read_deeppcb(tmp_path).sha256())
    (folder / "00000001.txt").write_text("5 16 20 37 2", encoding="utf-8")
    hashes.add(readers.read_deeppcb(tmp_path).sha256())
    assert len(hashes) == 4
    (folder / "00000001_temp.png").unlink()
    found = records.Records.of([records.Record("a", True, _source(folder))])
    with pytest.raises(errors.ImageError, match=r"_temp\.png: the file must be readable"):
        found.sha256()


def _source(folder):
    from inspection_tf.datasets.readers import deeppcb

    paths = (folder / f"00000001_{name}.png" for name in ("test", "temp"))
    return deeppcb.DeepPcbSource(*paths, boxes=())


@REAL
def test_each_real_box_gives_exactly_one_region():
    found = readers.read_deeppcb(Path(os.environ["INSPECTION_DATA"]) / "deeppcb")
    assert len(found) == 96
    assert len(set(found.groups)) == 6
    for record in found[::12]:
        regions = components(record.read_classes())
        boxes = record.source.boxes
        assert len(regions) == len(boxes)
        for box in boxes:
            window = np.s_[box.y0 : box.y1, box.x0 : box.x1]
            inside = [r for n, r in regions if n == box.class_id and r.sum() == r[window].sum()]
            assert len(inside) == 1
