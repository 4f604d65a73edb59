import numpy as np
import pytest

from inspection_tf import errors, images
from inspection_tf.datasets.readers.located import corners, markers

PLACES = {"tl": (5, 4), "tr": (25, 6), "br": (24, 17), "bl": (4, 15)}  # x, y


def painted(places=PLACES, size=(24, 32)):
    rng = np.random.default_rng(0)
    image = rng.integers(90, 110, (*size, 3), dtype=np.uint8)
    clean = image.copy()
    for corner, (x, y) in places.items():
        image[y, x] = markers.COLOURS[corner]
    return image, clean


def test_the_four_colours_are_found():
    found = markers.find(painted()[0], where="a.png")
    assert found.tolist() == [list(PLACES[corner]) for corner in corners.ORDER]


def test_an_image_without_paint_has_no_corners():
    assert markers.find(painted({})[0], where="a.png") is None
    assert markers.find(np.zeros((8, 8), np.uint8), where="a.png") is None


def test_a_missing_colour_is_named():
    places = {corner: xy for corner, xy in PLACES.items() if corner != "br"}
    with pytest.raises(errors.DataError, match=r"a\.png.*without bottom right \(violet"):
        markers.find(painted(places)[0], where="a.png")


def test_a_colour_twice_is_named_with_its_places():
    image, _ = painted()
    image[20, 30] = markers.COLOURS["tr"]
    with pytest.raises(errors.DataError, match=r"top right.*cyan.*Got 2 of them: \(25, 6\), \(30,"):
        markers.find(image, where="a.png")


def test_exchanged_colours_are_refused():
    places = {**PLACES, "tl": PLACES["tr"], "tr": PLACES["tl"]}
    with pytest.raises(errors.DataError, match="crossed"):
        markers.find(painted(places)[0], where="a.png")


def test_paint_is_removed_and_nothing_else():
    image, clean = painted()
    before = image.copy()
    found = markers.remove(image, markers.find(image, where="a.png"))
    np.testing.assert_array_equal(image, before)  # of the user
    changed = np.argwhere((found != image).any(axis=2))
    assert sorted(map(tuple, changed[:, ::-1].tolist())) == sorted(PLACES.values())
    # The neighbours are within 90 and 109.
    assert np.abs(found.astype(int) - clean).max() < 20


@pytest.fixture
def folder(tmp_path):
    root = tmp_path / "painted"
    root.mkdir()
    images.write_png(root / "one.png", painted()[0])
    return root


def test_a_folder_becomes_a_data_set(folder, tmp_path):
    before = (folder / "one.png").read_bytes()
    out = markers.convert(folder, tmp_path / "out")
    (record,) = corners.read_corners(out)
    assert record.read_corners().tolist() == [list(PLACES[corner]) for corner in corners.ORDER]
    assert markers.find(record.read_image(), where="out") is None
    assert (folder / "one.png").read_bytes() == before


def test_unmarked_images_show_no_field(folder, tmp_path):
    images.write_png(folder / "two.png", painted({})[0])
    with pytest.raises(errors.DataError, match=r"two\.png: all four corners.*Got none"):
        markers.convert(folder, tmp_path / "out")
    assert not (tmp_path / "out").exists()
    found = corners.read_corners(markers.convert(folder, tmp_path / "out", unmarked=True))
    assert found.is_defect.tolist() == [False, True]


def test_jpeg_is_refused(folder, tmp_path):
    import cv2

    cv2.imwrite(str(folder / "two.jpg"), painted()[0])
    with pytest.raises(errors.DataError, match=r"two\.jpg.*without loss.*Save it as PNG"):
        markers.convert(folder, tmp_path / "out")


def test_a_folder_without_images_is_refused(tmp_path):
    (tmp_path / "empty").mkdir()
    with pytest.raises(errors.DataError, match="must hold painted images"):
        markers.convert(tmp_path / "empty", tmp_path / "out")
