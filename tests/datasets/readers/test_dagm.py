import os
from pathlib import Path

import numpy as np
import pytest

from inspection_tf import errors, images
from inspection_tf.datasets import readers, records


def write(path, array):
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(images.encode_png(array))


@pytest.mark.parametrize("table", [True, False], ids=["Labels.txt", "no Labels.txt"])
@pytest.mark.parametrize("suffix", [".PNG", ".png"])
def test_a_dagm_class_folder_is_read(tmp_path, write_dagm, suffix, table):
    write_dagm(tmp_path, suffix=suffix, table=table)
    found = readers.read_dagm(tmp_path)
    assert found.ids == ("0001", "0002", "0003")
    assert found.is_defect.tolist() == [False, True, False]
    assert found[1].read_mask().sum() == 15  # 3 x 5 px
    assert not found[0].read_mask().any()
    assert {record.split for record in found} == {None}


def test_train_and_test_folders_fix_the_test_split(tmp_path, write_dagm):
    write_dagm(tmp_path / "Class1" / "Train", count=8, defective=(1, 2, 3, 4))
    write_dagm(tmp_path / "Class1" / "Test", count=2, first_seed=50)
    write_dagm(tmp_path / "Class2" / "Train", count=1, defective=())
    found = readers.read_dagm(tmp_path)
    assert len(found) == 11
    assert [r.id for r in found if r.split == "test"] == ["Class1/Test/0001", "Class1/Test/0002"]
    parts = records.split(found, tune=0.25, test=0.25, seed=0)
    assert parts["test"].ids == ("Class1/Test/0001", "Class1/Test/0002")


def test_labels_txt_outranks_the_files_beside_it(tmp_path, write_dagm):
    write_dagm(tmp_path, defective=(1, 2), table=True)
    table = tmp_path / "Label" / "Labels.txt"
    table.write_text(table.read_text().replace("1\t1\t0001", "1\t0\t0001"))
    found = readers.read_dagm(tmp_path)
    assert found.is_defect.tolist() == [False, True, False]
    assert not found[0].read_mask().any()


def test_a_flag_in_labels_txt_other_than_0_or_1_is_refused(tmp_path, write_dagm):
    write_dagm(tmp_path, table=True)
    table = tmp_path / "Label" / "Labels.txt"
    table.write_text(table.read_text().replace("3\t0\t", "3\tx\t"))
    with pytest.raises(errors.DataError, match=r"Labels\.txt, line 4: .*Got 'x'"):
        readers.read_dagm(tmp_path)


def test_a_defective_dagm_image_without_its_mask_is_refused(tmp_path, write_dagm):
    write_dagm(tmp_path, table=True)
    (tmp_path / "Label" / "0002_label.PNG").unlink()
    with pytest.raises(errors.DataError, match=r"0002\.PNG: .*Add 0002_label\.PNG"):
        readers.read_dagm(tmp_path)


def test_a_dagm_mask_of_no_image_is_refused(tmp_path, write_dagm):
    write_dagm(tmp_path)
    (tmp_path / "0002.PNG").unlink()
    with pytest.raises(errors.DataError, match=r"0002_label\.PNG: each mask must belong"):
        readers.read_dagm(tmp_path)


def test_images_without_a_label_folder_are_no_dagm_set(tmp_path):
    write(tmp_path / "0001.PNG", np.zeros((4, 4), np.uint8))
    with pytest.raises(errors.DataError, match="a folder Label beside them"):
        readers.read_dagm(tmp_path)


@pytest.mark.skipif(
    "INSPECTION_DATA" not in os.environ,
    reason="needs INSPECTION_DATA, the folder of the real data sets",
)
def test_the_real_dagm_class_1_is_read():
    found = readers.read_dagm(Path(os.environ["INSPECTION_DATA"]) / "dagm2007")
    assert found.counts() == {"images": 120, "defective": 40}
    assert found[0].id == "Class1/0005"
    assert found[0].read_image().shape == (512, 512)
    assert all(record.read_mask().any() for record in found.where(is_defect=True))
