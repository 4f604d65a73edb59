import os
from pathlib import Path

import cv2
import numpy as np
import pytest

from inspection_tf import errors, images
from inspection_tf.datasets.readers.located import corners

HEADER = ",".join(corners.HEADER)
ROW = "3,4,20.5,5,19,15,2,14"
CORNERS = [[3, 4], [20.5, 5], [19, 15], [2, 14]]


@pytest.fixture
def folder(tmp_path):
    for name in ("a.png", "sub/b.png"):
        path = tmp_path / name
        path.parent.mkdir(exist_ok=True)
        images.write_png(path, np.full((20, 30), 7, np.uint8))
    return tmp_path


def table(folder, *rows, header=HEADER):
    (folder / "corners.csv").write_text("\n".join([header, *rows]) + "\n")
    return folder


def test_corners_are_read_with_their_images(folder):
    first, second = corners.read_corners(table(folder, f"a.png,{ROW}", "sub/b.png,,,,,,,,"))
    assert (first.id, first.is_defect) == ("a", False)
    assert first.read_corners().tolist() == CORNERS
    assert (second.id, second.is_defect, second.read_corners()) == ("sub/b", True, None)
    assert second.read_image().shape == (20, 30)
    assert second.read_mask().shape == (20, 30)


def test_the_table_itself_may_be_named(folder):
    path = table(folder, f"a.png,{ROW}") / "corners.csv"
    assert corners.read_corners(path).ids == ("a",)


def test_the_order_of_numbered_points_is_stated(folder):
    header = "filepath,p1_x,p1_y,p2_x,p2_y,p3_x,p3_y,p4_x,p4_y"
    table(folder, "./a.png,3,4,2,14,19,15,20.5,5", header=header)
    (found,) = corners.read_corners(folder, order=("tl", "bl", "br", "tr"))
    assert found.read_corners().tolist() == CORNERS
    with pytest.raises(errors.DataError, match=r"line 2, a\.png.*mirrored.*state the order"):
        corners.read_corners(folder)


def test_an_order_names_each_corner(folder):
    with pytest.raises(errors.ConfigError, match="tl, tr, br and bl, each once"):
        corners.read_corners(table(folder), order=("tl", "tl", "br", "bl"))


def test_a_group_is_kept_together(folder):
    header = HEADER + ",group"
    found = corners.read_corners(table(folder, f"a.png,{ROW},phone 1", header=header))
    assert found[0].group == "phone 1"


@pytest.mark.parametrize(
    ("row", "message"),
    [
        ("a.png,3,4,29.6,5,19,15,2,14", r"line 2, a\.png: the top right corner must lie inside"),
        ("a.png,3,-0.6,20,5,19,15,2,14", r"top left corner must lie inside the image of 30 x 20"),
        ("a.png,nan,4,20,5,19,15,2,14", "top left corner must lie inside"),
        ("a.png,3,4,19,15,20,5,2,14", "clockwise around a convex"),
        ("a.png,3,4,20,5,5,6,2,14", "clockwise around a convex"),
        ("a.png,3,4,20,5,19,15,2,", r"line 2: bl_y must be a number, px\. Got ''"),
        ("a.png,3,4,20,5,19,x,2,14", r"br_y must be a number, px\. Got 'x'"),
        ("c.png,3,4,20,5,19,15,2,14", r"line 2: each listed image must exist\. Got 'c\.png'"),
        ("a.png,3,4", "line 2: a row must have 9 columns as the header. Got 3"),
    ],
)
def test_what_cannot_be_right_is_refused_with_its_line(folder, row, message):
    with pytest.raises(errors.DataError, match=message):
        corners.read_corners(table(folder, row))


def test_borders_of_the_image_are_inside_it(folder):
    found = corners.read_corners(table(folder, "a.png,-0.5,-0.5,29.5,-0.5,29.5,19.5,-0.5,19.5"))
    assert found[0].read_corners().max() == 29.5


@pytest.mark.parametrize(
    ("header", "message"),
    [
        ("file,tl_x", "none called tl_y"),
        (HEADER.replace("file", "name"), "must have a column 'file'"),
        ("file,p1_x,p1_y,p2_x,p2_y", "none called p3_x"),
    ],
)
def test_a_missing_column_is_named(folder, header, message):
    with pytest.raises(errors.DataError, match=message):
        corners.read_corners(table(folder, header=header))


def test_an_empty_table_says_what_it_must_hold(folder):
    (folder / "corners.csv").write_text("\n")
    with pytest.raises(errors.DataError, match="must begin with a header such as file,tl_x"):
        corners.read_corners(folder)


def test_what_is_written_is_read_again(folder):
    corners.write(folder / "corners.csv", {"a.png": np.array(CORNERS), "sub/b.png": None})
    first, second = corners.read_corners(folder)
    assert first.read_corners().tolist() == CORNERS
    assert second.read_corners() is None


def test_the_identity_follows_pixels_and_corners(folder):
    def identity():
        return corners.read_corners(folder)[0].source.identity()

    table(folder, f"a.png,{ROW}")
    before = identity()
    assert identity() == before
    table(folder, f"a.png,{ROW}".replace("20.5", "20"))
    moved = identity()
    images.write_png(folder / "a.png", np.full((20, 30), 8, np.uint8))
    assert len({before, moved, identity()}) == 3


@pytest.mark.parametrize("orientation", range(1, 9))
def test_corners_lie_as_the_image_is_read(tmp_path, orientation):
    # One bright pixel; JPEG of quality 100 keeps it the brightest.
    stored = np.zeros((24, 40), np.uint8)
    stored[16:24, 8:16] = 255
    _, data = cv2.imencode(".jpg", stored, [cv2.IMWRITE_JPEG_QUALITY, 100])
    exif = b"Exif\x00\x00MM\x00*\x00\x00\x00\x08\x00\x01\x01\x12\x00\x03\x00\x00\x00\x01"
    exif += bytes([0, orientation, 0, 0, 0, 0, 0, 0])
    segment = b"\xff\xe1" + (len(exif) + 2).to_bytes(2, "big") + exif
    data = data.tobytes()
    (tmp_path / "a.jpg").write_bytes(data[:2] + segment + data[2:])
    turned = images.read(tmp_path / "a.jpg")

    def bounds(image):
        rows, columns = np.nonzero(image > 128)
        return columns.min(), rows.min(), columns.max(), rows.max()

    x0, y0, x1, y1 = bounds(turned)
    table(tmp_path, f"a.jpg,{x0},{y0},{x1},{y0},{x1},{y1},{x0},{y1}")
    (record,) = corners.read_corners(tmp_path)
    found = record.read_corners(orientation="ignore")
    assert sorted(map(tuple, found.tolist())) == [(8, 16), (8, 23), (15, 16), (15, 23)]
    # The first is the one that is top left when turned.
    points = record.read_corners(orientation="apply")
    assert points[0].tolist() == [x0, y0]
    assert record.read_mask(orientation="ignore").shape == (24, 40)
    assert record.read_mask().shape == turned.shape


real = pytest.mark.skipif(
    "INSPECTION_DATA" not in os.environ, reason="INSPECTION_DATA names no real data"
)


@real
def test_photos_of_printed_grids_are_read():
    found = corners.read_corners(Path(os.environ["INSPECTION_DATA"]) / "sudoku_corners")
    assert len(found) == 113
    assert all(record.read_corners().shape == (4, 2) for record in found)


@real
def test_frames_of_smartdoc_are_read_in_the_order_of_their_columns():
    found = corners.read_smartdoc(Path(os.environ["INSPECTION_DATA"]) / "smartdoc")
    assert len(found) == 18
    record = found.select(["background01_datasheet001_frame_0118"])[0]
    # The table has tl, bl, br, tr.
    assert record.read_corners()[1].tolist() == [1318.93, 157.786]
    assert record.group == "background01/datasheet001"
