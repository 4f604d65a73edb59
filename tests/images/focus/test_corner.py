"""Corners of drawn inserts, whose place is known, and of real ones."""

import os
import time
import xml.etree.ElementTree as ElementTree
from pathlib import Path

import cv2
import numpy as np
import pytest

from inspection_tf import images
from inspection_tf.images import focus

FINE = 4  # subpixels a pixel


def insert(size, tip_xy, *, degrees=0.0, angle=90.0, bright=True, blur=0.0, colour=None):
    """Draw an insert as a wedge whose tip and direction are known, before a textured background.

    Args:
        size: (height, width) px.
        tip_xy: of the wedge, px.
        degrees: the way from the tip into the wedge, clockwise from the x axis.
        angle: between both edges.
        bright: whether it is brighter than the background.
        blur: of the background's texture, px.
        colour: (3,) factors of the channels; None: a grey image.
    """
    height, width = size
    rng = np.random.default_rng(7)
    far = 3 * max(size)
    sides = np.radians([degrees - angle / 2, degrees + angle / 2])
    ends = [np.array(tip_xy) + far * np.array([np.cos(side), np.sin(side)]) for side in sides]
    corners = (np.array([tip_xy, *ends]) + 0.5) * FINE - 0.5
    mask = np.zeros((height * FINE, width * FINE), np.uint8)
    cv2.fillPoly(mask, [np.rint(corners * 256).astype(np.int32)], 255, cv2.LINE_8, 8)
    share = cv2.resize(mask, (width, height), interpolation=cv2.INTER_AREA) / 255
    texture = rng.normal(0, 12, size)
    if blur:
        texture = 60 * cv2.GaussianBlur(texture, (0, 0), blur)
    low, high = 60 + texture, 180 + rng.normal(0, 6, size)
    grey = share * high + (1 - share) * low if bright else share * low + (1 - share) * high
    if colour is not None:
        grey = grey[..., None] * np.array(colour)
    return np.clip(np.rint(grey), 0, 255).astype(np.uint8)


def away(image, tip_xy):
    corner = focus.find_corner(image)
    assert corner.is_found
    return float(np.hypot(*np.subtract(corner.point_xy, tip_xy)))


@pytest.mark.parametrize("degrees", [45, 135, 225, 315, 0, 90, 160, 20])
def test_the_tip_is_found_whichever_way_it_points(degrees):
    image = insert((480, 520), (250, 230), degrees=degrees)
    assert away(image, (250, 230)) <= 5


@pytest.mark.parametrize("angle", [60, 80, 100, 120])
def test_the_tip_is_found_at_any_angle_of_an_insert(angle):
    assert away(insert((480, 480), (180, 200), degrees=50, angle=angle), (180, 200)) <= 5


@pytest.mark.parametrize("size", [(1024, 1024), (301, 517), (777, 333), (120, 150)])
def test_the_size_of_the_image_does_not_matter(size):
    tip = (0.35 * size[1], 0.4 * size[0])
    assert away(insert(size, tip, degrees=45), tip) <= 5


@pytest.mark.parametrize("bright", [True, False])
@pytest.mark.parametrize("colour", [None, (1.0, 0.8, 0.5), (0.5, 0.8, 1.0)])
def test_neither_brightness_nor_colour_decides_what_the_insert_is(bright, colour):
    image = insert((400, 400), (150, 130), degrees=45, bright=bright, colour=colour)
    assert away(image, (150, 130)) <= 5


def test_a_smooth_background_is_none_either():
    assert away(insert((400, 400), (150, 130), degrees=45, blur=12), (150, 130)) <= 5


def test_the_way_inward_lies_between_the_edges():
    corner = focus.find_corner(insert((400, 400), (150, 130), degrees=45))
    # halfway between right and down
    np.testing.assert_allclose(corner.inward_xy, [0.5**0.5, 0.5**0.5], atol=0.05)


def test_a_tip_that_is_broken_off_is_where_the_edges_would_meet():
    image = insert((512, 512), (150, 130), degrees=45)
    image[130:140, 150:160] = image[:10, :10]  # 10 of the 512 px are missing
    assert away(image, (150, 130)) <= 5


def test_a_corner_is_the_same_every_time():
    image = insert((400, 400), (150, 130), degrees=45)
    assert focus.find_corner(image) == focus.find_corner(image.copy())


@pytest.mark.parametrize("size", [(64, 64), (33, 70), (1, 1), (5, 900), (2000, 3)])
@pytest.mark.parametrize("level", [0, 128, 255])
def test_a_blank_image_has_its_middle_and_says_so(size, level):
    corner = focus.find_corner(np.full(size, level, np.uint8))
    # pixels 0 to width - 1: the middle lies at (width - 1) / 2
    assert corner.point_xy == ((size[1] - 1) / 2, (size[0] - 1) / 2)
    assert not corner.is_found


def test_an_insert_that_is_cut_off_straight_has_no_corner():
    image = np.random.default_rng(0).normal(60, 3, (300, 300))
    image[:, 140:] += 100
    assert not focus.find_corner(image.astype(np.uint8)).is_found


def test_noise_has_no_corner():
    noise = np.random.default_rng(0).integers(0, 256, (300, 300, 3), dtype=np.uint8)
    assert not focus.find_corner(noise).is_found


def test_a_corner_takes_at_most_40_ms_of_one_core():
    image = insert((1024, 1024), (350, 300), degrees=45, colour=(1, 1, 1))
    spent = []
    for _ in range(5):
        started = time.thread_time()
        focus.find_corner(image)
        spent.append(time.thread_time() - started)
    assert min(spent) < 0.04


@pytest.fixture(scope="module")
def worn_inserts():
    """Path and annotated boxes (x0, y0, x1, y1 px) of each worn insert."""
    if "INSPECTION_DATA" not in os.environ:
        pytest.skip("needs INSPECTION_DATA, the folder of the real data sets")
    folder = Path(os.environ["INSPECTION_DATA"]) / "cutting_inserts" / "worn"
    found = []
    for path in sorted(folder.glob("*.xml")):
        for box in ElementTree.parse(path).getroot().iter("bndbox"):
            names = ("xmin", "ymin", "xmax", "ymax")
            found.append(
                (path.with_suffix(".JPG"), [int(box.findtext(name, "")) for name in names])
            )
    return found


def test_windows_of_real_inserts_show_the_wear(worn_inserts):
    centres, shown = [], []
    for path, (x0, y0, x1, y1) in worn_inserts:
        view = focus.find_view(images.read(path), focus.FocusSpec(method="edge_corner"))
        left, top, right, bottom = view.box_xyxy
        assert view.is_found
        width, height = min(x1 - x0, 320), min(y1 - y0, 320)  # what a window can show of it
        area = max(0, min(x1, right) - max(x0, left)) * max(0, min(y1, bottom) - max(y0, top))
        shown.append(area >= 0.6 * width * height)
        if x1 - x0 <= 600:  # of longer wear the middle is over 320 px from the tip
            centres.append(left <= (x0 + x1) / 2 < right and top <= (y0 + y1) / 2 < bottom)
    assert len(shown) == 31
    assert len(centres) == 27
    assert np.mean(centres) >= 0.9
    assert np.mean(shown) >= 0.9


def test_real_inserts_may_point_anywhere_under_any_light(worn_inserts):
    for path, _ in worn_inserts[::5]:
        image = images.read(path)
        last = image.shape[0] - 1
        x, y = focus.find_corner(image).point_xy
        changed = {
            "mirrored": (image[:, ::-1], (last - x, y)),
            "turned": (np.rot90(image, 2), (last - x, last - y)),
            "dark": (image // 2, (x, y)),
            "negative": (255 - image, (x, y)),
        }
        for name, (other, expected) in changed.items():
            # a quarter of a window, which still shows what lies there
            assert away(np.ascontiguousarray(other), expected) < 80, (path.name, name)
