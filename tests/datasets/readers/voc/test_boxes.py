"""Boxes, turned with their image and filled."""

import cv2
import numpy as np
import pytest

from inspection_tf import images
from inspection_tf.datasets.readers.voc import boxes


def filled(*xyxy, ids=None, size=(5, 7)):
    array = np.array(xyxy, np.float64).reshape(-1, 4)
    return boxes.class_mask(array, ids or [1] * len(array), size).tolist()


def test_a_pixel_is_in_a_box_that_holds_its_centre():
    # Rows 1 and 2, columns 2, 3 and 4.
    assert filled((2, 1, 5, 3)) == [
        [0, 0, 0, 0, 0, 0, 0],
        [0, 0, 1, 1, 1, 0, 0],
        [0, 0, 1, 1, 1, 0, 0],
        [0, 0, 0, 0, 0, 0, 0],
        [0, 0, 0, 0, 0, 0, 0],
    ]
    # Centres 0.5 and 1.5 lie in 0.5 to 1.6, and 2.5 in 1.6 to 2.6.
    assert filled((0.5, 1.6, 1.6, 2.6), size=(4, 3)) == [[0] * 3, [0] * 3, [1, 1, 0], [0] * 3]


def test_a_box_of_the_whole_image_fills_it():
    assert np.all(np.array(filled((0, 0, 7, 5))) == 1)


def test_a_box_between_two_centres_marks_a_pixel():
    # Its centre lies at x 0.9 and y 1.0, where the second row begins.
    assert filled((0.6, 0.6, 1.2, 1.4), size=(2, 2)) == [[0, 0], [1, 0]]
    assert filled((1.9, 1.9, 2, 2), size=(2, 2)) == [[0, 0], [0, 1]]


def test_the_smaller_of_two_boxes_wins_and_of_equal_ones_the_later():
    small, large = (1, 0, 2, 1), (0, 0, 3, 1)
    for xyxy, ids in (((small, large), [1, 2]), ((large, small), [2, 1])):
        assert filled(*xyxy, ids=ids, size=(1, 3)) == [[2, 1, 2]]
    assert filled((0, 0, 2, 1), (1, 0, 3, 1), ids=[1, 2], size=(1, 3)) == [[1, 2, 2]]


def test_without_a_box_nothing_is_marked():
    assert filled(size=(1, 2)) == [[0, 0]]


@pytest.mark.parametrize("orientation", range(1, 9))
def test_boxes_lie_as_the_image_is_read(tmp_path, orientation):
    # One bright block of whole blocks of a JPEG: rows 16 to 24, columns 8 to 24.
    stored = np.zeros((32, 40), np.uint8)
    stored[16:24, 8:24] = 255
    _, data = cv2.imencode(".jpg", stored, [cv2.IMWRITE_JPEG_QUALITY, 100])
    exif = b"Exif\x00\x00MM\x00*\x00\x00\x00\x08\x00\x01\x01\x12\x00\x03\x00\x00\x00\x01"
    exif += bytes([0, orientation, 0, 0, 0, 0, 0, 0])
    segment = b"\xff\xe1" + (len(exif) + 2).to_bytes(2, "big") + exif
    path = tmp_path / "a.jpg"
    path.write_bytes(data.tobytes()[:2] + segment + data.tobytes()[2:])
    rows, columns = np.nonzero(images.read(path) > 128)
    edges = tuple(
        float(edge) for edge in (columns.min(), rows.min(), columns.max() + 1, rows.max() + 1)
    )
    named = [boxes.NamedBox("block", edges)]
    assert boxes.as_read(named, path, "apply").tolist() == [list(edges)]
    assert boxes.as_read(named, path, "ignore").tolist() == [[8, 16, 24, 24]]
    assert boxes.as_read([], path, "ignore").shape == (0, 4)
