import numpy as np
import pytest

from inspection_tf import errors, images
from inspection_tf.datasets import readers, records


def write(path, array):
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(images.encode_png(array))


def test_good_defect_and_masks_are_read(tmp_path, write_folders):
    found = readers.read_folder(write_folders(tmp_path, good=3, defective=2))
    assert found.ids == ("defect/d0", "defect/d1", "good/g0", "good/g1", "good/g2")
    assert found.counts() == {"images": 5, "defective": 2}
    assert found[0].read_mask().sum() == 15
    assert not found[2].read_mask().any()


def test_a_mask_may_have_another_suffix_than_its_image(tmp_path, write_folders):
    write_folders(tmp_path, defective=1)
    (tmp_path / "defect" / "d0.png").rename(tmp_path / "defect" / "d0.PNG")
    assert readers.read_folder(tmp_path)[0].read_mask().any()


@pytest.mark.parametrize("read", [readers.read_dagm, readers.read_folder])
def test_an_empty_folder_is_refused(tmp_path, read):
    with pytest.raises(errors.DataError, match="must hold images") as caught:
        read(tmp_path)
    assert caught.value.exit_code == 3


@pytest.mark.parametrize("read", [readers.read_dagm, readers.read_folder])
def test_a_root_that_is_no_folder_is_refused(tmp_path, read):
    with pytest.raises(errors.DataError, match=r"must be a folder\. Got .*nowhere"):
        read(tmp_path / "nowhere")


def test_a_defective_image_without_its_mask_is_refused(tmp_path, write_folders):
    write_folders(tmp_path)
    (tmp_path / "masks" / "d1.png").unlink()
    with pytest.raises(errors.DataError, match=r"d1\.png: a defective image must have a mask"):
        readers.read_folder(tmp_path)


def test_a_mask_of_no_image_is_refused(tmp_path, write_folders):
    write_folders(tmp_path)
    (tmp_path / "defect" / "d1.png").unlink()
    with pytest.raises(errors.DataError, match=r"d1\.png: each mask must belong.*Got 1 without"):
        readers.read_folder(tmp_path)


def test_two_masks_of_one_image_are_refused(tmp_path, write_folders):
    write_folders(tmp_path)
    (tmp_path / "masks" / "d1.bmp").write_bytes(b"")
    with pytest.raises(errors.DataError, match=r"d1\.png: an image must have one mask"):
        readers.read_folder(tmp_path)


def test_two_images_of_one_name_are_refused(tmp_path, write_folders):
    write_folders(tmp_path)
    (tmp_path / "good" / "g0.bmp").write_bytes(b"")
    with pytest.raises(errors.DataError, match="'good/g0' twice"):
        readers.read_folder(tmp_path)


def test_no_defective_image_stops_a_split_with_a_way_out(tmp_path, write_folders):
    found = readers.read_folder(write_folders(tmp_path, good=6, defective=0))
    with pytest.raises(errors.DataError, match="train on composed defects") as caught:
        records.split(found, tune=0.2, test=0.2, seed=0)
    assert caught.value.exit_code == 3


def test_a_mask_of_another_size_names_its_file(tmp_path, write_folders):
    write_folders(tmp_path)
    write(tmp_path / "masks" / "d1.png", np.ones((12, 17), np.bool_))
    record = readers.read_folder(tmp_path)[1]
    with pytest.raises(
        errors.ImageError, match=r"masks.d1\.png must be 12 x 16 px .*Got 12 x 17"
    ) as caught:
        record.read_mask()
    assert caught.value.exit_code == 3


@pytest.fixture
def write_classes(tmp_path, write_folders):
    """Three classes; d0 shows the first two, d1 the third."""
    write_folders(tmp_path)
    (tmp_path / "classes.txt").write_text("crack\n\ndent\nlong scratch\n", encoding="utf-8")
    ids = np.zeros((12, 16), np.uint8)
    ids[2, :4] = 1, 1, 2, 2
    write(tmp_path / "masks" / "d0.png", ids)
    write(tmp_path / "masks" / "d1.png", np.where(ids == 2, np.uint8(3), np.uint8(0)))
    return tmp_path


def test_classes_txt_makes_gray_values_class_ids(write_classes):
    found = readers.read_folder(write_classes)
    assert found.classes == ("crack", "dent", "long scratch")
    np.testing.assert_array_equal(found[0].read_classes()[2, :5], [1, 1, 2, 2, 0])
    assert found[0].read_mask().sum() == 4
    assert [record.class_ids() for record in found] == [(1, 2), (3,), (), ()]
    assert not found[2].read_classes().any()
    assert found[2].read_classes().dtype == np.uint8


def test_a_mask_of_ids_may_be_stored_as_equal_channels(write_classes):
    ids = np.zeros((12, 16, 3), np.uint8)
    ids[0, 0] = 2
    write(write_classes / "masks" / "d0.png", ids)
    assert readers.read_folder(write_classes)[0].class_ids() == (2,)


def test_a_gray_value_over_the_classes_names_file_and_value(write_classes):
    ids = np.zeros((12, 16), np.uint8)
    ids[0, 0] = 4
    write(write_classes / "masks" / "d1.png", ids)
    record = readers.read_folder(write_classes)[1]
    with pytest.raises(
        errors.DataError, match=r"d1\.png: class id out of range.* 0 to 3\. Got 4"
    ) as caught:
        record.read_classes()
    assert not isinstance(caught.value, errors.ImageError)


def test_a_mask_of_colours_holds_no_class_ids(write_classes):
    ids = np.zeros((12, 16, 3), np.uint8)
    ids[0, 0] = 1, 2, 0
    write(write_classes / "masks" / "d1.png", ids)
    with pytest.raises(errors.ImageError, match=r"d1\.png must hold class ids as gray"):
        readers.read_folder(write_classes)[1].read_classes()


def test_a_mask_of_ids_in_another_size_names_its_file(write_classes):
    write(write_classes / "masks" / "d1.png", np.ones((12, 17), np.uint8))
    with pytest.raises(errors.ImageError, match=r"d1\.png must be 12 x 16 px .*Got 12 x 17"):
        readers.read_folder(write_classes)[1].read_classes()


def test_one_class_keeps_masks_of_0_and_255(tmp_path, write_folders):
    write_folders(tmp_path)
    (tmp_path / "classes.txt").write_text("scratch", encoding="utf-8")
    found = readers.read_folder(tmp_path)
    assert found.classes == ("scratch",)
    assert found[0].read_classes().max() == 1


@pytest.mark.parametrize(
    ("text", "message"), [("\n", "Got an empty file"), ("a\nb\na", "each once. Got")]
)
def test_classes_txt_must_name_each_class_once(tmp_path, write_folders, text, message):
    write_folders(tmp_path)
    (tmp_path / "classes.txt").write_text(text, encoding="utf-8")
    with pytest.raises(errors.DataError, match=message):
        readers.read_folder(tmp_path)


def test_classes_txt_must_be_text(tmp_path, write_folders):
    write_folders(tmp_path)
    (tmp_path / "classes.txt").write_bytes(b"\xff\xfe\x00")
    with pytest.raises(errors.DataError, match=r"classes\.txt must be a readable text.*UTF-8"):
        readers.read_folder(tmp_path)


def test_templates_lie_beside_good_and_defective_images(tmp_path, write_folders):
    write_folders(tmp_path)
    for number, name in enumerate(("d0", "d1", "g0", "g1")):
        write(tmp_path / "templates" / f"{name}.png", np.full((12, 16), number, np.uint8))
    found = readers.read_folder(tmp_path)
    assert found.has_template
    assert [int(record.read_template()[0, 0]) for record in found] == [0, 1, 2, 3]
    (tmp_path / "templates" / "g1.png").unlink()
    with pytest.raises(errors.DataError, match=r"g1\.png: each image must have a template"):
        readers.read_folder(tmp_path)


def test_a_template_of_another_size_than_its_image_is_refused(tmp_path, write_folders):
    write_folders(tmp_path, good=1, defective=0)
    write(tmp_path / "templates" / "g0.png", np.zeros((16, 12), np.uint8))
    with pytest.raises(errors.DataError, match=r"g0\.png must be 12 x 16 px .*Got 16 x 12"):
        readers.read_folder(tmp_path)[0].read_template()
