import logging
import os
from pathlib import Path

import cv2
import numpy as np
import pytest

from inspection_tf import errors
from inspection_tf.datasets import readers, records

CLASSES = ("Blowhole", "Break", "Crack", "Fray", "Uneven")


def write_image(root, folder, name, *, mask=True, marked=True, inner=""):
    place = root / f"MT_{folder}" / inner
    place.mkdir(parents=True, exist_ok=True)
    image = np.random.default_rng(len(name)).integers(0, 256, (12, 16), dtype=np.uint8)
    cv2.imwrite(str(place / f"{name}.jpg"), image)
    if mask:
        values = np.zeros((12, 16), np.uint8)
        values[2, :4] = (127, 128, 200, 255) if marked else 0
        cv2.imwrite(str(place / f"{name}.png"), values)


@pytest.fixture
def tiles(tmp_path):
    """Two cracks, an uneven tile of which nothing is marked, and two good ones."""
    write_image(tmp_path, "Crack", "a")
    write_image(tmp_path, "Crack", "b")
    write_image(tmp_path, "Uneven", "c", marked=False)
    write_image(tmp_path, "Free", "d", marked=False)
    write_image(tmp_path, "Free", "e", mask=False)
    return tmp_path


def write_groups(root, *lines, header="file,group"):
    (root / "groups.csv").write_text("\n".join((header, *lines)), encoding="utf-8")


def test_folders_give_the_classes(tiles):
    found = readers.read_magnetic_tile(tiles)
    assert found.ids == ("MT_Crack/a", "MT_Crack/b", "MT_Free/d", "MT_Free/e", "MT_Uneven/c")
    assert found.is_defect.tolist() == [True, True, False, False, True]
    # Ids are those of all five classes, although only two have a folder.
    assert found.classes == CLASSES
    assert [record.class_ids() for record in found] == [(3,), (3,), (), (), (5,)]


def test_a_mask_counts_from_128_and_may_be_empty(tiles):
    found = readers.read_magnetic_tile(tiles)
    np.testing.assert_array_equal(found[0].read_classes()[2, :5], [0, 3, 3, 3, 0])
    assert not any(found[number].read_mask().any() for number in (2, 3, 4))


def test_images_in_folders_named_imgs_have_the_same_ids(tiles, tmp_path_factory):
    root = tmp_path_factory.mktemp("shipped")
    write_image(root, "Crack", "a", inner="Imgs")
    write_image(root, "Free", "d", inner="Imgs", marked=False)
    assert readers.read_magnetic_tile(root).ids == ("MT_Crack/a", "MT_Free/d")


def test_shots_of_one_tile_share_a_group(tiles):
    write_groups(
        tiles,
        *(f"MT_Crack/{name}.jpg,tile 1" for name in "ab"),
        "MT_Free/d.jpg,tile 1",
        "MT_Free/e.jpg,tile 2",
        "MT_Uneven/c.jpg,tile 3",
        "MT_Break/of_another_half.jpg,tile 4",
    )
    found = readers.read_magnetic_tile(tiles)
    assert found.groups == ("tile 1", "tile 1", "tile 1", "tile 2", "tile 3")


def test_a_table_of_groups_may_come_from_a_spreadsheet(tiles):
    rows = [
        f'"MT_{name}.jpg";"tile; {n // 2}";;'
        for n, name in enumerate(("Crack/a", "Crack/Imgs/b", "Free/d", "Free/e", "Uneven/c"))
    ]
    text = "\r\n".join(('\ufeff"file";"group";;', "", *rows, ";;;", ""))
    (tiles / "groups.csv").write_bytes(text.encode())
    found = readers.read_magnetic_tile(tiles)
    assert found.groups == ("tile; 0", "tile; 0", "tile; 1", "tile; 1", "tile; 2")


def test_without_groups_a_warning_says_what_may_leak(tiles, caplog):
    with caplog.at_level(logging.WARNING, logger="inspection_tf"):
        found = readers.read_magnetic_tile(tiles)
    assert found.groups == found.ids
    assert "shots of one tile under other exposures may leak" in caplog.text


@pytest.mark.parametrize(
    ("lines", "message"),
    [
        (["MT_Crack/a.jpg,1"], r"must name the group of every image\. Got none of MT_Crack/b"),
        (["MT_Crack/a.jpg"], r"groups\.csv, line 2: a line must be a file and its group"),
        (["MT_Crack/a.jpg,1", "MT_Crack/a.jpg,2"], r"line 3: a file must be in one group"),
    ],
)
def test_a_wrong_table_of_groups_is_refused(tiles, lines, message):
    write_groups(tiles, *lines)
    with pytest.raises(errors.DataError, match=message):
        readers.read_magnetic_tile(tiles)


@pytest.mark.parametrize("header", ["name,tile", ""])
def test_a_table_of_groups_needs_its_header(tiles, header):
    write_groups(tiles, header=header)
    with pytest.raises(errors.DataError, match=r"groups\.csv, line 1: the header must be"):
        readers.read_magnetic_tile(tiles)


def test_a_folder_of_no_class_is_refused(tiles):
    write_image(tiles, "Cracks", "x")
    with pytest.raises(errors.DataError, match=r"must be MT_ and one of Free, .*Got MT_Cracks"):
        readers.read_magnetic_tile(tiles)


def test_a_defective_tile_without_its_mask_is_refused(tiles):
    (tiles / "MT_Crack" / "b.png").unlink()
    with pytest.raises(errors.DataError, match=r"b\.jpg: a defective image must have a mask"):
        readers.read_magnetic_tile(tiles)


def test_a_mask_of_no_tile_is_refused(tiles):
    (tiles / "MT_Crack" / "b.jpg").unlink()
    with pytest.raises(errors.DataError, match=r"b\.png: each mask must belong to an image"):
        readers.read_magnetic_tile(tiles)


def test_an_empty_root_is_refused(tmp_path):
    with pytest.raises(errors.DataError, match="must hold folders MT_Free") as caught:
        readers.read_magnetic_tile(tmp_path)
    assert caught.value.exit_code == 3


@pytest.mark.skipif(
    "INSPECTION_DATA" not in os.environ,
    reason="needs INSPECTION_DATA, the folder of the real data sets",
)
def test_the_real_magnetic_tiles_are_split_by_tile_and_class():
    found = readers.read_magnetic_tile(Path(os.environ["INSPECTION_DATA"]) / "magnetic_tile")
    assert found.counts() == {"images": 731, "defective": 208}
    parts = records.split(found, tune=0.2, test=0.25, seed=0)
    # 75, 44, 24, 21 and 44 images; a quarter is 18.75, 11, 6, 5.25 and 11.
    tested = [record.class_ids() for record in parts["test"]]
    assert [tested.count((number,)) for number in range(1, 6)] == pytest.approx(
        [18.75, 11, 6, 5.25, 11], abs=1.5
    )
